"""Sorts emails to teams with the endpoint: an example of a service that uses the model.

    python examples/route_email.py examples/emails
    python examples/route_email.py --environment production --threshold 0.7 --json mail.eml more/
    python examples/route_email.py --target department examples/emails

Copy this file into a service of your own: it needs boto3, and nothing of this repository once --endpoint and
--region say where to ask. What it shows:

* reading .eml files as mail programs write them: several parts, HTML only, any encoding; a broken file is
  reported, and the others go on
* asking in small requests, with a time limit, and asking again while the endpoint is busy or wakes up
* what the model is not sure enough of goes to a queue for people, `review`: the model says so itself if it
  has triage (`needs_review`); if it has not, or with --threshold, what has a lower score does
* a model that answers several things about a text: --target names the one to route by

The exit status is 0 when every email was read and answered, 1 when some were not, 2 when none could be.
"""

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from email import message_from_bytes, policy
from email.message import MIMEPart
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

REVIEW = "review"  # the queue in which a person decides
UNSURE_BELOW = 0.6  # of a model that does not say itself what it is unsure of
BATCH = 16  # emails in one request
# of a subject and of a body: the model reads less of them, and a request has a limit of 4 MB
MOST_OF_SUBJECT, MOST_OF_BODY = 1_000, 20_000
PATIENCE = 60  # seconds in which a busy endpoint is asked again
# a serverless endpoint has 60 s for an answer; the retries are ours, so that botocore's do not multiply them
CLIENT = Config(connect_timeout=5, read_timeout=70, retries={"total_max_attempts": 1})


class Email(NamedTuple):
    """An email as the model reads it."""

    file: Path
    subject: str
    body: str


class Decision(NamedTuple):
    """Where an email goes.

    Attributes:
        file: the email.
        subject: its subject.
        team: the model's best label, or `REVIEW`.
        label: the model's best label.
        score: how sure it is of that, 0 to 1.
        error: why there is no decision; None if there is one.
    """

    file: Path
    subject: str = ""
    team: str = REVIEW
    label: str = ""
    score: float = 0.0
    error: str | None = None


class Best(NamedTuple):
    """The label that an email is routed by.

    Attributes:
        label: the best one; "" if the model gave none.
        score: how sure the model is of it.
        needs_review: whether it says that a person should look; None: it does not say.
    """

    label: str
    score: float
    needs_review: bool | None


class NotAnswered(Exception):
    """The endpoint gave no answer; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, asks, prints; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        name, region = where(options)
        runtime = boto3.client("sagemaker-runtime", region_name=region, config=CLIENT)
    except (OSError, ValueError, BotoCoreError) as error:
        print(error, file=sys.stderr)
        return 2
    decisions = []
    for batch in batches(files(options.paths)):
        decisions += decide(runtime, name, batch, options.threshold, options.target)
    if not decisions:
        print(f"expected .eml files in {', '.join(map(str, options.paths))}, found none", file=sys.stderr)
        return 2
    print(as_json(decisions) if options.json else as_table(decisions))
    failed = sum(decision.error is not None for decision in decisions)
    return 2 if failed == len(decisions) else 1 if failed else 0


# --- reading --------------------------------------------------------------------------------------


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The .eml files among `paths` and in folders among them."""
    for path in paths:
        yield from sorted(path.rglob("*.eml")) if path.is_dir() else [path]


def read(path: Path) -> Email:
    """Subject and text of an email; attachments are ignored, and quoted replies stay as they are.

    Raises:
        ValueError: the file is no email, or has nothing to read.
    """
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    if not message.keys():
        raise ValueError("expected an email, found no header line")
    part = message.get_body(preferencelist=("plain", "html"))
    subject = str(message["subject"] or "").strip()
    body = text_of(part) if part is not None else ""
    if not subject and not body:
        raise ValueError("expected an email with a subject or a text, found neither")
    return Email(path, subject[:MOST_OF_SUBJECT], body[:MOST_OF_BODY])


