"""Projects, repositories and their webhooks. Every repository is a bare git repository in a folder."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NO_COMMIT = "0" * 40


class Refusal(Exception):
    """An answer that is an error, in Bitbucket's words."""

    def __init__(self, status: int, message: str, exception: str) -> None:
        super().__init__(message)
        self.status, self.message, self.exception = status, message, f"com.atlassian.bitbucket.{exception}"


@dataclass
class Project:
    """A project and its repositories by slug."""

    key: str
    id: int
    name: str
    repositories: dict[str, "Repository"] = field(default_factory=dict)


@dataclass
class Repository:
    """A repository: where its git repository is, and what was configured for it."""

    project: Project
    slug: str
    id: int
    name: str
    folder: Path
    base_url: str
    webhooks: dict[int, dict[str, Any]] = field(default_factory=dict)
    restrictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def clone_url(self) -> str:
        """Where git clones from and pushes to."""
        return f"{self.base_url}/scm/{self.project.key.lower()}/{self.slug}.git"

    def git(self, *arguments: str, check: bool = True) -> str:
        """Run git in the bare repository and return what it prints."""
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def refs(self) -> dict[str, str]:
        """Return the branches and tags, and the object each points to."""
        lines = self.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
        return {name: commit for commit, name in (line.split(" ", 1) for line in lines.splitlines())}

    @property
    def default_branch(self) -> str:
        """The branch that HEAD names, which may not exist yet."""
        return self.git("symbolic-ref", "HEAD").strip()

    def commit_of(self, text: str | None) -> str:
        """Return the id of the commit that a ref or an id names.

        Raises:
            Refusal: there is none.
        """
        wanted = text or self.default_branch
        # What is asked for is a name; git would take an option, and "main~1", too.
        bad = wanted.startswith("-") or re.search(r"[\^~:\s]|@\{", wanted)
        found = "" if bad else self.git("rev-parse", "--verify", "--quiet", wanted + "^{commit}", check=False)
        if not found:
            raise Refusal(
                404,
                f"Commit '{wanted}' does not exist in repository '{self.slug}'.",
                "commit.NoSuchCommitException",
            )
        return found.strip()


class Store:
    """Everything that this Bitbucket holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base_url = ""
        self._projects: dict[str, Project] = {}
        self._last_id = 0
        self._lock = threading.RLock()

    def new_id(self) -> int:
        """Return a number that nothing else has."""
        with self._lock:
            self._last_id += 1
            return self._last_id

    def projects(self) -> list[Project]:
        """Return the projects by key."""
        return [self._projects[key] for key in sorted(self._projects)]

    def create_project(self, key: str, name: str | None = None) -> Project:
        """Make a project; its key is upper-case, whatever was written."""
        key = key.upper()
        with self._lock:
            if not re.fullmatch(r"~?[A-Z][A-Z0-9_-]{0,127}", key):
                raise Refusal(400, "The project key is not valid.", "validation.ArgumentValidationException")
            if key in self._projects:
                message = f"This project key is already in use: {key}."
                raise Refusal(409, message, "DuplicateEntityException")
            self._projects[key] = Project(key, self.new_id(), name or key)
            return self._projects[key]

    def project(self, key: str) -> Project:
        """Return a project; keys do not depend on case."""
        try:
            return self._projects[key.upper()]
        except KeyError:
            message = f"Project {key} does not exist."
            raise Refusal(404, message, "project.NoSuchProjectException") from None

    def create_repository(self, key: str, name: str, default_branch: str | None = None) -> Repository:
        """Make an empty repository; its slug is made of its name."""
        project = self.project(key)
        slug = re.sub(r"[^a-z0-9._-]+", "-", name.strip().lower()).strip("-")
        with self._lock:
            if not slug or len(slug) > 128:
                message = "The repository name is not valid."
                raise Refusal(400, message, "validation.ArgumentValidationException")
            if slug in project.repositories:
                message = "This repository URL is already taken."
                raise Refusal(409, message, "DuplicateEntityException")
            number = self.new_id()
            folder = self.folder / "repositories" / f"{number}.git"
            branch = default_branch or "main"
            subprocess.run(
                ["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", str(folder)], check=True
            )
            made = Repository(project, slug, number, name, folder, self.base_url)
            # git http-backend refuses a push unless somebody has signed in; here the token is checked before.
            made.git("config", "http.receivepack", "true")
            project.repositories[slug] = made
            return made

    def repository(self, key: str, slug: str) -> Repository:
        """Return a repository."""
        project = self.project(key)
        try:
            return project.repositories[slug.lower()]
        except KeyError:
            message = f"Repository {project.key}/{slug} does not exist."
            raise Refusal(404, message, "repository.NoSuchRepositoryException") from None

    def delete_repository(self, repository: Repository) -> None:
        """Delete a repository and what it holds."""
        with self._lock:
            del repository.project.repositories[repository.slug]
        shutil.rmtree(repository.folder)


def changes(before: dict[str, str], after: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield what a push did to refs, as the entries of a payload's `changes`."""
    for ref in sorted(before.keys() | after.keys()):
        old, new = before.get(ref, NO_COMMIT), after.get(ref, NO_COMMIT)
        if old != new:
            kind = "ADD" if old == NO_COMMIT else "DELETE" if new == NO_COMMIT else "UPDATE"
            what = "BRANCH" if ref.startswith("refs/heads/") else "TAG"
            name = ref.split("/", 2)[2]
            yield {
                "ref": {"id": ref, "displayId": name, "type": what},
                "refId": ref,
                "fromHash": old,
                "toHash": new,
                "type": kind,
            }
