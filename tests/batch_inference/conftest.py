"""For the tests of the batch-inference template."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def batch(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that default answers give. For reading: tests share it."""
    return generate(tmp_path_factory.mktemp("batch"), directory="batch-inference")
