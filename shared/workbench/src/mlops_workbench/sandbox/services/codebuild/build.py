"""One build from PROVISIONING to COMPLETED: its folder, its phases, its log, its artifacts."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.containers.context import JobLog
from mlops_workbench.sandbox.containers.process import Process, wait_all
from mlops_workbench.sandbox.errors import AccessDenied, JobFailed
from mlops_workbench.sandbox.iam.acting import CODEBUILD, Role
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.codebuild import artifacts, surroundings
from mlops_workbench.sandbox.services.codebuild.artifacts import ArtifactError
from mlops_workbench.sandbox.services.codebuild.buildspec import PHASES, Buildspec, BuildspecError
from mlops_workbench.sandbox.services.codebuild.records import BuildRecord, BuildRequest, Refused
from mlops_workbench.sandbox.services.codebuild.surroundings import LogStream, Mask

_SCRIPT = Path(__file__).with_name("phases.py")
#: Seconds between SIGTERM and SIGKILL of a build that is stopped or takes too long. AWS documents neither, so
#: a build must not count on them: what it leaves half done (Terraform's lock) the next one has to get over.
_GRACE = 5.0
#: What a source, a role or a buildspec can be wrong with; anything else is the sandbox's own fault.
_EXPECTED = (AccessDenied, ArtifactError, BuildspecError, ClientError, JobFailed, Refused)


class _Ended(Exception):
    """The build ends here with a status; its phase has been closed."""


@dataclass
class Build:
    """A build that runs in this thread. Its folder keeps log.txt; all else is removed at the end."""

    request: BuildRequest
    record: BuildRecord
    folder: Path
    images: Images
    stop: threading.Event
    status: str = "SUCCEEDED"
    environment: dict[str, str] = field(default_factory=dict)
    _stream: LogStream | None = None
    _mask: Callable[[str], str] = field(default_factory=Mask)

    def run(self) -> None:
        """Run to the end; how it went is in the record."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = JobLog(self.folder / "log.txt", self.record.id, lambda job, line: None)
        try:
            self._run()
        except _Ended:
            pass
        except Exception as error:
            for line in traceback.format_exc().splitlines():
                self._line(line)
            self._fail("INTERNAL_ERROR", f"the sandbox failed: {type(error).__name__}: {error}", "FAULT")
        finally:
            self._finish()

    def _run(self) -> None:
        self.record.end()
        with self._phase("PROVISIONING"):
            self.request.check()
            name = self.record.id.replace(":", "-")
            project = self.request.project
            self._role = Role(project["serviceRole"], CODEBUILD, self.request.region, name, project["arn"])
            self._open_stream()
            python = surroundings.python_for(project["environment"]["image"], self.images)
        with self._phase("DOWNLOAD_SOURCE"):
            sources = artifacts.download(self.request, self._role, self.folder)
            spec = artifacts.read_buildspec(self.request, next(iter(sources.values())))
            values, hidden = artifacts.variables(self.request, spec, self._role)
            keys = [self._role.environment[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
            self._mask = Mask([*hidden, *keys])
            binaries = surroundings.make_python(python, self.folder / "venv")
            if project["environment"].get("privilegedMode"):
                surroundings.make_docker(binaries)
            self.environment = self._environment(values, sources, binaries)
        for note in spec.notes:
            self._line(f"[sandbox] {note}")
        uploads = self._run_phases(spec, next(iter(sources.values())))
        if uploads:
            with self._phase("UPLOAD_ARTIFACTS"):
                source = next(iter(sources.values()))
                artifacts.upload(
                    self.request, spec, source, self.environment, self._role, self.record, self._line
                )

    def _phase(self, name: str) -> _Phase:
        if self.stop.is_set():
            self.status = "STOPPED"
            raise _Ended
        return _Phase(self, name)

    def _fail(self, code: str, message: str, status: str = "FAILED") -> None:
        """Close the phase that runs as failed, and the build with it."""
        self.status = status
        self._line(f"[Container] Phase context status code: {code} Message: {message}")
        if "endTime" not in self.record.description["phases"][-1]:
            self.record.end("FAULT" if status == "FAULT" else "FAILED", code, self._mask(message))

    def _open_stream(self) -> None:
        """Begin the log in CloudWatch, unless the project switches it off."""
        settings = (self.request.project.get("logsConfig") or {}).get("cloudWatchLogs") or {}
        if settings.get("status") == "DISABLED":
            return
        logs: dict[str, Any] = self.record.description["logs"]
        try:
            self._stream = LogStream(self._role.client("logs"), logs["groupName"], logs["streamName"])
        except ClientError as error:
            raise Refused(
                f"service role {self._role.arn} does not allow CodeBuild to create CloudWatch Logs log "
                f"streams for build {self.record.description['arn']}: {error}"
            ) from None

    def _line(self, text: str) -> None:
        shown = self._mask(text)
        self._log.line(shown)
        if self._stream:
            self._stream.line(shown)

    def _environment(
        self, values: dict[str, str], sources: dict[str, Path], binaries: Path
    ) -> dict[str, str]:
        """Return the variables of the commands; what CodeBuild sets itself cannot be overridden."""
        home, state = self.folder / "home", self.folder / "state"
        home.mkdir(exist_ok=True)
        state.mkdir(exist_ok=True)
        inherited = surroundings.inherited()
        shown = self.record.description
        primary, *others = sources
        logs = shown["logs"]
        return {
            **inherited,
            "HOME": str(home),
            "CI": "true",
            "PYTHONUNBUFFERED": "1",
            **values,
            **self._role.environment,
            "PATH": f"{binaries}:{values.get('PATH', inherited['PATH'])}",
            "VIRTUAL_ENV": str(binaries.parent),
            **{f"CODEBUILD_SRC_DIR_{name}": str(sources[name]) for name in others},
            "CODEBUILD_SRC_DIR": str(sources[primary]),
            "CODEBUILD_BUILD_ARN": shown["arn"],
            "CODEBUILD_BUILD_ID": shown["id"],
            "CODEBUILD_BUILD_IMAGE": shown["environment"]["image"],
            "CODEBUILD_BUILD_NUMBER": str(shown["buildNumber"]),
            "CODEBUILD_BUILD_SUCCEEDING": "1",
            "CODEBUILD_CI": "true",
            "CODEBUILD_INITIATOR": shown["initiator"],
            "CODEBUILD_KMS_KEY_ID": shown.get("encryptionKey") or "",
            "CODEBUILD_LOG_PATH": logs.get("streamName") or "",
            "CODEBUILD_PROJECT_ARN": self.request.project["arn"],
            "CODEBUILD_RESOLVED_SOURCE_VERSION": shown.get("resolvedSourceVersion") or "",
            "CODEBUILD_SOURCE_REPO_URL": "",
            "CODEBUILD_SOURCE_VERSION": shown.get("sourceVersion") or "",
            "CODEBUILD_START_TIME": str(int(shown["startTime"].timestamp() * 1000)),
        }

    def _run_phases(self, spec: Buildspec, source: Path) -> bool:
        """Run the commands; return whether artifacts are to be uploaded."""
        mark = f"{secrets.token_hex(16)} "
        plan = {
            "shell": spec.shell,
            "source": str(source),
            "state": str(self.folder / "state"),
            "exported": list(spec.exported),
            "phases": [
                {
                    "name": name,
                    "commands": phase.commands,
                    "finally": phase.finally_,
                    "on_failure": phase.on_failure,
                }
                for name in PHASES
                if (phase := spec.phases.get(name))
            ],
        }
        path = self.folder / "plan.json"
        path.write_text(json.dumps(plan), "utf-8")
        aborted = False

        def take(line: str) -> None:
            nonlocal aborted
            if line.startswith(mark):
                aborted = self._take_event(json.loads(line.removeprefix(mark))) or aborted
            else:
                self._line(line)

        # Its own interpreter, not the build's: a build may break its own.
        command = [sys.executable, "-I", "-S", str(_SCRIPT), str(path), mark]
        process = Process(command, self.environment, source, take)
        minutes = self.record.description["timeoutInMinutes"]
        deadline = time.monotonic() + minutes * 60
        (status,), why = wait_all([process], stop=self.stop, grace=_GRACE, deadline=deadline)
        if why != "ended":
            self.status = {"stopped": "STOPPED", "timed out": "TIMED_OUT"}[why]
            message = (
                f"build timed out after {minutes} minutes" if why == "timed out" else "build was stopped"
            )
            if "endTime" not in self.record.description["phases"][-1]:
                self.record.end(self.status, self.status, message)
            self._line(f"[Container] {message}")
            raise _Ended
        if status and self.status == "SUCCEEDED":
            self._fail("COMMAND_EXECUTION_ERROR", f"the build's main process ended with {status}")
        return not aborted

    def _take_event(self, event: dict[str, Any]) -> bool:
        """Note what the phases' process reports; return True when no further phase follows."""
        kind = event["event"]
        if kind == "begin":
            self.record.begin(event["phase"].upper(), _moment(event))
            self._line(f"[Container] Entering phase {event['phase'].upper()}")
        elif kind == "end":
            problem, name = event["problem"], event["phase"].upper()
            state = "FAILED" if problem else "SUCCEEDED"
            self._line(f"[Container] Phase complete: {name} State: {state}")
            message = ""
            if problem:
                self.status = "FAILED"
                reason = f"exit status {problem['status']}"
                message = f"Error while executing command: {problem['command']}. Reason: {reason}"
                self._line(
                    f"[Container] Phase context status code: COMMAND_EXECUTION_ERROR Message: {message}"
                )
            code = "COMMAND_EXECUTION_ERROR" if problem else ""
            self.record.end(state, code, self._mask(message), _moment(event))
        elif kind == "exported":
            self.environment = event["environment"]
            exported = [{"name": name, "value": value} for name, value in event["variables"].items()]
            self.record.update(exportedEnvironmentVariables=exported)
        return bool(kind == "abort")

    def _finish(self) -> None:
        self.record.begin("FINALIZING")
        if self._stream:
            self._stream.close()
        self._log.close()
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "log.txt":
                path.unlink()
        self.record.end()
        self.record.close(self.status)


class _Phase:
    """A phase of CodeBuild's own, closed at the end of a ``with``; what may go wrong in it ends the build."""

    def __init__(self, build: Build, name: str) -> None:
        self._build, self._name = build, name

    def __enter__(self) -> None:
        self._build.record.begin(self._name)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            self._build.record.end()
        elif isinstance(error, _EXPECTED):
            code, message = artifacts.code_of(error)
            self._build._fail(code, message)
            raise _Ended from None


def _moment(event: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(event["time"], UTC)
