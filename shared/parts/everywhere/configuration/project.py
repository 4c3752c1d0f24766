"""`config/project.yaml` as checked data: who and where.

Each template adds the keys that only it has in a class of its own. Terraform (terraform/delivery) and
registering (`make register`) read the same file.
"""

from typing import Annotated, ClassVar

import botocore.session
from pydantic import Field, StringConstraints, field_validator

from .files import Section

FILE = "config/project.yaml"

_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_AccountId = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
_KmsKeyArn = Annotated[str, StringConstraints(pattern=r"^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/.+$")]

#: What the patterns of this file mean, by key: for messages (files.read)
MEANINGS = {
    "kms_key_arn": "the ARN of a KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID), or null",
    "shared_services": "an AWS account id: 12 digits in quotes",
    "production": "an AWS account id: 12 digits in quotes",
    "slug": "lower-case letters, digits and single hyphens, beginning with a letter",
    "prefix": "lower-case letters, digits and single hyphens, beginning with a letter",
    "region": "an AWS region such as ca-central-1",
    "bucket": "an S3 bucket name: 3 to 63 lower-case letters, digits and hyphens",
    "url": "an https:// address",
    "owner_email": "an e-mail address",
}


class Accounts(Section):
    """The two AWS accounts; the same id twice means one account for everything."""

    shared_services: _AccountId
    """Trains models, registers them, and has staging."""
    production: _AccountId
    """Runs what was approved."""


class Bitbucket(Section):
    """Where the repository lives."""

    url: Annotated[str, StringConstraints(pattern=r"^https://\S+$")]
    """Bitbucket's address; of Bitbucket Cloud with the workspace."""
    project_key: _Text
    """The key of the Bitbucket project."""
    repository: _Text
    """The repository's name in it."""


class ProjectConfig(Section):
    """The keys of `config/project.yaml` that every template has."""

    #: what the bucket holds, in folders
    folders: ClassVar[tuple[str, ...]] = ()

    name: _Text
    """What people call it."""
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=32)]
    """What AWS calls it: pipelines, roles, buckets and the model package group begin with it."""
    prefix: Annotated[
        str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=16)
    ]
    """What the names of the organisation's shared resources begin with; the foundation's prefix."""
    description: str
    """One line about it."""
    owner_email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]
    """Who answers for it."""
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d$")]
    """The AWS region of everything."""
    accounts: Accounts
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
    """The repository's own bucket, in the shared services account."""
    bitbucket: Bitbucket
    kms_key_arn: _KmsKeyArn | None = None
    """Encrypts volumes and outputs; null: the key alias/<slug>, which registering makes."""
    tags: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=128)], Annotated[str, Field(max_length=256)]
    ] = Field(default_factory=dict)
    """On everything that is created, such as {cost-centre: "1234"}."""

    @field_validator("slug")
    @classmethod
    def _means_nothing_else(cls, slug: str) -> str:
        """CodePipeline's artifacts are in a folder of this name; what deployments may change ends so."""
        if slug in cls.folders:
            raise ValueError(f"another name than the bucket's folders ({', '.join(cls.folders)})")
        if slug.endswith(("-staging", "-production")):
            raise ValueError("a name that does not end with an environment: so end the names of deployments")
        return slug

    @property
    def key_alias(self) -> str:
        """Alias of the key that terraform/delivery makes when `kms_key_arn` is null."""
        return f"alias/{self.slug}"

    @property
    def partition(self) -> str:
        """AWS partition of the region (the second field of an ARN)."""
        return str(botocore.session.get_session().get_partition_for_region(self.region))
