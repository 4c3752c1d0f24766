"""Terraform for one environment. What it says goes to the build's log as it is.

A build can be stopped, or run out of time, at any moment. What that leaves behind is put in order before the
next one: a lock on the state that nobody will release (`release_stale_lock`), and resources that the state
does not know (`orphans`): taken in, not made again. Only of the types whose names are fixed and taken; others
are overwritten, or have a name of their own.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError

from .aws import code, plain_errors
from .environments import Place, State

PLAN = "environment.tfplan"
ADOPTED = "adopted.tf"
LOCK_TIMEOUT = "15m"  # while another build ends
_NAMES = {
    "aws_lambda_function": "function_name",
    "aws_s3_bucket": "bucket",
    "aws_sagemaker_pipeline": "pipeline_name",
}

# less of Go's collector: a third of the processor time of short-lived programs, for some 60 MB of memory
_QUICKER = {"GOGC": "400"}

# of a plan in words: what the state does not have (what is replaced is another sentence), and its last line
_CREATED = re.compile(r"\s+# .+ will be created$")
_COUNTED = re.compile(r"Plan: |No changes\.")

# what AWS says of something that is not there
MISSING = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchEntity",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ValidationException",
    }
)

Say = Callable[[str], None]
Look = Callable[[str], str | None]


class New(NamedTuple):
    """Something that a plan makes: address, type, and the name that it will have (None: not known yet)."""

    address: str
    type: str
    name: str | None


class Root:
    """A root module, with the variables of one environment."""

    def __init__(self, folder: Path, state: State, variables: dict[str, str]) -> None:
        self.folder = folder
        self._state = state
        self._variables = [f"-var={name}={value}" for name, value in variables.items()]

    def initialise(self) -> None:
        """Gets the provider and connects the state."""
        with tempfile.TemporaryDirectory() as folder:
            settings = Path(folder, "backend.hcl")
            settings.write_text(backend(self._state), encoding="utf-8", newline="\n")
            # -reconfigure: the folder may have been the other environment's before
            self._run("init", "-input=false", "-reconfigure", f"-backend-config={settings}")

    def addresses(self) -> frozenset[str]:
        """What the state holds."""
        done = self._captured("state", "list")
        # a state that was never written is not an error of ours
        return frozenset(done.stdout.split()) if done.returncode == 0 else frozenset()

    def adopt(self, address: str, name: str) -> None:
        """Has the next plan take a resource that exists into the state; `apply` does it.

        Not `terraform import`, which takes one by one: where one instance of several is in the state already,
        whatever reads the others ends with an error.
        """
        with (self.folder / ADOPTED).open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"import {{\n  to = {address}\n  id = {json.dumps(name)}\n}}\n\n")

    def unlock(self, lock_id: str) -> None:
        """Removes a lock whose owner is gone."""
        self._run("force-unlock", "-force", lock_id)

    def plan(self, *, replace: Sequence[str] = (), destroy: bool = False) -> list[New]:
        """Plans, and shows the plan.

        Args:
            replace: addresses that are made anew.
            destroy: take everything down instead.

        Returns:
            What the plan makes and the state does not have.

        Raises:
            UserError: Terraform ends with an error; its own words are in the log.
        """
        purpose = ["-destroy"] if destroy else [f"-replace={address}" for address in replace]
        settings = ("-input=false", f"-lock-timeout={LOCK_TIMEOUT}", f"-out={PLAN}")
        lines = self._heard("plan", *settings, *self._variables, *purpose)
        if not may_create(lines):
            return []  # to show a plan as JSON takes the whole provider once more, for seconds
        shown = self._captured("show", "-json", PLAN)
        if shown.returncode != 0:
            raise UserError(
                f"terraform show ended with exit status {shown.returncode}: {shown.stderr.strip()}"
            )
        return new_in(json.loads(shown.stdout))

    def apply(self) -> None:
        """Applies exactly what was planned.

        Raises:
            UserError: Terraform ends with an error; its own words are in the log.
        """
        try:
            self._run("apply", "-input=false", f"-lock-timeout={LOCK_TIMEOUT}", PLAN)
        finally:
            for name in (PLAN, ADOPTED):
                (self.folder / name).unlink(missing_ok=True)

    def _run(self, *arguments: str) -> None:
        words = _command(arguments)
        _stop_unless_well(
            words, subprocess.run(words, cwd=self.folder, env=_environment(), check=False).returncode
        )

    def _heard(self, *arguments: str) -> list[str]:
        """The lines that it says, which go to the log as well."""
        words, lines = _command(arguments), []
        with subprocess.Popen(
            words,
            cwd=self.folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                print(line, end="", flush=True)
                lines.append(line.rstrip())
        _stop_unless_well(words, running.returncode)
        return lines

    def _captured(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(arguments), cwd=self.folder, env=_environment(), capture_output=True, encoding="utf-8"
        )


def backend(state: State) -> str:
    """The settings of the S3 backend, as HCL.

    Without `encrypt`: it asks S3 for its own encryption, where the bucket's default is the foundation's key.
    """
    settings: dict[str, object] = {
        "bucket": state.bucket,
        "key": state.key,
        "region": state.region,
        "use_lockfile": True,
        "assume_role": {"role_arn": state.role_arn, "session_name": "deployment-state"},
    }
    # JSON values are HCL expressions, but for interpolation, which none of these holds
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def may_create(lines: Sequence[str]) -> bool:
    """Whether a plan in words makes something for the first time; yes where that is not known."""
    return not any(map(_COUNTED.match, lines)) or any(map(_CREATED.match, lines))


def new_in(plan: dict[str, Any]) -> list[New]:
    """What a plan (`terraform show -json`) makes for the first time."""
    return [
        New(change["address"], change["type"], _name(change))
        for change in plan.get("resource_changes", [])
        if change["mode"] == "managed" and change["change"]["actions"] == ["create"]
    ]


def release_stale_lock(root: Root, place: Place, other_builds: Callable[[], list[str]], say: Say) -> None:
    """Removes the state's lock, unless another build of this environment runs: Terraform waits for that."""
    key = f"{place.state.key}.tflock"
    try:
        body = place.client("s3").get_object(Bucket=place.state.bucket, Key=key)["Body"].read()
    except ClientError as error:
        if code(error) in ("NoSuchKey", "404"):
            return
        raise UserError(f"s3://{place.state.bucket}/{key}: {error}") from error
    found = lock_id(body.decode("utf-8", "replace"))
    if found is None:
        return
    running = other_builds()
    if running:
        say(f"Terraform's state is locked, and {', '.join(running)} runs: waiting for it")
        return
    say(f"Terraform's state was left locked ({found}) by a build that is gone: the lock is removed")
    root.unlock(found)


