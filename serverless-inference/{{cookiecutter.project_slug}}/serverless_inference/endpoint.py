"""Asks an endpoint, in the form of model-build's steps/inference.py (and of transformers' own pipeline).

A request is `{"inputs": [TEXT, …], "parameters": {"top_k": N}}`; a TEXT is a string, or an object with the
text columns of training. The answer is, for each TEXT and each target of the model, its best N labels, best
first, as `{"label", "score"}`, or all labels of a target that may have several.
"""

import json
import math
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from configuration import UserError
from release.aws import Session, code, plain_errors

ONE = ""
"""Stands for the name of the target of a model that has one: an answer does not tell it."""

_LABEL = '{"label": …, "score": …}'
_LABELS = f'{{"labels": [{_LABEL}, …]}}'

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request to a serverless endpoint. [read] Serverless Inference, feature exclusions and quotas"""

ANSWER_TIMEOUT = 70
"""Seconds: the service ends a request after 60, and says so."""

PATIENCE = 60.0
"""Seconds in which a request that was turned away is tried again."""

# turned away before a model saw the request, so that asking again does no harm
_TURNED_AWAY = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "ModelNotReadyException"}
)
Text = str | dict[str, str | None]


class Label(NamedTuple):
    """A class, and how sure the model is of it: 0 to 1."""

    label: str
    score: float


class Said(NamedTuple):
    """What was said of one target.

    Attributes:
        labels: the best ones, best first; or all labels, of a target that may have several or none.
        several: whether it may have.
        needs_review: whether a person should look at it; None: the model does not say.
    """

    labels: tuple[Label, ...]
    several: bool = False
    needs_review: bool | None = None

    def in_words(self) -> str:
        """The label, or all of several, with scores: `billing 0.93`."""
        shown = self.labels if self.several else self.labels[:1]
        return ", ".join(f"{label} {score:.2f}" for label, score in shown) or "no label"

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON."""
        found: dict[str, Any] = {"answers": [label._asdict() for label in self.labels]}
        return found if self.needs_review is None else {**found, "needs_review": self.needs_review}


ByTarget = dict[str, Said]
"""An answer: of each target what was said, in the model's order; of a model with one target by `ONE`."""


def read_answer(found: Any) -> ByTarget:
    """The answer to one text, in the form of model-build's steps/inference.py.

    One target: `{"label", "score"}`, or a list of them, best first; of several labels `{"labels": […]}`.
    Several targets: an object that has such an answer for each. `"needs_review"` beside label or labels, in a
    list beside the first label, if the model has triage.

    Raises:
        ValueError: it is something else; the text says what was expected where.
    """
    if not isinstance(found, dict) or isinstance(found.get("label"), str) or _of_several(found):
        return {ONE: _read_one("", found)}
    if not found:
        raise ValueError(f"expected {_LABEL}, {_LABELS}, or one of them for each target, got {{}}")
    return {name: _read_one(f"{name}: ", value) for name, value in found.items()}


class Reply(NamedTuple):
    """What came back for one request.

    Attributes:
        answers: to each text, by target.
        ms: of the try that was answered, network included.
        total_ms: from the first try on, waiting included.
        tries: how many it took.
    """

    answers: list[ByTarget]
    ms: float
    total_ms: float
    tries: int


class AskError(UserError):
    """The endpoint has not answered, or not in the form that was expected."""


class Endpoint(NamedTuple):
    """An endpoint and the client to ask it with."""

    runtime: Any
    name: str

    @classmethod
    def of(cls, session: Session, name: str) -> Self:
        """The endpoint `name`; its client waits as long as the service does, and never retries by itself."""
        config = Config(connect_timeout=10, read_timeout=ANSWER_TIMEOUT, retries={"total_max_attempts": 1})
        with plain_errors("AWS credentials"):
            return cls(session.client("sagemaker-runtime", config=config), name)

    def ask(self, texts: Sequence[Text], top_k: int = 1, patience: float = PATIENCE) -> Reply:
        """Asks about texts, in one request.

        Args:
            texts: at least one; `encode` says how large they may be together.
            top_k: how many labels to answer for each.
            patience: seconds in which the request is tried again while it is turned away.

        Raises:
            AskError: no such endpoint, a model that raised (in its words), or nothing free within `patience`.
        """
        body = encode(texts, top_k)
        began = time.perf_counter()
        tries = 0
        while True:
            tries += 1
            sent = time.perf_counter()
            try:
                found = self.runtime.invoke_endpoint(
                    EndpointName=self.name,
                    ContentType="application/json",
                    Accept="application/json",
                    Body=body,
                )
                content = found["Body"].read()
            except (ClientError, BotoCoreError) as error:
                pause = min(2.0 ** (tries - 1), 8) * random.uniform(0.5, 1)
                if not _worth_another_try(error) or time.perf_counter() - began + pause > patience:
                    raise AskError(self._problem(error, tries)) from error
                time.sleep(pause)
                continue
            now = time.perf_counter()
            answers = _read(content, len(texts), self.name)
            return Reply(answers, (now - sent) * 1000, (now - began) * 1000, tries)

    def _problem(self, error: Exception, tries: int) -> str:
        where = f"endpoint {self.name}"
        if isinstance(error, (ReadTimeoutError, ConnectTimeoutError)):
            return f"{where}: expected an answer within {ANSWER_TIMEOUT} s, got none"
        if not isinstance(error, ClientError):
            return f"{where}: {error}"
        message = str(error.response.get("Error", {}).get("Message", ""))
        if code(error) == "ModelError":
            return f"{where}: the model failed: {_model_words(error)}"
        if code(error) in ("ValidationError", "ValidationException") and "not found" in message:
            return f"{where} is not there: no version of the model is deployed yet (make status)"
        if _worth_another_try(error):
            return f"{where}: busy or not ready, after {tries} tries: {code(error)}: {message}"
        return f"{where}: {code(error)}: {message}"


