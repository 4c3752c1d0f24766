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
  * ``batch_size``: most texts that go through the model together (if not said, as many as are quickest)

* ``application/jsonlines``: in each line a TEXT or ``{"inputs": TEXT}``, which may have ``"parameters"``, too
* ``text/csv``: a header with ``inputs`` or with the text columns, then one TEXT in each row

Answers have the order of the request. Those of a model with one target have the shapes of transformers' own
text-classification pipeline, so that a client of the toolkit's default handler need not change:

* one text: ``[{"label": …, "score": …}]``, the best class, or with ``top_k`` that many
* a list: ``[{"label": …, "score": …}, …]``, the best class of each; with ``top_k`` a list for each
* as ``application/jsonlines``: for each text a line with what it would get alone
* as ``text/csv``: columns ``label,score``, or with ``top_k`` above 1 ``label_1,score_1,label_2,score_2,…``

Where a text may have any number of labels, its answer is ``{"labels": [{"label": …, "score": …}, …]}``, best
first and maybe with none, whatever ``top_k`` says; the default function is ``sigmoid``; and in CSV there is a
column ``labels``, in which ``;`` separates them (``\\;`` is one inside a label). Another function shows other
scores; which labels are answered stays.

A model with several targets answers one text with an object, ``{"sentiment": {"label": …, "score": …},
"topics": {"labels": […]}}``, and a list with a list of them; ``top_k`` makes a list of each target that has
one label. In CSV the target's name is before each column's, as in ``sentiment_label,sentiment_score``.

A model with triage adds ``"needs_review": true`` or ``false`` to each target's answer (in a list to the first
class; in CSV as the target's last column): whether the model is too unsure of it, and a person should look.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving import bodies, engines, watch
from serving.bodies import CSV, FORMS, JSON, Request, Said, listing, read_text
from serving.targets import Outcome, Rules, columns_of, decide, from_json
from serving.texts import Redaction, Redactor, tokenise, windows


@dataclass(frozen=True)
class Settings:
    """What ``serving.json`` says: how training read a record, and what each target's answers follow.

    ``runtime`` is what serving/engines.py loads; None: PyTorch.
    """

    max_length: int
    truncation: str
    columns: tuple[str, ...]
    join: str
    rules: tuple[Rules, ...]
    redact: Redaction | None = None
    runtime: dict[str, Any] | None = None

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read ``serving.json``, which train.py wrote beside the weights."""
        content = json.loads(path.read_text(encoding="utf-8"))
        text, targets = content["text"], from_json(content["targets"])
        rules = tuple(
            Rules(target, part, each["temperature"], each["review_below"], each["decide_at"])
            for target, part, each in zip(targets, columns_of(targets), content["targets"], strict=True)
        )
        return cls(
            content["max_length"],
            content["truncation"],
            tuple(text["columns"]),
            text["join"],
            rules,
            Redaction.from_json(content.get("redact")),
            content.get("runtime"),
        )


@dataclass(frozen=True)
class Classifier:
    """A loaded model with what it needs to read texts, and the words that it knows (serving/watch.py).

    Its redactor puts placeholders where training had them; None: training replaced nothing.
    """

    engine: engines.Engine
    settings: Settings
    vocabulary: watch.Vocabulary | None = None
    redactor: Redactor | None = None


@dataclass(frozen=True)
class Answer:
    """What the model says about the texts of a request.

    Attributes:
        texts: as the model has read them.
        outcomes: target by target, over all texts.
        records: text by text, for the client: what each target says.
        single: the request was one text, not a list of one.
    """

    texts: list[str]
    outcomes: list[Outcome]
    records: list[list[Said]]
    single: bool = False


# --- the toolkit's contract -----------------------------------------------------------------------


def model_fn(model_dir: str) -> Classifier:
    """Load the model from the folder that ``model.tar.gz`` was unpacked to."""
    return load(Path(model_dir))


def load(folder: Path, prefer_gpu: bool = True) -> Classifier:
    """Load the model. The evaluation step prefers no GPU: it asks the artefact that will be served."""
    settings = Settings.read(folder / "serving.json")
    engine = engines.load(folder, settings.runtime, engines.threads(), prefer_gpu)
    redactor = Redactor(settings.redact) if settings.redact else None
    return Classifier(engine, settings, watch.Vocabulary.read(folder), redactor)


def input_fn(data: str | bytes, content_type: str) -> Request:
    """Decode the body of a request.

    Raises:
        ValueError: the body is not what its content type says; the message names the record, counted from 1.
    """
    return bodies.read(data, content_type)


def predict_fn(request: Request, classifier: Classifier) -> Answer:
    """Classify every record of the request, and log what was answered, without a text.

    Raises:
        ValueError: a record is neither a text nor an object with the text columns.
    """
    answer = answer_to(request, classifier)
    watch.log(
        answer.texts,
        {each.rules.target.name: _watched(each) for each in answer.outcomes},
        classifier.vocabulary,
    )
    return answer


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
        raise ValueError(f"accept: expected {listing(FORMS, 'or')}, got {accept}")
    targets = [(each.rules.target, each.needs_review is not None) for each in answer.outcomes]
    return bodies.encode(answer.records, targets, answer.single, form)


# --- predicting -----------------------------------------------------------------------------------


def answer_to(request: Request, classifier: Classifier) -> Answer:
    """Classify every record of the request; as ``predict_fn``, but says nothing in the log.

    The evaluation step asks here: what it measures is what will be served.
    """
    settings, parameters = classifier.settings, request.parameters
    texts = [
        read_text(record, settings.columns, settings.join, "inputs" if request.single else f"record {number}")
        for number, record in enumerate(request.records, start=1)
    ]
    if classifier.redactor:
        texts = [classifier.redactor(text) for text in texts]
    engine, columns = classifier.engine, settings.rules[-1].columns.stop
    sizes = [each.batch_size for each in parameters]
    batch_size = None if None in sizes else max(filter(None, sizes), default=None)
    logits = np.empty((len(texts), columns), dtype=np.float32)
    for part in windows(texts):
        ids = tokenise(engine.tokenizer, texts[part], settings.max_length, settings.truncation)
        logits[part] = engine.logits(ids, columns, batch_size)
    outcomes = [decide(rules, logits[:, rules.columns]) for rules in settings.rules]
    records = [
        [bodies.say(outcome, row, each) for outcome in outcomes] for row, each in enumerate(parameters)
    ]
    return Answer(texts, outcomes, records, request.single)


def _watched(outcome: Outcome) -> list[watch.Answered]:
    rules, review = outcome.rules, outcome.needs_review
    return watch.answered(
        outcome.scores,
        rules.target.labels,
        rules.target.kind,
        rules.decide_at,
        None if review is None else review.tolist(),
    )
