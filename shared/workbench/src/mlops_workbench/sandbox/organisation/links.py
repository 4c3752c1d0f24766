"""Links to the S3 console, as addresses of the sandbox's page, which can show the object.

``https://ca-central-1.console.aws.amazon.com/s3/object/BUCKET?region=…&prefix=KEY`` leads a person who has
an AWS account to an object. The sandbox's objects are not there, but under ``/objects/ACCOUNT/BUCKET/KEY`` of
its page.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, unquote, urlsplit

_HOST = re.compile(r"(?:[a-z0-9-]+\.)?console\.(?:aws\.amazon\.com|amazonaws\.cn|amazonaws-us-gov\.com)")
_OBJECT = "/s3/object/"
OBJECTS = "/objects/"


def page_path(link: str, account: str) -> str:
    """Return the path of the sandbox's page for a link to an object in the S3 console, or "".

    Args:
        link: any text.
        account: whose bucket it is.
    """
    try:
        parts = urlsplit(link)
    except ValueError:  # of an address in brackets that is none
        return ""
    if parts.scheme != "https" or not _HOST.fullmatch(parts.hostname or ""):
        return ""
    if not parts.path.startswith(_OBJECT):
        return ""
    bucket = unquote(parts.path.removeprefix(_OBJECT))
    key = parse_qs(parts.query).get("prefix", [""])[0]
    if not bucket or not key or "/" in bucket:
        return ""
    return f"{OBJECTS}{account}/{quote(bucket)}/{quote(key)}"
