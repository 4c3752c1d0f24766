"""The two configuration files as checked data: `config/project.yaml` and `config/model.yaml`.

Limits come from the SageMaker API (botocore's service model) unless a comment says otherwise.
"""

import codecs
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from configuration import project
from configuration.files import Section
from data.settings import FRACTIONS, MAX_BAD_LABEL_SHARE, PHONE_REGION, SEED
from evaluation.metrics import EpochMetric, GateMetric, MarginMetric, names
from training.settings import HYPERPARAMETERS, ClassWeights, Precision, Runtime, Truncation

from .targets import (
    Acceptance,
    Name,
    TargetColumn,
    Threshold,
    Triage,
    check_names,
)

# what the bucket holds, in folders (assets.py, definition.py)
FOLDERS = ("base-models", "checkpoints", "code", "config", "data", "models", "runs")

_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_Share = Annotated[float, Field(ge=0, le=1)]
_InstanceType = Annotated[str, StringConstraints(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
_Minutes = Annotated[int, Field(ge=1, le=28 * 24 * 60)]
_RoleArn = Annotated[str, StringConstraints(pattern=r"^arn:[a-z-]+:iam::\d{12}:role/.+$")]
_Schedule = Annotated[
    str, StringConstraints(pattern=r"^(cron\(\S+( \S+){5}\)|rate\(\d+ (minute|hour|day)s?\))$")
]


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("a text encoding that Python knows, such as utf-8, utf-16 or windows-1252") from None
    return name


def _of(name: str) -> Any:
    """A hyperparameter as a key: what is known about it has its home in steps/training/settings.py."""
    each = HYPERPARAMETERS[name]
    known = each.metadata
    return Field(
        default=each.default,
        description=known["meaning"],
        gt=known.get("above"),
        ge=known.get("least"),
        le=known.get("most"),
        lt=known.get("below"),
    )


class Redact(Section):
    """Kinds of personal data that placeholders take the place of, in training and in serving alike."""

    emails: bool = False
    """Addresses; <EMAIL> takes their place."""
    phones: bool = False
    """Phone numbers that are valid in their country; <PHONE>."""
    cards: bool = False
    """Numbers of payment cards, by their check digit; <CARD>."""
    ibans: bool = False
    """Bank accounts, by their check digits; <IBAN>."""
    phone_region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = PHONE_REGION
    """The country of phone numbers that name none, in two capital letters."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.kinds:
            raise ValueError("at least one of emails, phones, cards and ibans to be true; or redact: null")
        return self

    @property
    def kinds(self) -> list[str]:
        """Those that are replaced."""
        return [kind for kind in ("emails", "phones", "cards", "ibans") if getattr(self, kind)]


class Data(Section):
    """Where the examples are and which columns to read."""

    source: _Text
    """A path in the repository, or s3://bucket/prefix; a folder means all files in it."""
    format: Literal["auto", "csv", "jsonl", "parquet"] = "auto"
    """auto: by the file's name; each may be gzipped (.gz)."""
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    """How the files were saved."""
    text_columns: Annotated[list[_Text], Field(min_length=1)]
    """What the model reads: one column, or several that are joined in this order."""
    join: Literal["newline", "blank_line", "space"] = "blank_line"
    """What stands between joined columns."""
    label_column: _Text | None = None
    """The column of the one label that a text has; or `targets`."""
    targets: Annotated[dict[Name, TargetColumn], Field(min_length=1)] | None = None
    """Several things that one model answers at once, by name; instead of `label_column`."""
    group_column: _Text | None = None
    """Rows of one group (a conversation, a customer) stay in one set; null: none."""
    test_source: _Text | None = None
    """A ready-made test file or folder; then `split.test` must be 0."""
    max_bad_label_share: _Share = MAX_BAD_LABEL_SHARE
    """Share of rows with a missing or contradictory label to accept; they are dropped."""
    redact: Redact | None = None
    """Personal data to replace before anything else reads a text; null: none."""

    @model_validator(mode="after")
    def _one_way_to_say_labels(self) -> Self:
        if self.label_column is None and self.targets is None:
            raise ValueError(
                "label_column: expected the column of the labels, or data.targets for several; found neither"
            )
        if self.label_column is not None and self.targets is not None:
            raise ValueError("targets: expected either label_column or targets, got both; remove one of them")
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        seen: dict[str, str] = {}
        for name, target in self.labels.items():
            key = "label_column" if self.targets is None else f"targets.{name}.column"
            if target.column in self.text_columns:
                raise ValueError(f"{key}: expected a column that is not a text column, got {target.column!r}")
            if target.column in seen:
                other = f"targets.{seen[target.column]}"
                raise ValueError(f"{key}: expected another column than {other}'s, got {target.column!r}")
            seen[target.column] = name
        return self

    @property
    def labels(self) -> dict[str, TargetColumn]:
        """Where the labels of each target are, by its name; a single one is named as its column."""
        if self.targets is not None:
            return self.targets
        return (
            {} if self.label_column is None else {self.label_column: TargetColumn(column=self.label_column)}
        )


class Split(Section):
    """Shares of the rows for each set."""

    train: Annotated[float, Field(gt=0, lt=1)] = FRACTIONS["train"]
    """To learn from."""
    validation: Annotated[float, Field(gt=0, lt=1)] = FRACTIONS["validation"]
    """To decide when to stop, and for calibration."""
    test: Annotated[float, Field(ge=0, lt=1)] = FRACTIONS["test"]
    """To measure on; 0 with `data.test_source`."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = SEED
    """The same seed and data give the same sets."""

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test: expected 1, got {total:g}")
        return self


class Model(Section):
    """What fine-tuning starts from and how much of a text it reads."""

    base: _Text
    """package:NAME (of requirements/model.txt), org/name (Hugging Face), s3://…, or a folder."""
    max_length: int = _of("max_length")
    truncation: Truncation = _of("truncation")


class EarlyStopping(Section):
    """When training ends before its last epoch."""

    metric: EpochMetric = _of("early_stopping_metric")
    patience: int = _of("early_stopping_patience")


class Training(Section):
    """Hyperparameters of steps/train.py: defaults, limits and meanings are in steps/training/settings.py."""

    epochs: int = _of("epochs")
    batch_size: int = _of("batch_size")
    learning_rate: float = _of("learning_rate")
    weight_decay: float = _of("weight_decay")
    warmup_ratio: float = _of("warmup_ratio")
    class_weights: ClassWeights = _of("class_weights")
    early_stopping: EarlyStopping = EarlyStopping()
    precision: Precision = _of("precision")
    tokens_per_pass: Annotated[int, Field(ge=8)] | None = None
    """Most tokens in the model at once, padding included: a larger batch takes several passes, with the same
    gradients and less memory. null: as many as a GPU has room for; no limit on a CPU."""
    seed: int = _of("seed")


class Processing(Section):
    """The machine of a processing job."""

    instance_type: _InstanceType = "ml.m5.xlarge"
    """Its type."""
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 30
    """Its disk."""
    max_runtime_minutes: Annotated[int, Field(ge=1, le=5 * 24 * 60)] = 60
    """After this it is stopped."""


class TrainingMachines(Section):
    """The machines of the training job."""

    instance_type: _InstanceType = "ml.g5.xlarge"
    """Their type."""
    instance_count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many; more than 1: torchrun, one process for each."""
    volume_gb: Annotated[int, Field(ge=1, le=16384)] = 50
    """The disk of each."""
    max_runtime_minutes: _Minutes = 240
    """After this training is stopped."""
    spot: bool = True
    """Cheaper machines; an interrupted training continues from its checkpoint."""
    max_wait_minutes: _Minutes | None = None
    """With spot: the longest time including waiting for capacity; null: `max_runtime_minutes`."""

    @model_validator(mode="after")
    def _wait_covers_run(self) -> Self:
        if (
            self.spot
            and self.max_wait_minutes is not None
            and self.max_wait_minutes < self.max_runtime_minutes
        ):
            raise ValueError(
                f"max_wait_minutes: expected at least max_runtime_minutes ({self.max_runtime_minutes}), "
                f"got {self.max_wait_minutes}"
            )
        return self


class Compute(Section):
    """Instances on SageMaker, step by step."""

    preprocess: Processing = Processing()
    train: TrainingMachines = TrainingMachines()
    evaluate: Processing = Processing()


class Comparison(Section):
    """Champion and challenger: how a new model has to do beside the live one, on the same test rows."""

    metric: MarginMetric = "macro_f1"
    """What is compared, of each target."""
    not_worse_by: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Not registered if worse than the live model by more; null: compared and shown, a person decides."""


class Serving(Section):
    """How a trained model answers, on endpoints and in batches."""

    runtime: Runtime = _of("serving_runtime")
    max_accuracy_loss: float = _of("max_accuracy_loss")
    image: Literal["huggingface", "lean"] = "huggingface"
    """huggingface: AWS's image. lean, with onnx: this repository's serving_image/, which a push builds."""


_Statement = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]


class Card(Section):
    """What only people know, for the model card; what is null is said to be not stated."""

    purpose: _Statement | None = None
    """Why this model is there."""
    intended_uses: _Statement | None = None
    """What it is for."""
    not_for: _Statement | None = None
    """What it was not made for."""
    stakeholders: _Statement | None = None
    """Who it is for, and who answers for it."""
    risk_rating: Literal["Unknown", "Low", "Medium", "High"] = "Unknown"
    """How much harm a wrong answer can do."""
    risk_reason: _Statement | None = None
    """Why that rating."""
    ethical_considerations: _Statement | None = None
    """Who could be treated unfairly, and what is done about it."""


class ModelConfig(Section):
    """`config/model.yaml`."""

    data: Data
    split: Split = Split()
    model: Model
    training: Training = Training()
    compute: Compute = Compute()
    triage: Triage | None = None
    """Which answers a person is to review; null: answers say nothing about it."""
    acceptance: Acceptance = Field(
        description="What the model has to reach on the test set: by metric; with `data.targets` by target "
        f"and metric.\n\nOf one label: {', '.join(names('one', 'gate'))}. "
        f"Of several: {', '.join(names('several', 'gate'))}."
    )
    comparison: Comparison = Comparison()
    serving: Serving = Serving()
    card: Card = Card()
    schedule: _Schedule | None = None
    """When to train anew without a push: cron(minutes hours day month weekday year), UTC, or rate(…)."""

    @model_validator(mode="after")
    def _one_test_set(self) -> Self:
        if self.data.test_source is not None and self.split.test != 0:
            raise ValueError(
                f"split.test: expected 0 because data.test_source is set, got {self.split.test:g}"
            )
        if self.data.test_source is None and self.split.test == 0:
            raise ValueError("split.test: expected more than 0 because data.test_source is not set, got 0")
        return self

    @model_validator(mode="after")
    def _image_can_run_it(self) -> Self:
        if self.serving.image == "lean" and self.serving.runtime != "onnx":
            raise ValueError(
                f"serving.image: expected huggingface with serving.runtime {self.serving.runtime}, got lean: "
                "it has no PyTorch; set serving.runtime to onnx, or serving.image to huggingface"
            )
        return self

    @model_validator(mode="after")
    def _targets_are_known(self) -> Self:
        labels, given = self.data.labels, self.acceptance
        if self.data.targets is None:
            if any(isinstance(each, dict) for each in given.values()):
                raise ValueError(
                    "acceptance: expected metrics, as data.label_column is the one target; "
                    f"got targets ({', '.join(given)})"
                )
        elif any(isinstance(each, Threshold) for each in given.values()):
            raise ValueError(
                "acceptance: expected for each target of data.targets its metrics, such as "
                f"{next(iter(labels))}: {{macro_f1: {{at_least: 0.7}}}}; got metrics ({', '.join(given)})"
            )
        else:
            check_names("acceptance", given, labels)
            for name in labels:
                if name not in given:
                    raise ValueError(f"acceptance.{name}: expected metrics of this target, found none")
        for name, thresholds in self.thresholds.items():
            known = names("several" if labels[name].several else "one", "gate")
            for metric in thresholds:
                if metric not in known:
                    key = (
                        f"acceptance.{metric}" if self.data.targets is None else f"acceptance.{name}.{metric}"
                    )
                    kind = "several labels" if labels[name].several else "one label"
                    raise ValueError(f"{key}: expected a metric of {kind} ({', '.join(known)}), got {metric}")
        if self.triage is not None:
            check_names("triage.targets", self.triage.targets, labels)
        return self

    @property
    def thresholds(self) -> dict[str, dict[GateMetric, Threshold]]:
        """The bounds on each target's metrics, by its name."""
        if self.data.targets is None:
            return {next(iter(self.data.labels)): cast(dict[GateMetric, Threshold], self.acceptance)}
        return cast(dict[str, dict[GateMetric, Threshold]], self.acceptance)


class Network(Section):
    """Subnets and security groups of the jobs; both empty means SageMaker's own network."""

    subnets: list[Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]+$")]] = []
    """Subnets of the jobs."""
    security_group_ids: list[Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]+$")]] = []
    """Their security groups."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.subnets) != bool(self.security_group_ids):
            raise ValueError("subnets and security_group_ids: expected both or neither")
        return self


class ProjectConfig(project.ProjectConfig):
    """`config/project.yaml`. Terraform (terraform/delivery) reads the same file."""

    folders: ClassVar[tuple[str, ...]] = FOLDERS

    network: Network = Network()
    execution_role_arn: _RoleArn | None = None
    """The role of the pipeline and its jobs; null: the role <slug>-sagemaker, which registering makes."""

    @property
    def pipeline_name(self) -> str:
        """Name of the SageMaker pipeline."""
        return self.slug

    @property
    def model_package_group(self) -> str:
        """Name of the model package group that versions go to."""
        return self.slug

    @property
    def role_arn(self) -> str:
        """The role that the pipeline and its jobs run as."""
        default = f"arn:{self.partition}:iam::{self.accounts.shared_services}:role/{self.slug}-sagemaker"
        return self.execution_role_arn or default


class Settings(Section):
    """Both files, and the folder that paths in them are relative to."""

    root: Path
    project: ProjectConfig
    model: ModelConfig

    def with_key(self, kms_key_arn: str | None) -> Self:
        """The same settings with this key for volumes and outputs."""
        return self.model_copy(
            update={"project": self.project.model_copy(update={"kms_key_arn": kms_key_arn})}
        )


def is_s3(location: str) -> bool:
    """Whether `location` is an S3 URI, not a path."""
    return re.match(r"^s3://[^/]+", location) is not None
