"""Answer requests with the trained classifier. Ships in ``model.tar.gz`` as ``code/inference.py``.

The four functions are the contract of SageMaker's Hugging Face inference toolkit: ``model_fn`` once per
worker, then ``input_fn``, ``predict_fn`` and ``output_fn`` for each request. The toolkit turns every
exception into HTTP 400 with the exception's text, so a message here names the record and what was
expected of it.

Requests. A TEXT is a string, or an object with the text columns of training, for example
``{"subject": …, "body": …}``; its other keys are ignored, and ``null`` in a column counts as empty.

* ``application/json``: ``{"inputs": TEXT}`` or ``{"inputs": [TEXT, …]}``, and optionally ``"parameters"``:

  * ``top_k``: how many classes to answer, best first; ``null`` for all of them
  * ``function_to_apply``: ``softmax`` (the default), ``sigmoid`` or ``none``
  * ``batch_size``: texts that go through the model together (32 if not said)

* ``application/jsonlines``: in each line a TEXT or ``{"inputs": TEXT}``, which may have ``"parameters"``, too
* ``text/csv``: a header with ``inputs`` or with the text columns, then one TEXT in each row

Answers have the order of the request and the shapes of transformers' own text-classification pipeline, so
that a client of the toolkit's default handler need not change:

* one text: ``[{"label": …, "score": …}]``, the best class, or with ``top_k`` that many
* a list: ``[{"label": …, "score": …}, …]``, the best class of each; with ``top_k`` a list for each
* as ``application/jsonlines``: for each text a line with what it would get alone
* as ``text/csv``: columns ``label,score``, or with ``top_k`` above 1 ``label_1,score_1,label_2,score_2,…``
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from texts import clean, join_columns, truncate

JSON = "application/json"
JSON_LINES = "application/jsonlines"
CSV = "text/csv"
FORMS = (JSON, JSON_LINES, CSV)

FUNCTIONS = ("softmax", "sigmoid", "none")

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""CPU time that the container may use, in microseconds of every so many microseconds (cgroup v2)."""

csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is shorter than some emails


@dataclass(frozen=True)
class Settings:
    """What ``serving.json`` says: how training read a record, and class names in the order of their ids."""

    max_length: int
    truncation: str
    columns: tuple[str, ...]
    join: str
    labels: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read ``serving.json``, which train.py wrote beside the weights."""
        content = json.loads(path.read_text(encoding="utf-8"))
        text = content["text"]
        return cls(
            content["max_length"],
            content["truncation"],
            tuple(text["columns"]),
            text["join"],
            tuple(content["labels"]),
        )


@dataclass(frozen=True)
class Classifier:
    """A loaded model with what it needs to read texts."""

    model: Any
    tokenizer: Any
    settings: Settings


@dataclass(frozen=True)
class Parameters:
    """The ``parameters`` of a request; ``top_k`` 0 stands for "not said"."""

    top_k: int | None = 0
    function_to_apply: str = "softmax"
    batch_size: int = 32


@dataclass(frozen=True)
class Request:
    """The records of a request in their order, each a raw text or object, with the parameters of each."""

    records: list[Any]
    parameters: list[Parameters]
    single: bool = False
    """One text, not a list of one."""


@dataclass(frozen=True)
class Answer:
    """For each record its best classes, best first, as ``{"label", "score"}``."""

    records: list[list[dict[str, Any]]]
    single: bool = False
    ranked: list[bool] = field(default_factory=list)
    """Whether ``top_k`` was given, record by record."""


# --- the toolkit's contract -----------------------------------------------------------------------


def model_fn(model_dir: str) -> Classifier:
    """Load weights, tokenizer and settings from the folder that ``model.tar.gz`` was unpacked to."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cpu_share())
    logging.disable_progress_bar()
    settings = Settings.read(Path(model_dir, "serving.json"))
    model = AutoModelForSequenceClassification.from_pretrained(model_dir, dtype=torch.float32)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return Classifier(model, AutoTokenizer.from_pretrained(model_dir), settings)


def input_fn(data: str | bytes, content_type: str) -> Request:
    """Decode the body of a request.

    Raises:
        ValueError: the body is not what its content type says; the message names the record, counted from 1.
    """
    form = content_type.split(";")[0].strip().lower()
    if form not in FORMS:
        raise ValueError(f"content type: expected {_listing(FORMS, 'or')}, got {content_type}")
    if isinstance(data, (bytes, bytearray)):
        try:
            data = bytes(data).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    data = data.removeprefix("\ufeff")
    return {JSON: _read_json, JSON_LINES: _read_json_lines, CSV: _read_csv}[form](data)


