"""The two builds of the pipeline: staging decides and proves, production repeats what was proven."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError

from configuration import UserError
from release import registry
from release.aws import code, plain_errors
from release.environments import ENVIRONMENTS, PRODUCTION, STAGING
from release.history import Proposal, report_url
from release.question import worth_a_question
from release.registry import Package

from . import record as records
from .config import ENDPOINT_FILE
from .deploy import deploy
from .record import Record, Run
from .smoke import Outcome

Say = Callable[[str], None]

NAMESPACE, APPROVED_METRIC = "MLOps/Deployments", "LiveModelApproved"


def staging(run: Run, say: Say) -> None:
    """Decides which version is to serve, deploys it to staging, and proposes it for production.

    With no approved version it changes nothing, and says so.

    Raises:
        UserError: the version cannot be deployed; staging serves what it did before.
    """
    with _alarms_told(run):
        _staging(run, say)


def production(run: Run, say: Say) -> None:
    """Deploys to production exactly what staging has proven.

    Raises:
        UserError: the version was rejected since, or cannot be deployed; production stays as it was.
    """
    with _alarms_told(run):
        _production(run, say)


def _staging(run: Run, say: Say) -> None:
    group = run.settings.endpoint.model_package_group
    package = registry.newest_approved(run.build.own.client("sagemaker"), group, file=ENDPOINT_FILE)
    if package is None:
        summary = _nothing_approved(run, group)
        say(summary)
        _hand_on(run, promote=False, summary=summary, package="none")
        return
    say(f"{group}: the newest approved version is {package.number}")
    if problem := registry.archive_problem(run.build.own.client("s3"), package):
        raise UserError(f"{problem}\nNothing is changed.")
    outcome = deploy(run, records.make(run.settings, STAGING, package, run.build.commit), say)
    wanted = records.make(run.settings, PRODUCTION, package, run.build.commit)
    promote, why = _worth_a_question(run, wanted)
    (run.build.folder / f"{PRODUCTION}.json").write_text(wanted.to_json(), encoding="utf-8", newline="\n")
    if promote:
        run.history.propose(Proposal(wanted, run.build.execution))
    summary = f"{_proven(wanted, package, outcome)} {why}"
    say(summary)
    _hand_on(run, promote=promote, summary=summary, package=package.arn)


def _production(run: Run, say: Say) -> None:
    path = run.build.folder / f"{PRODUCTION}.json"
    where = path.relative_to(run.settings.root).as_posix()
    try:
        record = records.from_json(path.read_text(encoding="utf-8"), where)
    except FileNotFoundError:
        raise UserError(f"{where}: expected the record that the staging build makes, found none") from None
    if record.model is not None:
        approval = registry.describe(run.build.own.client("sagemaker"), record.model.package_arn).approval
        if approval != registry.APPROVED:
            raise UserError(
                f"{record.in_words()} is {approval} by now, and was Approved when it went through staging. "
                "Nothing is changed; the pipeline has been started again for the newest approved version"
            )
    deploy(run, record, say)
    say(f"production: {record.in_words()}")


@contextmanager
def _alarms_told(run: Run) -> Iterator[None]:
    """Reports what is live once the block has ended, however it ended."""
    try:
        yield
    except UserError:
        with suppress(UserError):  # the block's own error is the one to read
            tell_alarms(run)
        raise
    tell_alarms(run)


def tell_alarms(run: Run) -> None:
    """Reports for each environment whether the live version is (still) approved; an alarm watches it."""
    project, sagemaker = run.settings.project, run.build.own.client("sagemaker")
    group = run.settings.endpoint.model_package_group
    data = []
    for environment in ENVIRONMENTS:
        live = run.history.live(environment)
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
            run.build.own.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)


def _is_approved(sagemaker: Any, arn: str) -> bool:
    with plain_errors(f"model package {arn}"):
        try:
            found = sagemaker.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            if code(error) == "ValidationException":  # it was deleted
                return False
            raise
    return bool(found["ModelApprovalStatus"] == registry.APPROVED)


def _nothing_approved(run: Run, group: str) -> str:
    live = [f"{name}: {found.in_words()}" for name in ENVIRONMENTS if (found := run.history.live(name))]
    if live:
        return (
            f"No version of {group} is approved. Nothing is changed, and what is live stays so that requests "
            f"are answered ({'; '.join(live)}). An alarm says so until a version is approved and deployed."
        )
    return f"No version of {group} is approved yet: nothing to deploy. Approving one starts this again."


def _worth_a_question(run: Run, wanted: Record) -> tuple[bool, str]:
    """Whether a person has to be asked about production, and in words why or why not."""
    live = run.history.live(PRODUCTION)
    if wanted.model is None and live is None:
        return False, "Production has the same already."
    now = f"Production: {live.in_words()}." if live else "Production has no endpoint yet."
    return worth_a_question(run.build, run.history, wanted, now)


def _proven(wanted: Record, package: Package, outcome: Outcome | None) -> str:
    if outcome is None:
        return f"{package.group} version {package.number}: staging is not enabled, so nothing was tested."
    return f"{package.group} version {package.number} {outcome.in_words()} in staging."


def _hand_on(run: Run, *, promote: bool, summary: str, package: str) -> None:
    run.build.export("PROMOTE", "yes" if promote else "no")
    run.build.export("SUMMARY", summary)
    run.build.export("REPORT_URL", report_url(run.settings.project, run.build.execution, STAGING))
    run.build.export("MODEL_PACKAGE_ARN", package)
