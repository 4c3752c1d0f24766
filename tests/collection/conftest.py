"""What is tested of each template in the menu."""

import json
import sys
from pathlib import Path

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
MENU = json.loads((COLLECTION / "cookiecutter.json").read_text(encoding="utf-8"))["templates"]


@pytest.fixture(params=MENU)
def template(request: pytest.FixtureRequest, template_repository: Path) -> Path:
    """The folder of each template in turn, without what git ignores."""
    return template_repository / MENU[request.param]["path"]


@pytest.fixture(scope="session")
def cli() -> Path:
    """The cookiecutter command of the environment that runs the tests."""
    return Path(sys.executable).with_name("cookiecutter")
