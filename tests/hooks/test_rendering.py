"""The hooks are Python before and after rendering, and answers arrive in them unchanged."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

HOOKS = sorted((Path(__file__).resolve().parents[2] / "hooks").glob("*.py"))
Render = Callable[[Path, dict[str, object]], str]


def namespace(source: str) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "hook"}
    exec(compile(source, "hook", "exec", dont_inherit=True), names)
    return names


@settings(deadline=None, max_examples=60)
@given(
    texts=st.dictionaries(
        st.sampled_from(["project_name", "description"]), st.text() | st.text("\"\\'\n{}%#")
    ),
    flag=st.booleans(),
)
@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_any_answer_arrives_unchanged(hook: Path, render: Render, texts: dict[str, str], flag: bool) -> None:
    given_answers: dict[str, object] = {**texts, "single_account": flag}
    assert namespace(render(hook, given_answers))["read_answers"]() == given_answers  # type: ignore[operator]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_rendering_changes_the_line_of_the_answers_only(hook: Path, render: Render) -> None:
    before = hook.read_text(encoding="utf-8").splitlines()
    after = render(hook, {"project_name": "x"}).splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new for _, new in changed] == ['{"project_name": "x"}']


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_the_address_of_the_template_stays_out_of_a_rendered_hook(hook: Path, render: Render) -> None:
    address = "https://me:password@bitbucket.example.org/scm/ml/collection.git"
    assert "password@" not in render(hook, {"project_name": "x", "_template": address, "_repo_dir": address})


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_a_hook_is_valid_for_the_oldest_python_that_cookiecutter_runs_on(hook: Path) -> None:
    ast.parse(hook.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.stem)
def test_a_hook_imports_the_standard_library_only(hook: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(hook.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {
        "__future__",
        "contextlib",
        "json",
        "os",
        "re",
        "subprocess",
        "sys",
        "tempfile",
        "time",
        "typing",
    }
