"""Generation that cannot give a whole repository ends with one sentence, and leaves nothing.

The sentence is on stderr; on stdout, cookiecutter logs how it noticed that a hook refused, with a traceback.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
COOKIECUTTER = [sys.executable, "-m", "cookiecutter"]
CRUFT = [sys.executable, "-m", "cruft", "create"]
Copy = Callable[..., Path]


@pytest.fixture
def copy(template_repository: Path, tmp_path: Path) -> Copy:
    """A copy of the collection, or of one folder of it, without git. Its files are links: none is changed."""

    def run(folder: str = "") -> Path:
        target = tmp_path / "copy" / (folder or "collection")
        ignored = shutil.ignore_patterns(".git")
        shutil.copytree(template_repository / folder, target, ignore=ignored, copy_function=os.link)
        return target

    return run


def generate(template: Path, into: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*COOKIECUTTER, template, "--output-dir", into, *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("missing", "named"),
    [("parts/pipeline", "pipeline"), ("workbench", "mlops_workbench"), ("foundation", "foundation")],
)
def test_a_collection_without_one_of_its_parts(copy: Copy, tmp_path: Path, missing: str, named: str) -> None:
    collection = copy()
    shutil.rmtree(collection / "shared" / missing)
    done = generate(collection, tmp_path / "into", "--directory", "model-build", "--no-input")
    assert done.returncode == 1
    sentence = next(line for line in done.stderr.splitlines() if line.startswith("Nothing is generated"))
    assert named in sentence and "expected a folder of the collection, found none" in sentence
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "into").iterdir())


def test_a_file_that_cannot_be_read_when_the_template_s_own_are_there_already(
    copy: Copy, tmp_path: Path
) -> None:
    collection = copy()
    (collection / "shared/parts/everywhere/gone.txt").symlink_to("nowhere")
    done = generate(collection, tmp_path / "into", "--directory", "model-build", "--no-input")
    assert done.returncode == 1
    assert "Nothing is generated, because the collection's files could not be added" in done.stderr
    assert "gone.txt" in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "into").iterdir())


def test_a_template_s_folder_without_its_collection(
    copy: Copy, git: Callable[..., str], tmp_path: Path
) -> None:
    template = copy("model-build")
    words = "was taken without its collection, of which it is a part: give the whole repository's address"
    done = generate(template, tmp_path / "into", "--no-input")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and words in done.stderr

    git(template, "init", "--quiet")
    git(template, "add", "--all")
    git(template, "commit", "--quiet", "--message", "One folder")
    command = [*CRUFT, template, "--no-input", "--output-dir", tmp_path / "into"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and words in done.stderr
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("replay", [False, True])
def test_no_hooks(template_repository: Path, own_settings: Path, tmp_path: Path, replay: bool) -> None:
    way = ["--no-input"]
    if replay:
        generate(template_repository, tmp_path / "first", "--directory", "model-build", "--no-input")
        way = ["--replay"]
    options = ("--directory", "model-build", "--accept-hooks", "no", *way)
    done = generate(template_repository, tmp_path / "into", *options)
    assert done.returncode == 1
    sentence = "the template's hooks add half of the files: generate without --accept-hooks no"
    assert done.stdout.splitlines()[1] == f"Error message: {sentence}"
    assert "Traceback" not in done.stderr + done.stdout
    assert not list((tmp_path / "into").iterdir())


def test_a_replay_of_another_version_s_answers(
    template_repository: Path, own_settings: Path, tmp_path: Path
) -> None:
    options = ("--directory", "model-build")
    assert generate(template_repository, tmp_path / "first", *options, "--no-input").returncode == 0
    replay = own_settings / "replay/model-build.json"
    saved = json.loads(replay.read_text())
    older = {**saved["cookiecutter"], "_copy_without_render": ["steps/*.*"]}
    before_that = {key: value for key, value in older.items() if key != "_extensions"}
    for answers in (older, before_that):
        replay.write_text(json.dumps({**saved, "cookiecutter": answers}))
        done = generate(template_repository, tmp_path / "into", *options, "--replay")
        assert done.returncode == 1
        assert "answer again, without --replay" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list((tmp_path / "into").iterdir())


def test_a_cookiecutter_that_is_too_old(
    template_repository: Path, own_settings: Path, tmp_path: Path
) -> None:
    # metadata of an older one come first on the path; that this one is what was found is what is tested
    (tmp_path / "old/cookiecutter-2.1.1.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: cookiecutter\nVersion: 2.1.1\n"
    (tmp_path / "old/cookiecutter-2.1.1.dist-info/METADATA").write_text(metadata)
    command = [*COOKIECUTTER, template_repository, "--directory", "model-build", "--no-input"]
    done = subprocess.run(
        [*command, "--output-dir", tmp_path / "into"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "old")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "expected cookiecutter 2.2 or newer, found 2.1.1: pip install -U cookiecutter\n"
    assert not (tmp_path / "into").exists()
