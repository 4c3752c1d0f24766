"""Subscriptions: to queues and functions whose policies admit the topic, and to e-mail addresses.

moto asks no policy, calls functions within the call with invented records, knows no mail, takes the text
"false" of RawMessageDelivery for true, and would send to any URL. Here mails are kept for people to look at,
and nothing is sent to a URL.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.sns.models import Subscription

from mlops_workbench.sandbox.history import Mail, now
from mlops_workbench.sandbox.iam import decide
from mlops_workbench.sandbox.iam.acting import as_account
from mlops_workbench.sandbox.session import current

logger = logging.getLogger("mlops_workbench.sandbox.services.sns")

PRINCIPAL = "sns.amazonaws.com"
_ACTIONS = {"sqs": "sqs:SendMessage", "lambda": "lambda:InvokeFunction"}


def install() -> None:
    """Replace the method that delivers to one subscription."""
    deliver = Subscription.publish

    def publish(
        self: Subscription, message: str, message_id: str, subject: str | None = None, **more: Any
    ) -> None:
        if self.protocol in ("http", "https"):
            return
        if self.protocol in _ACTIONS:
            action, arn = _ACTIONS[self.protocol], self.endpoint
            if why := decide.refusal(arn, PRINCIPAL, action, self.topic.arn, self.topic.account_id):
                logger.warning("topic %s: %s", self.topic.name, why)
                return
        raw = self.attributes.get("RawMessageDelivery")
        if raw is not None and str(raw).lower() != "true":
            del self.attributes["RawMessageDelivery"]
        try:
            if self.protocol == "lambda":
                _call(self, message, message_id, subject, **more)
            elif self.protocol in ("email", "email-json"):
                _mail(self, message, subject, **more)
            else:
                deliver(self, message, message_id, subject, **more)
        finally:
            if raw is not None:
                self.attributes["RawMessageDelivery"] = raw

    Subscription.publish = publish  # type: ignore[assignment,method-assign]


def _wanted(subscription: Subscription, message: str, **more: Any) -> str | None:
    """Return the message for a subscription, or None if its filter policy does not want it."""
    matcher = subscription._filter_policy_matcher
    if matcher is not None and not matcher.matches(more.get("message_attributes"), message):
        return None
    if more.get("message_structure") == "json":
        return subscription._parse_message_structure(message, subscription.protocol)
    return message


def _mail(subscription: Subscription, message: str, subject: str | None, **more: Any) -> None:
    body = _wanted(subscription, message, **more)
    if body is not None:
        title = subject or "AWS Notification Message"
        current().history.record(Mail(now(), subscription.endpoint, title, body, subscription.topic.arn))


def _call(
    subscription: Subscription, message: str, message_id: str, subject: str | None, **more: Any
) -> None:
    body = _wanted(subscription, message, **more)
    if body is None:
        return
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notification = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic.arn,
        "Subject": subject,
        "Message": body,
        "Timestamp": moment,
        "MessageAttributes": more.get("message_attributes") or {},
    }
    event = {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": notification,
            }
        ]
    }
    region, account = subscription.endpoint.split(":")[3:5]
    client = as_account("lambda", account, region)
    try:
        client.invoke(
            FunctionName=subscription.endpoint, InvocationType="Event", Payload=json.dumps(event).encode()
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("topic %s: %s", subscription.topic.name, error)
