"""Proxies, certificates, and who can be reached from here."""

from __future__ import annotations

import os
import re
import ssl
import sys
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Mapping, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from .looking import Finding, note, ok, problem, run

SECONDS = 4.0
TERRAFORM = "https://registry.terraform.io/.well-known/terraform.json"
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
#: who reads which file of certificates
CERTIFICATES = {
    "AWS_CA_BUNDLE": "AWS tools",
    "REQUESTS_CA_BUNDLE": "AWS tools and pip",
    "SSL_CERT_FILE": "Python, and make register for Bitbucket",
    "BITBUCKET_CA_FILE": "make register for Bitbucket",
    "PIP_CERT": "pip",
    "GIT_SSL_CAINFO": "git",
}


class Answer(NamedTuple):
    """Whether an address answers; `problem` is why not, `date` its clock."""

    date: float | None = None
    problem: str | None = None
    untrusted: bool = False  # it answers, with a certificate that nobody here vouches for


def settings(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """What the environment says about proxies and certificates."""
    lines = []
    proxies = [name for name in PROXIES if environment.get(name)]
    if proxies:
        shown = ", ".join(f"{name}={without_password(environment[name])}" for name in proxies)
        lines.append(note(f"proxy: {shown}"))
        exempt = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").split(",")
        if not {"127.0.0.1", "*"} & {one.strip() for one in exempt}:
            text = "proxy: NO_PROXY does not name 127.0.0.1, so that the sandbox is looked for at the proxy"
            fix = "export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost"
            local = "//127." in environment.get("AWS_ENDPOINT_URL", "")
            lines.append(problem(text, fix) if local else note(text, fix))
    for name, reader in CERTIFICATES.items():
        if environment.get(name):
            lines.append(_certificates(name, environment[name], reader))
    return lines


def without_password(address: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")).lstrip("/")


def _certificates(name: str, file: str, reader: str) -> Finding:
    try:
        if Path(file).is_dir():
            ssl.create_default_context(capath=file)
        else:
            ssl.create_default_context(cafile=file)
    except FileNotFoundError:
        return problem(
            f"{name}: expected a file of certificates ({reader}), got {file}, which is not there",
            f"unset {name}",
        )
    except (OSError, ssl.SSLError) as error:
        return problem(
            f"{name}: expected certificates in PEM format ({reader}), got {file}: {error}", f"unset {name}"
        )
    return ok(f"{name}: {file} ({reader})")


def ask(address: str, ca_file: str | None = None, host: str | None = None) -> Answer:
    """Asks an address for nothing in particular: any answer will do, also one that refuses.

    Args:
        address: where.
        ca_file: certificates that vouch for it; None: the machine's.
        host: the name that is meant, where the address is the sandbox's.
    """
    headers = {"User-Agent": "doctor", **({"Host": host} if host else {})}
    try:
        context = ssl.create_default_context(cafile=ca_file) if address.startswith("https:") else None
        with urlopen(Request(address, headers=headers), timeout=SECONDS, context=context) as got:
            return Answer(_date(got.headers.get("Date")))
    except HTTPError as error:
        return Answer(_date(error.headers.get("Date")))
    except URLError as error:
        untrusted = isinstance(error.reason, ssl.SSLCertVerificationError)
        return Answer(problem=" ".join(str(error.reason).split()), untrusted=untrusted)
    except (OSError, ValueError) as error:
        return Answer(problem=" ".join(str(error).split()) or type(error).__name__)


def reached(what: str, address: str, answer: Answer, variable: str) -> Finding:
    """A line about who was asked. No answer is no problem of itself: there is work without a network.

    Args:
        what: who that is.
        address: where.
        answer: what came of it.
        variable: names the file of certificates that vouch for it.
    """
    if answer.problem is None:
        return ok(f"{what}: {address} answers")
    if answer.untrusted:
        return problem(
            f"{what}: {address}: its certificate is not trusted here ({answer.problem}); "
            "a proxy that looks into TLS, or an authority of your organisation",
            f"ask your network's people for the certificates (PEM), then: export {variable}=FILE",
        )
    return note(
        f"{what}: {address} was not reached: {answer.problem}", "check the network, the VPN and HTTPS_PROXY"
    )


def package_index() -> str:
    """Where pip gets packages."""
    chosen = os.environ.get("PIP_INDEX_URL")
    if not chosen:
        chosen = run(
            [sys.executable, "-m", "pip", "config", "get", "global.index-url"], seconds=3
        ).out.strip()
    return without_password(chosen or "https://pypi.org/simple/")


def project_value(root: Path, key: str) -> str | None:
    """A top-level or indented text of config/project.yaml, without a YAML library; None: not found."""
    try:
        text = (root / "config/project.yaml").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError):
        return None
    found = re.search(rf"^\s*{key}:\s*[\"']?([^\s\"'#]+)", text, re.MULTILINE)
    return found[1] if found else None


def aws_address(root: Path) -> str:
    """Where AWS, or the sandbox, is asked for its time."""
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        return endpoint
    region = project_value(root, "region") or "us-east-1"
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _date(header: str | None) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except (TypeError, ValueError):
        return None
