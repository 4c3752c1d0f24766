"""The organisation whose second repository serves the model from endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import organisation
from tests.foundation.terraform_roots import PRODUCTION, REGION, SHARED
from tests.organisation import GROUP, MODELS, QUESTIONS

__all__ = ["ENDPOINTS", "GROUP", "MODELS", "QUESTIONS", "RECORDS", "SLUG", "Organisation", "opened"]

SLUG = "email-router-endpoint"
RECORDS = f"mlops-{SLUG}-{SHARED}-{REGION}"
ENDPOINTS = {"staging": (SHARED, f"{SLUG}-staging"), "production": (PRODUCTION, f"{SLUG}-production")}


class Organisation(organisation.Organisation):
    """What the tests act on."""

    def live_version(self, environment: str) -> int | None:
        """The version that an endpoint really serves; None without an endpoint."""
        account, name = ENDPOINTS[environment]
        sagemaker = self.client("sagemaker", account)
        if name not in [each["EndpointName"] for each in sagemaker.list_endpoints()["Endpoints"]]:
            return None
        config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
        return int(model["PrimaryContainer"]["ModelPackageName"].rpartition("/")[2])

    def ask(self, environment: str, text: str) -> dict[str, Any]:
        """An environment's answer about a text."""
        return self.ask_endpoint(*ENDPOINTS[environment], text)

    def ask_endpoint(self, account: str, name: str, text: str) -> dict[str, Any]:
        """An endpoint's answer about a text."""
        answer = self.client("sagemaker-runtime", account).invoke_endpoint(
            EndpointName=name, ContentType="application/json", Body=json.dumps({"inputs": text})
        )
        (best,) = json.loads(answer["Body"].read())
        return dict(best)


@contextmanager
def opened(
    generate: Callable[..., Path],
    container_python: Path,
    git: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Organisation]:
    """The organisation with a model that waits for approval, and this repository not registered."""
    server = serving_repository(generate, git, tmp_path_factory.mktemp("server"))
    about = {"slug": SLUG, "configuration": "config/endpoint.yaml"}
    with organisation.opened(
        Organisation, server, generate, git, container_python, tmp_path_factory, **about
    ) as made:
        yield made


def serving_repository(generate: Callable[..., Path], git: Callable[..., str], folder: Path) -> Path:
    """A serverless-inference repository whose smoke test asks about the tiny model's words."""
    repository = generate(folder, directory="serverless-inference")
    path = repository / "config/endpoint.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["smoke_test"] |= {"requests": list(QUESTIONS), "latency_ms": 20000, "cold_start_ms": 60000}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "The tiny model's questions")
    return repository
