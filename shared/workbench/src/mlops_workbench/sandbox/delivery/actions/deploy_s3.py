"""S3 deploy: an artifact into a bucket, as it is or unpacked."""

from __future__ import annotations

import io
import mimetypes
import posixpath
import zipfile

from mlops_workbench.sandbox.delivery.actions.action import Action, ActionFailed


def run(action: Action) -> None:
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
