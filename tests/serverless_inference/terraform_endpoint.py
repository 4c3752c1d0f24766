"""For the tests of terraform/endpoint: models that answer, and builds that apply records of endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.terraform_delivery import PRODUCTION
from tests.terraform_deployment import GROUP, IMAGE, MODELS, Deployment, Registry, make_deployment

SLUG = "email-router-endpoint"

# Answers with the version that it is, and with an error when the text asks for one.
INFERENCE = """
import os

def model_fn(model_dir):
    return open(os.path.join(model_dir, "version")).read()

def input_fn(data, content_type):
    return data if isinstance(data, str) else data.decode()

def predict_fn(data, model):
    if data == "raise":
        raise RuntimeError("the furnace is cold")
    return f"{model} {os.environ.get('GREETING', 'hello')} {data}"

def output_fn(prediction, accept):
    return prediction
"""

SETTINGS: dict[str, Any] = {
    "memory_mb": 2048,
    "max_concurrency": 5,
    "provisioned_concurrency": None,
    "environment": {},
    "alarms": {"error_percent": 1, "latency_p95_ms": 2000, "throttles": 0, "concurrency_percent": 80},
}


@dataclass
class Environment(Deployment):
    """An environment with an endpoint."""

    endpoint_name: str

    @property
    def service_role_arn(self) -> str:
        """The endpoint's role."""
        return self.service_role(f"{self.endpoint_name}-endpoint")

    def record(self, version: int | None, **settings: Any) -> None:
        """Write the record of a deployment, as a build does."""
        self.write_record(
            {
                "endpoint_name": self.endpoint_name,
                "model": None if version is None else model(self.registry, version),
                "settings": {**SETTINGS, **settings},
            }
        )

    def deploy(self, version: int | None, **settings: Any) -> None:
        """Write a record, apply it, and find nothing left to do."""
        self.record(version, **settings)
        self.apply()
        self.assert_nothing_to_do()

    def ask(self, text: str = "you") -> str:
        """What the endpoint answers."""
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.endpoint_name, Body=text.encode(), ContentType="text/plain"
        )
        body: bytes = answer["Body"].read()
        return body.decode()


def add_model(registry: Registry, *, archive: bool = True) -> int:
    """Register an approved version that answers, or one whose archive is missing; returns its number."""
    files = {"version": f"v{len(registry.arns) + 1}", "code/inference.py": INFERENCE}
    return registry.add(files if archive else None)


def model(registry: Registry, number: int) -> dict[str, Any]:
    """A version as the record of a deployment has it."""
    return {
        "package_arn": registry.arns[number],
        "group": GROUP,
        "package_version": number,
        "data_url": f"s3://{MODELS}/models/run-{number}/model.tar.gz",
        "image": IMAGE,
    }


def make_environment(
    name: str,
    repository: Path,
    folder: Path,
    registry: Registry,
    production: str = PRODUCTION,
    endpoint_name: str = "",
) -> Environment:
    """An environment as the foundation gives it to builds; the endpoint is <slug>-<name> unless named."""
    made = make_deployment(name, SLUG, "endpoint", repository, folder, registry, production)
    return Environment(**vars(made), endpoint_name=endpoint_name or f"{SLUG}-{name}")
