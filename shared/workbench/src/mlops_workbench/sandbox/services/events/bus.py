"""Event buses: an event is compared with every enabled rule and goes to the targets of those that match.

What became of it is remembered, with the event in a few words, for people to look at.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule, events_backends

from mlops_workbench.sandbox.history import DELIVERED, NO_RULE, Delivery, now
from mlops_workbench.sandbox.services.events import targets
from mlops_workbench.sandbox.services.events.targets import InputError, target_input
from mlops_workbench.sandbox.session import current


def summary(event: Mapping[str, Any]) -> str:
    """Return what happened to what: ``s3://bucket/key``, ``email-router/3 Approved``, ``name: SUCCEEDED``."""
    detail: Mapping[str, Any] = event.get("detail") or {}
    if event["source"] == "aws.s3" and "bucket" in detail:
        return f"s3://{detail['bucket'].get('name', '')}/{detail.get('object', {}).get('key', '')}"
    if "ModelPackageArn" in detail:
        package = str(detail["ModelPackageArn"]).split("/", 1)[-1]
        return f"{package} {detail.get('ModelApprovalStatus', '')}".strip()
    if "EndpointStatus" in detail:
        return f"{detail.get('EndpointName', '')}: {detail['EndpointStatus']}"
    if "currentPipelineExecutionStatus" in detail:
        name = str(detail.get("pipelineArn", "")).rsplit("/", 1)[-1]
        return f"{name}: {detail['currentPipelineExecutionStatus']}"
    if "currentStepStatus" in detail:
        name = str(detail.get("pipelineArn", "")).rsplit("/", 1)[-1]
        return f"{name}/{detail.get('stepName', '')}: {detail['currentStepStatus']}"
    if "alarmName" in detail:
        return f"{detail['alarmName']}: {(detail.get('state') or {}).get('value', '')}"
    name = detail.get("pipeline") or detail.get("project-name") or ""
    state = detail.get("state") or detail.get("build-status") or ""
    return ": ".join(part for part in (str(name), str(state)) if part)


def emit(
    account: str,
    region: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str] = (),
) -> str:
    """Put an event on an account's default bus and return its id; deliveries go on in threads."""
    return put(account, region, event_of(account, region, source, detail_type, detail, resources))


def event_of(
    account: str,
    region: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str] = (),
    time: datetime | None = None,
) -> dict[str, Any]:
    """Return an event in the form in which rules and targets see it."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": f"{(time or datetime.now(UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": list(resources),
        # A copy, and nothing that JSON cannot carry.
        "detail": json.loads(json.dumps(detail)),
    }


def put(account: str, region: str, event: dict[str, Any], bus: str = "default") -> str:
    """Put an event on a bus and return its id.

    The event keeps the account and region where it arose, whichever bus it is on.
    """
    backend = events_backends[account][region]
    found = backend.event_buses.get(bus)
    wanted = False
    for rule in list(found.rules.values()) if found else []:
        # A schedule that also has a pattern is rare; one without would match everything.
        if rule.state == "DISABLED" or not rule.event_pattern.get_pattern():
            continue
        if rule.event_pattern.matches_event(event):  # type: ignore[arg-type]
            wanted = True
            _to_targets(rule, event)
    if not wanted:
        _remember(account, region, event, "", "", NO_RULE)
    return str(event["id"])


def fire(rule_arn: str) -> None:
    """Send the event of a scheduled rule, as its schedule would.

    Raises:
        ValueError: there is no such rule.
    """
    try:
        _, _, _, region, account, path = rule_arn.split(":", 5)
    except ValueError:
        raise ValueError(f"rule: expected the ARN of a rule, got {rule_arn!r}") from None
    parts = path.split("/")
    bus = events_backends[account][region].event_buses.get(parts[1] if len(parts) > 2 else "default")
    rule = bus.rules.get(parts[-1]) if bus else None
    if rule is None:
        raise ValueError(f"rule: {rule_arn} does not exist")
    _to_targets(rule, event_of(account, region, "aws.events", "Scheduled Event", {}, [rule_arn]))


def _to_targets(rule: Rule, event: dict[str, Any]) -> None:
    work = current().work
    for target in list(rule.targets):
        name = f"event {event['id']} to {target['Arn']}"
        work.enqueue(work.deliveries, name, lambda target=target: _deliver(rule, target, event))  # type: ignore[misc]


def _deliver(rule: Rule, target: dict[str, Any], event: dict[str, Any]) -> None:
    failure: targets.DeliveryFailed | None = None
    text = json.dumps(event)
    try:
        text = target_input(target, event, rule.arn)
        call = targets.Call(rule.arn, rule.account_id, rule.region_name, target, event, text)
        targets.deliver(call, {**targets.TAKERS, "events": _to_bus})
    except InputError as error:
        failure = targets.DeliveryFailed("INVALID_JSON", str(error))
    except targets.DeliveryFailed as error:
        failure = error
    outcome = f"failed: {failure.code}: {failure}" if failure else DELIVERED
    if failure and (queue := (target.get("DeadLetterConfig") or {}).get("Arn")):
        try:
            targets.bury(queue, rule.arn, target["Arn"], text, failure)
        except targets.DeliveryFailed as error:
            outcome += f"; dead-letter queue: {error}"
    _remember(rule.account_id, rule.region_name, event, rule.arn, target["Arn"], outcome)


def _to_bus(call: targets.Call) -> None:
    # A bus passes an event on as it is; PutEvents would give it a new account.
    if call.event["account"] != call.account or call.event["region"] != call.region:
        raise targets.DeliveryFailed("NO_PERMISSIONS", "an event goes from bus to bus once")
    if call.target.get("RoleArn"):
        call.as_role("events")
    else:
        call.admitted("events:PutEvents")
    account, region = call.place
    put(account, region, dict(call.event), call.arn.rsplit("/", 1)[-1])


def _remember(
    account: str, region: str, event: Mapping[str, Any], rule: str, target: str, outcome: str
) -> None:
    current().history.record(
        Delivery(
            now(),
            account,
            region,
            event["source"],
            event["detail-type"],
            summary(event),
            rule,
            target,
            outcome,
        )
    )
