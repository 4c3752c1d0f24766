import sys

import pytest

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.images import Images, ImagesError


def write(tmp_path, text):
    path = tmp_path / "sandbox.toml"
    path.write_text(text)
    return path


def test_the_first_entry_that_matches_wins_and_paths_are_relative_to_the_file(tmp_path):
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    path = write(
        tmp_path,
        f"""
        [[image]]
        match = "pytorch-training:2"
        python = "env/bin/python"
        environment = {{ HF_HUB_OFFLINE = "0" }}
        [[image]]
        match = "pytorch"
        python = "{sys.executable}"
        """,
    )
    images = Images.load(path)
    first = images.find("123.dkr.ecr.x.amazonaws.com/huggingface-pytorch-training:2.9")
    # The link itself, not what it leads to: that is how a virtual environment is found.
    assert first.python == folder / "python"
    assert first.environment == {"HF_HUB_OFFLINE": "0"}
    assert str(images.python_for("pytorch-inference:2")) == sys.executable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[image]\n", "not valid TOML"),
        ("", r"image: expected at least one \[\[image\]\] table, got none"),
        ("[[images]]\nmatch='x'", "image: expected at least one"),
        ("[[image]]\nmatch='x'\npython='y'\n[other]", "other: unknown key"),
        ("[[image]]\nmatch='x'\npyton='y'", "image 1: pyton: unknown key"),
        ("[[image]]\nmatch='x'", "image 1: python: expected a string, got None"),
        ("[[image]]\nmatch=1\npython='y'", "image 1: match: expected a string, got 1"),
        ("[[image]]\nmatch='('\npython='y'", r"match: expected a regular expression, got '\('"),
        ("[[image]]\nmatch='x'\npython='y'\nenvironment={A=1}", "environment: expected a table of strings"),
    ],
)
def test_a_bad_file_is_explained_in_one_line(tmp_path, text, message):
    with pytest.raises(ImagesError, match=message) as error:
        Images.load(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "sandbox.toml"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImagesError, match="no such file; it says which Python"):
        Images.load(tmp_path / "sandbox.toml")


def test_an_image_that_nothing_matches_is_named_with_what_there_is(tmp_path):
    images = Images.load(write(tmp_path, "[[image]]\nmatch='training'\npython='python'"))
    with pytest.raises(
        JobFailed, match=r'no \[\[image\]\] entry matches inference:1 \(entries: "training"\)'
    ):
        images.find("inference:1")


def test_an_interpreter_that_does_not_exist_is_named(tmp_path):
    images = Images.load(write(tmp_path, "[[image]]\nmatch='training'\npython='none/python'"))
    with pytest.raises(JobFailed, match="none/python, which is not an executable file"):
        images.find("training:1")
