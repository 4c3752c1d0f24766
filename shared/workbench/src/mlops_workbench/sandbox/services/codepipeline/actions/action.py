"""What an action works with: its record, its execution, its role, and the pipeline's artifact store.

The store's artifacts are zips in its bucket, encrypted with its key.
"""

from __future__ import annotations

import secrets
import string
import threading
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.iam.acting import Role
from mlops_workbench.sandbox.services.codepipeline.records import ActionRun, Artifact, Execution

_ALPHABET = string.ascii_letters + string.digits
_SESSION = 64  # characters: the longest name of a role's session


class ArtifactStore:
    """The store of one execution in one region."""

    def __init__(self, execution: Execution, region: str) -> None:
        """Find the store.

        Raises:
            LookupError: the pipeline has none in this region.
        """
        stores: dict[str, Any] = execution.pipeline.get("artifactStores") or {}
        single = execution.pipeline.get("artifactStore")
        settings = stores.get(region) or (single if region == execution.region else None)
        if settings is None:
            raise LookupError(f"the pipeline has no artifact store in {region}")
        self._pipeline = execution.name
        self.bucket: str = settings["location"]
        #: The ARN or id of the KMS key; None for the key that S3 has of its own.
        self.key_id: str | None = (settings.get("encryptionKey") or {}).get("id")

    def place(self, name: str, revision: str = "") -> Artifact:
        """Return where an artifact of this name goes; the key has the service's form."""
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(7))
        return Artifact(name, self.bucket, f"{self._pipeline[:20]}/{name[:10]}/{suffix}", revision)

    @property
    def encryption(self) -> dict[str, str]:
        """Return what PutObject and CopyObject are to be told."""
        key = {"SSEKMSKeyId": self.key_id} if self.key_id else {}
        return {"ServerSideEncryption": "aws:kms", **key}


class ActionFailed(Exception):
    """An action that failed; ``code`` is one of the service's error codes."""

    def __init__(self, message: str, code: str = "JobFailed") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Action:
    """An action that runs.

    Attributes:
        abandon: set when it is to end at once.
        stop: set when the execution is to end; only what waits for a person heeds it.
        role: of the pipeline.
    """

    execution: Execution
    run: ActionRun
    declaration: dict[str, Any]
    role: Role
    stop: threading.Event
    abandon: threading.Event

    @property
    def configuration(self) -> dict[str, str]:
        """Return the configuration with its variables replaced."""
        return self.run.resolved

    @property
    def store(self) -> ArtifactStore:
        """Return the artifact store of the action's region."""
        return ArtifactStore(self.execution, self.run.region)

    def client(self, service: str) -> Any:
        """Return a client in the action's region, with the action's role or else the pipeline's.

        Raises:
            ClientError: the pipeline's role may not take on the action's.
        """
        if not self.run.role:
            return self.role.client(service, self.run.region)
        answer = self.role.client("sts").assume_role(
            RoleArn=self.run.role, RoleSessionName=self.execution.id[:_SESSION]
        )
        keys = answer["Credentials"]
        environment = {
            **self.role.environment,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }
        return clients.from_environment(service, environment, self.run.region)

    def outputs(self, revision: str = "") -> list[Artifact]:
        """Return places for the declared output artifacts."""
        declared = self.declaration.get("outputArtifacts") or []
        return [self.store.place(entry["name"], revision) for entry in declared]

    def finish(self, outputs: list[Artifact]) -> None:
        """Make output artifacts known to the actions that follow."""
        self.run.update(outputs=outputs)
        artifacts = {artifact.name: artifact for artifact in outputs}
        self.execution.update(artifacts={**self.execution.artifacts, **artifacts})
