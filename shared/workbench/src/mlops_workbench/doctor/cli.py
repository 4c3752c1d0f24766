"""The command line: `python -m mlops_workbench doctor`, or `make doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Sequence

from configuration.command_line import show_what_can_be_shown

from . import machine, network, programs, repository
from .looking import (
    PROBLEM,
    Finding,
    Later,
    Part,
    as_data,
    from_data,
    in_words,
    note,
    problem,
    problems,
    run,
)

#: the package, in a folder or in a wheel: Python runs either
PACKAGE = Path(__file__).resolve().parents[1]
#: `doctor --aws` asks AWS alone; it runs where these are
AWS_MODULES = ("boto3", "yaml")
AWS_SECONDS = 60
CREDENTIALS, ORGANISATION = "credentials", "organisation"

EPILOG = """\
Looks, and changes nothing. A PROBLEM is something that does not work until it is mended; a note is worth
knowing, or something that could not be looked at. The exit status is 1 when there is a PROBLEM.

examples:
  make doctor
  python -m mlops_workbench doctor            the same where there is no make
  python -m mlops_workbench doctor --json     for programs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks at everything; 1 when there is a problem."""
    options = _parser().parse_args(arguments)
    root = options.root.absolute()
    show_what_can_be_shown()
    try:
        parts = _aws_here(root) if options.aws else _everything(root)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    try:
        print(json.dumps(as_data(parts), indent=2) if options.json else in_words(parts))
    except BrokenPipeError:  # `... | head`
        sys.stderr.close()
    return 1 if problems(parts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_workbench doctor",
        description="Say what is wrong with the machine, credentials, configuration and foundation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="the repository's top folder (default: this folder)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: problems, and findings with part, state, text, fix"
    )
    parser.add_argument("--aws", action="store_true", help="ask AWS alone; needs boto3 and PyYAML here")
    return parser


def _everything(root: Path) -> list[Part]:
    # whoever may not answer is asked first, and waited for last
    aws_address, index = network.aws_address(root), network.package_index()
    bitbucket = network.project_value(root, "url")
    ca_file = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    bitbucket_ca = os.environ.get("BITBUCKET_CA_FILE") or os.environ.get("SSL_CERT_FILE")
    asked = {
        "AWS": (Later(lambda: network.ask(aws_address, ca_file)), aws_address, "AWS_CA_BUNDLE"),
        "package index": (Later(lambda: network.ask(index)), index, "PIP_CERT"),
    }
    if bitbucket:
        asked["Bitbucket"] = (
            Later(lambda: network.ask(bitbucket, bitbucket_ca)),
            bitbucket,
            "BITBUCKET_CA_FILE",
        )
    if "TF_CLI_CONFIG_FILE" not in os.environ:  # else that file says where plug-ins come from
        asked["Terraform's plug-ins"] = (
            Later(lambda: network.ask(network.TERRAFORM)),
            network.TERRAFORM,
            "SSL_CERT_FILE",
        )
    aws = Later(lambda: _aws(root))

    answers = {
        what: (_answer(later), address, variable) for what, (later, address, variable) in asked.items()
    }
    reachable = answers["AWS"][0].problem is None
    local = [
        *programs.findings(root),
        *machine.findings(root),
        machine.clock(time.time(), answers["AWS"][0].date, root),
    ]
    reached = [
        network.reached(what, address, answer, name) for what, (answer, address, name) in answers.items()
    ]
    try:
        asked_aws = aws.result(AWS_SECONDS if reachable else AWS_SECONDS / 6)
    except TimeoutError as error:
        asked_aws = [Part(CREDENTIALS, [note(f"AWS: {error}", "check the network, the VPN and HTTPS_PROXY")])]
    with_aws = any(part.title == ORGANISATION for part in asked_aws)
    return [
        Part("machine", local),
        Part("network", [*network.settings(), *reached]),
        Part("environments", [repository.workbench(root), *repository.environments(root)]),
        Part("configuration", repository.configuration(root, with_aws=with_aws)),
        *asked_aws,
    ]


def _answer(later: Later[network.Answer]) -> network.Answer:
    try:
        return later.result()
    except TimeoutError as error:
        return network.Answer(problem=str(error))


def _aws(root: Path) -> list[Part]:
    """What AWS says, asked by whichever Python here has boto3."""
    python = repository.able(root, AWS_MODULES)
    if python is None:
        text = "not asked: boto3 and PyYAML, by which AWS is asked, are not installed yet"
        return [Part(CREDENTIALS, [note(text, "make setup-delivery, then: make doctor")])]
    if python == Path(sys.executable):
        return _aws_here(root)
    # in this folder, as `configuration` is imported from it
    words = [str(python), str(PACKAGE), "doctor", "--aws", "--json", "--root", str(root)]
    done = run(words, seconds=AWS_SECONDS)
    try:
        return from_data(json.loads(done.out))
    except (ValueError, KeyError):
        last = (done.err.strip().splitlines() or ["no reason was given"])[-1]
        return [Part(CREDENTIALS, [problem(f"not asked: {last}", "make setup-delivery")])]


def _aws_here(root: Path) -> list[Part]:
    try:
        from configuration import UserError
        from mlops_workbench.delivery.project import load

        from . import credentials, organisation
    except ImportError as error:
        return [Part(CREDENTIALS, [note(f"not asked: {error}", "make setup-delivery, then: make doctor")])]
    try:
        project = load(root)
    except UserError as error:
        fix = "correct config/project.yaml"
        return [Part(CREDENTIALS, [Finding(PROBLEM, line, fix) for line in str(error).splitlines()])]
    caller = credentials.look(project)
    parts = [Part(CREDENTIALS, caller.findings)]
    if caller.session is not None and caller.account == project.shared_services:
        parts.append(Part(ORGANISATION, organisation.look(project, caller.session)))
    return parts
