"""A classifier that trains in seconds: a random BERT (20,000 parameters), and texts that one word decides."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

LABELS = ["billing", "elevators", "gas"]
TELLING = {"billing": "invoice", "elevators": "lift", "gas": "furnace"}
FILLERS = [
    "please",
    "we",
    "have",
    "a",
    "question",
    "about",
    "the",
    "and",
    "our",
    "thank",
    "you",
    "today",
    "for",
    "it",
    "is",
    "from",
    "hello",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = {"columns": ["subject", "body"], "join": "blank_line"}
POSITIONS = 64


def write_base_model(folder: Path) -> Path:
    """Write a model and a tokenizer that ``from_pretrained`` loads."""
    words = [*SPECIAL, *FILLERS, *TELLING.values(), "a1", "."]
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(dict.fromkeys(words))}, "[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True)
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=POSITIONS, **names).save_pretrained(
        folder
    )
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.2,  # attends to words from the start, as a pretrained model would
    )
    torch.manual_seed(1)
    BertModel(config).save_pretrained(folder)
    return folder


def examples(rows: int, seed: int) -> list[tuple[str, str]]:
    """Return texts of 3 to 30 words, one of which tells the label."""
    chance = random.Random(seed)
    result = []
    for row in range(rows):
        label = LABELS[row % len(LABELS)]
        words = chance.choices(FILLERS, k=chance.randint(2, 29))
        words.insert(chance.randint(0, len(words)), TELLING[label])
        result.append((" ".join(words), label))
    return result


def write_set(folder: Path, rows: Sequence[tuple[str, str]], labels: Sequence[str] = LABELS) -> Path:
    """Write a channel as preprocess.py does."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "text": pa.array([text for text, _ in rows], pa.string()),
        "label": pa.array([list(labels).index(label) for _, label in rows], pa.int32()),
        "row": pa.array(range(1, len(rows) + 1), pa.int64()),
    }
    pq.write_table(pa.table(table), folder / "data.parquet")
    content = {"targets": [{"name": "team", "kind": "one", "labels": list(labels)}], "text": TEXT}
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


TARGETS = [
    {"name": "team", "kind": "one", "labels": LABELS},
    {"name": "topics", "kind": "several", "labels": ["greeting", "thanks"]},
]
SAYS = {"greeting": "hello", "thanks": "thank"}


def write_targets(folder: Path, rows: int, seed: int) -> Path:
    """Write a channel with two targets; a word tells the team, and of each topic one that the text has it."""
    chance = random.Random(seed)
    plain = [word for word in FILLERS if word not in SAYS.values()]
    texts, topics = [], []
    for row in range(rows):
        held = [index for index in range(2) if row >> index & 1]
        words = chance.choices(plain, k=chance.randint(2, 12))
        words += [TELLING[LABELS[row % 3]], *(list(SAYS.values())[index] for index in held)]
        chance.shuffle(words)
        texts.append(" ".join(words))
        topics.append(held)
    columns = {
        "text": pa.array(texts, pa.string()),
        "team.label": pa.array([row % 3 for row in range(rows)], pa.int32()),
        "topics.label": pa.array(topics, pa.list_(pa.int32())),
        "row": pa.array(range(1, rows + 1), pa.int64()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "data.parquet")
    (folder / "labels.json").write_text(json.dumps({"targets": TARGETS, "text": TEXT}), encoding="utf-8")
    return folder
