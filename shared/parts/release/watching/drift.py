"""Whether what is answered now looks like what the model was trained with, as its training profile tells.

The measure is the population stability index (PSI), the sum over bins of (now - then) * ln(now / then) with
the bins' shares. Convention in credit scoring: below 0.1 alike, 0.1 to 0.25 somewhat changed, above that
changed.

Of few texts it is large by chance alone. For samples of n and m texts in b bins that are alike, it is
distributed as (1/n + 1/m) * chi-square with b - 1 degrees of freedom (Yurdakul and Naranjo, "Statistical
properties of the population stability index", 2020). So what counts here is by how much it exceeds what 95 %
of such samples stay below: with many texts that is PSI itself, with few of them it takes more for a verdict.

The profile is a few kilobytes that training left in S3, in `output.tar.gz` beside `model.tar.gz`; not in the
model's archive alone, which is hundreds of megabytes. Both lie in the folder that whoever runs the model may
read, from production too, so nobody needs to reach the training data.
"""

import io
import json
import math
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from .count import CONFIDENCE, UNKNOWN, WORDS

_ALMOST = 0.5
"""Is added to each bin's count, so that an empty one has no infinite weight."""

VERSION = 1
PROFILE = "profile.json"
MOST_BYTES = 64 * 1024**2

Profile = Mapping[str, Any]


class Finding(NamedTuple):
    """One comparison.

    Attributes:
        target: of the model; "" for what is of the texts themselves.
        feature: labels, confidence, words or unknown_words.
        psi: the population stability index.
        chance: what it would stay below by chance, 95 times of 100.
    """

    target: str
    feature: str
    psi: float
    chance: float

    @property
    def drift(self) -> float:
        """By how much it is more than chance."""
        return max(0.0, self.psi - self.chance)

    @property
    def name(self) -> str:
        """For a person: `sentiment labels`."""
        return f"{self.target} {self.feature.replace('_', ' ')}".strip()


def compare(target: str, feature: str, then: Sequence[float], now: Sequence[float]) -> Finding | None:
    """Compares counts in the same bins; None when one of them is empty."""
    pairs = [(a, b) for a, b in zip(then, now, strict=True) if a or b]
    total_then, total_now = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if not total_then or not total_now:
        return None
    index = psi([a for a, _ in pairs], [b for _, b in pairs])
    return Finding(target, feature, index, chance(len(pairs), total_then, total_now))


def by_label(target: str, then: Mapping[str, float], now: Mapping[str, float]) -> Finding | None:
    """Compares how often each label occurs."""
    labels = sorted({*then, *now})
    return compare(
        target,
        "labels",
        [then.get(label, 0) for label in labels],
        [now.get(label, 0) for label in labels],
    )


def psi(then: Sequence[float], now: Sequence[float]) -> float:
    """The population stability index of two rows of counts."""
    total_then, total_now = sum(then) + _ALMOST * len(then), sum(now) + _ALMOST * len(now)
    shares = [((a + _ALMOST) / total_then, (b + _ALMOST) / total_now) for a, b in zip(then, now, strict=True)]
    return sum((b - a) * math.log(b / a) for a, b in shares)


def chance(bins: int, then: float, now: float) -> float:
    """What the index of two alike samples stays below, 95 times of 100."""
    freedom = bins - 1
    if freedom < 1:
        return 0.0
    # chi-square's 95 % by Wilson and Hilferty: within 1.5 % for one degree of freedom, closer for more
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 1.645 * math.sqrt(part)) ** 3 * (1 / then + 1 / now)


class NoProfile(Exception):
    """There is none; the text says why, in a sentence without its end."""


def profile_of(s3: Any, model_data_url: str) -> Profile:
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
    return profile_in(answer["Body"].read(), f"s3://{bucket}/{key}")


def profile_in(archive: bytes, where: str) -> Profile:
    """The profile in what training has left; errors as in `profile_of`."""
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
    """A profile that can be compared with what is counted here; errors as in `profile_of`."""
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
