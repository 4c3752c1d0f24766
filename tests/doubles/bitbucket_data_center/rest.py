"""The REST API: which path does what, with which permission."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bitbucket_data_center import git, payloads
from bitbucket_data_center.faults import Faults
from bitbucket_data_center.store import Refusal, Repository, Store
from bitbucket_data_center.webhooks import Sender, request

PERMISSIONS = ("READ", "WRITE", "ADMIN")
VERSION = "9.2.0"


@dataclass
class Request:
    """What was asked: a query parameter that is given twice counts once."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    permission: str | None

    def json(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        try:
            document = json.loads(self.body or b"{}")
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Refusal(400, "The request body is not valid JSON.", "rest.exception.InvalidJson")
        return document

    def page(self, values: list[Any]) -> dict[str, Any]:
        """Return the page of a list that was asked for."""
        return payloads.page(values, int(self.query.get("start", 0)), int(self.query.get("limit", 25)))


@dataclass
class Answer:
    """What is answered: JSON, or chunks of bytes; `length` is announced when it is known."""

    status: int
    document: Any = None
    chunks: Iterator[bytes] | None = None
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[["RestApi", Request, re.Match[str]], Answer]
ROUTES: list[tuple[str, re.Pattern[str], str, Route]] = []
API = r"/rest/api/(?:latest|1\.0)"
REPOSITORY = r"/projects/(?P<project>[^/]+)/repos/(?P<slug>[^/]+)"


def route(method: str, pattern: str, permission: str) -> Callable[[Route], Route]:
    """Register what answers a method on a path."""

    def register(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), permission, function))
        return function

    return register


class RestApi:
    """Answers requests."""

    def __init__(self, store: Store, sender: Sender, faults: Faults) -> None:
        self.store, self.sender, self.faults = store, sender, faults

    def answer(self, asked: Request) -> Answer:
        """Answer a request; errors too are answers."""
        try:
            found = [(entry, match) for entry in ROUTES if (match := entry[1].fullmatch(asked.path))]
            if not found:
                return Answer(404, payloads.error("null for uri: " + asked.path, None))
            allowed = [(entry, match) for entry, match in found if entry[0] == asked.method]
            if not allowed:
                return Answer(405, payloads.error("HTTP 405 Method Not Allowed", None))
            (_, _, permission, function), match = allowed[0]
            demand(asked.permission, permission)
            return function(self, asked, match)
        except Refusal as refusal:
            return Answer(refusal.status, payloads.error(refusal.message, refusal.exception))

    def repository(self, match: re.Match[str]) -> Repository:
        """Return the repository that a path names."""
        return self.store.repository(match["project"], match["slug"])


def demand(held: str | None, needed: str) -> None:
    """Refuse who has not the permission: Bitbucket answers 401 in both cases."""
    if held is None:
        message = "Authentication failed. Please check your credentials and try again."
        raise Refusal(401, message, "auth.IncorrectPasswordAuthenticationException")
    if PERMISSIONS.index(held) < PERMISSIONS.index(needed):
        message = "You are not permitted to access this resource"
        raise Refusal(401, message, "AuthorisationException")


