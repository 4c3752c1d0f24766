"""The organisation's foundation, and what of it knows this repository. Only asks; needs boto3 and PyYAML."""

from __future__ import annotations

import os
from functools import partial
from typing import Callable, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from configuration import UserError
from mlops_workbench.delivery import facts, git, publish
from mlops_workbench.delivery.aws import (
    FOUNDATION_VERSION,
    Foundation,
    code,
    find_foundation,
    secret_exists,
)
from mlops_workbench.delivery.bitbucket import DataCenter, hosting
from mlops_workbench.delivery.project import Project

from .credentials import Quick
from .looking import Finding, note, ok, problem, within
from .network import ask, project_value

ABSENT = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "ParameterNotFound",
        "PipelineNotFoundException",
        "ResourceNotFoundException",
    }
)
REFUSED = frozenset({"403", "AccessDenied", "AccessDeniedException", "AuthorizationError"})
APPLY = (
    "a platform engineer applies the foundation: make read-tools, then "
    "build/workbench/mlops_workbench/foundation/README.md"
)
REGISTER = "make register"


class Known(NamedTuple):
    """Who asks what about what."""

    project: Project
    aws: Quick
    foundation: Foundation


def look(project: Project, aws: Quick) -> list[Finding]:
    """Whether the foundation is there and whole, and whether this repository is registered with it."""
    found, finding = _foundation(project, aws)
    if found is None:
        return [finding]
    known = Known(project, aws, found)
    return [
        finding,
        *_agrees(known),
        _bucket(known, "state bucket", found.state_bucket),
        _bucket(known, "source bucket", found.source_bucket),
        _key(known),
        *_roles(known),
        _people(known),
        *_bridge(known),
        *_registered(known),
        *_bitbucket(known),
    ]


def _foundation(project: Project, aws: Quick) -> tuple[Foundation | None, Finding]:
    name = project.foundation_parameter
    try:
        found = find_foundation(project, aws)
    except UserError as error:
        words = " ".join(str(error).split())
        if any(one in words for one in REFUSED):
            return None, note(f"foundation: not allowed to look: {words}", "ask for ssm:GetParameter on it")
        return None, problem(f"foundation: {words}", APPLY)
    if found is None:
        text = f"foundation: expected the parameter {name} in {project.region}, found none: it is not applied"
        return None, problem(text, f"{APPLY}; or is config/project.yaml's prefix or region another?")
    # one of another version is refused when it is read
    return found, ok(f"foundation: {name}, version {FOUNDATION_VERSION}")


def _agrees(known: Known) -> list[Finding]:
    """What this repository and the foundation say about the same things."""
    project, said = known.project, known.foundation
    pairs = [
        ("region", project.region, said.region),
        ("accounts.shared_services", project.shared_services, said.shared_services_account_id),
        ("accounts.production", project_value(project.root, "production"), said.production_account_id),
        ("bitbucket.url", project.hosting, said.bitbucket_hosting),
    ]
    return [
        problem(
            f"config/project.yaml: {key}: expected the foundation's, {theirs}, got {ours}",
            "correct config/project.yaml, or ask whoever applied the foundation",
        )
        for key, ours, theirs in pairs
        if theirs is not None and ours != theirs
    ]


def _bucket(known: Known, what: str, name: str) -> Finding:
    s3 = known.aws.client("s3")

    def look_at_it() -> Finding:
        s3.head_bucket(Bucket=name)
        if s3.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
            return problem(f"{what}: {name} keeps no versions", APPLY)
        return ok(f"{what}: {name} answers")

    return _asked(f"{what} {name}", look_at_it, APPLY)


