"""What Terraform makes and AWS bills whether or not it is used, and what each push uses.

The numbers are those of terraform/; tests/cost holds them to its files.
"""

from collections.abc import Mapping
from typing import Any

from .usage import Item, Use, item

PART = "there in any case"
PUSH = "each push"

#: template -> builds of a push
BUILDS = {"model_build": 1, "serverless_inference": 2, "batch_inference": 2}
#: alarms of the delivery: events that were not delivered; of endpoints also a live model not approved
DELIVERY_ALARMS = {"model_build": 1, "serverless_inference": 1 + 2, "batch_inference": 1}
#: of an endpoint: latency, concurrency, throttles; errors, which are three metrics in one alarm
ENDPOINT_ALARMS = 3 + 3
#: of a batch pipeline: an alarm for each function, and events that were not delivered
BATCH_ALARMS = 2 + 1
#: of watching: drift; errors of its functions, of which an endpoint has two and a batch pipeline one
WATCHING_ALARMS = {"serverless_inference": 1 + 2, "batch_inference": 1 + 1}
#: of watching, for a model with one target, besides one for each label: texts, words, unknown words, their 7
#: and 6 bins, confidence, its 6 bins, what needs review, and the drift of four figures and the largest
WATCHING_METRICS = 3 + 7 + 6 + 1 + 6 + 1 + 5
SOURCE_MINUTES = 1  # of the action that fetches the source


def items(template: str, project: Mapping[str, Any], config: Mapping[str, Any], use: Use) -> list[Item]:
    """Keys, secrets, alarms, dashboards, metrics; builds, logs and storage.

    Args:
        template: the package of the template.
        project: config/project.yaml.
        config: the template's own file.
        use: how much it is used.
    """
    on = [config[name] for name in ("staging", "production") if name in config and config[name]["enabled"]]
    found = [_key(project), *_secret(project), *_alarms(template, on), *_dashboards(template, on)]
    if metrics := _metrics(template, on, use):
        found.append(metrics)
    return [*found, *_pushes(template, use), *_storage(use)]


def _key(project: Mapping[str, Any]) -> Item:
    own = project["kms_key_arn"] is None
    how = "one of its own" if own else "config/project.yaml: kms_key_arn is another's"
    return item(PART, "key (KMS)", "kms.key", 1 if own else 0, how, "each yearly rotation adds another")


def _secret(project: Mapping[str, Any]) -> list[Item]:
    if "://bitbucket.org/" in project["bitbucket"]["url"]:
        return []  # the Cloud signs in as a role
    return [item(PART, "the webhook's secret", "secretsmanager.secret", 1, "Bitbucket Data Center")]


def _alarms(template: str, on: list[Mapping[str, Any]]) -> list[Item]:
    count, of = (
        DELIVERY_ALARMS[template],
        {"serverless_inference": ENDPOINT_ALARMS, "batch_inference": BATCH_ALARMS},
    )
    for environment in on:
        count += of[template]
        count += WATCHING_ALARMS[template] if environment.get("watching") else 0
    return [item(PART, "alarms", "cloudwatch.alarm", count, f"{count} metrics with an alarm")]


def _dashboards(template: str, on: list[Mapping[str, Any]]) -> list[Item]:
    """An endpoint has one also when it is not enabled, to say so."""
    if template == "model_build":
        return []
    count = 2 if template == "serverless_inference" else len(on)
    return [item(PART, "dashboards", "cloudwatch.dashboard", count, "one for each environment")]


def _metrics(template: str, on: list[Mapping[str, Any]], use: Use) -> Item | None:
    """Metrics of our own; those that AWS's services publish cost nothing."""
    watched = sum(bool(environment.get("watching")) for environment in on)
    count = watched * (WATCHING_METRICS + use.labels)
    count += 2 if template == "serverless_inference" else 0  # is the live model approved
    if not count:
        return None
    how = f"{watched} environments watched, {use.labels} labels, one version"
    remark = (
        "billed by the hour in which there are answers; watching: null in the configuration leaves them out"
    )
    low = 2 if template == "serverless_inference" else 0
    return Item(PART, "metrics of our own", "cloudwatch.metric", low, count, how, remark)


def _pushes(template: str, use: Use) -> list[Item]:
    builds = BUILDS[template]
    minutes = use.pushes * builds * use.build_minutes
    actions = use.pushes * SOURCE_MINUTES + minutes
    each = f"{use.pushes:g} pushes x {builds} build(s) x {use.build_minutes:g} min"
    return [
        item(PUSH, "CodeBuild, small", "codebuild.small", minutes, each),
        item(
            PUSH,
            "CodePipeline",
            "codepipeline.action",
            actions,
            f"{each}, and {SOURCE_MINUTES} min for the source",
        ),
    ]


def _storage(use: Use) -> list[Item]:
    part = "storage and logs"
    return [
        item(part, "S3", "s3.standard", use.storage_gb, f"{use.storage_gb:g} GB"),
        item(part, "logs, written", "logs.ingested", use.logs_gb, f"{use.logs_gb:g} GB"),
        item(part, "logs, kept", "logs.kept", use.logs_gb, f"{use.logs_gb:g} GB"),
    ]
