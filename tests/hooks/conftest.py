"""The hooks' stubs as cookiecutter runs them, rendered with answers; what they call is imported as it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hooks import assembly

COLLECTION = Path(__file__).resolve().parents[2]
Stub = Callable[[str, dict[str, object]], Path]


@pytest.fixture
def rendered(
    render: Callable[[Path, dict[str, object]], str], tmp_path_factory: pytest.TempPathFactory
) -> Stub:
    """Writes a stub of model-build, rendered with answers, and returns where it is."""

    def run(name: str, answers: dict[str, object]) -> Path:
        path = tmp_path_factory.mktemp("hooks") / f"{name}.py"
        path.write_text(render(COLLECTION / f"model-build/hooks/{name}.py", answers), encoding="utf-8")
        return path

    return run


@pytest.fixture
def by_cookiecutter(answers: dict[str, object]) -> dict[str, object]:
    """The default answers as cookiecutter hands them to a hook: cruft does not say where it writes."""
    settings = json.loads((COLLECTION / "model-build/cookiecutter.json").read_text(encoding="utf-8"))
    private = {key: value for key, value in settings.items() if key[0] == "_" != key[1]}
    return {**answers, **private, "_output_dir": "/somewhere"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_settings: Path) -> Path:
    """A folder of generated files, entered as cookiecutter does for a hook."""
    folder = tmp_path / "outer/my project"
    (folder / "data").mkdir(parents=True)
    (folder / "data/emails.csv").write_bytes(b"subject,body\r\na,b\r\n")
    (folder / ".gitignore").write_text(".venv*/\n")
    (folder / ".gitattributes").write_text("* text=auto eol=lf\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def rendered_project(project: Path) -> Path:
    """The same after the first hook, and after the template's own files: what the second one finds."""
    assembly.add_wheel(project)
    return project
