"""The build that this runs in: its credentials, the pipeline's execution, what it makes and hands on."""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from configuration import UserError
from configuration.project import ProjectConfig

from .aws import Session, plain_errors, session, stop_on_other_account

#: Files that the buildspec turns into exported variables, and the records that go on to production.
FOLDER = "deployment"
LONGEST_VARIABLE = 900  # characters; an approval's comment holds 1,000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell


class Build(NamedTuple):
    """One build.

    Attributes:
        root: the repository's top folder.
        project: config/project.yaml.
        own: the build's own credentials, in the shared services account.
        execution: of the pipeline; "by-hand" outside of one.
        commit: of this repository.
        build_id: of CodeBuild; None outside of it.
    """

    root: Path
    project: ProjectConfig
    own: Session
    execution: str
    commit: str
    build_id: str | None

    def export(self, name: str, value: str) -> None:
        """Leaves a value for the buildspec, which exports it to the pipeline."""
        self.folder.mkdir(exist_ok=True)
        line = " ".join(value.split())[:LONGEST_VARIABLE]
        (self.folder / name).write_text(line, encoding="utf-8", newline="\n")

    @property
    def folder(self) -> Path:
        """Where files for the buildspec go."""
        return self.root / FOLDER

    def other_builds(self, environment: str) -> list[str]:
        """Builds that deploy to the same environment at this moment."""
        project = f"{self.project.slug}-{environment}"
        return _running_builds(self.own.client("codebuild"), project, self.build_id)


def current(root: Path, project: ProjectConfig) -> Build:
    """The build that this process is part of.

    Raises:
        UserError: these are another account's credentials.
    """
    return Build(
        root,
        project,
        sign_in(project),
        os.environ.get("PIPELINE_EXECUTION_ID") or "by-hand",
        (root / ".commit").read_text(encoding="utf-8").strip(),
        os.environ.get("CODEBUILD_BUILD_ID"),
    )


def sign_in(project: ProjectConfig) -> Session:
    """The credentials of whoever runs this, if they are of the shared services account.

    Raises:
        UserError: there are none, or another account's.
    """
    own = session(project.region)
    wanted = project.accounts.shared_services
    stop_on_other_account(own, wanted, "accounts.shared_services in config/project.yaml")
    return own


def archive(root: Path, folders: Mapping[str, str]) -> bytes:
    """The Python files of some folders.

    Args:
        root: the repository's top folder.
        folders: folder of the repository -> where its files are in the zip, such as `steps/`; "": its top.

    Raises:
        UserError: one of the folders has no Python file.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, inside in folders.items():
            found = sorted((root / folder).glob("*.py"))
            if not found:
                raise UserError(f"{folder}/: expected Python files, found none; bring them back from git")
            for path in found:
                entry = zipfile.ZipInfo(f"{inside}{path.name}", _EPOCH)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # Unix, wherever this runs
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def terraform_digest(folder: Path, parts: Sequence[str], code: bytes = b"") -> str:
    """SHA-256 of the files in some folders below `folder`; what Terraform itself writes does not count.

    Args:
        folder: with the folders.
        parts: their names.
        code: of functions, that Terraform deploys and that no other part of a record names.
    """
    whole = hashlib.sha256()
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.suffix == ".tf" or path.name == ".terraform.lock.hcl":
                whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    whole.update(code)
    return whole.hexdigest()[:16]


def _running_builds(codebuild: Any, project: str, own_id: str | None) -> list[str]:
    """The builds of a project that are not over, but for this one."""
    with plain_errors(f"CodeBuild project {project}"):
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:20]
        others = [one for one in ids if one != own_id]
        builds = codebuild.batch_get_builds(ids=others)["builds"] if others else []
    return [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]
