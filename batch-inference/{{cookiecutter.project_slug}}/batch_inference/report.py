"""What a person reads before letting a change into production."""

from collections.abc import Mapping
from html import escape

from release.environments import PRODUCTION, STAGING
from release.page import changes, changes_table, facts, leaves, page, section, table, verdict

from .canary import Judged, Outcome, Row
from .config import Settings
from .record import Record

TEXT_SHOWN = 200  # characters


def html(
    settings: Settings,
    made: Mapping[str, Record],
    before: Mapping[str, Record | None],
    outcome: Outcome | None,
    *,
    execution: str,
) -> str:
    """The report.

    Args:
        settings: of the repository.
        made: environment -> what this execution deploys there.
        before: environment -> what was live.
        outcome: of the canary file; None if it was not sent.
        execution: of the delivery pipeline.
    """
    parts = [_verdict(made[STAGING], outcome)]
    if outcome is not None and outcome.rows:
        parts.append(section("The canary file, as it was answered", _rows(outcome)))
    parts += [
        section("What changes in production", _changes(made[PRODUCTION], before[PRODUCTION])),
        section("Settings in production", facts(flat(made[PRODUCTION]))),
        section("How much at a time", f"<p>{escape(settings_in_words(settings, PRODUCTION))}</p>"),
        section("This execution", facts(_about(made, outcome, execution))),
    ]
    return page(
        f"{settings.project.name}: {made[STAGING].label}",
        "Answers files in S3; what staging has proven",
        parts,
    )


def settings_in_words(settings: Settings, environment: str) -> str:
    """How files are transformed in an environment, in a sentence: the approval shows it."""
    wanted = settings.environment(environment)
    transform = wanted.transform
    if not wanted.enabled:
        return f"Wanted in {environment}: nothing (enabled: false)."
    machines = f"{transform.instance_count} x {transform.instance_type}"
    requests = (
        f"{transform.max_concurrent_transforms} request(s) of up to {transform.max_payload_mb} MB at a time"
    )
    kind = transform.strategy if transform.split == "Line" else "one request for each part"
    return (
        f"Wanted in {environment}: {machines}, each with {requests}; {kind}, "
        f"{transform.timeout_seconds} s for a request, {transform.max_retries} retries; "
        f"at most {settings.transform.input.max_bad_percent:g} % bad rows."
    )


def flat(record: Record) -> dict[str, str]:
    """A deployment as lines of name and value."""
    return {
        "enabled": "yes" if record.enabled else "no",
        "model package group": record.model_package_group,
        **dict(leaves(record.settings)),
        "definition": record.definition_sha256[:16],
        "functions": record.functions_sha256[:16],
        "commit": record.commit,
        "terraform": record.terraform,
    }


def _verdict(staging: Record, outcome: Outcome | None) -> str:
    if outcome is not None:
        return verdict(outcome.problems, f"In staging, {outcome.in_words()}.")
    why = (
        f"no version of {staging.model_package_group} is approved yet"
        if staging.enabled
        else "staging is not enabled"
    )
    return verdict((), f"Deployed. No file was tried: {why}.")


def _rows(outcome: Outcome) -> str:
    heads = ["", "Text"]
    for each in outcome.rows[0].judged:
        heads += [f"{each.target}: expected", "answered"] if each.target else ["Expected", "Answered"]
    return table(heads, [_row(n, row) for n, row in enumerate(outcome.rows, 1)], (0,))


def _row(number: int, row: Row) -> str:
    text = " ".join(row.text.split())
    shown = text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 1]}…"
    return (
        f'<tr><td class="number">{number}</td><td class="text">{escape(shown)}</td>'
        f"{''.join(_cells(row, each) for each in row.judged)}</tr>"
    )


def _cells(row: Row, said: Judged) -> str:
    wanted = "any label" if said.wanted is None else ", ".join(said.wanted) or "no label"
    kind = "passed" if row.answered and said.right else "failed"
    if row.error or not (said.labels or said.several):
        answered = row.error or "no answer"
    else:
        answered = ", ".join(said.labels) or "no label"
        if said.score is not None:
            answered += f" {said.score:.2f}"
    review = "<small>needs review</small>" if said.needs_review else ""
    return f'<td>{escape(wanted)}</td><td class="{kind}">{escape(answered)}{review}</td>'


def _changes(now: Record, before: Record | None) -> str:
    if before is None:
        return "<p>Production has nothing yet.</p>"
    found = changes(flat(now), flat(before))
    return changes_table(found) if found else "<p>Nothing.</p>"


def _about(made: Mapping[str, Record], outcome: Outcome | None, execution: str) -> dict[str, str]:
    found = {"delivery execution": execution, "commit": made[STAGING].commit}
    if outcome is not None:
        found |= {"canary's execution": outcome.execution, "seconds": f"{outcome.seconds:.0f}"}
    return found
