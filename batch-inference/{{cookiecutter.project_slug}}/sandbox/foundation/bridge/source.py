"""The source bucket: which commit a branch's object is of, and a write that never undoes a newer one."""

import base64
from dataclasses import dataclass
from typing import Any, BinaryIO

from botocore.exceptions import ClientError

# CodePipeline shows this metadata as the summary of the source revision.
SUMMARY = "codepipeline-artifact-revision-summary"
COMMIT = "commit"


class Overtaken(Exception):
    """The object was written by somebody else since it was looked at."""


@dataclass(frozen=True)
class Written:
    """An object that is there: of which commit it says it is, and the tag of its content."""

    commit: str | None
    tag: str


@dataclass(frozen=True)
class SourceBucket:
    """The bucket that CodePipeline reads from, encrypted with the foundation's key."""

    client: Any
    name: str
    kms_key_arn: str

    def look(self, key: str) -> Written | None:
        """Return what the object is of, or None when there is none. Needs s3:ListBucket to tell."""
        try:
            found = self.client.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return Written(found["Metadata"].get(COMMIT), found["ETag"])

    def write(
        self, key: str, file: BinaryIO, sha256: bytes, commit: str, summary: str, before: Written | None
    ) -> None:
        """Put an archive in place of `before`; S3 checks that it arrives whole.

        Raises:
            Overtaken: the object is no longer the one of `before`.
        """
        unchanged = {"IfMatch": before.tag} if before else {"IfNoneMatch": "*"}
        file.seek(0)
        try:
            self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=file,
                ContentType="application/zip",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=base64.b64encode(sha256).decode(),
                ServerSideEncryption="aws:kms",
                SSEKMSKeyId=self.kms_key_arn,
                BucketKeyEnabled=True,
                Metadata={COMMIT: commit, SUMMARY: summary},
                **unchanged,
            )
        except ClientError as error:
            # 412: it changed; 409: it is changing; 404: it was deleted
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                raise Overtaken(f"{key}: another event wrote it meanwhile") from error
            raise
