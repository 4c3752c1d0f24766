"""tokens.py: serving without transformers reads every text as training did."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from serving.texts import read_tokenizer, tokenise

TEXTS = [
    "",
    " ",
    "the invoice for the lift please",
    "Où est l'élévateur? Ça va, naïve façade. İstanbul straße",
    "[SEP] in a text, [CLS][MASK], and </s> or <pad> too",
    "an emoji 👩‍👩‍👧‍👦 and 🇨🇦, half of one: \ufffd",
    "电梯 坏了。エレベーター 승강기 \u0627\u0644\u0645\u0635\u0639\u062f",
    "e\u0301 is é, \u200b\u00ad\u2028 and \ttabs\nlines",
    "lift " * 3000,
    "x" * 5000,
    "\U0001f600" * 300,
]


def word_pieces() -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer in the style of BERT."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return tokenizer, dict(zip(names, special, strict=True))


def byte_pairs() -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer in the style of RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    return tokenizer, {**dict(zip(names, special, strict=True)), "cls_token": "<s>", "sep_token": "</s>"}


@pytest.fixture(scope="module", params=[word_pieces, byte_pairs])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The tokenizer as transformers loads it, and as serving does."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer, names = request.param()
    # Files of base models cut and pad by themselves, as training never asks them to.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **names).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), read_tokenizer(Path(folder) / "tokenizer.json")


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("max_length", [8, 100_000])
def test_both_tokenizers_give_the_same_ids(both: tuple[Any, Any], max_length: int, truncation: str) -> None:
    first, second = (tokenise(each, TEXTS, max_length, truncation) for each in both)
    assert first == second
    assert len(first) == len(TEXTS) and max(map(len, first)) <= max_length
    assert len(first[0]) == 2  # nothing but the special tokens
    assert [tokenise(both[1], [text], max_length, truncation)[0] for text in TEXTS] == first


def test_a_text_may_hold_a_special_token(both: tuple[Any, Any]) -> None:
    special = both[0].all_special_tokens
    ids = [tokenise(each, special, 100, "head") for each in both]
    assert ids[0] == ids[1]
    assert all(len(each) == 3 for each in ids[0])
