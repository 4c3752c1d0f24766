"""The command `watch`: what was answered lately, beside what the model was trained with.

The figures come from the function that compares them, so that whoever asks needs permission to call that
function, and none to read metrics, models or the other account's bucket.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError
from configuration.project import ProjectConfig

from .aws import Session, code, plain_errors, session, stop_on_other_account
from .environments import ENVIRONMENTS, STAGING, account_of

Answer = Mapping[str, Any]


class Row(NamedTuple):
    """A line of the table."""

    what: str
    lately: str = ""
    training: str = ""
    drift: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--environment", choices=ENVIRONMENTS, default=STAGING, help="default: staging")
    parser.add_argument(
        "--check",
        action="store_true",
        help="let it count, as the schedule does: the alarm follows the verdict",
    )
    parser.add_argument("--json", action="store_true", help="everything that is known, as one JSON object")


def run(project: ProjectConfig, enabled: bool, options: argparse.Namespace) -> int:
    """Asks, prints the figures, and returns 0.

    Args:
        project: config/project.yaml.
        enabled: whether the configuration says that answers are counted in this environment.
        options: of the command line.

    Raises:
        UserError: nothing is counted there, another account's credentials, or no answer.
    """
    if not enabled:
        raise UserError(
            f"{options.environment}.watching: expected settings (days, texts, drift, schedule), got null: "
            "nothing is counted there"
        )
    own = session(project.region)
    stop_on_other_account(
        own, account_of(project, options.environment), f"the {options.environment} environment's"
    )
    answer = ask(own, f"{project.slug}-drift-{options.environment}", quiet=not options.check)
    print(json.dumps(answer, indent=2, ensure_ascii=False) if options.json else in_words(answer))
    return 0


def ask(own: Session, function: str, *, quiet: bool) -> Answer:
    """What the function that compares says.

    Raises:
        UserError: it is not there, may not be called, or failed.
    """
    with plain_errors(f"function {function}"):
        try:
            found = own.client("lambda").invoke(
                FunctionName=function, Payload=json.dumps({"quiet": quiet}).encode()
            )
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                raise UserError(
                    f"function {function}: not there. It comes with the first deployment that has a model "
                    "and `watching:` in its configuration: make status"
                ) from None
            raise
        answer: Answer = json.loads(found["Payload"].read())
    if "FunctionError" in found:
        raise UserError(
            f"function {function}: {answer.get('errorType')}: {answer.get('errorMessage')}; "
            f"its log is /aws/lambda/{function}"
        )
    return answer


def in_words(answer: Answer) -> str:
    """The figures as a table, and the verdict; the verdict alone where there are no figures."""
    if "lately" not in answer:
        return str(answer["verdict"])
    days = f"{answer['days']} day{'' if answer['days'] == 1 else 's'}"
    title = f"{answer['name']}, version {answer['version']}: {answer['lately']['texts']:,} texts in {days}"
    rows = [Row("", "lately", "training", "drift"), *_rows(answer)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = "\n".join(
        "  ".join(
            [
                row.what.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )
    return f"{title}\n\n{table}\n\n{answer['verdict']}"


def _rows(answer: Answer) -> Iterator[Row]:
    lately, profile = answer["lately"], answer["profile"]
    drifts = {(each["target"], each["feature"]): each["drift"] for each in answer["findings"]}
    words, unknown = profile["words"]["mean"], profile["unknown"]["mean"]
    yield Row("words in a text", _number(lately["mean_words"]), _number(words), _drift(drifts, "", "words"))
    yield Row(
        "unknown words",
        _percent(lately["mean_unknown"]),
        _percent(unknown),
        _drift(drifts, "", "unknown_words"),
    )
    for name, target in profile["targets"].items():
        now, validation = lately["targets"][name], target["validation"]
        yield Row(name)
        yield Row(
            "  confidence",
            _share(now["mean_confidence"]),
            _share(validation["confidence"]["mean"]),
            _drift(drifts, name, "confidence"),
        )
        if validation["review_share"] is not None:
            review = now["review"] / lately["texts"] if lately["texts"] else None
            yield Row("  needs review", _percent(review), _percent(validation["review_share"]))
        yield Row("  labels", "", "", _drift(drifts, name, "labels"))
        shares_now, shares_then = _shares(now["labels"]), _shares(target["labels"])
        for label in sorted({*shares_now, *shares_then}, key=lambda each: (-shares_then.get(each, 0), each)):
            yield Row(f"    {label}", _percent(shares_now.get(label)), _percent(shares_then.get(label)))


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {label: count / total for label, count in counts.items()} if total else {}


def _drift(drifts: Mapping[tuple[str, str], float], target: str, feature: str) -> str:
    found = drifts.get((target, feature))
    return "" if found is None else f"{found:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
