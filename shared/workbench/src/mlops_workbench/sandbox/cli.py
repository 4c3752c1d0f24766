"""``mlops-sandbox``: run SageMaker pipelines on this machine, with no AWS account."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox import commands, windows
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation import arguments
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import DefinitionError

# These accounts have no profile. moto reads the one that is chosen while it is imported, and ends with a
# traceback if there is none of that name.
for _name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(_name, None)


OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_EXAMPLES = """\
examples:
  mlops-sandbox validate pipeline.json
  mlops-sandbox run pipeline.json --images sandbox.toml --upload data=s3://my-bucket/raw --param Epochs=1
  mlops-sandbox executions
  mlops-sandbox logs 5k2j7x0q9w1m Train
  mlops-sandbox packages
  mlops-sandbox serve

an organisation of two accounts, in the background:
  mlops-sandbox up
  mlops-sandbox push --follow
  mlops-sandbox follow spam-deploy
  mlops-sandbox status --open
  mlops-sandbox approve
  mlops-sandbox down
"""

_RUN_EXAMPLES = """\
examples:
  mlops-sandbox run pipeline.json
  mlops-sandbox run pipeline.json --param Epochs=1 --param InputDataUrl=s3://my-bucket/raw
  mlops-sandbox run pipeline.json --upload data/emails.csv=s3://my-bucket/raw/ --images sandbox.toml

Buckets named by --upload are created. Ctrl-C stops the execution, as StopPipelineExecution does; a second
Ctrl-C ends its jobs at once. Exit code: 0 succeeded, 1 failed or stopped, 2 wrong usage, 130 ended at once.
"""


def pair(text: str) -> tuple[str, str]:
    """Split NAME=VALUE at the first "=".

    Raises:
        argparse.ArgumentTypeError: there is none.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def upload(text: str) -> tuple[Path, str]:
    """Split LOCAL=s3://bucket/prefix.

    Raises:
        argparse.ArgumentTypeError: it is not of that form, or LOCAL does not exist.
    """
    # The last "=s3://", as a file's name may hold "=".
    local, separator, rest = text.rpartition("=s3://")
    if not separator or not rest.strip("/"):
        raise argparse.ArgumentTypeError(f"expected LOCAL=s3://BUCKET/PREFIX, got {text!r}")
    if not Path(local).exists():
        raise argparse.ArgumentTypeError(f"{local}: no such file or folder")
    return Path(local), f"s3://{rest}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    root = argparse.ArgumentParser(
        "mlops-sandbox",
        description="Run SageMaker pipelines on this machine, with no AWS account.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, summary: str, epilog: str = "") -> argparse.ArgumentParser:
        return subcommands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    run = command("run", "run a pipeline definition and follow it to its end", _RUN_EXAMPLES)
    run.add_argument("definition", type=Path, metavar="DEFINITION.json")
    run.add_argument("--name", help="of the pipeline (default: the file's name)")
    _add_parameters(run)
    _add_folder(run)
    _add_sandbox(run)
    _add_uploads(run)
    run.set_defaults(call=commands.run)

    validate = command(
        "validate",
        "check a definition, and each step's request, without running anything",
        "example:\n  mlops-sandbox validate pipeline.json --param Epochs=1\n\n"
        "Parameters that have neither a default nor a --param are judged by their type.\n",
    )
    validate.add_argument("definition", type=Path, metavar="DEFINITION.json")
    _add_parameters(validate)
    validate.set_defaults(call=commands.validate)

    serve = command(
        "serve",
        "keep the sandbox running for other programs",
        "examples:\n"
        "  mlops-sandbox serve                      prints the variables to export, runs until Ctrl-C\n"
        "  mlops-sandbox serve > .sandbox.env &     then: source .sandbox.env; aws s3 ls\n",
    )
    _add_folder(serve)
    _add_sandbox(serve)
    _add_uploads(serve)
    serve.set_defaults(call=commands.serve)

    executions = command("executions", "list the pipeline executions of a folder, the newest first")
    executions.add_argument("--limit", type=int, default=20, help="how many (default: %(default)s)")
    _add_folder(executions)
    executions.set_defaults(call=commands.executions)

    packages = command("packages", "list the model packages of a folder")
    _add_folder(packages)
    _add_sandbox(packages)
    packages.set_defaults(call=commands.packages)

    logs = command(
        "logs",
        "print the log of a step's job, of a build, or of the background process",
        "examples:\n"
        "  mlops-sandbox logs 5k2j7x0q9w1m Train\n"
        "  mlops-sandbox logs last Train\n"
        "  mlops-sandbox logs spam-build      a CodeBuild project's latest build, or a build by its id\n"
        "  mlops-sandbox logs                 what `up` has started\n",
    )
    logs.add_argument(
        "execution",
        nargs="?",
        metavar="EXECUTION|BUILD",
        help='id or ARN of an execution, or "last"; without STEP a build\'s id or project',
    )
    logs.add_argument("step", nargs="?", metavar="STEP")
    logs.add_argument(
        "--folder", type=Path, help="of a step: the sandbox's (.sandbox); else the organisation's"
    )
    logs.set_defaults(call=commands.logs)

    arguments.add(command, pair)

    reset = command("reset", "delete a folder's state, jobs and executions")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    _add_folder(reset)
    reset.set_defaults(call=commands.reset)
    return root


def _add_parameters(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--param",
        type=pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a pipeline parameter; may be repeated",
    )


def _add_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--folder", type=Path, default=Path(".sandbox"), help="the sandbox's folder (default: %(default)s)"
    )


def _add_sandbox(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--images",
        type=Path,
        metavar="sandbox.toml",
        help="which Python environment stands for which image (default: sandbox.toml, if there is one)",
    )
    command.add_argument("--account", default="111111111111", help="12 digits (default: %(default)s)")
    command.add_argument("--region", default="ca-central-1", help="(default: %(default)s)")


def _add_uploads(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--upload",
        type=upload,
        action="append",
        default=[],
        metavar="LOCAL=s3://BUCKET/PREFIX",
        help="copy a file or a folder to the sandbox's S3 first; may be repeated",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.call is not commands.validate:
            windows.refuse()
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    # A CI server ends a run with SIGTERM: the same clean stop as Ctrl-C.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(options.call(options))
    except DefinitionError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        # `mlops-sandbox logs … | head`: nobody reads on, and Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (SandboxError, commands.CommandError, BotoCoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except ClientError as error:
        # The problems of a definition arrive joined: an error message of AWS has one line.
        for line in str(error.response["Error"].get("Message", error)).split(" | "):
            print(f"error: {line}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