def encode(texts: Sequence[Text], top_k: int) -> bytes:
    """The body of a request.

    Raises:
        AskError: it is larger than a serverless endpoint takes.
    """
    document = {"inputs": list(texts), "parameters": {"top_k": top_k}}
    body = json.dumps(document, ensure_ascii=False).encode()
    if len(body) > MAX_BODY:
        raise AskError(
            f"expected texts of at most {MAX_BODY:,} bytes together (the limit of a serverless endpoint), "
            f"got {len(body):,}"
        )
    return body


def _read_one(where: str, found: Any) -> Said:
    several = isinstance(found, dict) and _of_several(found)
    labels = found["labels"] if several else [found] if isinstance(found, dict) else found
    if not isinstance(labels, list) or not (labels or several):
        raise ValueError(f"{where}expected {_LABEL}, or {_LABELS}, got {_shown(found)}")
    read = tuple(_label(where, each) for each in labels)
    says = found if several else labels[0]
    review = says.get("needs_review")
    if not isinstance(review, bool | None):
        raise ValueError(f"{where}needs_review: expected true or false, got {_shown(review)}")
    return Said(read, several, review)


def _of_several(found: dict[str, Any]) -> bool:
    """Whether these are a target's labels; no other keys, as of several targets one may be called labels."""
    return isinstance(found.get("labels"), list) and found.keys() <= {"labels", "needs_review"}


def _label(where: str, found: Any) -> Label:
    if isinstance(found, dict):
        label, score = found.get("label"), found.get("score")
        if isinstance(label, str) and isinstance(score, int | float) and not isinstance(score, bool):
            try:
                number = float(score)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return Label(label, number)
    raise ValueError(f"{where}expected {_LABEL} with a text and a number, got {_shown(found)}")


def _shown(value: Any) -> str:
    words = str(value)
    return words if len(words) <= 80 else f"{words[:79]}…"


def _worth_another_try(error: Exception) -> bool:
    """Throttled, not ready, or a fault of the service; a model that refuses a text refuses it again."""
    if not isinstance(error, ClientError):
        return False
    response: Any = error.response
    if code(error) == "ModelError":
        return bool(response.get("OriginalStatusCode", 0) >= 500)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return code(error) in _TURNED_AWAY or status == 429 or status >= 500


def _model_words(error: ClientError) -> str:
    """What the model's own code said. The model server wraps it in JSON."""
    response: Any = error.response
    words = str(response.get("OriginalMessage") or response["Error"].get("Message", ""))
    try:
        wrapped = json.loads(words)
    except ValueError:
        wrapped = None
    if isinstance(wrapped, dict) and "message" in wrapped:
        words = str(wrapped["message"])
    status = response.get("OriginalStatusCode")
    return f"{words.strip()} (status {status})" if status else words.strip()


def _read(content: bytes, expected: int, name: str) -> list[ByTarget]:
    try:
        found = json.loads(content)
        if not isinstance(found, list):
            raise ValueError("expected a list")
        if len(found) != expected:
            raise ValueError(f"expected {expected} answers, got {len(found)}")
        return [read_answer(each) for each in found]
    except ValueError as error:
        shown = content[:200].decode("utf-8", "replace")
        raise AskError(
            f"endpoint {name}: expected labels and scores for {expected} text(s), as "
            f'[[{{"label": …, "score": …}}], …], or an object of them by target, got {shown} ({error})'
        ) from None
