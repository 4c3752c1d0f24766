"""For the tests of the steps."""

from pathlib import Path

import pytest
from execution import Execution


@pytest.fixture
def execution(tmp_path: Path) -> Execution:
    return Execution(tmp_path)
