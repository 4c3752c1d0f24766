"""The hooks as cookiecutter runs them: rendered with answers."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
Hook = Callable[[str, dict[str, object]], Path]


@pytest.fixture
def rendered(
    render: Callable[[Path, dict[str, object]], str], tmp_path_factory: pytest.TempPathFactory
) -> Hook:
    """Writes a hook, rendered with answers, and returns where it is."""

    def run(name: str, answers: dict[str, object]) -> Path:
        path = tmp_path_factory.mktemp("hooks") / f"{name}.py"
        path.write_text(render(COLLECTION / f"hooks/{name}.py", answers), encoding="utf-8")
        return path

    return run


@pytest.fixture
def post_gen(rendered: Hook, load: Callable[[Path], ModuleType], answers: dict[str, object]) -> ModuleType:
    """The hook that makes the repository, as under cookiecutter."""
    return load(rendered("post_gen_project", {**answers, "_output_dir": "/somewhere"}))
