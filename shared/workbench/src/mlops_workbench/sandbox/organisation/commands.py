"""What ``up``, ``down``, ``status``, ``push``, ``follow``, ``approve`` and ``env`` do."""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import shutil
import sys
import time
import webbrowser
from pathlib import Path

from rich.text import Text

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.lock import FolderLock
from mlops_workbench.sandbox.organisation import (
    activity,
    applying,
    approvals,
    following,
    foundation,
    record,
    start,
    tables,
)
from mlops_workbench.sandbox.organisation.overview import Overview, ask_events, collect
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.table import make_console

ACCOUNT, PRODUCTION, REGION, PREFIX = "111111111111", "222222222222", "ca-central-1", "mlops"
#: What a sandbox's folder holds; nothing else there is ours to delete.
CONTENTS = ("state", "jobs", "executions", "builds", record.SUBFOLDER)


def up(options: argparse.Namespace) -> int:
    """Start the organisation, apply its foundation, and say what to do next."""
    source = None if options.no_foundation else foundation.find(options.foundation)
    images = options.images or (Path("sandbox.toml") if Path("sandbox.toml").is_file() else None)
    if images is not None and not images.is_file():
        raise SandboxError(f"--images {images}: no such file")
    if images is None:
        _say("no sandbox.toml here: SageMaker's jobs will find no Python for their images; see --images")
    known = record.read_settings(Path())
    account = options.account or record.setting(known, "accounts.shared_services", ACCOUNT)
    production = options.production or record.setting(known, "accounts.production", PRODUCTION)
    wanted = Organisation(
        folder=str(options.folder.absolute()),
        accounts=list(dict.fromkeys([account, production])),
        region=options.region or record.setting(known, "region", REGION),
        prefix=options.prefix or record.setting(known, "prefix", PREFIX),
        bitbucket=record.setting(known, "bitbucket.url", record.NO_BITBUCKET),
    )
    begun = time.monotonic()
    applying.end(options.folder)
    organisation = start.start(wanted, images, _say)
    _say(f"process {organisation.process[0]} serves {organisation.endpoint} ({_since(begun)})")
    if source is not None and options.no_wait:
        applying.begin(organisation, source, options.var)
        _say(f"applying the foundation of {source} in the background: {applying.log_path(options.folder)}")
    elif source is not None:
        _say(f"applying the foundation of {source}")
        foundation.apply(organisation, source, options.var, _say)
        _say(f"the foundation is applied ({_since(begun)})")
    elif not options.no_foundation:
        _say("no foundation found: give its folder with --foundation")
    program = _program()
    own = "" if options.folder == record.default_folder() else f" --folder {shlex.quote(str(options.folder))}"
    print(
        f"""
accounts    {organisation.shared_services} (shared services), {organisation.production} (production)
page        {organisation.page}
log         {record.log_path(Path(organisation.folder))}

next
  {program} status --open{own}
      the page, in a browser
  eval "$({program} env{own})"
      from here on this shell's make register, AWS CLI, boto3 and Terraform use the sandbox, not AWS
  make register ARGS=--no-bitbucket
      in a generated repository: makes its pipeline, and sends the commit, which starts it
  {program} follow
      there: watch what that does, until it ends or waits; `{program} push --follow` sends the next commit
  {program} approve
      what waits for an answer: the model, when it is there
  {program} down{own}
      ends it and keeps the state"""
    )
    return 0


def _program() -> str:
    """Return how a person has called this program, so that it can be typed again."""
    called = sys.argv[0]
    if Path(called).name != "mlops-sandbox" or shutil.which("mlops-sandbox") == called:
        return "mlops-sandbox"
    near = os.path.relpath(called)
    return shlex.quote(called if near.startswith("..") else near)


def down(options: argparse.Namespace) -> int:
    """End the organisation; its state stays unless it is to be deleted."""
    applying.end(options.folder)
    if start.stop(options.folder, _say):
        print(f"{options.folder}: ended" + ("" if options.delete else "; `mlops-sandbox up` goes on with it"))
    elif not options.delete:
        print(f"{options.folder}: nothing runs here")
    if not options.delete:
        return 0
    present = [options.folder / name for name in CONTENTS if (options.folder / name).is_dir()]
    if not present:
        print(f"{options.folder}: nothing to delete")
        return 0
    lock = FolderLock(options.folder)
    lock.acquire()  # a sandbox of another kind, `serve` or a test, may have the folder
    try:
        for path in present:
            shutil.rmtree(path)
    finally:
        lock.release()
    print(f"deleted {', '.join(map(str, present))}")
    return 0


