"""A smoke test as one HTML page that opens by itself: no script, no font, no picture from anywhere else.

It is what a person reads before letting a version into production: the verdict first, then what was deployed,
what is different from before, and how each request was answered.
"""

from collections.abc import Mapping
from html import escape

from release import page as pages
from release.environments import PRODUCTION
from release.page import Change, changes_table, facts, leaves, page, section, table, verdict

from .endpoint import ONE
from .invoke import shorten
from .record import Record
from .smoke import Answer, Outcome, failing, percentile, seconds

TEXT_SHOWN = 280  # characters


def html(record: Record, before: Record | None, outcome: Outcome, *, project: str, execution: str) -> str:
    """The report.

    Args:
        record: what was deployed.
        before: what was live; None if nothing was.
        outcome: what the smoke test found.
        project: the project's name.
        execution: of the pipeline.
    """
    return page(
        f"{project}: {record.in_words()} in {record.environment}",
        f"Smoke test of endpoint {record.endpoint_name}",
        [
            _verdict(outcome),
            section("Requests", _requests(outcome)),
            section("How long answers took", _times(outcome)),
            section("What is different", _changes(record, before)),
            section("What was deployed", _facts(record, execution)),
            section("What comes next", f"<p>{escape(next_step(record, before, outcome))}</p>"),
        ],
    )


def changes(record: Record, before: Record) -> list[Change]:
    """What is different between two deployments, key by key."""
    return pages.changes(_flat(record), _flat(before))


def next_step(record: Record, before: Record | None, outcome: Outcome) -> str:
    """What a person does now."""
    if not outcome.passed:
        kept = f"{before.in_words()} serves again" if before and before.model else "nothing serves"
        return (
            f"In {record.environment}, {kept}. Reject this version of the model, or change "
            "config/endpoint.yaml where its expectations are wrong, and push."
        )
    if record.environment == PRODUCTION:
        return "It is live. To go back to an older version: make rollback TO=<version>."
    return (
        "Read how the requests were answered, then approve or reject in the pipeline, or with: make promote. "
        "Try it with texts of your own: make invoke ARGS='\"your text\"'."
    )


def _verdict(outcome: Outcome) -> str:
    count = len(outcome.test.requests)
    words = f"{count} of {count} requests answered as expected; "
    words += f"cold start {seconds(outcome.cold_start_ms)}, "
    words += f"95 % of {len(outcome.warm)} warm answers within {seconds(outcome.p95_ms)}."
    return verdict(outcome.problems, words)


def _requests(outcome: Outcome) -> str:
    rows = []
    for number, expected in enumerate(outcome.test.requests, 1):
        answers = [answer for answer in outcome.answers if answer.request == number]
        shown = next((answer for answer in answers if failing(expected, answer)), None)
        good = bool(answers) and shown is None
        shown = shown or next(iter(answers), None)
        wanted = _lines(
            {
                name: labels if isinstance(labels, str) else ", ".join(labels) or "no label"
                for name, labels in expected.targets.items()
            }
        )
        if expected.minimum_score > 0:
            wanted += f"<small>score at least {expected.minimum_score:g}</small>"
        warm = [answer.ms for answer in answers if not answer.cold and answer.error is None]
        median = percentile(warm, 50)
        rows.append(
            f'<tr><td class="number">{number}</td>'
            f'<td class="text">{escape(shorten(expected.text, TEXT_SHOWN))}</td><td>{wanted}</td>'
            f"{_answer_cell(shown, good)}"
            f'<td class="number">{"" if median is None else seconds(median)}</td></tr>'
        )
    heads = ["", "Text", "Expected", "Answered", "Median"]
    return table(heads, rows, numbers=(0, 4))


def _answer_cell(answer: Answer | None, good: bool) -> str:
    kind = "passed" if good else "failed"
    if answer is None:
        return f'<td class="{kind}">not asked</td>'
    if answer.error is not None:
        return f'<td class="{kind}">no answer<small>{escape(answer.error)}</small></td>'
    lines = _lines({name: said.in_words() for name, said in answer.said.items()})
    if ONE in answer.said and not answer.said[ONE].several:
        also = ", ".join(f"{label} {score:.2f}" for label, score in answer.said[ONE].labels[1:])
        lines += f"<small>then {escape(also)}</small>" if also else ""
    unsure = ", ".join(name for name, said in answer.said.items() if said.needs_review and name)
    if any(said.needs_review for said in answer.said.values()):
        lines += f"<small>needs review{escape(f': {unsure}' if unsure else '')}</small>"
    return f'<td class="{kind}">{lines}</td>'


def _lines(of: Mapping[str, str]) -> str:
    """Something about each target, on lines; the name is left out where there is but one."""
    return "<br>".join(escape(f"{name}: {words}" if name else words) for name, words in of.items())


def _times(outcome: Outcome) -> str:
    warm, test = outcome.warm, outcome.test
    figures: list[tuple[str, float | None, int | None]] = [
        ("First answer, cold", outcome.cold_start_ms, test.cold_start_ms),
        ("Warm, half within", outcome.p50_ms, None),
        ("Warm, 95 % within", outcome.p95_ms, test.latency_ms),
        ("Warm, slowest", max(warm, default=None), None),
    ]
    rows = [_time_row(name, ms, budget) for name, ms, budget in figures]
    note = f"{len(warm)} warm answers, one after another, measured where the pipeline runs, network included."
    return f"<p>{note}</p>" + table(["", "Took", "At most", "Share of what is allowed"], rows, numbers=(1, 2))


def _time_row(name: str, ms: float | None, budget: int | None) -> str:
    missed = ms is not None and budget is not None and ms > budget
    bar = ""
    if ms is not None and budget is not None:
        share = min(100.0, 100 * ms / budget)
        bar = f'<span class="track"><span style="width: {share:.1f}%"></span></span>'
    kind = "failed" if missed else "passed" if bar else ""
    return (
        f'<tr class="{kind}"><td>{name}</td><td class="number {kind}">{seconds(ms)}</td>'
        f'<td class="number">{"" if budget is None else seconds(budget)}</td><td>{bar}</td></tr>'
    )


def _changes(record: Record, before: Record | None) -> str:
    if before is None:
        return "<p>Nothing was live before.</p>"
    found = changes(record, before)
    if not found:
        return f"<p>Nothing: {escape(before.in_words())} was live before, with the same settings.</p>"
    return changes_table(found)


def _facts(record: Record, execution: str) -> str:
    found = {**_flat(record), "endpoint": record.endpoint_name, "pipeline execution": execution}
    return facts(found)


def _flat(record: Record) -> dict[str, str]:
    """A deployment as lines of name and value."""
    model = record.model
    found = {"model": record.in_words()}
    if model is not None:
        found |= {"model package": model.package_arn, "archive": model.data_url, "image": model.image}
    return {**found, **dict(leaves(record.settings)), "commit": record.commit, "terraform": record.terraform}
