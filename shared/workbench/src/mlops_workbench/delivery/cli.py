"""The command line of register, unregister, publish and status: `python -m mlops_workbench register`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from configuration import UserError
from configuration.command_line import agreed, say, show_what_can_be_shown

from . import facts, publish, register, unregister
from .aws import client, session
from .project import Project, load

YES = "MLOPS_REGISTER_YES"

EXAMPLES = f"""\
examples:
  python -m mlops_workbench register                  show what would be done, ask, do it
  python -m mlops_workbench register --yes            the same without asking, for automation
  python -m mlops_workbench register --no-bitbucket   AWS only; no token is needed
  python -m mlops_workbench publish                   send the commit that is checked out to AWS
  python -m mlops_workbench publish --branch main     the same where a CI server has checked out no branch
  python -m mlops_workbench unregister                take it down; refuses while there are models or data

environment variables:
  AWS_PROFILE, AWS_ACCESS_KEY_ID, ...  credentials, as for every AWS tool
  {facts.TOKEN}        HTTP access token with administrator permission on the project (Bearer)
  {facts.CA_FILE}      certificates (PEM) that vouch for Bitbucket; else SSL_CERT_FILE, else the machine's
  {YES}=1   the same as --yes

make runs these in their own environment: make register ARGS=--no-bitbucket
"""

Command = Callable[[Project, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0 only if it did what it was asked to."""
    show_what_can_be_shown()
    options = parser().parse_args(arguments)
    try:
        command: Command = options.command
        return command(load(options.root.absolute()), options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; to continue:\n  {retry(options)}", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The parser of these commands."""
    root = argparse.ArgumentParser(
        prog="python -m mlops_workbench",
        description="Bring this repository's pipeline to AWS: a push to Bitbucket then starts it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND", dest="name")

    def add(name: str, command: Command, summary: str, *, changes: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        sub.add_argument(
            "--root", type=Path, default=Path(), help="the repository's top folder (default: this folder)"
        )
        if changes:
            sub.add_argument("--yes", action="store_true", help=f"do not ask (or {YES}=1)")
            sub.add_argument("--no-bitbucket", action="store_true", help="leave Bitbucket as it is")
        return sub

    add(
        "register",
        _register,
        "create the Bitbucket repository, its webhook and the pipeline in AWS",
        changes=True,
    )
    remove = add(
        "unregister",
        _unregister,
        "take down what register made; the Bitbucket repository stays",
        changes=True,
    )
    remove.add_argument(
        "--delete-models", action="store_true", help="delete the model packages too, for good"
    )
    remove.add_argument(
        "--delete-data", action="store_true", help="delete all that the bucket holds too, for good"
    )
    remove.add_argument(
        "--leave-deployed",
        action="store_true",
        help="leave what the pipeline has deployed where it is, running",
    )
    send = add("publish", _publish, "send a commit to the source bucket, which starts the pipeline")
    send.add_argument("--branch", help="which branch (default: the one that is checked out)")
    send.add_argument(
        "--allow-dirty", action="store_true", help="publish the commit without the uncommitted changes"
    )
    send.add_argument("--force", action="store_true", help="send it again, which starts the pipeline again")
    add("status", _status, "what is registered, and how the pipeline is")
    return root


def retry(options: argparse.Namespace) -> str:
    """The command that does the same again."""
    if options.name == "status":
        return "python -m mlops_workbench status"
    given = [f"--{name.replace('_', '-')}" for name, value in vars(options).items() if value is True]
    if getattr(options, "branch", None):
        given.append(f"--branch {options.branch}")
    return f"make {options.name}" + (f" ARGS='{' '.join(given)}'" if given else "")


def _register(project: Project, options: argparse.Namespace) -> int:
    bitbucket = not options.no_bitbucket
    print(
        f"Registering {project.slug}. AWS and Bitbucket are asked first; nothing is changed before you agree."
    )
    aws = session(project)
    found = facts.look(project, aws, bitbucket=bitbucket)
    print(facts.in_words(project, found))
    wrong = register.problems(project, found, bitbucket=bitbucket)
    if wrong:
        raise UserError(
            "\n".join(
                [
                    "Before this can be registered:",
                    *(f"  - {one}" for one in wrong),
                    f"Then: {retry(options)}",
                ]
            )
        )
    steps = register.steps(project, found, bitbucket=bitbucket)
    print("\n".join(["This will be done:", *(f"  {n}. {step.words}" for n, step in enumerate(steps, 1))]))
    if not agreed("Do it? [y/N] ", yes=options.yes, variable=YES):
        return 1
    assert found.aws.foundation is not None  # else there were problems
    register.act(register.World(project, found.aws.foundation, aws), steps, retry(options), say)
    print(f"Registered. The pipeline: {facts.console(project)}")
    return 0


def _unregister(project: Project, options: argparse.Namespace) -> int:
    aws = session(project)
    found = facts.ask_aws(project, aws)
    wrong = register.aws_problems(project, found)
    if wrong:
        raise UserError("\n".join(wrong))
    assert found.foundation is not None  # else there were problems
    allowed = unregister.Permission(
        models=options.delete_models,
        data=options.delete_data,
        bitbucket=not options.no_bitbucket,
        deployed=options.leave_deployed,
    )
    contents = unregister.look(project, aws)
    refused = unregister.refusals(project, contents, allowed)
    needs_token = allowed.bitbucket and project.hosting == "data-center" and found.foundation.webhook_url
    if needs_token and facts.settings()[0] is None:
        refused.append(
            f"{facts.TOKEN} is not set, which the webhook's removal needs; or --no-bitbucket leaves it there"
        )
    if refused:
        raise UserError("\n".join([f"{project.slug} is not taken down:", *(f"  - {one}" for one in refused)]))
    tasks = unregister.tasks(project, found.foundation, contents, allowed, aws)
    print(facts.account_in_words(found))
    print(
        "\n".join(
            ["This will be removed, for good:", *(f"  {n}. {task.words}" for n, task in enumerate(tasks, 1))]
        )
    )
    print(f"What was published stays in s3://{project.source_bucket}/{project.repository}/.")
    if not agreed(
        f"Type {project.slug} to remove it: ", yes=options.yes, variable=YES, accepted=(project.slug,)
    ):
        return 1
    unregister.act(tasks, retry(options), say)
    print(
        f"{project.slug} is unregistered. The repository and its Terraform are here as before: make register"
    )
    return 0


def _publish(project: Project, options: argparse.Namespace) -> int:
    source = publish.choose(project.root, options.branch, options.allow_dirty)
    s3 = client(session(project), "s3")
    if publish.publish(s3, project, source, options.force, say) and source.branch == register.BRANCH:
        print(f"The pipeline: {facts.console(project)}")
    return 0


def _status(project: Project, _: argparse.Namespace) -> int:
    aws = session(project)
    found = facts.look(project, aws, bitbucket=facts.settings()[0] is not None)
    print(facts.in_words(project, found))
    if found.aws.pipeline:
        print(facts.pipeline_in_words(project, client(aws, "codepipeline")))
    return 0 if found.aws.pipeline else 1
