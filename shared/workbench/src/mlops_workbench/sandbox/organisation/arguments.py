"""The command line of the organisation's commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from mlops_workbench.sandbox.organisation import commands, record

#: Makes the parser of a command: its name, what it does, examples.
Command = Callable[[str, str, str], argparse.ArgumentParser]


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add the option that names it."""
    command.add_argument(
        "--folder",
        type=Path,
        default=record.default_folder(),
        help=f"of the organisation (default: ${record.VARIABLE}, which `env` sets, or {record.FOLDER})",
    )


def add(command: Command, pair: Callable[[str], tuple[str, str]]) -> None:
    """Add the commands to ``mlops-sandbox``; ``pair`` splits NAME=VALUE."""
    up = command(
        "up",
        "start an organisation of two accounts in the background, and apply its foundation",
        "examples:\n"
        "  mlops-sandbox up\n"
        "  mlops-sandbox up --foundation ../shared/foundation\n\n"
        "When it runs already it is ended and started again; what it has stored stays.\n",
    )
    up.add_argument(
        "--foundation", type=Path, metavar="DIR", help="its Terraform (default: beside the sandbox)"
    )
    up.add_argument("--no-foundation", action="store_true", help="two empty accounts")
    up.add_argument(
        "--no-wait",
        action="store_true",
        help="apply the foundation in the background; other commands wait until it can be used",
    )
    up.add_argument(
        "--var",
        type=pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of the foundation's Terraform; may be repeated",
    )
    up.add_argument(
        "--images",
        type=Path,
        metavar="sandbox.toml",
        help="which Python environment stands for which image (default: sandbox.toml, if there is one)",
    )
    asked = "default: config/project.yaml's, or"
    up.add_argument("--account", help=f"of shared services, 12 digits ({asked} {commands.ACCOUNT})")
    up.add_argument("--production", help=f"of production, may be the same ({asked} {commands.PRODUCTION})")
    up.add_argument("--region", help=f"({asked} {commands.REGION})")
    up.add_argument(
        "--prefix", help=f"what the names of shared resources begin with ({asked} {commands.PREFIX})"
    )
    add_folder(up)
    up.set_defaults(call=commands.up)

    down = command("down", "end the organisation and keep its state", "")
    down.add_argument("--delete", action="store_true", help="delete the state, the jobs and the logs as well")
    add_folder(down)
    down.set_defaults(call=commands.down)

    env = command(
        "env",
        "print the variables that lead AWS clients to the organisation",
        'example:\n  eval "$(mlops-sandbox env --account production)"\n',
    )
    env.add_argument("--account", help="shared-services, production or 12 digits (default: shared-services)")
    add_folder(env)
    env.set_defaults(call=commands.env)

    status = command("status", "show pipelines, builds, executions, model packages, approvals and events", "")
    status.add_argument("--open", action="store_true", help="on a web page that refreshes itself")
    add_folder(status)
    status.set_defaults(call=commands.status)

    push = command(
        "push",
        "publish HEAD of a git repository, as a push to Bitbucket does",
        "examples:\n  mlops-sandbox push --follow\n  mlops-sandbox push ../spam-build --branch main\n",
    )
    push.add_argument(
        "repository", type=Path, nargs="?", default=Path(), metavar="REPO_DIR", help="(default: this folder)"
    )
    push.add_argument("--branch", help="publish HEAD as this branch (default: the one it is on)")
    push.add_argument(
        "--name", help="of the repository in Bitbucket (default: config/project.yaml's, or the folder's)"
    )
    push.add_argument("--follow", action="store_true", help="show the pipeline until it ends or waits")
    add_folder(push)
    push.set_defaults(call=commands.push)

    follow = command(
        "follow",
        "show what a pipeline does until it ends or waits for a person",
        "examples:\n"
        "  mlops-sandbox follow                         the pipeline of the repository in this folder\n"
        "  mlops-sandbox follow spam-deploy             another one, after an approval for example\n\n"
        "Exit code: 0 it ended well or waits, 1 it failed.\n",
    )
    follow.add_argument("pipelines", nargs="*", metavar="PIPELINE", help="(default: this repository's)")
    add_folder(follow)
    follow.set_defaults(call=commands.follow)

    approve = command(
        "approve",
        "answer a pipeline's approval action, or approve a model package",
        "examples:\n"
        "  mlops-sandbox approve                        lists what waits\n"
        "  mlops-sandbox approve spam-deploy\n"
        '  mlops-sandbox approve spam-build/3 --reject --comment "recall is too low"\n',
    )
    approve.add_argument(
        "name", nargs="?", metavar="PIPELINE|PACKAGE", help="as the list without a name has it"
    )
    approve.add_argument("--reject", action="store_true", help="reject it instead")
    approve.add_argument("--comment", default="", help="why, for the record")
    add_folder(approve)
    approve.set_defaults(call=commands.approve)