def text_of(part: MIMEPart) -> str:
    """The text of a part, whatever its transfer encoding and character set."""
    try:
        content = part.get_content()
    except LookupError:  # a character set that Python does not know: most letters are ASCII in all of them
        payload = part.get_payload(decode=True)
        content = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return (html_to_text(content) if part.get_content_subtype() == "html" else content).strip()


def html_to_text(html: str) -> str:
    """The words of an HTML mail, with a line for each block."""
    words = Words()
    words.feed(html)
    words.close()
    lines = (" ".join(line.split()) for line in "".join(words.found).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


class Words(HTMLParser):
    """Collects what a mail program would show."""

    hidden_tags = frozenset({"head", "script", "style", "title"})
    blocks = frozenset({"blockquote", "br", "div", "h1", "h2", "h3", "li", "p", "table", "tr"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begins a line, or something that is not shown."""
        self.hidden += tag in self.hidden_tags
        if tag in self.blocks:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Ends something that is not shown."""
        self.hidden -= tag in self.hidden_tags and self.hidden > 0

    def handle_data(self, data: str) -> None:
        """Keeps words that are shown. Line ends in HTML are spaces."""
        if not self.hidden:
            self.found.append(re.sub(r"\s+", " ", data))


# --- deciding -------------------------------------------------------------------------------------


def batches(paths: Iterator[Path]) -> Iterator[list[Path]]:
    """The files in groups that one request may ask about."""
    batch: list[Path] = []
    for path in paths:
        batch.append(path)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def decide(
    runtime: Any, endpoint: str, paths: Sequence[Path], threshold: float | None, target: str | None = None
) -> list[Decision]:
    """A decision for each file, in their order."""
    emails: dict[Path, Email] = {}
    errors: dict[Path, str] = {}
    for path in paths:
        try:
            emails[path] = read(path)
        except Exception as error:  # the email package fails on broken mail in more ways than it documents
            errors[path] = f"could not be read: {error}"
    try:
        best = ask(runtime, endpoint, list(emails.values()), target) if emails else []
    except NotAnswered as error:
        errors |= dict.fromkeys(emails, str(error))
        best = []
    answers = dict(zip(emails, best, strict=False))
    return [
        Decision(path, emails[path].subject if path in emails else "", error=errors[path])
        if path in errors
        else route(emails[path], answers[path], threshold)
        for path in paths
    ]


def route(email: Email, best: Best, threshold: float | None) -> Decision:
    """The model's team if it is sure enough, else the queue for people."""
    if threshold is None and best.needs_review is not None:
        unsure = best.needs_review
    else:
        unsure = best.score < (UNSURE_BELOW if threshold is None else threshold)
    team = REVIEW if unsure or not best.label else best.label
    return Decision(email.file, email.subject, team, best.label, best.score)


def ask(runtime: Any, endpoint: str, emails: Sequence[Email], target: str | None) -> list[Best]:
    """The best label of each email.

    Raises:
        NotAnswered: the endpoint is not there, refuses, fails, or stays busy for a minute.
    """
    inputs = [{"subject": email.subject, "body": email.body} for email in emails]
    body = json.dumps({"inputs": inputs}, ensure_ascii=False).encode()
    deadline = time.monotonic() + PATIENCE
    pause = 1.0
    while True:
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint, ContentType="application/json", Accept="application/json", Body=body
            )
            return checked(json.loads(answer["Body"].read()), len(emails), target)
        except ClientError as error:
            if not busy(error) or time.monotonic() + pause > deadline:
                raise NotAnswered(reason(error)) from error
        except BotoCoreError as error:  # no network, no credentials, or no answer in time
            raise NotAnswered(str(error)) from error
        time.sleep(pause * random.uniform(0.5, 1))  # not all callers again at the same moment
        pause = min(2 * pause, 10)


def checked(found: Any, count: int, target: str | None) -> list[Best]:
    """The best label for each email.

    Raises:
        NotAnswered: the answer does not have one.
    """
    if not isinstance(found, list) or len(found) != count:
        raise NotAnswered(f"expected a label and a score for each of {count} emails, got {str(found)[:80]}")
    return [best_of(each, target) for each in found]


def best_of(answer: Any, target: str | None) -> Best:
    """The best label in the answer to one email.

    That is `{"label", "score"}`, or `{"labels": [{"label", "score"}, …]}` where a text may have several; of a
    model with several targets an object with one of those for each. Beside them may be `"needs_review"`.

    Raises:
        NotAnswered: it is something else, or does not have the target.
    """
    said = answer
    if isinstance(answer, dict) and not (
        isinstance(answer.get("label"), str) or isinstance(answer.get("labels"), list)
    ):
        if target not in answer:
            wanted = f"expected the target {target}" if target else "expected --target, one"
            raise NotAnswered(f"{wanted} of {', '.join(answer)}")
        said = answer[target]
    try:
        ranked = said.get("labels", [said])
        label, score = (str(ranked[0]["label"]), float(ranked[0]["score"])) if ranked else ("", 0.0)
        return Best(label, score, said.get("needs_review"))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise NotAnswered(f"expected a label and a score for each email, got {str(said)[:80]}") from None


def busy(error: ClientError) -> bool:
    """Whether asking again helps: all containers are at work, or one is starting."""
    response: Any = error.response
    status = response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if response["Error"]["Code"] == "ModelError":  # 4xx: the model refuses this, and would refuse it again
        return bool(response.get("OriginalStatusCode", 0) >= 500)
    return bool(response["Error"]["Code"] == "ThrottlingException" or status == 429 or status >= 500)


def reason(error: ClientError) -> str:
    """What went wrong, in the model's own words if it was the model."""
    response: Any = error.response
    words = str(response.get("OriginalMessage") or response["Error"].get("Message") or error)
    try:
        return str(json.loads(words)["message"])  # the model server wraps them
    except (ValueError, KeyError, TypeError):
        return words


# --- showing --------------------------------------------------------------------------------------


def as_table(decisions: Sequence[Decision]) -> str:
    """A line for each email."""
    rows = [("file", "team", "score", "subject")]
    for each in decisions:
        if each.error is not None:
            rows.append((each.file.name, "not answered", "", each.error))
        else:
            unsure = f" ({each.label or 'no label'}?)" if each.team == REVIEW else ""
            rows.append((each.file.name, each.team, f"{each.score:.2f}", each.subject + unsure))
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]
        ).rstrip()
        for row in shown
    )


