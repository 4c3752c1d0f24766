"""The source bucket: what may be put there, and a write that never undoes a newer one."""

import base64
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from typing import Any, BinaryIO

from botocore.exceptions import ClientError

# CodePipeline shows it as the summary of the source revision: 2048 characters at most; one line is enough.
SUMMARY = "codepipeline-artifact-revision-summary"
SUMMARY_CHARACTERS = 200
COMMIT = "commit"


class BadArchive(Exception):
    """The file is not a zip archive of the commit."""


class Overtaken(Exception):
    """The object was written by somebody else since it was looked at."""


def check_archive(file: BinaryIO, commit: str) -> None:
    """Check that a file is a whole zip archive with files in it, of this commit where it says of which.

    `git archive` writes the commit's id into the comment of the zip. A server that makes archives another way
    leaves it out, and then there is nothing to compare.

    Raises:
        BadArchive: it is not.
    """
    file.seek(0)
    beginning = file.read(512).lstrip().lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        raise BadArchive(
            "expected a zip archive, got a web page, most likely a sign-in page: is the token valid?"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            names = [entry for entry in archive.infolist() if not entry.is_dir()]
            comment = archive.comment.decode("ascii", "replace")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadArchive(f"expected a zip archive, got something else: {error}") from error
    if damaged is not None:
        raise BadArchive(f"the zip archive is damaged: {damaged}")
    if not names:
        raise BadArchive("the zip archive has no files")
    if re.fullmatch(r"[0-9a-f]{40}", comment) and comment != commit:
        raise BadArchive(f"expected the archive of {commit}, got that of {comment}")


def revision_summary(commit: str, message: str) -> str:
    """Return the commit and its subject in ASCII: metadata of an S3 object travels in HTTP headers."""
    subject = message.strip().partition("\n")[0]
    plain = unicodedata.normalize("NFKD", subject)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    plain = "".join(character if " " <= character <= "~" else "?" for character in plain)
    return f"{commit[:12]} {plain}".strip()[:SUMMARY_CHARACTERS].rstrip()


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