def lock_id(text: str) -> str | None:
    """The id in a lock file of the S3 backend; None when it is none."""
    try:
        found = json.loads(text)["ID"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f-]{36}", found) else None


def orphans(place: Place, made: Sequence[New], more: Mapping[str, Look] | None = None) -> dict[str, str]:
    """What a plan would make although it exists: address -> name.

    Args:
        place: the environment.
        made: what the plan makes.
        more: type of resource -> whether a name exists there, for types that only one template has.
    """
    looks: dict[str, Look] = {
        "aws_cloudwatch_log_group": lambda name: _log_group(place.client("logs"), name),
        "aws_iam_role": lambda name: _role(place.client("iam"), name),
        "aws_lambda_function": lambda name: _existing(place.client("lambda").get_function, FunctionName=name),
        "aws_s3_bucket": lambda name: _existing(place.client("s3").head_bucket, Bucket=name),
        "aws_sagemaker_pipeline": lambda name: _existing(
            place.client("sagemaker").describe_pipeline, PipelineName=name
        ),
        **(more or {}),
    }
    return {
        new.address: new.name
        for new in made
        if new.type in looks and new.name is not None and looks[new.type](new.name) is not None
    }


def _existing(look: Callable[..., Any], **name: str) -> str | None:
    """The name if a call that describes it succeeds; None when there is nothing of it."""
    (value,) = name.values()
    with plain_errors(value):
        try:
            look(**name)
        except ClientError as error:
            if code(error) in MISSING:
                return None
            raise
    return value


def _name(change: dict[str, Any]) -> str | None:
    after = change["change"]["after"] or {}
    found: str | None = after.get(_NAMES.get(change["type"], "name"))
    return found


def _command(arguments: Sequence[str]) -> list[str]:
    return ["terraform", arguments[0], *(["-no-color"] if arguments[0] != "state" else []), *arguments[1:]]


def _stop_unless_well(words: Sequence[str], status: int) -> None:
    if status != 0:
        raise UserError(f"terraform {words[1]} ended with exit status {status}; why is above")


def _environment() -> dict[str, str]:
    return {**_QUICKER, **os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


def _role(iam: Any, name: str) -> str | None:
    with plain_errors(f"role {name}"):
        try:
            return str(iam.get_role(RoleName=name)["Role"]["Arn"])
        except ClientError as error:
            # "denied", too: a role that is not there has no path, and these credentials reach one path only
            if code(error) in MISSING | {"AccessDenied"}:
                return None
            raise


def _log_group(logs: Any, name: str) -> str | None:
    with plain_errors(f"log group {name}"):
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((group["arn"] for group in groups if group["logGroupName"] == name), None)
