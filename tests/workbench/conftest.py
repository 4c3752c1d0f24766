"""A repository of each template, generated once, for reading."""

from collections.abc import Callable
from pathlib import Path

import pytest

TEMPLATES = ("model-build", "serverless-inference", "batch-inference")


@pytest.fixture(scope="session")
def repositories(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Template -> a repository with default answers. Tests share them: nothing may write into one."""
    return {
        template: generate(tmp_path_factory.mktemp(template), directory=template) for template in TEMPLATES
    }


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest) -> str:
    """Each of the three."""
    name: str = request.param
    return name


@pytest.fixture
def repository(template: str, repositories: dict[str, Path]) -> Path:
    """A repository of each."""
    return repositories[template]


@pytest.fixture
def wheel(repositories: dict[str, Path]) -> Path:
    """The workbench as a repository carries it."""
    (found,) = (repositories["model-build"] / "wheels").iterdir()
    return found
