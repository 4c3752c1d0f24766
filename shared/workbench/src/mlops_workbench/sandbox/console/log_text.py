"""The log of a job or of a build, as lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation import builds
from mlops_workbench.sandbox.organisation.record import Organisation, log_path


def lines(organisation: Organisation, kind: str, account: str, identifier: str) -> Iterator[str]:
    """Return the log of a "job", a "build" or the "sandbox" itself.

    Raises:
        LookupError: there is none; the message says what there is none of.
    """
    if kind == "sandbox":
        return _file(log_path(Path(organisation.folder)))
    if kind == "job":
        return _file(_job(organisation, account, identifier))
    if kind == "build":
        return _build(organisation, account, identifier)
    raise LookupError(f"expected the kind job, build or sandbox, got {kind!r}")


def _job(organisation: Organisation, account: str, name: str) -> Path:
    jobs = Path(organisation.folder, "jobs").resolve()
    # Jobs of the first account have their name alone, as the sandbox's folder does.
    folder = name if account in ("", organisation.shared_services) else f"{name}@{account}"
    path = (jobs / folder / "log.txt").resolve()
    # One folder below jobs/, whatever the name contains, and wherever a link leads.
    if path.parent.parent != jobs or not path.is_file():
        raise LookupError(f"no job {name!r} has a log")
    return path


def _file(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise LookupError(f"no log {path.name}")

    def read() -> Iterator[str]:
        with path.open(encoding="utf-8", errors="replace") as text:
            for line in text:
                yield line.rstrip("\n")

    return read()


def _build(organisation: Organisation, account: str, identifier: str) -> Iterator[str]:
    try:
        found = builds.log(
            organisation.client("codebuild", account), organisation.client("logs", account), identifier
        )
        return iter(list(found))
    except (SandboxError, ClientError, BotoCoreError) as error:
        raise LookupError(f"the log of build {identifier!r}: {error}") from None