def predict_fn(request: Request, classifier: Classifier) -> Answer:
    """Classify every record of the request.

    Raises:
        ValueError: a record is neither a text nor an object with the text columns.
    """
    settings, parameters = classifier.settings, request.parameters
    texts = [
        read_text(record, settings, "inputs" if request.single else f"record {number}")
        for number, record in enumerate(request.records, start=1)
    ]
    ids = tokenise(classifier.tokenizer, texts, settings.max_length, settings.truncation)
    logits = _logits(classifier, ids, batch_size=max((each.batch_size for each in parameters), default=1))
    answers = [_best(row, each, settings.labels) for row, each in zip(logits, parameters, strict=True)]
    return Answer(answers, request.single, [each.top_k != 0 for each in parameters])


def output_fn(answer: Answer, accept: str) -> str:
    """Encode the answer in the first form of ``accept`` that is known; ``*/*`` and nothing at all mean JSON.

    Raises:
        ValueError: none of the forms in ``accept`` is known.
    """
    wanted = [part.split(";")[0].strip().lower() for part in accept.split(",")] if accept else [JSON]
    wanted = [
        JSON if form in ("*/*", "application/*") else CSV if form == "text/*" else form for form in wanted
    ]
    form = next((form for form in wanted if form in FORMS), None)
    if form is None:
        raise ValueError(f"accept: expected {_listing(FORMS, 'or')}, got {accept}")
    if form == JSON_LINES:
        return "".join(_dump(record) + "\n" for record in answer.records)
    if form == CSV:
        return _dump_csv(answer.records)
    if answer.single:
        return _dump(answer.records[0])
    return _dump(
        [
            record if ranked else record[0]
            for record, ranked in zip(answer.records, answer.ranked, strict=True)
        ]
    )


# --- shared with training -------------------------------------------------------------------------


def tokenise(tokenizer: Any, texts: Sequence[str], max_length: int, truncation: str) -> list[list[int]]:
    """Return each text's token ids with the special tokens, at most ``max_length`` of them.

    train.py calls this very function, so that a long text is cut in serving where it was cut in training.
    """
    if not texts:
        return []
    before, after = _special_tokens(tokenizer)
    limit = max_length - len(before) - len(after)
    plain = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    return [before + truncate(ids, limit, truncation) + after for ids in plain]


