"""What is live, what was, and what is proposed: records in the project's bucket, written by the builds.

Reports for people are beside them.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar
from urllib.parse import quote

from botocore.exceptions import ClientError

from configuration.project import ProjectConfig

from .aws import code, plain_errors
from .environments import PRODUCTION

FOLDER = "deployments"


class Record(Protocol):
    """What is deployed to one environment; each template has a record of its own."""

    @property
    def environment(self) -> str:
        """Staging or production."""

    @property
    def label(self) -> str:
        """Names it among the records that were live before, such as `v3`."""

    def in_words(self) -> str:
        """For a person."""

    def serves_as(self, other: Self | None) -> bool:
        """Whether both come to the same; a commit that changes nothing of it does not count."""

    def to_json(self) -> str:
        """The record as a file."""


R = TypeVar("R", bound=Record)


class Proposal(NamedTuple, Generic[R]):
    """What an execution of the pipeline asks a person to let into production."""

    record: R
    execution: str


class History(Generic[R]):
    """The records of one project.

    Args:
        s3: a client of the shared services account.
        bucket: of the project.
        from_json: reads a record from a file's text; the second argument says where that is, for errors.
    """

    def __init__(self, s3: Any, bucket: str, from_json: Callable[[str, str], R]) -> None:
        self._s3, self._bucket, self._from_json = s3, bucket, from_json

    def live(self, environment: str) -> R | None:
        """What was proven last; None before that, and once it was taken down."""
        key = f"{FOLDER}/{environment}/live.json"
        text = self._read(key)
        return None if text is None else self._from_json(text, f"s3://{self._bucket}/{key}")

    def went_live(self, record: R) -> None:
        """Keeps the record as what is live, and among what was."""
        text = record.to_json()
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        self._write(f"{FOLDER}/{record.environment}/history/{moment}-{record.label}.json", text)
        self._write(f"{FOLDER}/{record.environment}/live.json", text)

    def taken_down(self, environment: str) -> None:
        """Keeps that nothing is live."""
        with plain_errors(f"s3://{self._bucket}"):
            self._s3.delete_object(Bucket=self._bucket, Key=f"{FOLDER}/{environment}/live.json")

    def proposal(self) -> Proposal[R] | None:
        """What was proposed for production last."""
        key = f"{FOLDER}/{PRODUCTION}/proposed.json"
        text = self._read(key)
        if text is None:
            return None
        document = json.loads(text)
        found = self._from_json(json.dumps(document["record"]), f"s3://{self._bucket}/{key}")
        return Proposal(found, document["execution"])

    def propose(self, proposal: Proposal[R]) -> None:
        """Keeps what is proposed for production, and by which execution."""
        document = {"record": json.loads(proposal.record.to_json()), "execution": proposal.execution}
        self._write(f"{FOLDER}/{PRODUCTION}/proposed.json", json.dumps(document, indent=2))

    def put_report(self, key: str, html: str) -> None:
        """Keeps a report for people."""
        self._write(key, html, "text/html; charset=utf-8")

    def _read(self, key: str) -> str | None:
        with plain_errors(f"s3://{self._bucket}/{key}"):
            try:
                body: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code(error) == "NoSuchKey":
                    return None
                raise
        return body.decode()

    def _write(self, key: str, text: str, kind: str = "application/json") -> None:
        with plain_errors(f"s3://{self._bucket}/{key}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=text.encode(), ContentType=kind)


def report_key(execution: str, environment: str) -> str:
    """The object of an execution's report."""
    return f"reports/{execution}/{environment}.html"


def report_url(project: ProjectConfig, execution: str, environment: str) -> str:
    """The report's page in the S3 console, where a person with access opens it."""
    hosts = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
    host = hosts.get(project.partition, "console.aws.amazon.com")
    prefix = quote(report_key(execution, environment))
    return (
        f"https://{project.region}.{host}/s3/object/{project.bucket}?region={project.region}&prefix={prefix}"
    )
