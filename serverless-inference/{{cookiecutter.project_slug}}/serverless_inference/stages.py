"""The two builds of the pipeline: staging decides and proves, production repeats what was proven."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError

from configuration.errors import UserError

from . import record as records
from . import registry, reports
from .aws import code, plain_errors
from .build import Build
from .deploy import deploy
from .history import Proposal
from .record import ENVIRONMENTS, PRODUCTION, STAGING, Record
from .registry import Package
from .smoke import Outcome

Say = Callable[[str], None]

NAMESPACE, APPROVED_METRIC = "MLOps/Deployments", "LiveModelApproved"
UNDER_WAY = frozenset({"InProgress", "Stopping"})


def staging(build: Build, say: Say) -> None:
    """Decides which version is to serve, deploys it to staging, and proposes it for production.

    With no approved version it changes nothing, and says so.

    Raises:
        UserError: the version cannot be deployed; staging serves what it did before.
    """
    with _alarms_told(build):
        _staging(build, say)


def production(build: Build, say: Say) -> None:
    """Deploys to production exactly what staging has proven.

    Raises:
        UserError: the version was rejected since, or cannot be deployed; production stays as it was.
    """
    with _alarms_told(build):
        _production(build, say)


def _staging(build: Build, say: Say) -> None:
    group = build.settings.endpoint.model_package_group
    package = registry.newest_approved(build.own.client("sagemaker"), group)
    if package is None:
        summary = _nothing_approved(build, group)
        say(summary)
        _hand_on(build, promote=False, summary=summary, package="none")
        return
    say(f"{group}: the newest approved version is {package.number}")
    if problem := registry.archive_problem(build.own.client("s3"), package):
        raise UserError(f"{problem}\nNothing is changed.")
    outcome = deploy(build, records.make(build.settings, STAGING, package, build.commit), say)
    wanted = records.make(build.settings, PRODUCTION, package, build.commit)
    promote, why = _worth_a_question(build, wanted)
    (build.folder / f"{PRODUCTION}.json").write_text(records.to_json(wanted), encoding="utf-8")
    if promote:
        build.history.propose(Proposal(wanted, build.execution))
    summary = f"{_proven(wanted, package, outcome)} {why}"
    say(summary)
    _hand_on(build, promote=promote, summary=summary, package=package.arn)


def _production(build: Build, say: Say) -> None:
    path = build.folder / f"{PRODUCTION}.json"
    where = path.relative_to(build.settings.root).as_posix()
    try:
        record = records.from_json(path.read_text(encoding="utf-8"), where)
    except FileNotFoundError:
        raise UserError(f"{where}: expected the record that the staging build makes, found none") from None
    if record.model is not None:
        approval = registry.describe(build.own.client("sagemaker"), record.model.package_arn).approval
        if approval != registry.APPROVED:
            raise UserError(
                f"{record.in_words()} is {approval} by now, and was Approved when it went through staging. "
                "Nothing is changed; the pipeline has been started again for the newest approved version"
            )
    deploy(build, record, say)
    say(f"production: {record.in_words()}")


@contextmanager
def _alarms_told(build: Build) -> Iterator[None]:
    """Reports what is live once the block has ended, however it ended."""
    try:
        yield
    except UserError:
        with suppress(UserError):  # the block's own error is the one to read
            tell_alarms(build)
        raise
    tell_alarms(build)


def tell_alarms(build: Build) -> None:
    """Reports for each environment whether the live version is (still) approved; an alarm watches it."""
    project, sagemaker = build.settings.project, build.own.client("sagemaker")
    group = build.settings.endpoint.model_package_group
    data = []
    for environment in ENVIRONMENTS:
        live = build.history.live(environment)
        if (
            live is None or live.model is None or live.model.group != group
        ):  # another group is not ours to read
            continue
        data.append(
            {
                "MetricName": APPROVED_METRIC,
                "Dimensions": [
                    {"Name": "Project", "Value": project.slug},
                    {"Name": "Environment", "Value": environment},
                ],
                "Value": float(_is_approved(sagemaker, live.model.package_arn)),
            }
        )
    if data:
        with plain_errors("CloudWatch"):
            build.own.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)


def _is_approved(sagemaker: Any, arn: str) -> bool:
    with plain_errors(f"model package {arn}"):
        try:
            found = sagemaker.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if code(error) == "ValidationException":  # it was deleted
                return False
            raise
    return bool(found["ModelApprovalStatus"] == registry.APPROVED)


def _nothing_approved(build: Build, group: str) -> str:
    live = [f"{name}: {found.in_words()}" for name in ENVIRONMENTS if (found := build.history.live(name))]
    if live:
        return (
            f"No version of {group} is approved. Nothing is changed, and what is live stays so that requests "
            f"are answered ({'; '.join(live)}). An alarm says so until a version is approved and deployed."
        )
    return f"No version of {group} is approved yet: nothing to deploy. Approving one starts this again."


def _worth_a_question(build: Build, wanted: Record) -> tuple[bool, str]:
    """Whether a person has to be asked about production, and in words why or why not."""
    live = build.history.live(PRODUCTION)
    now = f"Production: {live.in_words()}." if live else "Production has no endpoint yet."
    if wanted.serves_as(live) or (wanted.model is None and live is None):
        return False, "Production has the same already."
    proposal = build.history.proposal()
    asked = proposal and proposal.execution != build.execution and wanted.serves_as(proposal.record)
    if proposal and asked and _under_way(build, proposal.execution):
        return False, f"{now} Execution {proposal.execution} asks about the same already."
    return True, now


def _under_way(build: Build, execution: str) -> bool:
    name = build.settings.project.slug
    with plain_errors(f"pipeline {name}"):
        try:
            found = build.own.client("codepipeline").get_pipeline_execution(
                pipelineName=name, pipelineExecutionId=execution
            )
        except ClientError as error:
            if code(error) == "PipelineExecutionNotFoundException":
                return False
            raise
    return found["pipelineExecution"]["status"] in UNDER_WAY


def _proven(wanted: Record, package: Package, outcome: Outcome | None) -> str:
    if outcome is None:
        return f"{package.group} version {package.number}: staging is not enabled, so nothing was tested."
    return f"{package.group} version {package.number} {outcome.in_words()} in staging."


def _hand_on(build: Build, *, promote: bool, summary: str, package: str) -> None:
    build.export("PROMOTE", "yes" if promote else "no")
    build.export("SUMMARY", summary)
    build.export("REPORT_URL", reports.url(build, STAGING))
    build.export("MODEL_PACKAGE_ARN", package)
