"""Bitbucket, as far as registering needs it: the repository, and what leads from a push to AWS.

Data Center: REST API 9.2, https://developer.atlassian.com/server/bitbucket/rest/. A webhook tells the
foundation's bridge. Cloud: REST API 2.0, https://developer.atlassian.com/cloud/bitbucket/rest/.
bitbucket-pipelines.yml publishes, as the role that a repository variable names.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from configuration import UserError

from .git import first_line
from .project import Project

CLOUD_API = "https://api.bitbucket.org/2.0"
PUSH_EVENT = "repo:refs_changed"
ROLE_VARIABLE = "MLOPS_PUBLISHER_ROLE_ARN"  # bitbucket-pipelines.yml reads it
PAGE = 100
TIMEOUT_SECONDS = 30
LARGEST_ANSWER = 8 * 1024 * 1024

Send = Callable[..., Any]


class RequestFailed(UserError):
    """Bitbucket refused; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _NoRedirect(HTTPRedirectHandler):
    """urllib would send the token along to wherever a redirect leads."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def request(
    method: str,
    url: str,
    token: str,
    ca_file: str | None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """The answer's JSON; None when it has no body.

    Raises:
        RequestFailed: an HTTP status that is not 2xx.
        UserError: no answer, or one that is not JSON.
    """
    place = f"{method} {url.partition('?')[0]}"
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UserError("BITBUCKET_TOKEN: expected printable characters without spaces")
    data = None if body is None else json.dumps(body).encode()
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "X-Atlassian-Token": "no-check",
    }
    if data is not None:
        headers["Content-Type"] = "application/json"
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UserError(f"{ca_file}: expected certificates in PEM format: {error}") from error
    opener = build_opener(_NoRedirect, HTTPSHandler(context=context))
    try:
        with opener.open(Request(url, data, headers, method=method), timeout=TIMEOUT_SECONDS) as answer:
            text = answer.read(LARGEST_ANSWER)
    except HTTPError as error:
        raise RequestFailed(f"{place}: {_reason(error)}", error.code) from error
    except (URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{place}: no answer from {urlsplit(url).netloc}: {reason}") from error
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise UserError(f"{place}: expected JSON, got {text[:60]!r}; is this Bitbucket's address?") from None


def _reason(error: HTTPError) -> str:
    """What a refusal says, in Data Center's form (`errors`) or the Cloud's (`error`)."""
    try:
        document = json.loads(error.read(LARGEST_ANSWER))
        said = document.get("errors") or [document.get("error") or {}]
        text = "; ".join(str(one.get("message")) for one in said if one.get("message"))
    except (ValueError, AttributeError, OSError, HTTPException):
        text = ""
    hint = {
        301: "it redirects; is bitbucket.url in config/project.yaml complete?",
        302: "it redirects, as to a page for signing in; is bitbucket.url in config/project.yaml right?",
        401: "BITBUCKET_TOKEN is wrong or has expired",
        403: "BITBUCKET_TOKEN lacks a permission",
    }.get(error.code, "")
    return f"HTTP {error.code}: " + (first_line(" ".join((text, f"({hint})" if hint else ""))))


class DataCenter:
    """One repository of Bitbucket Data Center."""

    def __init__(self, project: Project, token: str, ca_file: str | None, send: Send = request) -> None:
        self.repository = project.repository
        self.key = project.bitbucket_project
        self.url = project.bitbucket_url
        self._request, self._token, self._ca_file = send, token, ca_file

    @property
    def clone_url(self) -> str:
        """The address for git."""
        return f"{self.url}/scm/{quote(self.key.lower())}/{self.repository}.git"

    @property
    def page(self) -> str:
        """The address for a person."""
        return f"{self.url}/projects/{quote(self.key)}/repos/{self.repository}"

    git_user: str | None = None

    def exists(self) -> bool:
        """Whether the repository is there."""
        return _found(lambda: self._send("GET", self._path()))

    def create(self, description: str) -> None:
        """Makes the repository, empty; one that is there already is as good."""
        body = {"name": self.repository, "scmId": "git", "defaultBranch": "main", "description": description}
        try:
            self._send("POST", f"/projects/{quote(self.key)}/repos", body)
        except RequestFailed as error:
            if error.status != 409:
                raise

    def webhook(self, url: str) -> dict[str, Any] | None:
        """The webhook that calls `url`."""
        start: int | None = 0
        while start is not None:
            answer = self._send(
                "GET", f"{self._path()}/webhooks?{urlencode({'start': start, 'limit': PAGE})}"
            )
            for webhook in answer["values"]:
                if webhook["url"] == url:
                    return dict(webhook)
            start = None if answer.get("isLastPage", True) else answer["nextPageStart"]
        return None

    def set_webhook(self, url: str, name: str, secret: str) -> None:
        """Makes the webhook, or gives the one that is there this secret and switches it on."""
        body = {
            "name": name,
            "url": url,
            "active": True,
            "events": [PUSH_EVENT],
            "configuration": {"secret": secret},
            "sslVerificationRequired": True,
        }
        found = self.webhook(url)
        if found is None:
            self._send("POST", f"{self._path()}/webhooks", body)
        else:
            self._send("PUT", f"{self._path()}/webhooks/{found['id']}", body)

    def remove_webhook(self, url: str) -> bool:
        """Removes the webhook; whether there was one."""
        found = self.webhook(url)
        if found is None:
            return False
        self._send("DELETE", f"{self._path()}/webhooks/{found['id']}")
        return True

    def _path(self) -> str:
        return f"/projects/{quote(self.key)}/repos/{quote(self.repository)}"

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = f"{self.url}/rest/api/latest{path}"
        return self._request(method, url, self._token, self._ca_file, body)


class Cloud:
    """One repository of Bitbucket Cloud."""

    git_user: str | None = "x-token-auth"

    def __init__(
        self,
        project: Project,
        token: str,
        ca_file: str | None,
        send: Send = request,
    ) -> None:
        self.name = f"{project.workspace}/{project.repository}"
        self.key = project.bitbucket_project
        self.page = f"{project.bitbucket_url}/{project.repository}"
        self.clone_url = f"{self.page}.git"
        self._request, self._token, self._ca_file = send, token, ca_file

    def exists(self) -> bool:
        """Whether the repository is there."""
        return _found(lambda: self._send("GET", ""))

    def create(self, description: str) -> None:
        """Makes the repository, empty and private."""
        body = {"scm": "git", "is_private": True, "project": {"key": self.key}, "description": description}
        self._send("POST", "", body)

    def uuid(self) -> str:
        """The repository's own id, by which the foundation trusts its pipelines."""
        return str(self._send("GET", "")["uuid"])

    def role(self) -> str | None:
        """The role that the repository's variable names."""
        variable = self._variable()
        return None if variable is None else str(variable.get("value"))

    def set_role(self, role_arn: str) -> None:
        """Switches Pipelines on and names the role that it publishes as; an ARN is no secret."""
        self._send("PUT", "/pipelines_config", {"enabled": True})
        body = {"key": ROLE_VARIABLE, "value": role_arn, "secured": False}
        variable = self._variable()
        if variable is None:
            self._send("POST", "/pipelines_config/variables", body)
        else:
            self._send("PUT", f"/pipelines_config/variables/{quote(variable['uuid'])}", body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = f"{CLOUD_API}/repositories/{self.name}{path}"
        return self._request(method, url, self._token, self._ca_file, body)

    def _variable(self) -> dict[str, Any] | None:
        try:
            answer = self._send("GET", f"/pipelines_config/variables?pagelen={PAGE}")
        except RequestFailed as error:
            if error.status == 404:  # Pipelines was never switched on
                return None
            raise
        return next((one for one in answer["values"] if one.get("key") == ROLE_VARIABLE), None)


Hosting = DataCenter | Cloud


def hosting(project: Project, token: str, ca_file: str | None) -> Hosting:
    """The repository where config/project.yaml says that it is."""
    return (Cloud if project.hosting == "cloud" else DataCenter)(project, token, ca_file)


def _found(get: Callable[[], Any]) -> bool:
    try:
        get()
    except RequestFailed as error:
        if error.status == 404:
            return False
        raise
    return True
