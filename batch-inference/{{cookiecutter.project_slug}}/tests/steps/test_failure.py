"""How a step ends, and what it may import: SageMaker's image has an older Python and no package of ours."""

import ast
import sys
from pathlib import Path

import pytest
from execution import STEPS

import failure


def test_a_message_is_printed_and_left_for_sagemaker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def step() -> None:
        raise failure.StepError("expected rows, found none " + "x" * 2000)

    assert failure.run(step, tmp_path / "output/message") == 1
    message = (tmp_path / "output/message").read_text(encoding="utf-8")
    assert len(message) == failure.MESSAGE_LIMIT and message.startswith("expected rows, found none")
    assert capsys.readouterr().err.startswith("error: expected rows, found none")


def test_outside_a_container_no_message_is_left(tmp_path: Path) -> None:
    def step() -> None:
        raise failure.StepError("no")

    assert failure.run(step, tmp_path / "ml/output/message") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_a_step_keeps_its_traceback_and_leaves_its_name(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        failure.run(lambda: {}["a"], tmp_path / "output/message")
    assert (tmp_path / "output/message").read_text() == "KeyError: 'a'"


def test_a_step_that_works_leaves_nothing(tmp_path: Path) -> None:
    assert failure.run(lambda: None, tmp_path / "output/message") == 0
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("script", sorted(path.name for path in STEPS.glob("*.py")))
def test_a_script_imports_the_standard_library_and_its_neighbours_alone(script: str) -> None:
    tree = ast.parse((STEPS / script).read_text(encoding="utf-8"), feature_version=(3, 9))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    neighbours = {path.stem for path in STEPS.glob("*.py")}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | neighbours
    assert not neighbours & sys.stdlib_module_names
