"""What staging's build hands on, and that production takes nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_inference import record as records
from batch_inference import stages
from batch_inference.config import Settings
from batch_inference.run import Run
from configuration.errors import UserError
from release.build import Build
from release.history import History


@pytest.fixture
def run(settings: Settings) -> Run:
    """A build that has no AWS: nothing of what is tested here may reach for it."""
    build = Build(settings.root, settings.project, None, "e-1", "c" * 40, None)
    return Run(settings, build, History(None, "bucket", records.from_json))


@pytest.fixture
def folder(run: Run) -> Path:
    """What staging's build has left."""
    stages.render(run)
    return run.build.folder


def test_everything_is_rendered_once_for_both_environments(run: Run) -> None:
    made = stages.render(run)
    assert sorted(path.name for path in run.build.folder.iterdir()) == [
        "functions.zip",
        "production-definition.json",
        "production.json",
        "staging-definition.json",
        "staging.json",
        "substitutions.json",
    ]
    assert made["production"].settings["transform"]["instance_count"] == 3
    assert made["staging"].settings["transform"]["instance_count"] == 1
    assert made["staging"].functions_sha256 == made["production"].functions_sha256
    assert made["staging"].terraform == made["production"].terraform


def test_a_record_survives_its_file(run: Run) -> None:
    made = stages.render(run)["production"]
    again = records.read(run.build.folder / "production.json", "x")
    assert again == made and again.serves_as(made)
    assert again.serves_as(made._replace(commit="another"))
    assert not again.serves_as(made._replace(definition_sha256="another"))


def test_the_same_commit_gives_the_same_bytes(run: Run, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stages.render(run)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def change(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        document = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(change(document)), encoding="utf-8")

    return run


def more_machines(document: dict[str, Any]) -> dict[str, Any]:
    document["Parameters"][0]["DefaultValue"] = "another-bucket"
    return document


def without_names(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in changes if each["at"] or each["what"] == "account"]


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda folder: (folder / "production.json").unlink(), "production.json: expected the record"),
        (lambda folder: (folder / "substitutions.json").unlink(), "substitutions.json: expected the file"),
        (lambda folder: (folder / "functions.zip").unlink(), "functions.zip: expected the file"),
        (lambda folder: (folder / "functions.zip").write_bytes(b"x"), "functions.zip: expected what staging"),
        (
            change("staging-definition.json", more_machines),
            "production-definition.json: expected what staging",
        ),
        (change("substitutions.json", without_names), "expected nothing of staging in it"),
        (change("substitutions.json", lambda found: [{"what": "x"}]), "expected the substitutions"),
        (change("production.json", lambda found: {**found, "version": 2}), "another version"),
    ],
)
def test_production_takes_exactly_what_staging_has_proven(
    run: Run, folder: Path, tamper: Callable[[Path], None], words: str
) -> None:
    tamper(folder)
    with pytest.raises(UserError) as caught:
        stages.production(run, lambda _: None)
    assert words in str(caught.value)
