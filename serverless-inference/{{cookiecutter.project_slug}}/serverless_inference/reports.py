"""Keeps the reports of smoke tests."""

from release.reports import key

from . import report
from .record import Record
from .run import Run
from .smoke import Outcome


def keep(run: Run, record: Record, before: Record | None, outcome: Outcome) -> None:
    """Writes the report and uploads it."""
    html = report.html(
        record, before, outcome, project=run.settings.project.name, execution=run.build.execution
    )
    (run.build.folder / f"{record.environment}.html").write_text(html, encoding="utf-8", newline="\n")
    run.history.put_report(key(run.build.execution, record.environment), html)
