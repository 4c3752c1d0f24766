"""The overview as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlops_workbench.sandbox.organisation.overview import Overview

#: How many of each are printed; the page shows more.
ROWS = 10
_STYLES = {
    "green": ("Succeeded", "SUCCEEDED", "Approved", "InService", "OK"),
    "red": ("Failed", "FAILED", "FAULT", "TIMED_OUT", "Rejected", "ALARM", "UpdateRollbackFailed"),
    "cyan": ("InProgress", "IN_PROGRESS", "Executing", "Starting", "Creating", "Updating", "Deleting"),
    "yellow": ("PendingManualApproval", "waits", "Stopped", "STOPPED", "Stopping", "INSUFFICIENT_DATA"),
}


def show(overview: Overview, console: Console) -> None:
    """Print every part that has something in it, and say what has nothing."""
    empty = []
    for title, columns, rows in _parts(overview):
        if not rows:
            empty.append(title.lower())
            continue
        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
            header_style="dim",
        )
        for column in columns:
            # Text of any length is in a column without a name, and folds; the others stay whole.
            table.add_column(column, no_wrap=bool(column), overflow="fold")
        for row in rows[:ROWS]:
            table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
        console.print(table)
        if len(rows) > ROWS:
            console.print(f"… and {len(rows) - ROWS} more")
        console.print()
    if empty:
        console.print(Text(f"none yet: {', '.join(empty)}"))
    for notice in overview.notices:
        console.print(Text(f"could not be asked: {notice}"))


Row = Sequence[object]


def _parts(overview: Overview) -> Iterator[tuple[str, Sequence[str], list[Row]]]:
    yield (
        "Waiting for an answer",
        ("To answer", "Account", ""),
        [
            (
                f"mlops-sandbox approve {each.reference}",
                each.account,
                "\n".join(filter(None, [each.text, each.address(overview.page)])),
            )
            for each in overview.approvals
        ],
    )
    yield "Pipelines", ("Pipeline", "Stage", "Action", "Status", ""), list(_pipelines(overview))
    yield (
        "Builds",
        ("Build", "Started", "Status", "Phase", "Seconds", ""),
        [
            (each.id, each.started, _status(each.status), each.phase, _number(each.seconds), each.reason)
            for each in overview.builds
        ],
    )
    yield (
        "SageMaker executions",
        ("Execution", "Pipeline", "Started", "Status", "Steps", ""),
        [
            (
                each.id,
                each.pipeline,
                each.started,
                _status(each.status),
                f"{sum(step.status == 'Succeeded' for step in each.steps)} of {len(each.steps)}",
                each.reason,
            )
            for each in overview.executions
        ],
    )
    yield (
        "Model packages",
        ("Model package", "Created", "Approval", ""),
        [
            (
                f"{each.group}/{each.version}",
                each.created,
                _status(each.approval),
                ", ".join(f"{name} {value}" for name, value in each.metrics),
            )
            for each in overview.packages
        ],
    )
    yield (
        "Endpoints",
        ("Endpoint", "Account", "Status", "Model", "Configuration", ""),
        [
            (each.name, each.account, _status(each.status), each.model, each.configuration, each.reason)
            for each in overview.endpoints
        ],
    )
    yield (
        "Alarms",
        ("Alarm", "Account", "State", "Since", ""),
        [(each.name, each.account, _status(each.state), each.since, each.reason) for each in overview.alarms],
    )
    yield (
        "Events",
        ("Time", "Source", "Event", "", ""),
        [(each.time, each.source, each.detail_type, each.summary, each.outcome) for each in overview.events],
    )


def _pipelines(overview: Overview) -> Iterable[Row]:
    for pipeline in overview.pipelines:
        latest = pipeline.executions[0] if pipeline.executions else None
        yield (
            pipeline.name,
            "",
            "",
            _status(latest.status) if latest else "has not run",
            latest.revision if latest else "",
        )
        for stage in pipeline.stages:
            if stage.status == "Skipped":
                yield "", stage.name, "", _status(stage.status), "its entry condition does not hold"
                continue
            for action in stage.actions:
                status = _status("waits" if action.waits else action.status)
                yield "", stage.name, action.name, status, action.summary


def _status(status: str) -> Text:
    style = next((style for style, names in _STYLES.items() if status in names), "")
    return Text(status, style)


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"
