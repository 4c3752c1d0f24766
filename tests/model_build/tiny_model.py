"""Writes a tiny random BERT with a tokenizer: python tiny_model.py FOLDER (with the container's Python)."""

import gc
import sys

gc.disable()  # most of this process is loading libraries, in which there is no garbage

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402 - not before
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast  # noqa: E402 - not before

TEXTS = [
    "permit for the panel and the wiring",
    "the furnace and a gas line",
    "an invoice and a refund",
    "the ride at the fair",
    "elevator outage",
    "boiler inspection",
    "please send my certificate",
    "someone was hurt",
    "where is your office and how do I log in",
]


def main(folder: str) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXTS * 3, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    gc.freeze()


if __name__ == "__main__":
    main(sys.argv[1])
