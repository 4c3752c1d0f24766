"""The stubs are Python before and after rendering, and answers arrive in them unchanged."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

COLLECTION = Path(__file__).resolve().parents[2]
TEMPLATES = ("model-build", "serverless-inference", "batch-inference")
STUBS = sorted((COLLECTION / "model-build/hooks").glob("*.py"))
# extension.py runs inside cookiecutter, and has what cookiecutter has
RUN_BY_STUBS = [path for path in sorted((COLLECTION / "hooks").glob("*.py")) if path.stem != "extension"]
Render = Callable[[Path, dict[str, object]], str]


def call(source: str) -> dict[str, object]:
    """What a rendered stub has read: everything before it looks for the collection."""
    names: dict[str, object] = {"__name__": "hook"}
    exec(compile(source.partition("sys.dont_write_bytecode")[0], "hook", "exec", dont_inherit=True), names)
    return names["call"]  # type: ignore[return-value]


def test_the_templates_have_the_same_stubs_and_the_same_extension() -> None:
    for name in ("checkout.py", *(f"hooks/{path.name}" for path in STUBS)):
        assert len({(COLLECTION / template / name).read_bytes() for template in TEMPLATES}) == 1, name
    assert [path.stem for path in STUBS] == ["post_gen_project", "pre_gen_project"]


@settings(max_examples=60)
@given(
    texts=st.dictionaries(
        st.sampled_from(["project_name", "description"]), st.text() | st.text("\"\\'\n{}%#")
    ),
    flag=st.booleans(),
)
@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_any_answer_arrives_unchanged(stub: Path, render: Render, texts: dict[str, str], flag: bool) -> None:
    given_answers: dict[str, object] = {**texts, "single_account": flag}
    read = call(render(stub, given_answers))
    assert {key: value for key, value in read["answers"].items() if key != "_extensions"} == given_answers  # type: ignore[attr-defined]
    assert (read["collection"], read["template"]) == (COLLECTION.as_posix(), "model-build")


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_rendering_changes_the_line_of_the_answers_only(stub: Path, render: Render) -> None:
    before = stub.read_text(encoding="utf-8").splitlines()
    after = render(stub, {"project_name": "x"}).splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1 and '"project_name": "x"' in changed[0][1]


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_the_address_of_the_template_stays_out_of_a_rendered_stub(stub: Path, render: Render) -> None:
    address = "https://me:password@bitbucket.example.org/scm/ml/collection.git"
    assert "password@" not in render(stub, {"project_name": "x", "_template": address, "_repo_dir": address})


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_no_secret_of_the_environment_is_in_a_rendered_stub(
    stub: Path, render: Render, answers: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITBUCKET_TOKEN", "token-of-this-test")
    assert "token-of-this-test" not in render(stub, {**answers, "register": True})


@pytest.mark.parametrize("path", [*STUBS, *RUN_BY_STUBS], ids=lambda path: path.stem)
def test_a_hook_is_valid_for_the_oldest_python_that_cookiecutter_runs_on(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("path", [*STUBS, *RUN_BY_STUBS], ids=lambda path: path.stem)
def test_a_hook_imports_the_standard_library_only(path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    # a list and not sys.stdlib_module_names: what is in it exists on every system, and in Python 3.8
    assert imported <= {
        "__future__",
        "base64",
        "hashlib",
        "hooks",
        "io",
        "json",
        "os",
        "pathlib",
        "re",
        "subprocess",
        "sys",
        "tempfile",
        "typing",
        "zipfile",
    }
