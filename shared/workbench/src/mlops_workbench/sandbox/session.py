"""The sandbox that this process has open, as its services see it. A leaf: ``server`` opens and closes it."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.history import History
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.work import Work

logger = logging.getLogger("mlops_workbench.sandbox.session")

Part = TypeVar("Part")


@dataclass(frozen=True)
class Event:
    """Something that a service tells the others; EventBridge puts it on the account's default bus."""

    account: str
    region: str
    source: str
    detail_type: str
    detail: Mapping[str, Any]
    resources: Sequence[str] = ()


class Session(ABC):
    """What a service may know of the sandbox that it is part of, and where it keeps what is running.

    Attributes:
        folder: of the sandbox; each kind of thing that runs has a folder in it.
        images: which Python environment stands for which container image.
        accounts: 12 digits each; the first is the default of ``environment`` and ``client``.
        region: the default region of clients; the others work too.
        enforce_iam: whether roles may do only what their policies allow.
        work: the threads of what goes on after a request has been answered.
        history: what was delivered where.
        handed: what one service gives to another beside a call, by a token that is in the call.
    """

    def __init__(
        self, folder: Path, images: Images, accounts: tuple[str, ...], region: str, enforce_iam: bool
    ) -> None:
        self.folder = folder
        self.images = images
        self.accounts = accounts
        self.region = region
        self.enforce_iam = enforce_iam
        self._parts_lock = threading.RLock()
        self._renew(())

    def _renew(self, listeners: Sequence[Callable[[Event], None]]) -> None:
        """Begin anew, with nothing that runs or is remembered."""
        self.work = Work()
        self.history = History()
        self.handed: dict[str, Any] = {}
        self._parts: dict[type, Any] = {}
        self._listeners = tuple(listeners)

    @property
    @abstractmethod
    def endpoint_url(self) -> str:
        """Return the server's URL, ``http://127.0.0.1:PORT``."""

    @abstractmethod
    def save(self) -> None:
        """Write a snapshot, between requests."""

    @abstractmethod
    def save_soon(self) -> None:
        """Write a snapshot now, or a little later for several that ask."""

    def part(self, kind: Callable[[], Part]) -> Part:
        """Return the session's one object of a class, made when it is first asked for.

        What a service keeps while the sandbox is open (threads, processes, turns) is such an object: it ends
        with the session, and another session has another one.
        """
        with self._parts_lock:
            if kind not in self._parts:
                self._parts[cast(type, kind)] = kind()
            return cast(Part, self._parts[cast(type, kind)])

    def made(self, kind: Callable[[], Part]) -> Part | None:
        """Return the session's object of a class if anybody has asked for it."""
        with self._parts_lock:
            return cast("Part | None", self._parts.get(cast(type, kind)))

    def emit(self, event: Event) -> None:
        """Tell every service of an event, in this thread; one that fails does not keep it from the others."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("event %s of %s", event.detail_type, event.source)

    def environment(self, account: str | None = None, region: str | None = None) -> dict[str, str]:
        """Return the environment variables that point any AWS client at an account of the sandbox."""
        return clients.environment(self._account(account), region or self.region, self.endpoint_url)

    def client(self, service: str, account: str | None = None, region: str | None = None) -> Any:
        """Return a boto3 client for an account; the process's own environment and profiles play no part."""
        key = clients.AccessKey.of(self._account(account))
        return clients.client(
            service,
            endpoint_url=self.endpoint_url,
            region=region or self.region,
            key_id=key.key_id,
            secret=key.secret,
            token=None,
        )

    def _account(self, account: str | None) -> str:
        account = account or self.accounts[0]
        if account not in self.accounts:
            known = ", ".join(self.accounts)
            raise SandboxError(f"account: expected one of {known}, got {account!r}")
        return account


_open: Session | None = None


def current() -> Session:
    """Return the session of the sandbox that this process has open.

    Raises:
        SandboxError: there is none.
    """
    if _open is None:
        raise SandboxError("no sandbox is open in this process")
    return _open


def found() -> Session | None:
    """Return the session of the sandbox that this process has open, if there is one."""
    return _open


def switch(session: Session | None) -> None:
    """Say which session is open; for ``server`` alone."""
    global _open
    _open = session


def emit(
    account: str,
    region: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str] = (),
) -> None:
    """Tell the services of the open sandbox of an event: ``Session.emit``."""
    current().emit(Event(account, region, source, detail_type, detail, resources))
