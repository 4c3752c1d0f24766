"""The sandbox: moto on loopback with what it lacks, and a folder that keeps its state.

    with Sandbox(".sandbox", images=Images.load("sandbox.toml")) as sandbox:
        sandbox.client("s3").create_bucket(...)
        subprocess.run([...], env={**os.environ, **sandbox.environment()})

moto keeps its state in globals, so a process can have one sandbox open at a time. A folder can be open in one
process at a time.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from mlops_workbench.sandbox import clients, moto_patches, services, session
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.lock import FolderLock
from mlops_workbench.sandbox.loopback import Server
from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.session import Session
from mlops_workbench.sandbox.state.pickling import reset
from mlops_workbench.sandbox.state.store import Saver, Store

__all__ = ["Sandbox", "SandboxError"]

DEFAULT_ACCOUNTS = ("111111111111",)
DEFAULT_REGION = "ca-central-1"

#: Of this process: it can have one sandbox open.
_opening = threading.Lock()


@functools.cache
def _installed() -> Sequence[Service]:
    """Patch moto, once for the process, and return the services in order."""
    found = services.load()
    moto_patches._install_dispatch()
    moto_patches._install_refusals()
    for service in found:
        service.install()
    return found


class Sandbox(Session):
    """One or more AWS accounts, emulated on this machine.

    Attributes:
        folder: state/ (snapshots), jobs/ (one folder for each job) and executions/ (journals of pipelines),
            endpoints/ (models and logs of endpoints).
        images: which Python environment stands for which container image.
        accounts: 12 digits each; the first is the default of ``environment`` and ``client``.
        region: the default region of clients; the others work too.
        enforce_iam: whether roles may do only what their policies allow; see ``iam``.
        notices: what a person should know about the state that was restored, a line each.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        images: Images | None = None,
        accounts: Sequence[str] = DEFAULT_ACCOUNTS,
        region: str = DEFAULT_REGION,
        *,
        enforce_iam: bool = False,
        port: int = 0,
    ) -> None:
        for account in accounts:
            if not re.fullmatch(r"\d{12}", account):
                raise SandboxError(f"accounts: expected 12 digits, got {account!r}")
        if not accounts or len(set(accounts)) < len(accounts):
            raise SandboxError(f"accounts: expected one or more different ones, got {list(accounts)}")
        super().__init__(Path(folder).absolute(), images or Images(), tuple(accounts), region, enforce_iam)
        self._port = port
        self.notices: list[str] = []
        self.gate = STATE
        self._server: Server | None = None
        self._lock = FolderLock(self.folder)
        self._store = Store(self.folder / "state")
        self._saver = Saver(self.save)

    def __enter__(self) -> Sandbox:
        """Lock the folder, restore its state, start the server.

        Raises:
            SandboxError: another process has the folder, or this one has a sandbox open, or the state is
                not ours.
        """
        with _opening:
            if (other := session.found()) is not None:
                raise SandboxError(f"{other.folder}: this process has a sandbox open already; close it first")
            self._lock.acquire()
            started: list[Service] = []
            try:
                installed = _installed()
                reset()
                self.notices = self._store.load()
                for account in self.accounts:
                    clients.create_user(account)
                self._renew([service.deliver for service in installed])
                self._server = Server(self.gate, installed, self._port)
                session.switch(self)
                for service in installed:
                    started.append(service)
                    service.start(self)
            except BaseException:
                self._stop(started)
                session.switch(None)
                reset()
                self._lock.release()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server, save the state and free the folder."""
        with _opening:
            try:
                self._stop(_installed())
                self.save()
            finally:
                session.switch(None)
                reset()
                self._lock.release()

    def _stop(self, started: Sequence[Service]) -> None:
        """End what runs, and then the server: what a stopped job has saved goes to S3."""
        for service in reversed(started):
            service.stop(self)
        self._saver.close()
        self.work.close()
        if self._server:
            self._server.stop()
        self._server = None

    def save(self) -> None:
        """Write a snapshot, between requests. Called on exit."""
        with self.gate.still():
            self._store.save()

    def save_soon(self) -> None:
        """Write a snapshot now, or a little later for several that ask. Called after each execution."""
        self._saver.ask()

    @property
    def endpoint_url(self) -> str:
        """Return the server's URL, ``http://127.0.0.1:PORT``."""
        if self._server is None:
            raise SandboxError(f"{self.folder}: the sandbox is not open; use it in a `with` statement")
        return self._server.url
