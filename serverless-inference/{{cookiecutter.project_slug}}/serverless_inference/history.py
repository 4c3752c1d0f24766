"""What is live, what was, and what is proposed: records in the project's bucket, written by the builds."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from . import record as records
from .aws import code, plain_errors
from .record import PRODUCTION, Record

FOLDER = "deployments"


class Proposal(NamedTuple):
    """What an execution of the pipeline asks a person to let into production."""

    record: Record
    execution: str


class History:
    """The records of one project."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def live(self, environment: str) -> Record | None:
        """What has passed its smoke test last; None before that, and once it was taken down."""
        key = f"{FOLDER}/{environment}/live.json"
        text = self._read(key)
        return None if text is None else records.from_json(text, f"s3://{self._bucket}/{key}")

    def went_live(self, record: Record) -> None:
        """Keeps the record as what is live, and among what was."""
        text = records.to_json(record)
        version = f"v{record.model.package_version}" if record.model else "none"
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        self._write(f"{FOLDER}/{record.environment}/history/{moment}-{version}.json", text)
        self._write(f"{FOLDER}/{record.environment}/live.json", text)

    def taken_down(self, environment: str) -> None:
        """Keeps that nothing is live."""
        with plain_errors(f"s3://{self._bucket}"):
            self._s3.delete_object(Bucket=self._bucket, Key=f"{FOLDER}/{environment}/live.json")

    def proposal(self) -> Proposal | None:
        """What was proposed for production last."""
        key = f"{FOLDER}/{PRODUCTION}/proposed.json"
        text = self._read(key)
        if text is None:
            return None
        document = json.loads(text)
        found = records.from_json(json.dumps(document["record"]), f"s3://{self._bucket}/{key}")
        return Proposal(found, document["execution"])

    def propose(self, proposal: Proposal) -> None:
        """Keeps what is proposed for production, and by which execution."""
        document = {"record": json.loads(records.to_json(proposal.record)), "execution": proposal.execution}
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
