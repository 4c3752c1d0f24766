"""The profile of a model's training data: training left it in S3, in `output.tar.gz` beside `model.tar.gz`.

Not in the model's archive alone: that is hundreds of megabytes, and this a few kilobytes. Both lie in the
folder that whoever runs the model may read, from production too, so nobody needs one for the training data.
"""

import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from .figures import CONFIDENCE, UNKNOWN, WORDS

VERSION = 1
PROFILE = "profile.json"
MOST_BYTES = 64 * 1024**2

Profile = Mapping[str, Any]


class NoProfile(Exception):
    """There is none; the text says why, in a sentence without its end."""


def read(s3: Any, model_data_url: str) -> Profile:
    """The profile of the data that a model was trained with.

    Args:
        s3: the client.
        model_data_url: of the model's archive.

    Raises:
        NoProfile: there is none, or it is one of another version.
    """
    found = re.fullmatch(r"s3://([^/]+)/(.+)/model\.tar\.gz", model_data_url)
    if found is None:
        raise NoProfile(f"the model {model_data_url} was not trained by model-build")
    bucket, folder = found.groups()
    key = f"{folder}/output.tar.gz"
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # Whoever may not list a bucket is not told what is missing from what is forbidden.
        if error.response["Error"]["Code"] in ("NoSuchKey", "404", "AccessDenied", "403"):
            raise NoProfile(f"s3://{bucket}/{key} is not there, or may not be read") from None
        raise
    if answer["ContentLength"] > MOST_BYTES:
        raise NoProfile(f"s3://{bucket}/{key} is larger than {MOST_BYTES} bytes")
    return of_archive(answer["Body"].read(), f"s3://{bucket}/{key}")


def of_archive(archive: bytes, where: str) -> Profile:
    """The profile in what training has left; errors as in `read`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as content:
            for member in content:
                if member.isfile() and member.name.removeprefix("./") == PROFILE:
                    file = content.extractfile(member)
                    return checked(json.load(file) if file else None, where)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise NoProfile(f"{where} cannot be read: {error}") from None
    raise NoProfile(f"{where} has no {PROFILE}: the model is of an older template; train it anew")


def checked(content: Any, where: str) -> Profile:
    """A profile that can be compared with what is counted here; errors as in `read`."""
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise NoProfile(f"{where}: expected {PROFILE} of version {VERSION}")
    bins: list[tuple[Any, Sequence[float]]] = [
        (content["words"]["bins"], WORDS),
        (content["unknown"]["bins"], UNKNOWN),
        *((each["validation"]["confidence"]["bins"], CONFIDENCE) for each in content["targets"].values()),
    ]
    for found, wanted in bins:
        if found["bounds"] != list(wanted):
            raise NoProfile(f"{where}: expected bins that begin at {list(wanted)}, got {found['bounds']}")
    return content
