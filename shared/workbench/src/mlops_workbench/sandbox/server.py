"""The sandbox: moto on loopback with what it lacks, and a folder that keeps its state.

    with Sandbox(".sandbox", images=Images.load("sandbox.toml")) as sandbox:
        sandbox.client("s3").create_bucket(...)
        subprocess.run([...], env={**os.environ, **sandbox.environment()})

moto keeps its state in globals, so a process can have one sandbox open at a time. A folder can be open in one
process at a time.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mlops_workbench.sandbox import (
    access,
    alarms,
    aws,
    clients,
    credentials,
    delivery,
    endpoints,
    events,
    state,
)
from mlops_workbench.sandbox.access import acting
from mlops_workbench.sandbox.aws.sagemaker import jobs as registry
from mlops_workbench.sandbox.aws.sagemaker import pipelines
from mlops_workbench.sandbox.aws.sagemaker.kinds import KINDS, Kind
from mlops_workbench.sandbox.aws.sagemaker.records import arn
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.jobs import (
    Images,
    JobContext,
    JobFailed,
    JobStopped,
    run_processing,
    run_training,
    run_transform,
)
from mlops_workbench.sandbox.lock import FolderLock
from mlops_workbench.sandbox.loopback import Server

__all__ = ["Sandbox", "SandboxError", "current"]

DEFAULT_ACCOUNTS = ("111111111111",)
DEFAULT_REGION = "ca-central-1"

_current: Sandbox | None = None
_current_lock = threading.Lock()


class Sandbox:
    """One or more AWS accounts, emulated on this machine.

    Attributes:
        folder: state/ (snapshots), jobs/ (one folder for each job) and executions/ (journals of pipelines),
            endpoints/ (models and logs of endpoints).
        images: which Python environment stands for which container image.
        accounts: 12 digits each; the first is the default of ``environment`` and ``client``.
        region: the default region of clients; the others work too.
        enforce_iam: whether roles may do only what their policies allow; see ``access``.
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
        self.folder = Path(folder).absolute()
        self.images = images or Images()
        self.accounts = tuple(accounts)
        self.region = region
        self.enforce_iam = enforce_iam
        self._port = port
        self.notices: list[str] = []
        self.gate = STATE
        self._server: Server | None = None
        self._lock = FolderLock(self.folder)
        self._store = state.Store(self.folder / "state")
        self._saver = state.Saver(self.save)

    def __enter__(self) -> Sandbox:
        """Lock the folder, restore its state, start the server.

        Raises:
            SandboxError: another process has the folder, or this one has a sandbox open, or the state is
                not ours.
        """
        global _current
        with _current_lock:
            if _current is not None:
                raise SandboxError(
                    f"{_current.folder}: this process has a sandbox open already; close it first"
                )
            self._lock.acquire()
            try:
                aws.install()
                state.reset()
                self.notices = self._store.load()
                registry.fail_interrupted()
                for account in self.accounts:
                    credentials.create_user(account)
                registry.start_with(self._run_job)
                self._server = Server(self.gate, self._port)
                _current = self
                for services in (access, events, endpoints, delivery, alarms):
                    services.start(self)
            except BaseException:
                _current = None
                if self._server:
                    self._server.stop()
                state.reset()
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
        global _current
        with _current_lock:
            try:
                # Before the server: what a stopped job has saved goes to S3.
                delivery.stop()
                pipelines.close(self)
                registry.stop_all()
                endpoints.stop()
                alarms.stop()
                self._saver.close()
                events.stop()
                access.stop()
                registry.start_with(None)
                if self._server:
                    self._server.stop()
                self._server = None
                self.save()
            finally:
                state.reset()
                _current = None
                self._lock.release()

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

    def environment(self, account: str | None = None, region: str | None = None) -> dict[str, str]:
        """Return the environment variables that point any AWS client at an account of the sandbox."""
        return credentials.environment(self._account(account), region or self.region, self.endpoint_url)

    def client(self, service: str, account: str | None = None, region: str | None = None) -> Any:
        """Return a boto3 client for an account; the process's own environment and profiles play no part."""
        key = credentials.AccessKey.of(self._account(account))
        return clients.client(
            service,
            endpoint_url=self.endpoint_url,
            region=region or self.region,
            key_id=key.key_id,
            secret=key.secret,
            token=None,
        )

    def _run_job(
        self, kind: Kind, request: dict[str, Any], account: str, region: str, stop: threading.Event
    ) -> None:
        """Run what Create*Job asked for; how it ended is in its record."""
        name = request[KINDS[kind].name]
        folder = name if account == self.accounts[0] else f"{name}@{account}"
        context = JobContext(
            name,
            account,
            region,
            self.folder / "jobs" / folder,
            self.images,
            acting.job_environment(
                account, region, request, arn(account, region, KINDS[kind].arn_type, name)
            ),
            stop=stop,
        )
        run = {"processing": run_processing, "training": run_training, "transform": run_transform}[kind]
        with contextlib.suppress(JobFailed, JobStopped):
            run(request, context)

    def _account(self, account: str | None) -> str:
        account = account or self.accounts[0]
        if account not in self.accounts:
            known = ", ".join(self.accounts)
            raise SandboxError(f"account: expected one of {known}, got {account!r}")
        return account


def current() -> Sandbox:
    """Return the sandbox that this process has open: what the emulated services run their jobs with.

    Raises:
        SandboxError: there is none.
    """
    if _current is None:
        raise SandboxError("no sandbox is open in this process")
    return _current
