"""What waits for a person: manual approval actions of CodePipeline, and model packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation import releases
from mlops_workbench.sandbox.organisation.record import Organisation, page_path

PENDING = "PendingManualApproval"


@dataclass(frozen=True)
class Approval:
    """Something that waits for an answer.

    Attributes:
        kind: "action" (of a pipeline) or "package".
        name: of the pipeline, or of the model package group.
        stage: of the action; "" for a model package.
        target: the action's name, or the model package's ARN.
        text: what there is to know about it.
        link: what is to be looked at before the answer; "" if nothing is.
        page: the path of the sandbox's page that shows the same, if the sandbox has it.
    """

    kind: str
    account: str
    name: str
    stage: str
    target: str
    text: str
    link: str = ""
    page: str = ""

    @property
    def reference(self) -> str:
        """What a person types to mean this and nothing else."""
        if self.kind == "package":
            return "/".join(self.target.rsplit("/", 2)[-2:])
        return f"{self.name}/{self.stage}/{self.target}"

    def address(self, page: str) -> str:
        """Return where a person looks before the answer: on the sandbox's page, if that has it."""
        return page.rstrip("/") + self.page if self.page else self.link

    def is_meant_by(self, text: str) -> bool:
        """Tell whether a person's words may mean this: its reference, its ARN, or its name alone."""
        return text in (self.reference, self.name, self.target)


def waiting(delivery: Sequence[releases.Pipeline], packages: Sequence[releases.Package]) -> list[Approval]:
    """Return what waits for a person's answer, in both senses of the word approval."""
    found = [
        Approval(
            "action",
            pipeline.account,
            pipeline.name,
            stage.name,
            action.name,
            action.comment or action.summary,
            action.link,
            page_path(action.link, pipeline.account),
        )
        for pipeline in delivery
        for stage in pipeline.stages
        for action in stage.actions
        if action.waits
    ]
    found += [
        Approval(
            "package",
            package.account,
            package.group,
            "",
            package.arn,
            ", ".join(f"{name} {value}" for name, value in package.metrics),
        )
        for package in packages
        if package.approval == PENDING
    ]
    return found


def choose(found: Sequence[Approval], packages: Sequence[releases.Package], text: str) -> Approval:
    """Return what a person means among what waits, or else a model package that has been answered already.

    Raises:
        SandboxError: nothing is meant, or more than one thing; the message lists them.
    """
    meant = [approval for approval in found if approval.is_meant_by(text)]
    if not meant:
        # An answer may be changed: a package that was approved can be rejected later.
        answered = [
            Approval("package", package.account, package.group, "", package.arn, "") for package in packages
        ]
        meant = [approval for approval in answered if text in (approval.reference, approval.target)]
    if len(meant) == 1:
        return meant[0]
    listed = ", ".join(approval.reference for approval in meant or found) or "nothing"
    if meant:
        raise SandboxError(f"{text}: expected one of {listed}; it may mean each of them")
    raise SandboxError(f"{text}: nothing of that name waits for an answer; what waits: {listed}")


def answer(organisation: Organisation, approval: Approval, *, approve: bool, comment: str) -> str:
    """Approve or reject; returns a sentence about what was done.

    Raises:
        SandboxError: the action no longer waits.
    """
    word = "Approved" if approve else "Rejected"
    if approval.kind == "package":
        organisation.client("sagemaker", approval.account).update_model_package(
            ModelPackageArn=approval.target,
            ModelApprovalStatus=word,
            **({"ApprovalDescription": comment} if comment else {}),
        )
        return f"model package {approval.reference}: {word}"
    client = organisation.client("codepipeline", approval.account)
    client.put_approval_result(
        pipelineName=approval.name,
        stageName=approval.stage,
        actionName=approval.target,
        # The service wants a summary, and the token of this very request for approval.
        result={"status": word, "summary": comment or f"{word} with mlops-sandbox approve"},
        token=_token(client, approval),
    )
    return f"pipeline {approval.name}, action {approval.stage}/{approval.target}: {word}"


def _token(client: Any, approval: Approval) -> str:
    pipeline = releases.describe_pipeline(client, approval.account, approval.name)
    for stage in pipeline.stages:
        for action in stage.actions:
            if (stage.name, action.name) == (approval.stage, approval.target) and action.waits:
                return action.token
    raise SandboxError(f"{approval.reference}: does not wait for an answer any more")


def describe(approval: Approval) -> dict[str, Any]:
    """Return an approval as JSON has it, with its reference."""
    return {**dataclasses.asdict(approval), "reference": approval.reference}
