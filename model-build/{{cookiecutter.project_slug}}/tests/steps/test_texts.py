"""Texts are read, cut and tokenised alike in training and in serving."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data.intake import clean_array, join_arrays
from serving.texts import (
    POLICIES,
    SEPARATORS,
    WHITESPACE,
    clean,
    join_columns,
    read_tokenizer,
    tokenise,
    truncate,
)

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


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (None, ""),
        ("", ""),
        (" \t\r\n\u00a0\u200b\ufeff ", ""),
        ("  Élevé — 电梯 ΑΣ  ", "Élevé — 电梯 ΑΣ"),
        ("a\0b", "ab"),
        ("\0 a \0", "a"),
        ("one\r\ntwo\rthree\n\nfour", "one\ntwo\nthree\n\nfour"),
        ("inner   spaces\tstay", "inner   spaces\tstay"),
        ("cut \ud83d", "cut \ufffd"),
        ("whole \ud83d\ude00", "whole 😀"),
        ("e\u0301 stays in two", "e\u0301 stays in two"),
    ],
)
def test_clean_removes_what_carries_no_meaning_and_nothing_else(text: str | None, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean(cleaned) == cleaned


def test_every_character_that_python_calls_white_space_is_trimmed() -> None:
    assert {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()} <= set(WHITESPACE)


def test_preprocessing_whole_columns_cleans_as_serving_cleans_one_text() -> None:
    characters = [*map(chr, range(0x3100)), "\ufeff", "\ufffd", "\U0001f600"]
    texts = [f"{character}x{character}y\r{character}" for character in characters] + [
        "\0 \0 a",
        "",
        "\0\ufeff",
    ]
    assert clean_array(pa.array(texts)).to_pylist() == [clean(text) for text in texts]
    assert clean_array(pa.array(["a", None], pa.string())).to_pylist() == ["a", ""]


@pytest.mark.parametrize("join", SEPARATORS)
def test_columns_are_joined_without_separators_around_empty_ones(join: str) -> None:
    between = SEPARATORS[join]
    records = [
        ("a", "b", "c"),
        ("a", " ", "c"),
        (None, "b\r\n", None),
        ("", None, ""),
        ("", "", " c"),
        ("a", "", ""),
    ]
    expected = [f"a{between}b{between}c", f"a{between}c", "b", "", "c", "a"]
    assert [join_columns(record, join) for record in records] == expected
    columns = [clean_array(pa.array(column, pa.string())) for column in zip(*records, strict=True)]
    assert join_arrays(columns, join).to_pylist() == expected


def test_an_unknown_join_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="join: expected one of newline, blank_line, space, got 'comma'"):
        join_columns(["a"], "comma")


@pytest.mark.parametrize(
    ("policy", "limit", "kept"),
    [
        ("head", 4, [0, 1, 2, 3]),
        ("tail", 4, [6, 7, 8, 9]),
        ("head_tail", 4, [0, 7, 8, 9]),
        ("head_tail", 8, [0, 1, 4, 5, 6, 7, 8, 9]),
        ("head_tail", 1, [9]),
    ],
)
def test_a_long_text_is_cut_where_the_policy_says(policy: str, limit: int, kept: list[int]) -> None:
    assert truncate(list(range(10)), limit, policy) == kept


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cut_text_keeps_its_order_and_fills_the_limit(policy: str) -> None:
    for length in range(20):
        for limit in range(1, 25):
            kept = truncate(list(range(length)), limit, policy)
            assert len(kept) == min(length, limit)
            assert kept == sorted(set(kept))


def test_a_limit_or_policy_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        truncate([1], 0, "head")
    with pytest.raises(ValueError, match="expected one of head, tail, head_tail, got 'middle'"):
        truncate([1], 1, "middle")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    from serving import texts

    lines = Path(texts.__file__).read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names


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
