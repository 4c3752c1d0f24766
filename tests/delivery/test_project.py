"""config/project.yaml is read with clear errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from configuration import UserError
from mlops_workbench.delivery import project


@pytest.fixture
def write(tmp_path: Path, generated: Path) -> Callable[..., Path]:
    """Writes the file as generated, with changes by dotted name."""

    def run(**changes: object) -> Path:
        document: dict[str, Any] = yaml.safe_load((generated / "config/project.yaml").read_text())
        for name, value in changes.items():
            *parents, last = name.split("__")
            place = document
            for parent in parents:
                place = place[parent]
            place[last] = value
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config/project.yaml").write_text(yaml.safe_dump(document))
        return tmp_path

    return run


def test_a_generated_file_is_read(write: Callable[..., Path]) -> None:
    found = project.load(write())
    assert (found.slug, found.hosting) == ("email-router", "data-center")
    assert found.source_bucket == "mlops-source-111111111111-ca-central-1"
    assert found.foundation_parameter == "/mlops/foundation"
    assert found.source_key("feature/A") == "email-router/feature/A.zip"
    assert found.state_key == "delivery/email-router.tfstate"


def test_bitbucket_org_with_a_workspace_is_the_cloud(write: Callable[..., Path]) -> None:
    found = project.load(write(bitbucket__url="https://bitbucket.org/acme"))
    assert (found.hosting, found.workspace) == ("cloud", "acme")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"accounts__shared_services": 111111111111},
            "accounts.shared_services: expected 12 digits in quotes, got 1",
        ),
        ({"prefix": None}, "prefix: expected lowercase letters, digits and hyphens, got nothing"),
        ({"bitbucket": "here"}, "bitbucket.url: expected an https address"),
        ({"bitbucket__url": "http://bitbucket.example.org"}, "bitbucket.url: expected an https address"),
        ({"bitbucket__url": "https://me:secret@b.org"}, "bitbucket.url: expected an https address"),
        (
            {"bitbucket__url": "https://bitbucket.org"},
            "bitbucket.url: expected https://bitbucket.org/WORKSPACE",
        ),
        ({"slug": "Email Router"}, "slug: expected lowercase letters"),
        ({"region": "canada"}, "region: expected the code of an AWS Region, got 'canada'"),
    ],
)
def test_a_wrong_value_is_named(write: Callable[..., Path], changes: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        project.load(write(**changes))
    assert any(one.startswith(f"config/project.yaml: {line}") for one in str(error.value).splitlines())


def test_all_problems_come_at_once(write: Callable[..., Path]) -> None:
    with pytest.raises(UserError) as error:
        project.load(write(prefix="", region="", bitbucket__repository="a/b"))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "words"), [(None, "not found in"), ("a: [", "expected YAML"), ("", "got nothing")]
)
def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, text: str | None, words: str) -> None:
    (tmp_path / "config").mkdir()
    if text is not None:
        (tmp_path / "config/project.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        project.load(tmp_path)
