"""Bitbucket's JSON for projects, repositories, branches, commits, webhooks and events."""

import datetime
from typing import Any

from bitbucket_data_center.store import Project, Repository

USER = {
    "name": "tester",
    "emailAddress": "tester@example.org",
    "active": True,
    "displayName": "Tester",
    "id": 1,
    "slug": "tester",
    "type": "NORMAL",
}


def page(values: list[Any], start: int = 0, limit: int = 25) -> dict[str, Any]:
    """Return one page of a list."""
    last = start + limit >= len(values)
    shown = values[start : start + limit]
    answer = {"size": len(shown), "limit": limit, "isLastPage": last, "values": shown, "start": start}
    return answer if last else {**answer, "nextPageStart": start + limit}


def error(message: str, exception: str | None, context: str | None = None) -> dict[str, Any]:
    """Return the body of an error."""
    return {"errors": [{"context": context, "message": message, "exceptionName": exception}]}


def project(of: Project, base_url: str) -> dict[str, Any]:
    """Return a project."""
    link = f"{base_url}/projects/{of.key}"
    return {
        "key": of.key,
        "id": of.id,
        "name": of.name,
        "public": False,
        "type": "NORMAL",
        "links": {"self": [{"href": link}]},
    }


def repository(of: Repository) -> dict[str, Any]:
    """Return a repository."""
    link = f"{of.base_url}/projects/{of.project.key}/repos/{of.slug}/browse"
    return {
        "slug": of.slug,
        "id": of.id,
        "name": of.name,
        "hierarchyId": f"{of.id:020x}",
        "scmId": "git",
        "state": "AVAILABLE",
        "statusMessage": "Available",
        "forkable": True,
        "project": project(of.project, of.base_url),
        "public": False,
        "archived": False,
        "links": {"clone": [{"href": of.clone_url, "name": "http"}], "self": [{"href": link}]},
    }


def branch(ref: str, latest_commit: str, default: str) -> dict[str, Any]:
    """Return a branch."""
    return {
        "id": ref,
        "displayId": ref.removeprefix("refs/heads/"),
        "type": "BRANCH",
        "latestCommit": latest_commit,
        "latestChangeset": latest_commit,
        "isDefault": ref == default,
    }


def commits(of: Repository, until: str, count: int) -> list[dict[str, Any]]:
    """Return the newest commits that a commit reaches."""
    fields = "%H%x00%h%x00%an%x00%ae%x00%at%x00%ct%x00%P%x00%B%x01"
    text = of.git("log", f"--max-count={count}", f"--format={fields}", until)
    return [_commit(entry.lstrip("\n").split("\0")) for entry in text.split("\x01") if entry.strip()]


def _commit(fields: list[str]) -> dict[str, Any]:
    commit, short, name, address, authored, committed, parents, message = fields
    person = {"name": name, "emailAddress": address}
    return {
        "id": commit,
        "displayId": short,
        "author": person,
        "authorTimestamp": int(authored) * 1000,
        "committer": person,
        "committerTimestamp": int(committed) * 1000,
        "message": message.strip("\n"),
        "parents": [{"id": parent, "displayId": parent[:11]} for parent in parents.split()],
    }


def refs_changed(of: Repository, changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the event of a push."""
    newest = next((change["toHash"] for change in changes if change["type"] != "DELETE"), None)
    shown = commits(of, newest, 5) if newest else []
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
    return {
        "eventKey": "repo:refs_changed",
        "date": now,
        "actor": USER,
        "repository": repository(of),
        "changes": changes,
        "commits": shown,
        "toCommit": shown[0] if shown else None,
    }
