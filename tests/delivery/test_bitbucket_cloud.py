"""Bitbucket Cloud as registering needs it: REST API 2.0, as published, answered from memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from mlops_workbench.delivery.bitbucket import CLOUD_API, ROLE_VARIABLE, Cloud, RequestFailed
from mlops_workbench.delivery.project import Project

ROLE = "arn:aws:iam::111111111111:role/mlops-publisher"
VARIABLES = "/pipelines_config/variables"


class Api:
    """One workspace of bitbucket.org: its repository, and what Pipelines is told of it."""

    def __init__(self) -> None:
        self.repository: dict[str, Any] | None = None
        self.enabled = False
        self.variables: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []

    def send(self, method: str, url: str, token: str, ca_file: str | None, body: Any = None) -> Any:
        """Answer a request as the service does."""
        assert url.startswith(f"{CLOUD_API}/repositories/acme/email-router") and token == "secret"
        path = unquote(urlsplit(url).path.removeprefix("/2.0/repositories/acme/email-router"))
        self.calls.append((method, path))
        json.dumps(body)  # what is sent must be JSON
        if (method, path) == ("POST", ""):
            self.repository = {**body, "uuid": "{0a0a0a0a-1111-2222-3333-444444444444}"}
            return self.repository
        if self.repository is None:
            raise RequestFailed("Repository not found", 404)
        if path == "":
            return self.repository
        if (method, path) == ("PUT", "/pipelines_config"):
            self.enabled = body["enabled"]
            return body
        if not self.enabled:
            raise RequestFailed("Pipelines is not enabled", 404)
        if (method, path) == ("GET", VARIABLES):
            return {"values": list(self.variables.values())}
        if (method, path) == ("POST", VARIABLES):
            made = {**body, "uuid": f"{{{len(self.variables)}}}"}
            self.variables[made["uuid"]] = made
            return made
        assert method == "PUT" and path.startswith(VARIABLES + "/")
        known = self.variables[path.rpartition("/")[2]]
        known.update(body)
        return known


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def cloud(api: Api) -> Cloud:
    project = Project(
        root=Path(),
        name="Email Router",
        slug="email-router",
        prefix="mlops",
        region="ca-central-1",
        shared_services="111111111111",
        bucket="b",
        bitbucket_url="https://bitbucket.org/acme",
        bitbucket_project="ML",
        repository="email-router",
        tags={},
    )
    return Cloud(project, "secret", None, api.send)


def test_a_repository_is_made_private_in_its_project(cloud: Cloud, api: Api) -> None:
    assert not cloud.exists()
    cloud.create("Email Router")
    assert cloud.exists() and api.repository is not None
    assert (api.repository["is_private"], api.repository["project"]) == (True, {"key": "ML"})
    assert cloud.uuid() == "{0a0a0a0a-1111-2222-3333-444444444444}"
    assert (cloud.clone_url, cloud.git_user) == (
        "https://bitbucket.org/acme/email-router.git",
        "x-token-auth",
    )


def test_pipelines_are_switched_on_and_told_the_role_once(cloud: Cloud, api: Api) -> None:
    cloud.create("Email Router")
    assert cloud.role() is None
    for _ in range(2):
        cloud.set_role(ROLE)
    assert api.enabled and cloud.role() == ROLE
    (variable,) = api.variables.values()
    assert (variable["key"], variable["value"], variable["secured"]) == (ROLE_VARIABLE, ROLE, False)


def test_another_role_replaces_the_one_that_is_there(cloud: Cloud, api: Api) -> None:
    cloud.create("Email Router")
    cloud.set_role("arn:aws:iam::111111111111:role/old")
    cloud.set_role(ROLE)
    assert cloud.role() == ROLE and len(api.variables) == 1
