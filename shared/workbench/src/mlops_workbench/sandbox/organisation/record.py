"""Where the organisation of a folder is: ``background/organisation.json``, written when it is ready.

Every other process finds the endpoint here. The file stays after the end: the next start takes the same
ports. What a generated repository says of its organisation is in config/project.yaml, as far as it is read
here.

``https://ca-central-1.console.aws.amazon.com/s3/object/BUCKET?region=…&prefix=KEY`` leads a person who has
an AWS account to an object. The sandbox's objects are not there, but under ``/objects/ACCOUNT/BUCKET/KEY``
of its page.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import is_alive

_HOST = re.compile(r"(?:[a-z0-9-]+\.)?console\.(?:aws\.amazon\.com|amazonaws\.cn|amazonaws-us-gov\.com)")
_OBJECT = "/s3/object/"
OBJECTS = "/objects/"
SETTINGS = Path("config/project.yaml")
#: Names the organisation of a shell, which may be used from several repositories.
VARIABLE = "MLOPS_SANDBOX_ORGANISATION"
#: Not `.sandbox` itself: what a local run has made there would be in Terraform's way.
FOLDER = Path(".sandbox/organisation")
SUBFOLDER = "background"
FILE = "organisation.json"
LOG = "log.txt"
#: A name that nothing can ever have (RFC 2606): `push` stands for Bitbucket here.
NO_BITBUCKET = "https://bitbucket.invalid"


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


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the file's mapping; an empty one where there is no such file.

    Raises:
        SandboxError: it is not YAML, or no mapping.
    """
    path = folder / SETTINGS
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SandboxError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise SandboxError(f"{path}: expected keys and values, got {type(found).__name__}")
    return found


def setting(found: dict[str, Any], name: str, default: str) -> str:
    """Return a text by its dotted name, or the default where it is not there."""
    place: Any = found
    for part in name.split("."):
        place = place.get(part) if isinstance(place, dict) else None
    return place if isinstance(place, str) and place else default


@dataclass(frozen=True)
class Organisation:
    """A sandbox that runs in the background.

    Attributes:
        folder: the sandbox's folder, absolute.
        process: pid and start of its process (``journal.process_identity``).
        endpoint: of every AWS service, ``http://127.0.0.1:PORT``.
        page: address of the web page.
        accounts: of shared services and of production; one, if they are the same.
        prefix: what the names of the shared resources begin with.
        bitbucket: address of Bitbucket, which decides what its foundation is for.
        enforce_iam: whether roles may do only what their policies allow.
    """

    folder: str
    process: list[int] = field(default_factory=list)
    endpoint: str = ""
    page: str = ""
    accounts: list[str] = field(default_factory=list)
    region: str = ""
    prefix: str = "mlops"
    bitbucket: str = NO_BITBUCKET
    enforce_iam: bool = True

    @property
    def shared_services(self) -> str:
        """The account that trains models and registers them."""
        return self.accounts[0]

    @property
    def production(self) -> str:
        """The account that runs registered models."""
        return self.accounts[-1]

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return is_alive(self.process)

    def client(self, service: str, account: str | None = None) -> Any:
        """Return a boto3 client that acts as an account's administrator.

        Raises:
            SandboxError: the organisation has no such account.
        """
        key = clients.AccessKey.of(self.account(account))
        return clients.client(
            service,
            endpoint_url=self.endpoint,
            region=self.region,
            key_id=key.key_id,
            secret=key.secret,
            token=None,
        )

    def environment(self, account: str | None = None) -> dict[str, str]:
        """Return the variables that point any AWS client at an account, by default shared services."""
        return clients.environment(self.account(account), self.region, self.endpoint)

    def account(self, name: str | None) -> str:
        """Return the account that a person means: "production", "shared-services" or 12 digits.

        Raises:
            SandboxError: there is no such account.
        """
        names = {None: self.shared_services, "shared-services": self.shared_services}
        account = {**names, "production": self.production}.get(name, name)
        if account not in self.accounts:
            known = ", ".join(["shared-services", "production", *self.accounts])
            raise SandboxError(f"account: expected one of {known}, got {name!r}")
        return str(account)


def default_folder() -> Path:
    """Return the folder of the organisation that is meant where none is named."""
    return Path(os.environ.get(VARIABLE) or FOLDER)


def own_folder(folder: Path) -> Path:
    """Return where an organisation keeps its record, its log and Terraform's state."""
    return folder / SUBFOLDER


def log_path(folder: Path) -> Path:
    """Return the file that the background process writes to."""
    return own_folder(folder) / LOG


def write(organisation: Organisation) -> None:
    """Write the record; a reader sees the whole of it or none."""
    path = own_folder(Path(organisation.folder)) / FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(dataclasses.asdict(organisation), indent=1), "utf-8")
    os.replace(draft, path)


def read(folder: Path) -> Organisation | None:
    """Return the record of a folder, or None if there is none that can be read."""
    try:
        return Organisation(**json.loads((own_folder(folder) / FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def running(folder: Path) -> Organisation:
    """Return the organisation that runs in a folder.

    Raises:
        SandboxError: none does; the message says what to type.
    """
    found = read(folder)
    if found is None or not found.running:
        raise SandboxError(f"{folder}: no organisation runs here; start it with `mlops-sandbox up`")
    return found
