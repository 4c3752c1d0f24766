"""What registering needs of `config/project.yaml`."""

import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from configuration import UserError

FILE = "config/project.yaml"
CLOUD_HOST = "bitbucket.org"

_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"


class Project(NamedTuple):
    """Who and where; see the file's own comments."""

    root: Path
    name: str
    slug: str
    prefix: str
    region: str
    shared_services: str
    bucket: str
    bitbucket_url: str
    bitbucket_project: str
    repository: str
    tags: dict[str, str]

    @property
    def hosting(self) -> str:
        """Which Bitbucket: Atlassian's own address is the Cloud, any other a Data Center."""
        return "cloud" if urlsplit(self.bitbucket_url).hostname == CLOUD_HOST else "data-center"

    @property
    def workspace(self) -> str:
        """The workspace of Bitbucket Cloud: the path of its address."""
        return urlsplit(self.bitbucket_url).path.strip("/")

    @property
    def state_key(self) -> str:
        """Where Terraform's state is in the state bucket."""
        return f"delivery/{self.slug}.tfstate"

    @property
    def source_bucket(self) -> str:
        """The bucket that pipelines are started from; named so that publishing reads nothing."""
        return f"{self.prefix}-source-{self.shared_services}-{self.region}"

    @property
    def foundation_parameter(self) -> str:
        """The parameter in which the foundation says what it has made."""
        return f"/{self.prefix}/foundation"

    @property
    def terraform_folder(self) -> Path:
        """The Terraform root of this repository's pipeline."""
        return self.root / "terraform/delivery"

    def source_key(self, branch: str) -> str:
        """The object that a branch is published as."""
        return f"{self.repository}/{branch}.zip"


def load(root: Path) -> Project:
    """Reads and checks the file.

    Raises:
        UserError: one line for each problem.
    """
    try:
        document = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{FILE}: not found in {root}; run this in the repository's top folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{FILE}: expected YAML, got: {' '.join(str(error).split())}") from None
    found = _Reader(document)
    project = Project(
        root=root,
        name=found.text("name"),
        slug=found.text("slug", _NAME, "lowercase letters, digits and hyphens"),
        prefix=found.text("prefix", _NAME, "lowercase letters, digits and hyphens"),
        region=found.text("region", r"[a-z]{2,4}(-[a-z]+)+-\d", "the code of an AWS Region"),
        shared_services=found.text("accounts.shared_services", r"\d{12}", "12 digits in quotes"),
        bucket=found.text("bucket"),
        bitbucket_url=found.text(
            "bitbucket.url", r"https://[^\s/@]+(/[^\s/]+)*", "an https address without a slash at the end"
        ),
        bitbucket_project=found.text("bitbucket.project_key"),
        repository=found.text("bitbucket.repository", r"[A-Za-z0-9._-]+", "a repository's slug"),
        tags={str(key): str(value) for key, value in (found.value("tags") or {}).items()},
    )
    if not found.problems and project.hosting == "cloud" and not re.fullmatch(r"[\w-]+", project.workspace):
        found.problems.append(
            f"{FILE}: bitbucket.url: expected https://{CLOUD_HOST}/WORKSPACE, got {project.bitbucket_url}"
        )
    if found.problems:
        raise UserError("\n".join(found.problems))
    return project


class _Reader:
    """Takes values out of the document by dotted name and keeps what is wrong with them."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.problems: list[str] = []

    def value(self, name: str) -> Any:
        value = self.document
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def text(self, name: str, pattern: str = r".*\S.*", expected: str = "a text") -> str:
        value = self.value(name)
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        got = "nothing" if value is None else repr(value)
        self.problems.append(f"{FILE}: {name}: expected {expected}, got {got}")
        return ""
