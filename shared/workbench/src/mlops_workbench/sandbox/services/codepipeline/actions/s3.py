"""S3: one object of a versioned bucket as a source, and an artifact put into a bucket, as it is or unpacked.

[read] in "Amazon S3 source action reference" and "Amazon S3 deploy action reference".
"""

from __future__ import annotations

import io
import mimetypes
import posixpath
import zipfile
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.services.codepipeline.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.services.codepipeline.records import now

_SUMMARY = "codepipeline-artifact-revision-summary"


def source(action: Action) -> None:
    """Copy the object, of the version asked for or the newest, into the artifact store."""
    bucket, key = action.configuration["S3Bucket"], action.configuration["S3ObjectKey"]
    version = None
    for override in action.execution.overrides:
        if override["actionName"] == action.run.name:
            if override["revisionType"] == "S3_OBJECT_KEY":
                key = _other_key(action, override["revisionValue"])
            else:
                version = override["revisionValue"]
    source = action.client("s3")
    try:
        if source.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
            raise ActionFailed(
                f"The bucket {bucket} is not versioned. An S3 source needs a versioned bucket.",
                "ConfigurationError",
            )
        found = source.get_object(Bucket=bucket, Key=key, **({"VersionId": version} if version else {}))
    except ClientError as error:
        raise _failure(error, bucket, key) from None
    (output,) = action.outputs(found["VersionId"])
    body = found["Body"].read()
    action.role.client("s3", action.run.region).put_object(
        Bucket=output.bucket, Key=output.key, Body=body, **action.store.encryption
    )
    summary = found.get("Metadata", {}).get(_SUMMARY, "")
    action.run.update(
        external_id=found["VersionId"],
        external_url=f"https://console.aws.amazon.com/s3/object/{bucket}?prefix={key}",
        summary=summary or f"Amazon S3 version id: {found['VersionId']}",
        variables={
            "BucketName": bucket,
            "ETag": found["ETag"].strip('"'),
            "ObjectKey": key,
            "VersionId": found["VersionId"],
        },
        revision=_revision(action, output.name, found["VersionId"], summary),
    )
    revisions = [one for one in action.execution.revisions if one["name"] != output.name]
    action.execution.update(revisions=[*revisions, action.run.revision])
    action.finish([output])


def _other_key(action: Action, key: str) -> str:
    if action.configuration.get("AllowOverrideForS3ObjectKey", "false").lower() != "true":
        raise ActionFailed(
            f"S3_OBJECT_KEY: the action {action.run.name} does not set AllowOverrideForS3ObjectKey",
            "ConfigurationError",
        )
    return key


def _revision(action: Action, artifact: str, version: str, summary: str) -> dict[str, Any]:
    return {
        "name": artifact,
        "revisionId": version,
        "revisionSummary": summary or f"Amazon S3 version id: {version}",
        "revisionUrl": "",
        "created": now(),
        "action": action.run.name,
    }


def _failure(error: ClientError, bucket: str, key: str) -> ActionFailed:
    code = error.response["Error"]["Code"]
    if code in ("NoSuchKey", "404", "NoSuchVersion"):
        return ActionFailed(
            f"The object with key '{key}' does not exist. (Bucket: {bucket})", "ConfigurationError"
        )
    if code == "NoSuchBucket":
        return ActionFailed(f"The specified bucket {bucket} does not exist.", "ConfigurationError")
    return ActionFailed(f"Insufficient permissions. {error}", "PermissionError")


def deploy(action: Action) -> None:
    """Write the artifact."""
    settings = action.configuration
    (given,) = action.run.inputs
    extract = settings["Extract"].lower() == "true"
    if not extract and not settings.get("ObjectKey"):
        raise ActionFailed("ObjectKey: required when Extract is false", "ConfigurationError")
    source = action.role.client("s3", action.run.region)
    body = source.get_object(Bucket=given.bucket, Key=given.key)["Body"].read()
    options = {"ACL": settings.get("CannedACL"), "CacheControl": settings.get("CacheControl")}
    if settings.get("KMSEncryptionKeyARN"):
        options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings["KMSEncryptionKeyARN"]}
    chosen = {name: value for name, value in options.items() if value}
    target, bucket, prefix = action.client("s3"), settings["BucketName"], settings.get("ObjectKey", "")
    if not extract:
        target.put_object(Bucket=bucket, Key=prefix, Body=body, **chosen)
        return
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                kind = mimetypes.guess_type(entry.filename)[0] or "application/octet-stream"
                key = posixpath.join(prefix, entry.filename)
                target.put_object(
                    Bucket=bucket, Key=key, Body=archive.read(entry), ContentType=kind, **chosen
                )
    except zipfile.BadZipFile:
        raise ActionFailed(
            f"artifact {given.name}: expected a zip archive to extract", "ConfigurationError"
        ) from None