def _key(known: Known) -> Finding:
    arn = known.foundation.kms_key_arn

    def look_at_it() -> Finding:
        state = known.aws.client("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
        if state != "Enabled":
            return problem(f"key: {arn}: expected it to be Enabled, got {state}", APPLY)
        return ok(f"key: {arn.rpartition('/')[2]} is enabled")

    return _asked(f"key {arn}", look_at_it, APPLY)


def _roles(known: Known) -> list[Finding]:
    """Roles in this account; production's is another account's, which these credentials cannot look into."""
    iam, project = known.aws.client("iam"), known.project
    names = []
    if (project.root / "release").is_dir():  # this repository deploys
        names.append(f"{project.prefix}-deployment-staging")
    if known.foundation.production_account_id == project.shared_services:
        names.append(f"{project.prefix}-deployment")
    lines = [
        _asked(f"role {name}", _says(partial(iam.get_role, RoleName=name), f"role: {name}"), APPLY)
        for name in names
    ]
    boundary = known.foundation.permissions_boundary_arn
    if boundary:
        words = f"permissions boundary: {boundary.rpartition('/')[2]}"
        lines.append(_asked(words, _says(lambda: iam.get_policy(PolicyArn=boundary), words), APPLY))
    return lines


def _people(known: Known) -> Finding:
    """Whether anybody hears of failures and of what waits for an answer."""
    arn = known.foundation.notifications_topic_arn
    if not arn:
        return note("notifications: the foundation names no topic", APPLY)
    name = arn.rpartition(":")[2]

    def look_at_it() -> Finding:
        listed = known.aws.client("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
        confirmed = [one for one in listed if one["SubscriptionArn"].startswith("arn:")]
        if not confirmed:
            text = f"notifications: {name} has no confirmed subscription: failures are told to no one"
            return note(
                text, f"aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint YOU"
            )
        return ok(f"notifications: {len(confirmed)} confirmed subscription(s) to {name}")

    return _asked(f"notifications: topic {name}", look_at_it, APPLY)


def _bridge(known: Known) -> list[Finding]:
    """The address that Bitbucket calls. It answers only what is signed: any answer shows that it is there."""
    url = known.foundation.webhook_url
    if known.project.hosting == "cloud":
        role = known.foundation.publisher_role_arn
        return [ok(f"publisher's role: {role}") if role else problem("publisher's role: found none", APPLY)]
    if url is None:
        return [problem("webhook: the foundation has no address for Bitbucket to call", APPLY)]
    parts = urlsplit(url)
    sandbox = os.environ.get("AWS_ENDPOINT_URL")  # serves all addresses of AWS, told apart by host
    answer = ask(f"{sandbox}{parts.path}", host=parts.netloc) if sandbox else ask(url)
    if answer.problem is not None:
        fix = f"does it answer elsewhere? A proxy here may refuse it. Else {APPLY}"
        return [note(f"webhook: {url} does not answer from here: {answer.problem}", fix)]
    return [ok(f"webhook: {url} answers")]


def _registered(known: Known) -> list[Finding]:
    project, aws = known.project, known.aws
    pipelines = aws.client("codepipeline")
    what = f"pipeline {project.slug}"
    try:
        pipelines.get_pipeline(name=project.slug)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and code(error) in ABSENT:
            return [note(f"{what}: none yet: this repository is not registered", REGISTER)]
        return [_failed(what, error, REGISTER)]
    lines = [ok(f"{what}: this repository is registered")]
    if project.hosting == "data-center" and known.foundation.webhook_url:
        lines.append(_asked("webhook's secret", lambda: _secret(known), REGISTER))
    lines.append(_published(known))
    lines.append(_asked(what, lambda: _stages(known), REGISTER))
    return lines


def _secret(known: Known) -> Finding:
    if secret_exists(known.aws.client("secretsmanager"), known.foundation, known.project):
        return ok("webhook's secret: there")
    text = "webhook's secret: none, so that no push to Bitbucket reaches AWS; make publish does"
    return note(text, f"{REGISTER}, without --no-bitbucket")


def _published(known: Known) -> Finding:
    here = git.state(known.project.root).commit
    try:
        there = publish.published_commit(known.aws.client("s3"), known.project, "main")
    except UserError as error:
        return note(f"published: {error}")
    if there is None:
        return note("published: nothing yet", "git push, or: make publish")
    if here is not None and here != there:
        return note(
            f"published: commit {there[:8]} of main; this folder is at {here[:8]}",
            "git push, or: make publish",
        )
    return ok(f"published: commit {there[:8]} of main, which is what this folder is at")


def _stages(known: Known) -> Finding:
    """How the pipeline's stages have ended."""
    states = known.aws.client("codepipeline").get_pipeline_state(name=known.project.slug)["stageStates"]
    failed = [one["stageName"] for one in states if one.get("latestExecution", {}).get("status") == "Failed"]
    if failed:
        return problem(
            f"pipeline's last run: stage {', '.join(failed)} failed", f"see {facts.console(known.project)}"
        )
    return ok("pipeline's last run: no stage has failed")


def _bitbucket(known: Known) -> list[Finding]:
    """What Bitbucket holds; only whoever has a token may ask it."""
    token, ca_file = facts.settings()
    if token is None:
        text = f"Bitbucket: not asked about this repository, as {facts.TOKEN} is not set; register needs it"
        return [note(text, f"export {facts.TOKEN}=…, an HTTP access token with administrator permission")]

    def look_at_it() -> Finding:
        place = hosting(known.project, token, ca_file)
        if not place.exists():
            return note("Bitbucket: no repository yet", REGISTER)
        if not facts.connected(place, known.project, known.foundation):
            link = "webhook" if isinstance(place, DataCenter) else "publisher's role"
            return problem(f"Bitbucket: the repository has no {link}: a push does not reach AWS", REGISTER)
        return ok("Bitbucket: the repository is there, and a push reaches AWS")

    try:
        return [within(look_at_it)]
    except UserError as error:
        return [
            problem(
                f"Bitbucket: {' '.join(str(error).split())}",
                f"mend the reason, or export another {facts.TOKEN}",
            )
        ]
    except TimeoutError as error:
        return [note(f"Bitbucket: {error}", "check the network and the VPN")]


def _says(call: Callable[[], object], words: str) -> Callable[[], Finding]:
    def look_at_it() -> Finding:
        call()
        return ok(words)

    return look_at_it


def _asked(what: str, look_at_it: Callable[[], Finding], fix: str) -> Finding:
    """What came of a question to AWS, whatever came."""
    try:
        return look_at_it()
    except (ClientError, BotoCoreError) as error:
        return _failed(what, error, fix)


def _failed(what: str, error: Exception, fix: str) -> Finding:
    words = " ".join(str(error).split())
    if isinstance(error, ClientError) and code(error) in REFUSED:
        return note(f"{what}: these credentials may not look at it: {words}")
    if isinstance(error, ClientError) and code(error) in ABSENT:
        return problem(f"{what}: expected it to be there, found nothing", fix)
    return problem(f"{what}: {words}", fix)
