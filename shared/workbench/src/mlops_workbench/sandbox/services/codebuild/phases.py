"""Runs a buildspec's commands. A script of its own: ``python -I -S phases.py PLAN MARK``.

It is the build's main process, under ``containers/supervisor.py``. PLAN is a JSON file: shell, phases (name,
commands, finally, on_failure), exported (names), source (a folder), state (a folder of its own). Each
command runs in a shell of its own that starts with the environment and in the folder that the one before it
left, so that ``exit`` ends the command with its code and no more: CodeBuild's agent does the same ([seen]
in the env.sh and dir.txt that its error messages name). Variables need no ``export``.

Between the commands' lines it prints lines that begin with MARK: one JSON object each, for ``build.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: What runs a command: all variables are exported (set -a), and kept when the command has not called exit.
_WRAPPER = """\
set -a
. "$CODEBUILD_COMMAND"
CODEBUILD_LAST_EXIT=$?
set +a
command -p env -0 > "$CODEBUILD_STATE/environment"
pwd > "$CODEBUILD_STATE/directory"
exit $CODEBUILD_LAST_EXIT
"""
_OURS = ("CODEBUILD_COMMAND", "CODEBUILD_STATE", "_", "SHLVL")


class Shell:
    """The environment and the folder that one command hands to the next."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.program: str = plan["shell"]
        self.state = Path(plan["state"])
        self.environment = dict(os.environ)
        self.directory: str = plan["source"]

    def run(self, command: str) -> int:
        """Run one command, return its exit status."""
        script, kept = self.state / "command", self.state / "environment"
        script.write_text(command + "\n", encoding="utf-8")
        kept.unlink(missing_ok=True)
        environment = {
            **self.environment,
            "CODEBUILD_COMMAND": str(script),
            "CODEBUILD_STATE": str(self.state),
        }
        status = subprocess.run(
            [self.program, "-c", _WRAPPER], env=environment, cwd=self.directory, check=False
        ).returncode
        if kept.is_file():
            pairs = [entry.partition("=") for entry in os.fsdecode(kept.read_bytes()).split("\0") if entry]
            self.environment = {name: value for name, _, value in pairs if name not in _OURS}
            directory = (self.state / "directory").read_text(encoding="utf-8").rstrip("\n")
            self.directory = directory if os.path.isdir(directory) else self.directory
        return 128 - status if status < 0 else status


def main(plan_path: str, mark: str) -> int:
    """Run all phases; return 0 when none has failed."""
    plan = json.loads(Path(plan_path).read_text(encoding="utf-8"))
    shell = Shell(plan)
    failed = False

    def report(**fields: Any) -> None:
        # A line of its own, even when a command has left one without its end.
        print(f"\n{mark}{json.dumps(fields)}", flush=True)

    for phase in plan["phases"]:
        shell.environment["CODEBUILD_BUILD_SUCCEEDING"] = "0" if failed else "1"
        report(event="begin", phase=phase["name"], time=time.time())
        problem = _run_phase(shell, phase)
        report(event="end", phase=phase["name"], time=time.time(), problem=problem)
        if problem is None:
            continue
        failed = True
        # post_build follows a build that failed; nothing follows another phase that failed.
        goes_on = phase["on_failure"] == "CONTINUE" or (
            phase["name"] == "build" and phase["on_failure"] != "ABORT"
        )
        if not goes_on:
            report(event="abort", phase=phase["name"])
            break
    exported = {name: shell.environment[name] for name in plan["exported"] if name in shell.environment}
    report(event="exported", variables=exported, environment=shell.environment)
    return 1 if failed else 0


def _run_phase(shell: Shell, phase: dict[str, Any]) -> dict[str, Any] | None:
    """Run a phase's commands up to the first that fails, then its ``finally``; return what failed first."""
    problem = _run_commands(shell, phase["commands"])
    # ``finally`` runs either way, and may itself fail the phase.
    last = _run_commands(shell, phase["finally"])
    return problem or last


def _run_commands(shell: Shell, commands: list[str]) -> dict[str, Any] | None:
    for command in commands:
        print(
            f"[Container] {time.strftime('%Y/%m/%d %H:%M:%S', time.gmtime())} Running command {command}",
            flush=True,
        )
        status = shell.run(command)
        if status:
            return {"command": command, "status": status}
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
