"""Amazon S3: events, bucket policies, and what moto 5.2.5 answers wrongly of objects.

Events ("Object Created", "Object Deleted" on EventBridge): moto sends constants for most of an event's
detail, within the call and before the object has its metadata; it sends none for delete markers and single
versions; and it does not return the EventBridge setting, so that Terraform would set it at every apply.

Objects: moto answers 500 to DeleteObjects for a key whose history holds a delete marker: it disposes of
every version, and a delete marker has no ``dispose``. It reads the whole object for each range of it.
boto3 fetches a large object in parts of 8 MB, ten at a time: one of 500 MB would be read sixty times, and
be in memory ten times.

Policies of buckets for anonymous requests: moto evaluates them by action and resource only; a Deny under a
condition (TLS only, one encryption key only) denies everything. Signed requests are decided on before they
reach moto.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from flask import after_this_request, g, has_request_context
from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend
from moto.s3.responses import S3Response

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.errors import PolicyError
from mlops_workbench.sandbox.iam import guard
from mlops_workbench.sandbox.iam.documents import context_of, parse
from mlops_workbench.sandbox.iam.evaluator import Principal, Request, evaluate

_CREATED = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}
_count = itertools.count()
#: Whether the request that is being answered wants a range.
_ranged: ContextVar[bool] = ContextVar("ranged", default=False)


def _send_event_bridge_message(account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
    """Emit an event for a created object; deletions are told by ``delete_object`` itself.

    Events about tags, access lists and restores are left out.
    """
    reason = _CREATED.get(str(getattr(event_name, "value", event_name)))
    if reason:
        described = {"size": key.size, "etag": key.etag.strip('"')}
        place = (bucket.name, key.name)
        _after_the_request(
            place, lambda: _emit(bucket, account_id, "Object Created", key, reason, described, {})
        )


def _emit(
    bucket: Any,
    account: str,
    detail_type: str,
    key: Any,
    reason: str,
    described: dict[str, Any],
    more: dict[str, Any],
) -> None:
    version = {"version-id": str(key.version_id)} if bucket.is_versioned else {}
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {"key": key.name, **described, **version, "sequencer": _sequencer()},
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": account,
        "source-ip-address": "127.0.0.1",
        "reason": reason,
        **more,
    }
    session.emit(bucket.account_id, bucket.region_name, "aws.s3", detail_type, detail, [bucket.arn])


def _sequencer() -> str:
    """Return a text that is greater for a later event; two events may fall on one tick of the clock."""
    return f"{time.time_ns():016X}{next(_count) % 256:02X}"


def _after_the_request(place: tuple[str, str], job: Callable[[], None]) -> None:
    """Run a job once the object is complete: moto adds its metadata and tags last.

    The last job for an object counts: moto completes a multipart upload with a put of its own.
    """
    if not has_request_context():
        job()
        return
    if "sandbox_objects" not in g:
        g.sandbox_objects = {}

        @after_this_request
        def run(response: Any) -> Any:
            for last in g.sandbox_objects.values():
                last()
            return response

    g.sandbox_objects[place] = job


def _install_notifications() -> None:
    """Replace moto's sender, and let deletions and GetBucketNotification tell all."""
    delete, answer = S3Backend.delete_object, S3Response.get_bucket_notification

    def delete_object(
        self: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        bucket = self.get_bucket(bucket_name)
        versions = list(bucket.keys.getlist(key_name, []))
        done, meta = delete(self, bucket_name, key_name, version_id, bypass)
        settings = getattr(bucket, "notification_configuration", None)
        if not done or settings is None or settings.event_bridge is None:
            return done, meta
        after = bucket.keys.getlist(key_name, [])
        made = [entry for entry in after if isinstance(entry, FakeDeleteMarker) and entry not in versions]
        gone = [entry for entry in versions if entry not in after]
        for entry, kind in [(entry, "Delete Marker Created") for entry in made] + [
            (entry, "Permanently Deleted") for entry in gone
        ]:
            more = {"deletion-type": kind}
            _emit(bucket, self.account_id, "Object Deleted", entry, "DeleteObject", {}, more)
        return done, meta

    def get_bucket_notification(self: S3Response) -> Any:
        settings = self.backend.get_bucket_notification_configuration(self.bucket_name)
        status, headers, body = answer(self)
        if settings is None or settings.event_bridge is None:
            return status, headers, body
        text = body.decode() if isinstance(body, bytes) else body
        # moto's serializer leaves out what is empty, as this element is.
        element, end = "<EventBridgeConfiguration/>", "</NotificationConfiguration>"
        if end in text:
            return status, headers, text.replace(end, element + end)
        return status, headers, text.rstrip().removesuffix("/>") + ">" + element + end

    notifications._send_event_bridge_message = _send_event_bridge_message
    S3Backend.delete_object = delete_object  # type: ignore[method-assign]
    S3Response.get_bucket_notification = get_bucket_notification  # type: ignore[method-assign]


def _install_objects() -> None:
    """Give delete markers the method; they hold nothing to free."""

    def dispose(self: FakeDeleteMarker, garbage: bool = False) -> None:
        pass

    FakeDeleteMarker.dispose = dispose  # type: ignore[attr-defined]


def _install_policies() -> None:
    """Replace the method that S3's calls ask."""

    def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
        if guard.signed():
            return PermissionResult.PERMITTED
        if self.policy is None:
            return PermissionResult.NEUTRAL
        context = context_of({"aws:SecureTransport": True, "aws:SourceIp": "127.0.0.1"})
        # A nobody, who is of no account, so that only "*" names it.
        request = Request(Principal("anonymous"), action, resource, context, delegated=True)
        try:
            decision = evaluate(request, [], None, [parse(self.policy.decode())])
        except PolicyError:
            return PermissionResult.DENIED
        if decision.allowed:
            return PermissionResult.PERMITTED
        return PermissionResult.DENIED if "explicit deny" in decision.reason else PermissionResult.NEUTRAL

    FakeBucket.get_permission = get_permission  # type: ignore[method-assign]


class Stored:
    """An object's bytes, of which ``[begin:end]`` reads no more than that."""

    def __init__(self, key: FakeKey) -> None:
        self._key = key

    def __len__(self) -> int:
        return int(self._key.contentsize)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(len(self))
        with self._key.lock:
            self._key._value_buffer.seek(begin)
            return bytes(self._key._value_buffer.read(max(0, end - begin)))


def _install_ranges() -> None:
    """Let moto's own code for ranges cut what has not been read."""
    whole: Any = FakeKey.value
    get, cut = S3Response.get_object, S3Response._handle_range_header

    def value(self: FakeKey) -> Any:
        return Stored(self) if _ranged.get() else whole.fget(self)

    def get_object(self: S3Response) -> Any:
        token = _ranged.set(bool(self.headers.get("range")) and "partNumber" not in self.querystring)
        try:
            return get(self)
        finally:
            _ranged.reset(token)

    def handle_range_header(
        self: S3Response, request: Any, response_headers: dict[str, Any], response_content: Any
    ) -> Any:
        status, headers, body = cut(self, request, response_headers, response_content)
        # A range that S3 does not understand gets the whole object.
        return status, headers, body[:] if isinstance(body, Stored) else body

    FakeKey.value = property(value, whole.fset)  # type: ignore[assignment,method-assign]
    S3Response.get_object = get_object  # type: ignore[method-assign]
    S3Response._handle_range_header = handle_range_header  # type: ignore[method-assign]


def install() -> None:
    """Patch moto."""
    _install_notifications()
    _install_objects()
    _install_policies()
    _install_ranges()