def env(options: argparse.Namespace) -> int:
    """Print the variables that lead AWS clients to an account."""
    try:
        organisation = _running(options.folder)
        variables = organisation.environment(options.account)
    except SandboxError:
        print("false")  # else `eval "$(mlops-sandbox env)"` would succeed
        raise
    for name, value in {**variables, record.VARIABLE: organisation.folder}.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print the tables, or open the page."""
    organisation = record.running(options.folder)
    if options.open:
        print(organisation.page)
        if not _open(organisation.page):
            print("no browser was found: open this address yourself", file=sys.stderr)
        return 0
    tables.show(_overview(organisation), make_console())
    if words := applying.in_words(options.folder):
        print(words)
    print(f"page: {organisation.page}")
    return 0


def push(options: argparse.Namespace) -> int:
    """Publish HEAD of a repository; 0 unless what it started has failed."""
    organisation = _running(options.folder)
    commit = foundation.head(options.repository, options.name, options.branch)
    names = following.watchers(organisation, commit.key) if options.follow else []
    before = following.executions(organisation, names)
    foundation.publish(organisation, commit, _say)
    if not options.follow:
        return 0
    if not names:
        _say(f"no pipeline has {commit.key} as its source: register the repository with `make register`")
        return 1
    return 0 if following.follow(organisation, before, _say) else 1


def follow(options: argparse.Namespace) -> int:
    """Show what pipelines do until each has ended or waits; 0 unless one has failed."""
    organisation = _running(options.folder)
    names = options.pipelines or following.watchers(organisation, foundation.head(Path()).key)
    if not names:
        raise SandboxError("no pipeline has this repository as its source: register it with `make register`")
    ended_well = True
    for name in names:
        following.wait_for(organisation, name, _say)
        ended_well &= following.follow_newest(organisation, name, _say)
    return 0 if ended_well else 1


def approve(options: argparse.Namespace) -> int:
    """Answer what waits, or list it when nothing is named."""
    organisation = _running(options.folder)
    overview = _overview(organisation)
    if options.name is None:
        if options.reject or options.comment:
            raise SandboxError(
                "approve: expected the name of what is answered; `mlops-sandbox approve` lists it"
            )
        for approval in overview.approvals:
            print(f"mlops-sandbox approve {shlex.quote(approval.reference)}")
            for line in filter(None, [approval.text, approval.address(organisation.page)]):
                make_console().print(Text(f"  {line}"), soft_wrap=True)
        if not overview.approvals:
            print("nothing waits for an answer")
        return 0
    meant = approvals.choose(overview.approvals, overview.packages, options.name)
    print(approvals.answer(organisation, meant, approve=not options.reject, comment=options.comment))
    return 0


def logs(folder: Path, name: str | None) -> int:
    """Print the log of a build (by id, or the latest of a project), or that of the background process."""
    if name is None:
        path = record.log_path(folder)
        if not path.is_file():
            raise SandboxError(f"{path}: there is no such log; `mlops-sandbox up` writes it")
        with path.open(encoding="utf-8", errors="replace") as lines:
            shutil.copyfileobj(lines, sys.stdout)
        return 0
    organisation = record.running(folder)
    found = _overview(organisation).builds
    build = next((each for each in found if name in (each.id, each.project)), None)
    if build is None:
        projects = ", ".join(dict.fromkeys(each.project for each in found)) or "none"
        raise SandboxError(f"{name}: no build of that id or project; projects that have one: {projects}")
    client = functools.partial(organisation.client, account=build.account)
    try:
        for line in activity.build_log(client("codebuild"), client("logs"), build.id):
            print(line)
    except LookupError as error:
        raise SandboxError(str(error.args[0])) from None
    return 0


def _running(folder: Path) -> Organisation:
    """Return the organisation that runs in a folder, once its foundation can be used."""
    organisation = record.running(folder)
    # not to standard output: what `env` prints is for a shell
    applying.wait(organisation, lambda text: print(text, file=sys.stderr, flush=True))
    return organisation


def _overview(organisation: Organisation) -> Overview:
    return collect(organisation, lambda: ask_events(organisation))


def _open(page: str) -> bool:
    # Where there is no display, webbrowser would start a text browser in this terminal.
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    return webbrowser.open(page)


def _say(text: str) -> None:
    print(text, flush=True)


def _since(begun: float) -> str:
    return f"{time.monotonic() - begun:.1f} s"
