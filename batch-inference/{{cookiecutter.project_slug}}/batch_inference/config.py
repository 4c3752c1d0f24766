"""The two configuration files as checked data: `config/project.yaml` and `config/transform.yaml`.

Every problem is a line `file: key: expected …, got …`. Limits come from the SageMaker API (botocore's service
model) unless a comment says otherwise.
"""

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, create_model, model_validator

from columns import ADDED, added_names
from configuration import ConfigError, files, project
from configuration.files import Section
from release.environments import PRODUCTION, STAGING, account_of
from release.settings import Watching, harmless

TRANSFORM_FILE = "config/transform.yaml"
SCHEMA_FILE = "config/transform.schema.json"

#: [read] CreateTransformJob: "MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100 MB"
MOST_MB_AT_ONCE = 100
LONGEST_BUCKET_NAME = 63  # [read] S3, bucket naming rules

_MEANINGS = {
    "model_package_group": "letters, digits and hyphens, beginning and ending with a letter or digit",
    "prefix": "a folder such as input/: letters, digits, . _ - and /, with / at the end",
    "instance_type": "an instance type of SageMaker, such as ml.m5.large",
    "delimiter": "one character",
}

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9])*$", max_length=63)]

# goes to the steps as an argument, --version-column=NAME, of at most 256 characters (ContainerArgument)
_Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_TargetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
_Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*/$", max_length=100)]
_InstanceType = Annotated[str, StringConstraints(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
_Days = Annotated[int, Field(ge=1, le=3650)]


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("an encoding that Python knows, such as utf-8 or windows-1252") from None
    return name


def _once(values: list[str]) -> list[str]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"each of them once, with {twice!r} not twice")
    return values


class Input(Section):
    """The files that are answered."""

    prefix: _Prefix = "input/"
    """The folder of the bucket; a file below it is answered as soon as it is there."""
    formats: Annotated[list[Literal["csv", "jsonl"]], Field(min_length=1), AfterValidator(_once)] = [
        "csv",
        "jsonl",
    ]
    """Which kinds of files, told by their names: .csv, .jsonl or .ndjson, each also with .gz."""
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    """How the files were saved."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    """Between the values of a CSV."""
    text_columns: Annotated[list[_Column], Field(min_length=1, max_length=16), AfterValidator(_once)]
    """What the model reads; several only if it was trained with several, by the same names."""
    carry_columns: Literal["all"] | Annotated[list[_Column], Field(max_length=200), AfterValidator(_once)] = (
        "all"
    )
    """The columns that the answers keep."""
    max_bad_percent: Annotated[float, Field(ge=0, le=100)] = 5
    """The share of rows that may be unreadable and get an error instead; above it the file fails."""


class _Columns(Section):
    """What the added columns are called; of a model with several targets, after each target's name."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.names.values())) < len(ADDED):
            raise ValueError("five different names" if len(ADDED) == 5 else f"{len(ADDED)} different names")
        return self

    @property
    def names(self) -> dict[str, str]:
        """The name for each key, for the steps."""
        return self.model_dump()


if TYPE_CHECKING:  # keys that a table has are nothing that a type checker could know
    Columns = _Columns
else:
    Columns = create_model(
        "Columns",
        __base__=_Columns,
        __doc__=_Columns.__doc__,
        **{
            column.key: (Annotated[_Column, Field(description=column.description)], column.key)
            for column in ADDED
        },
    )


class Output(Section):
    """How the answers look."""

    prefix: _Prefix = "output/"
    """The folder of the bucket in which they appear, under the path of the file."""
    format: Literal["csv", "jsonl"] = "csv"
    """The kind of file."""
    compression: Literal["none", "gzip"] = "none"
    """Whether it is compressed."""
    top_labels: Annotated[int, Field(ge=1, le=50)] = 1
    """How many labels for each text, the most probable first."""
    columns: Columns = Columns()
    """What the added columns are called."""


class Retention(Section):
    """Days until files are deleted; null: never."""

    input_days: _Days | None = None
    """Of what was put there to be answered."""
    output_days: _Days | None = None
    """Of answers."""
    work_days: _Days = 14
    """Of what the pipeline makes on its way."""


class Transform(Section):
    """The machines that the model runs on, and how SageMaker feeds them."""

    instance_type: _InstanceType = "ml.m5.large"
    """Their type."""
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    """How many; a large file is cut into parts that they share."""
    strategy: Literal["MultiRecord", "SingleRecord"] = "MultiRecord"
    """MultiRecord: as many texts in a request as fit; SingleRecord: one."""
    max_concurrent_transforms: Annotated[int, Field(ge=1, le=100)] = 2
    """Requests at a time for each machine."""
    max_payload_mb: Annotated[int, Field(ge=1, le=100)] = 1
    """The largest request, in MB."""
    split: Literal["Line", "None"] = "Line"
    """Line: SageMaker cuts the parts into requests; None: each part is one request."""
    join: Literal["Input", "None"] = "Input"
    """Input: SageMaker returns each answer with its row's id; None: answers are told apart by their order."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 3600
    """For one request."""
    max_retries: Annotated[int, Field(ge=0, le=3)] = 2
    """Of a request that fails."""
    environment: Annotated[dict[str, str], AfterValidator(harmless)] = {}
    """Environment variables of the model's container; no secrets."""

    @model_validator(mode="after")
    def _within_the_service(self) -> Self:
        at_once = self.max_concurrent_transforms * self.max_payload_mb
        if at_once > MOST_MB_AT_ONCE:
            raise ValueError(
                f"max_payload_mb: expected at most {MOST_MB_AT_ONCE} MB at a time, SageMaker's limit for "
                f"max_concurrent_transforms x max_payload_mb, got {self.max_concurrent_transforms} x "
                f"{self.max_payload_mb} = {at_once} MB"
            )
        if self.split == "None" and self.join == "Input":
            raise ValueError(
                'join: expected "None" with split: None, as SageMaker joins line by line, got "Input"'
            )
        if self.split == "None" and self.strategy == "SingleRecord":
            raise ValueError(
                'strategy: expected "MultiRecord" with split: None, as each part is one request, '
                'got "SingleRecord"'
            )
        return self


class Processing(Section):
    """The machine that reads the files and writes the answers; one is enough, it reads line by line."""

    instance_type: _InstanceType = "ml.m5.large"
    """Its type."""
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 30
    """Its disk; about six times the size of the largest file, unpacked."""
    max_runtime_minutes: Annotated[int, Field(ge=1, le=40320)] = 60  # 28 days
    """After this it is stopped, and the file fails."""


class Environment(Section):
    """The machines of one environment."""

    enabled: bool = True
    """false: nothing is answered; what is there is taken down by the next deployment, but for the files."""
    transform: Transform = Transform()
    """Where the model runs."""
    processing: Processing = Processing()
    """Where files are read and written."""
    watching: Watching | None = Watching()
    """What is counted of the answers; null: nothing."""


class Canary(Section):
    """A file that staging has to answer after each deployment."""

    file: Annotated[str, StringConstraints(min_length=1)] = "examples/canary.csv"
    """Its path in this repository."""
    label_column: _Column | Annotated[dict[_TargetName, _Column], Field(min_length=1)] | None = None
    """The column with the right labels, or one for each target; null: an answer in every row is enough."""
    min_agreement_percent: Annotated[float, Field(ge=0, le=100)] = 60
    """The share of the labels that the model must get right, of each target."""


class TransformConfig(Section):
    """`config/transform.yaml`."""

    model_package_group: _Name
    """The group whose newest approved model package answers."""
    input: Input
    """The files that are answered."""
    output: Output = Output()
    """How the answers look."""
    retention: Retention = Retention()
    """How long files are kept."""
    staging: Environment = Environment()
    """The machines in the shared services account."""
    production: Environment = Environment()
    """The machines in the production account."""
    canary: Canary = Canary()
    """What staging has to answer after each deployment."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        into, out = self.input.prefix, self.output.prefix
        for name, prefix in (("input", into), ("output", out)):
            if prefix.startswith("work/"):
                raise ValueError(
                    f"{name}.prefix: expected another folder than the pipeline's own work/, got {prefix!r}"
                )
        if into.startswith(out) or out.startswith(into):
            raise ValueError(
                f"output.prefix: expected a folder apart from input.prefix ({into!r}), as answers would be "
                f"answered again, got {out!r}"
            )
        added = self.added_columns
        carried = self.input.carry_columns if isinstance(self.input.carry_columns, list) else []
        both = next((name for name in added if name in carried), None)
        if both is not None:
            raise ValueError(
                f"output.columns: expected names that input.carry_columns does not have, got {both!r} in both"
            )
        return self

    @property
    def added_columns(self) -> list[str]:
        """The names of the columns that answers surely have besides those carried through.

        Those of a model with several targets, or that says what to review, nobody knows before it answers.
        """
        return added_names(self.output.columns.names, top_labels=self.output.top_labels)


class ProjectConfig(project.ProjectConfig):
    """`config/project.yaml`. Terraform (terraform/) reads the same file."""

    folders: ClassVar[tuple[str, ...]] = ("deployments", "reports")

    @model_validator(mode="after")
    def _bucket_names_fit(self) -> Self:
        longest = data_bucket(self, PRODUCTION)
        if len(longest) > LONGEST_BUCKET_NAME:
            used = len(self.slug) + len(self.prefix)
            room = used - (len(longest) - LONGEST_BUCKET_NAME)
            raise ValueError(
                f"slug: expected at most {room} characters together with prefix, as the bucket {longest} "
                f"would have {len(longest)} and S3 allows {LONGEST_BUCKET_NAME}, got {used}"
            )
        return self


class Settings(Section):
    """Both files, and the folder that paths are relative to. `name` is staging or production."""

    root: Path
    project: ProjectConfig
    transform: TransformConfig

    def environment(self, name: str) -> Environment:
        """The machines of one environment."""
        return {STAGING: self.transform.staging, PRODUCTION: self.transform.production}[name]

    def pipeline(self, name: str) -> str:
        """The SageMaker pipeline that answers files."""
        return f"{self.project.slug}-{name}"

    def data_bucket(self, name: str) -> str:
        """The bucket with the files and their answers."""
        return data_bucket(self.project, name)

    def account(self, name: str) -> str:
        """The AWS account that one environment is in."""
        return account_of(self.project, name)


def data_bucket(of: project.ProjectConfig, environment: str) -> str:
    """The bucket with one environment's files; the foundation lets deployments have buckets of such names."""
    return f"{of.prefix}-{of.slug}-{environment}-{account_of(of, environment)}-{of.region}"


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    found = files.read(root, project.FILE, ProjectConfig, problems, project.MEANINGS)
    transform = files.read(root, TRANSFORM_FILE, TransformConfig, problems, _MEANINGS)
    if found is None or transform is None:
        raise ConfigError(problems)
    settings = Settings(root=root, project=found, transform=transform)
    if not (root / transform.canary.file).is_file():
        problem = f"canary.file: expected a file of this repository, got {transform.canary.file!r}"
        raise ConfigError([f"{TRANSFORM_FILE}: {problem}"])
    return settings


def json_schema() -> str:
    """The JSON Schema of `config/transform.yaml`, which editors use to complete and check keys."""
    return files.json_schema(TransformConfig)
