"""A generated repository's `delivery` package against the sandbox and a double of Bitbucket Data Center."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from bitbucket_data_center import BitbucketDataCenter

from mlops_workbench.delivery import cli
from mlops_workbench.sandbox import Sandbox
from tests.terraform_environment import cli_environment

ACCOUNT, OTHER_ACCOUNT, REGION = "111111111111", "222222222222", "ca-central-1"
SLUG, PROJECT_KEY = "email-router", "ML"
SOURCE_BUCKET = f"mlops-source-{ACCOUNT}-{REGION}"
STATE_BUCKET = f"mlops-terraform-state-{ACCOUNT}-{REGION}"
DATA_BUCKET = f"mlops-{SLUG}-{ACCOUNT}-{REGION}"
HOOKS = "https://abc.execute-api.ca-central-1.amazonaws.com/bitbucket"

# What `terraform apply` does here is none of these tests' business; that it is applied, and with which
# state, is. terraform_data is built into Terraform: no provider is needed.
TERRAFORM = """
terraform {
  required_version = ">= 1.10"
  backend "s3" {}
}
resource "terraform_data" "pipeline" {
  input = yamldecode(file("${path.module}/../../config/project.yaml")).slug
}
output "pipeline" {
  description = "The slug."
  value       = terraform_data.pipeline.output
}
"""


class Outcome(NamedTuple):
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Two accounts; the process's own credentials are the shared services account's."""
    with Sandbox(tmp_path / "sandbox", accounts=(ACCOUNT, OTHER_ACCOUNT), region=REGION) as opened:
        enter_account(opened, monkeypatch)
        yield opened


def enter_account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, account: str = ACCOUNT) -> None:
    """The process's own credentials are an account's."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in sandbox.environment(account).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bitbucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BitbucketDataCenter]:
    """A Bitbucket with an empty project, and a person with an administrator's token."""
    with BitbucketDataCenter(tmp_path / "bitbucket") as opened:
        opened.create_project(PROJECT_KEY)
        monkeypatch.setenv("BITBUCKET_TOKEN", opened.token)
        monkeypatch.setenv("BITBUCKET_CA_FILE", str(opened.ca_file))
        yield opened


@pytest.fixture
def terraform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terraform with none of a person's own settings; tests that need it are skipped where there is none."""
    for name, value in cli_environment().items():
        monkeypatch.setenv(name, value)


class Organisation(NamedTuple):
    """What a platform engineer's foundation has made, as far as registering looks at it."""

    sandbox: Sandbox

    def set_parameter(self, **changes: object) -> None:
        """Writes the foundation's parameter."""
        document = {
            "version": 1,
            "region": REGION,
            "shared_services_account_id": ACCOUNT,
            "production_account_id": OTHER_ACCOUNT,
            "state_bucket": STATE_BUCKET,
            "source_bucket": SOURCE_BUCKET,
            "kms_key_arn": self.sandbox.client("kms").create_key()["KeyMetadata"]["Arn"],
            "bitbucket_hosting": "data-center",
            "webhook_url": HOOKS,
            "webhook_secret_prefix": "mlops/bitbucket/webhook/",
            "publisher_role_arn": None,
        }
        self.sandbox.client("ssm").put_parameter(
            Name="/mlops/foundation", Type="String", Overwrite=True, Value=json.dumps(document | changes)
        )

    def create_bucket(self, name: str) -> None:
        """Makes a versioned bucket."""
        s3 = self.sandbox.client("s3")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def source(self, branch: str = "main") -> Any:
        """The published object of a branch."""
        return self.sandbox.client("s3").get_object(Bucket=SOURCE_BUCKET, Key=f"{SLUG}/{branch}.zip")

    def versions(self, bucket: str) -> list[str]:
        """The keys of all versions in a bucket."""
        found = self.sandbox.client("s3").list_object_versions(Bucket=bucket)
        return [one["Key"] for one in found.get("Versions", [])]

    def secret(self) -> dict[str, str]:
        """The webhook's secret."""
        manager = self.sandbox.client("secretsmanager")
        text = manager.get_secret_value(SecretId=f"mlops/bitbucket/webhook/{SLUG}")["SecretString"]
        loaded: dict[str, str] = json.loads(text)
        return loaded


@pytest.fixture
def organisation(sandbox: Sandbox) -> Organisation:
    """A foundation with a bridge for Bitbucket Data Center."""
    made = Organisation(sandbox)
    made.set_parameter()
    made.create_bucket(STATE_BUCKET)
    made.create_bucket(SOURCE_BUCKET)
    return made


def project_document(url: str) -> dict[str, Any]:
    """config/project.yaml, as far as `delivery` reads it."""
    return {
        "name": "Email Router",
        "slug": SLUG,
        "prefix": "mlops",
        "region": REGION,
        "accounts": {"shared_services": ACCOUNT, "production": OTHER_ACCOUNT},
        "bucket": DATA_BUCKET,
        "bitbucket": {"url": url, "project_key": PROJECT_KEY, "repository": SLUG},
        "tags": {"cost-centre": "1234"},
    }


@pytest.fixture
def make_repository(
    git: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Makes a small repository with one commit for a Bitbucket, and enters it."""

    def make(url: str) -> Path:
        folder = tmp_path / "repository"
        (folder / "config").mkdir(parents=True)
        (folder / "config/project.yaml").write_text(yaml.safe_dump(project_document(url)))
        (folder / "terraform/delivery").mkdir(parents=True)
        (folder / "terraform/delivery/main.tf").write_text(TERRAFORM)
        (folder / ".gitignore").write_text(".terraform/\n*.tfplan\n")
        (folder / ".gitattributes").write_text(".commit export-subst\n")
        (folder / ".commit").write_text("$Format:%H$\n")
        git(folder, "init", "--quiet")
        git(folder, "symbolic-ref", "HEAD", "refs/heads/main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "First commit, as generated")
        monkeypatch.chdir(folder)
        return folder

    return make


@pytest.fixture
def repository(make_repository: Callable[[str], Path], bitbucket: BitbucketDataCenter) -> Path:
    """A small repository with one commit, entered."""
    return make_repository(bitbucket.url)


@pytest.fixture
def delivery(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs a command of the package, as `python -m mlops_workbench register` does."""
    monkeypatch.delenv("MLOPS_REGISTER_YES", raising=False)

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        status = cli.main(arguments)
        return Outcome(status, *capfd.readouterr())

    return run