def pad(ids: Sequence[Sequence[int] | np.ndarray], pad_id: int) -> dict[str, torch.Tensor]:
    """Return ``input_ids`` and ``attention_mask``, each of shape (texts, length of the longest)."""
    length = max(1, max(map(len, ids)))
    input_ids = np.full((len(ids), length), pad_id, dtype=np.int64)
    mask = np.zeros((len(ids), length), dtype=np.int64)
    for row, text in enumerate(ids):
        input_ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)}


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that this tokenizer puts before and after a text ([CLS] and [SEP] for BERT)."""
    probe = tokenizer("a", return_special_tokens_mask=True)
    ids, special = list(probe["input_ids"]), list(probe["special_tokens_mask"])
    if 0 not in special:  # the tokenizer does not know "a": it has nothing but special tokens
        return ids, []
    first, last = special.index(0), len(special) - special[::-1].index(0)
    return ids[:first], ids[last:]


# --- reading --------------------------------------------------------------------------------------


def read_text(record: Any, settings: Settings, where: str) -> str:
    """Return the text that the model reads for one record: a string, or an object with the text columns.

    Raises:
        ValueError: anything else; the message begins with ``where``.
    """
    if isinstance(record, str):
        return clean(record)
    columns = _listing(settings.columns, "and")
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected text, got {_describe(record)}")
    missing = [column for column in settings.columns if column not in record]
    if missing:
        found = _listing([str(key) for key in record][:10], "and") or "nothing"
        raise ValueError(f"{where}: expected text, or an object with {columns}, got an object with {found}")
    for column in settings.columns:
        if not isinstance(record[column], str | None):
            raise ValueError(f"{where}: {column}: expected text, got {_describe(record[column])}")
    return join_columns([record[column] for column in settings.columns], settings.join)


def _read_json(data: str) -> Request:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict) or "inputs" not in body:
        found = (
            f"the keys {_listing([str(key) for key in body][:10], 'and')}"
            if body and isinstance(body, dict)
            else None
        )
        raise ValueError(f'expected {{"inputs": text or list of texts}}, got {found or _describe(body)}')
    _only(body, ("inputs", "parameters"), "the body")
    parameters = _parameters(body.get("parameters"), "")
    if isinstance(body["inputs"], list):
        return Request(body["inputs"], [parameters] * len(body["inputs"]))
    return Request([body["inputs"]], [parameters], single=True)


def _read_json_lines(data: str) -> Request:
    records, parameters = [], []
    # Only "\n" ends a line here: str.splitlines would also cut at U+2028, which may stand inside a JSON
    # string.
    for number, line in enumerate(data.rstrip("\r\n").split("\n"), start=1):
        where = f"record {number}: "
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{where}expected JSON, got {'an empty line' if not line.strip() else error}"
            ) from None
        given = None
        if isinstance(record, dict) and "inputs" in record:
            record, given = record["inputs"], record.get("parameters")
        records.append(record)
        parameters.append(_parameters(given, where))
    return Request(records, parameters)


def _read_csv(data: str) -> Request:
    rows = csv.reader(io.StringIO(data, newline=""), strict=True)
    records: list[Any] = []
    try:
        header = next(rows, None)
        if not header:
            raise ValueError("expected CSV with a header: inputs, or the text columns; got an empty body")
        for number, row in enumerate(filter(None, rows), start=1):
            if len(row) != len(header):
                raise ValueError(
                    f"record {number}: expected {len(header)} fields as in the header, got {len(row)}"
                )
            named = dict(zip(header, row, strict=True))
            records.append(named.get("inputs", named))
    except csv.Error as error:
        raise ValueError(f"record {len(records) + 1}: the body is not CSV: {error}") from None
    return Request(records, [Parameters()] * len(records))


def _parameters(given: Any, where: str) -> Parameters:
    if given is None:
        return Parameters()
    if not isinstance(given, dict):
        raise ValueError(f"{where}parameters: expected an object, got {_describe(given)}")
    _only(given, ("top_k", "function_to_apply", "batch_size"), f"{where}parameters")
    top_k = given.get("top_k", 0)
    if ("top_k" in given and top_k is not None) and not _is_count(top_k):
        raise ValueError(
            f"{where}parameters.top_k: expected a whole number above 0 or null, got {_describe(top_k)}"
        )
    batch_size = given.get("batch_size", Parameters.batch_size)
    if not _is_count(batch_size):
        raise ValueError(
            f"{where}parameters.batch_size: expected a whole number above 0, got {_describe(batch_size)}"
        )
    function = given.get("function_to_apply", "softmax")
    if function not in FUNCTIONS:
        raise ValueError(
            f"{where}parameters.function_to_apply: expected {_listing(FUNCTIONS, 'or')}, "
            f"got {_describe(function)}"
        )
    return Parameters(top_k, function, batch_size)


def _only(given: dict[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ValueError(f"{where}: expected {_listing(known, 'and')} only, got {unknown[0]!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


# --- predicting -----------------------------------------------------------------------------------


def _logits(classifier: Classifier, ids: list[list[int]], batch_size: int) -> np.ndarray:
    """Return the model's outputs, float32 of shape (texts, classes), in the order of the texts."""
    logits = np.empty((len(ids), len(classifier.settings.labels)), dtype=np.float32)
    # Neighbours in length share a batch, so that little of it is padding.
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    pad_id = classifier.tokenizer.pad_token_id or 0
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = pad([ids[row] for row in rows], pad_id)
            batch = {name: tensor.to(classifier.model.device) for name, tensor in batch.items()}
            logits[rows] = classifier.model(**batch).logits.float().cpu().numpy()
    return logits


def _best(logits: np.ndarray, parameters: Parameters, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return the best classes of one text, best first; of equal scores the class with the lower id."""
    scores = logits
    if parameters.function_to_apply == "softmax":
        powers = np.exp(logits - logits.max())
        scores = powers / powers.sum()
    elif parameters.function_to_apply == "sigmoid":
        scores = 1 / (1 + np.exp(-logits))
    count = len(labels) if parameters.top_k is None else (parameters.top_k or 1)
    ranking = np.argsort(-scores, kind="stable")[:count]
    return [{"label": labels[index], "score": float(scores[index])} for index in ranking]


def cpu_share() -> int:
    """Return how many threads one server process should use.

    The CPUs that this process may run on, within the container's quota (cgroup v2), divided among the model
    server's workers. PyTorch by itself starts a thread for each core of the host, whatever share of them the
    container has.
    """
    cpus: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        cpus = min(cpus, int(quota) / int(period))
    except (OSError, ValueError):  # not Linux, cgroup v1, or no quota ("max")
        pass
    workers = os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS", "")
    return max(1, round(cpus / max(1, int(workers) if workers.isdecimal() else 1)))


# --- writing --------------------------------------------------------------------------------------


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _dump_csv(records: list[list[dict[str, Any]]]) -> str:
    width = max(map(len, records), default=1)
    header = (
        ["label", "score"]
        if width == 1
        else [f"{name}_{n}" for n in range(1, width + 1) for name in ("label", "score")]
    )
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for record in records:
        cells = [cell for best in record for cell in (best["label"], best["score"])]
        writer.writerow(cells + [""] * (2 * width - len(cells)))
    return stream.getvalue()


def _describe(value: Any) -> str:
    """Say in a few words what a JSON value is: ``number 5``, ``null``, ``a list of 3``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"number {value}"
    if isinstance(value, str):
        return f'text "{value[:40]}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object"


def _listing(words: Sequence[str], last: str) -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
