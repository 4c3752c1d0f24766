"""Where the reports of smoke tests are kept, and the link that an approval shows."""

from urllib.parse import quote

from . import report
from .build import Build
from .record import Record
from .smoke import Outcome


def key(execution: str, environment: str) -> str:
    """The object of an execution's report."""
    return f"reports/{execution}/{environment}.html"


def keep(build: Build, record: Record, before: Record | None, outcome: Outcome) -> None:
    """Writes the report and uploads it."""
    html = report.html(
        record, before, outcome, project=build.settings.project.name, execution=build.execution
    )
    (build.folder / f"{record.environment}.html").write_text(html, encoding="utf-8")
    build.history.put_report(key(build.execution, record.environment), html)


def url(build: Build, environment: str) -> str:
    """The report's page in the S3 console, where a person with access opens it."""
    project = build.settings.project
    hosts = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
    host = hosts.get(project.partition, "console.aws.amazon.com")
    prefix = quote(key(build.execution, environment))
    return (
        f"https://{project.region}.{host}/s3/object/{project.bucket}?region={project.region}&prefix={prefix}"
    )