def plain(text: str) -> str:
    """The text on one line, without characters that a terminal would obey: anybody may have sent it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def as_json(decisions: Sequence[Decision]) -> str:
    """A JSON object for each email, one a line."""
    return "\n".join(
        json.dumps({**each._asdict(), "file": str(each.file)}, ensure_ascii=False) for each in decisions
    )


# --- which endpoint -------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description="Print the team for each email.")
    found.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=".eml files, or folders of them")
    found.add_argument("--environment", choices=("staging", "production"), default="staging")
    found.add_argument("--endpoint", help="its name, if that is not <slug>-<environment>")
    found.add_argument("--region", help="its region (default: the one in config/project.yaml)")
    found.add_argument(
        "--threshold",
        type=share,
        metavar="SCORE",
        help=f"an email with a lower score goes to the queue {REVIEW} (default: what the model says needs "
        f"review; of a model that does not say it, {UNSURE_BELOW}: choose it on mails of your own)",
    )
    found.add_argument("--target", metavar="NAME", help="which answer to route by, of a model with several")
    found.add_argument("--json", action="store_true", help="a JSON object for each email, one a line")
    return found


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return number


def where(options: argparse.Namespace) -> tuple[str, str]:
    """The endpoint's name and region: as given, or by what this repository is called.

    Raises:
        OSError, ValueError: neither says it.
    """
    if options.endpoint and options.region:
        return options.endpoint, options.region
    file = Path(__file__).resolve().parents[1] / "config/project.yaml"
    project = dict(re.findall(r'(?m)^(slug|region): *"?([^"#\s]+)', file.read_text(encoding="utf-8")))
    if len(project) != 2:
        raise ValueError(f"{file}: expected slug and region; say where to ask with --endpoint and --region")
    name = options.endpoint or f"{project['slug']}-{options.environment}"
    return name, options.region or project["region"]


if __name__ == "__main__":
    sys.exit(main())
