"""The two moments at which cookiecutter calls: what is refused, and with which words."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hooks import assembly, generation

TEMPLATE = "model-build"


def test_before_the_files_the_wheel_is_added_and_nothing_else(
    by_cookiecutter: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert generation.before(TEMPLATE, by_cookiecutter) == 0
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert found == [f"wheels/{assembly.wheel_name()}"]


def test_broken_answers_are_reported_before_anything_is_added(
    by_cookiecutter: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert generation.before(TEMPLATE, {**by_cookiecutter, "prefix": "X", "aws_region": "moon"}) == 1
    assert "2 answers need another value" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["_extensions", "_copy_without_render"])
def test_answers_with_the_settings_of_another_version_are_refused(
    by_cookiecutter: dict[str, object], key: str
) -> None:
    assert generation.settings_are(TEMPLATE, by_cookiecutter)
    assert not generation.settings_are(TEMPLATE, {**by_cookiecutter, key: ["another"]})
    assert not generation.settings_are(TEMPLATE, {k: v for k, v in by_cookiecutter.items() if k != key})


def fails_with(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device", "wheels/x.whl"), "No space left on device: 'wheels/x.whl'"),
        (assembly.AssemblyError("shared/parts/x: expected a folder"), "shared/parts/x: expected a folder"),
        (KeyboardInterrupt(), "because it was interrupted"),
    ],
)
def test_what_cannot_be_added_is_one_line_and_the_status_that_makes_cookiecutter_remove_the_folder(
    error: BaseException, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generation.assembled(fails_with(error)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Nothing is generated, because ") and line.endswith(reason)
