"""The live model: the newest version that a person has approved, looked up once, when a run starts.

The answer travels as pipeline parameters, so that evaluation compares with one version whatever is approved
meanwhile. A processing job's inputs are fixed in the definition; where there is nothing to compare with they
read a placeholder that is always there.
"""

from typing import Any

import botocore.exceptions

from . import versions
from .assets import Asset, digest_of, split_uri
from .aws_errors import explained
from .config import ProjectConfig

PACKAGE, COMMIT, MODEL, SETTINGS, REPORT = (
    "LiveModelPackage",
    "LiveCommit",
    "LiveModel",
    "LiveSettings",
    "LiveReport",
)
PARAMETERS = (PACKAGE, COMMIT, MODEL, SETTINGS, REPORT)

NONE = "none"
"""No version is approved."""
UNRESOLVED = "unresolved"
"""Nobody has looked: the pipeline was started by hand, in Studio for example."""

_NOTICE = b"Read by evaluation in the place of a live model: there was none to compare with.\n"


def placeholder(bucket: str) -> Asset:
    """What the inputs read when there is nothing to compare with."""
    uri = f"s3://{bucket}/config/{digest_of(_NOTICE.decode())}"
    return Asset("placeholder", uri, {"no-live-model.txt": _NOTICE})


def defaults(placeholder_uri: str) -> dict[str, str]:
    """The parameters of a run that nobody looked up a live model for."""
    return {
        PACKAGE: UNRESOLVED,
        COMMIT: NONE,
        MODEL: placeholder_uri,
        SETTINGS: placeholder_uri,
        REPORT: placeholder_uri,
    }


def package(project: ProjectConfig, sagemaker: Any) -> dict[str, Any] | None:
    """DescribeModelPackage's answer for the live version; None while no version is approved.

    Raises:
        UserError: the registry cannot be read.
    """
    newest = next(iter(versions.approved(project, sagemaker)), None)
    return versions.describe(sagemaker, newest["ModelPackageArn"]).described if newest else None


def parameters(found: dict[str, Any] | None, s3: Any) -> dict[str, str]:
    """The pipeline parameters that say what is live. What is not in S3 any more keeps its default.

    Args:
        found: of `package`.
        s3: a client that may list the bucket.

    Raises:
        UserError: S3 does not answer.
    """
    if found is None:
        return {PACKAGE: NONE}
    metadata = found.get("CustomerMetadataProperties", {})
    locations = {
        MODEL: found["InferenceSpecification"]["Containers"][0].get("ModelDataUrl", ""),
        SETTINGS: metadata.get("settings_uri", ""),
        REPORT: metadata.get("data_report_uri", "").rpartition("/")[0],
    }
    return {
        PACKAGE: found["ModelPackageArn"],
        COMMIT: metadata.get("git_commit") or NONE,
        **{name: uri for name, uri in locations.items() if uri and _is_there(s3, uri)},
    }


def _is_there(s3: Any, uri: str) -> bool:
    bucket, prefix = split_uri(uri)
    with explained(uri):
        try:
            return bool(s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchBucket", "AccessDenied"):
                return False
            raise