@route("GET", API + "/application-properties", "READ")
def application_properties(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET application-properties: which Bitbucket this is."""
    return Answer(200, {"version": VERSION, "buildNumber": "9002000", "displayName": "Bitbucket"})


@route("GET", API + "/projects", "READ")
def list_projects(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET projects."""
    return Answer(
        200, asked.page([payloads.project(one, api.store.base_url) for one in api.store.projects()])
    )


@route("POST", API + "/projects", "ADMIN")
def create_project(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """POST projects."""
    document = asked.json()
    made = api.store.create_project(str(document.get("key", "")), document.get("name"))
    return Answer(201, payloads.project(made, api.store.base_url))


@route("GET", API + r"/projects/(?P<project>[^/]+)", "READ")
def get_project(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET projects/{key}."""
    return Answer(200, payloads.project(api.store.project(match["project"]), api.store.base_url))


@route("GET", API + r"/projects/(?P<project>[^/]+)/repos", "READ")
def list_repositories(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET projects/{key}/repos."""
    repositories = api.store.project(match["project"]).repositories
    return Answer(200, asked.page([payloads.repository(repositories[slug]) for slug in sorted(repositories)]))


@route("POST", API + r"/projects/(?P<project>[^/]+)/repos", "ADMIN")
def create_repository(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """POST projects/{key}/repos: 201, or 409 when the slug is taken."""
    document = asked.json()
    if document.get("scmId", "git") != "git":
        raise Refusal(400, "The SCM is not supported.", "validation.ArgumentValidationException")
    made = api.store.create_repository(
        match["project"], str(document.get("name", "")), document.get("defaultBranch")
    )
    return Answer(201, payloads.repository(made))


@route("GET", API + REPOSITORY, "READ")
def get_repository(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET projects/{key}/repos/{slug}."""
    return Answer(200, payloads.repository(api.repository(match)))


@route("DELETE", API + REPOSITORY, "ADMIN")
def delete_repository(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """DELETE projects/{key}/repos/{slug}: 202; no error when it is gone already."""
    try:
        api.store.delete_repository(api.repository(match))
    except Refusal as refusal:
        if refusal.exception.endswith("NoSuchRepositoryException"):
            return Answer(204)
        raise
    return Answer(202, {"context": None, "message": "Repository scheduled for deletion."})


@route("GET", API + REPOSITORY + "/branches", "READ")
def list_branches(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET branches: those whose name contains `filterText`, in alphabetical order."""
    repository = api.repository(match)
    text = asked.query.get("filterText", "").lower()
    default = repository.default_branch
    heads = [(ref, commit) for ref, commit in repository.refs().items() if ref.startswith("refs/heads/")]
    shown = [(ref, commit) for ref, commit in heads if text in ref.removeprefix("refs/heads/").lower()]
    return Answer(200, asked.page([payloads.branch(ref, commit, default) for ref, commit in shown]))


@route("GET", API + REPOSITORY + "/default-branch", "READ")
def default_branch(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET default-branch: 404 while it has no commit, as in an empty repository."""
    repository = api.repository(match)
    ref = repository.default_branch
    commit = repository.commit_of(ref)
    return Answer(200, payloads.branch(ref, commit, ref))


@route("GET", API + REPOSITORY + "/commits", "READ")
def list_commits(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET commits: from `until`, a commit or a ref, backwards."""
    repository = api.repository(match)
    start, limit = int(asked.query.get("start", 0)), int(asked.query.get("limit", 25))
    newest = repository.commit_of(asked.query.get("until"))
    found = payloads.commits(repository, newest, start + limit + 1)
    return Answer(200, payloads.page(found, start, limit))


@route("GET", API + REPOSITORY + r"/commits/(?P<commit>[^/]+)", "READ")
def get_commit(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET commits/{id}."""
    repository = api.repository(match)
    return Answer(200, payloads.commits(repository, repository.commit_of(match["commit"]), 1)[0])


@route("GET", API + REPOSITORY + "/archive", "READ")
def archive(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET archive: of `at`, or of the default branch, with the files under `prefix`, or at the top."""
    repository = api.repository(match)
    commit = repository.commit_of(asked.query.get("at"))
    kind = asked.query.get("format", "zip")
    if kind not in git.ARCHIVE_TYPES:
        message = f"The archive format {kind} is not supported."
        raise Refusal(400, message, "validation.ArgumentValidationException")
    made = git.archive(repository, api.faults.archive_of or commit, kind, asked.query.get("prefix", ""))
    chunks, length = git.chunks(made, api.faults)
    name = f"{repository.slug}-{commit}.{kind}"
    headers = {
        "Content-Type": git.ARCHIVE_TYPES[kind],
        "Content-Disposition": f"attachment; filename=\"{name}\"; filename*=utf-8''{name}",
    }
    return Answer(200, chunks=chunks, length=length, headers=headers)


@route("GET", API + REPOSITORY + "/webhooks", "ADMIN")
def list_webhooks(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET webhooks; what a webhook signs with is not shown."""
    return Answer(200, asked.page([_shown(hook) for hook in api.repository(match).webhooks.values()]))


@route("POST", API + REPOSITORY + "/webhooks", "ADMIN")
def create_webhook(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """POST webhooks."""
    repository = api.repository(match)
    number = api.store.new_id()
    repository.webhooks[number] = _webhook(asked.json(), number)
    return Answer(201, _shown(repository.webhooks[number]))


@route("POST", API + REPOSITORY + "/webhooks/test", "ADMIN")
def test_webhook(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """POST webhooks/test?url=…: send diagnostics:ping there, unsigned."""
    api.repository(match)
    headers, body = request("diagnostics:ping", {"test": True}, None)
    sent = api.sender.send(asked.query.get("url", ""), headers, body)
    shown: dict[str, Any] = {"method": "POST", "url": sent.url, "headers": headers, "body": body.decode()}
    outcome = "SUCCESS" if 200 <= sent.status < 300 else "FAILURE" if sent.status else "ERROR"
    result = {"outcome": outcome, "description": str(sent.status or sent.answer)}
    return Answer(200, {"event": "diagnostics:ping", "request": shown, "result": result})


@route("GET", API + REPOSITORY + r"/webhooks/(?P<number>\d+)", "ADMIN")
def get_webhook(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET webhooks/{id}."""
    return Answer(200, _shown(_kept(api.repository(match).webhooks, match)))


@route("PUT", API + REPOSITORY + r"/webhooks/(?P<number>\d+)", "ADMIN")
def update_webhook(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """PUT webhooks/{id}: replaces it."""
    webhooks = api.repository(match).webhooks
    kept = _kept(webhooks, match)
    webhooks[kept["id"]] = _webhook(asked.json(), kept["id"])
    return Answer(200, _shown(webhooks[kept["id"]]))


@route("DELETE", API + REPOSITORY + r"/webhooks/(?P<number>\d+)", "ADMIN")
def delete_webhook(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """DELETE webhooks/{id}."""
    webhooks = api.repository(match).webhooks
    del webhooks[_kept(webhooks, match)["id"]]
    return Answer(204)


RESTRICTIONS = r"/rest/branch-permissions/(?:latest|2\.0)" + REPOSITORY + "/restrictions"
KINDS = ("read-only", "no-deletes", "fast-forward-only", "pull-request-only", "no-creates")


@route("GET", RESTRICTIONS, "ADMIN")
def list_restrictions(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """GET restrictions."""
    return Answer(200, asked.page(list(api.repository(match).restrictions.values())))


@route("POST", RESTRICTIONS, "ADMIN")
def create_restriction(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """POST restrictions: kept, and shown; a push is not held to it."""
    document = asked.json()
    matcher = document.get("matcher")
    if document.get("type") not in KINDS or not isinstance(matcher, dict) or "id" not in matcher:
        message = "A restriction needs a type and a matcher."
        raise Refusal(400, message, "validation.ArgumentValidationException")
    number = api.store.new_id()
    made = {
        "id": number,
        "scope": {"type": "REPOSITORY", "resourceId": api.repository(match).id},
        "type": document["type"],
        "matcher": {"displayId": str(matcher["id"]).removeprefix("refs/heads/"), "active": True, **matcher},
        "users": document.get("users", []),
        "groups": document.get("groups", []),
        "accessKeys": [],
    }
    api.repository(match).restrictions[number] = made
    return Answer(200, made)


@route("DELETE", RESTRICTIONS + r"/(?P<number>\d+)", "ADMIN")
def delete_restriction(api: RestApi, asked: Request, match: re.Match[str]) -> Answer:
    """DELETE restrictions/{id}."""
    restrictions = api.repository(match).restrictions
    del restrictions[_kept(restrictions, match)["id"]]
    return Answer(204)


def _webhook(document: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a webhook made of a request."""
    url, events = document.get("url"), document.get("events")
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        raise Refusal(400, "The URL must be http or https.", "validation.ArgumentValidationException")
    if not document.get("name") or not isinstance(events, list) or not events:
        raise Refusal(400, "A name and events are needed.", "validation.ArgumentValidationException")
    return {
        "id": number,
        "name": document["name"],
        "events": events,
        "configuration": dict(document.get("configuration", {})),
        "url": url,
        "active": bool(document.get("active", True)),
        "scopeType": "repository",
        "sslVerificationRequired": bool(document.get("sslVerificationRequired", True)),
    }


def _shown(webhook: dict[str, Any]) -> dict[str, Any]:
    configuration = {key: value for key, value in webhook["configuration"].items() if key != "secret"}
    return {**webhook, "configuration": configuration}


def _kept(kept: dict[int, dict[str, Any]], match: re.Match[str]) -> dict[str, Any]:
    try:
        return kept[int(match["number"])]
    except KeyError:
        message = f"{match['number']} does not exist."
        raise Refusal(404, message, "NoSuchEntityException") from None
