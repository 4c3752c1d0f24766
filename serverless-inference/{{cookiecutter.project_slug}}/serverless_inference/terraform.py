"""Terraform in terraform/endpoint, for one environment. What it says goes to the build's log as it is."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from configuration.errors import UserError

FOLDER = "terraform/endpoint"
LOCK_TIMEOUT = "15m"  # while another build ends


class State(NamedTuple):
    """Where the environment's state is, and who may read it."""

    bucket: str
    key: str
    region: str
    role_arn: str


class Root:
    """The root module of a repository, with the variables of one environment."""

    def __init__(self, repository: Path, state: State, variables: dict[str, str]) -> None:
        self.folder = repository / FOLDER
        self._state = state
        self._variables = [f"-var={name}={value}" for name, value in variables.items()]

    def initialise(self) -> None:
        """Gets the provider and connects the state."""
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder, "backend.hcl")
            settings.write_text(backend(self._state), encoding="utf-8")
            # -reconfigure: the folder may have been the other environment's before
            self._run("init", "-input=false", "-reconfigure", f"-backend-config={settings}")

    def addresses(self) -> frozenset[str]:
        """What the state holds."""
        done = self._captured("state", "list")
        # a state that was never written is not an error of ours
        return frozenset(done.stdout.split()) if done.returncode == 0 else frozenset()

    def adopt(self, address: str, name: str) -> None:
        """Takes a resource that exists into the state."""
        self._run("import", "-input=false", f"-lock-timeout={LOCK_TIMEOUT}", *self._variables, address, name)

    def unlock(self, lock_id: str) -> None:
        """Removes a lock whose owner is gone."""
        self._run("force-unlock", "-force", lock_id)

    def apply(self, *, replace: Sequence[str] = (), destroy: bool = False) -> None:
        """Plans, shows the plan, and applies exactly that.

        Args:
            replace: addresses that are made anew.
            destroy: take everything down instead.

        Raises:
            UserError: Terraform ends with an error; its own words are in the log.
        """
        plan = self.folder / "endpoint.tfplan"
        purpose = ["-destroy"] if destroy else [f"-replace={address}" for address in replace]
        try:
            self._run(
                "plan",
                "-input=false",
                f"-lock-timeout={LOCK_TIMEOUT}",
                f"-out={plan.name}",
                *self._variables,
                *purpose,
            )
            self._run("apply", "-input=false", f"-lock-timeout={LOCK_TIMEOUT}", plan.name)
        finally:
            plan.unlink(missing_ok=True)

    def _run(self, *arguments: str) -> None:
        words = _command(arguments)
        status = subprocess.run(words, cwd=self.folder, env=_environment(), check=False).returncode
        if status != 0:
            raise UserError(f"terraform {arguments[0]} ended with exit status {status}; why is above")

    def _captured(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(arguments), cwd=self.folder, env=_environment(), capture_output=True, text=True
        )


def backend(state: State) -> str:
    """The settings of the S3 backend, as HCL."""
    settings: dict[str, object] = {
        "bucket": state.bucket,
        "key": state.key,
        "region": state.region,
        "encrypt": True,
        "use_lockfile": True,
        "assume_role": {"role_arn": state.role_arn, "session_name": "deployment-state"},
    }
    # JSON values are HCL expressions, but for interpolation, which none of these holds
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def lock_id(text: str) -> str | None:
    """The id in a lock file of the S3 backend; None when it is none."""
    try:
        found = json.loads(text)["ID"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f-]{36}", found) else None


def _command(arguments: Sequence[str]) -> list[str]:
    return ["terraform", arguments[0], *([] if arguments[0] == "state" else ["-no-color"]), *arguments[1:]]


def _environment() -> dict[str, str]:
    return {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
