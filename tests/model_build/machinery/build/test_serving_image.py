"""`serving.image: lean`: what a version is registered with, and how the image comes into the registry."""

import base64
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from model_build import images, serving_image, wheels
from model_build.check import check
from model_build.config import Settings
from model_build.definition import build, steps_of
from model_build.load import load
from model_build.wheels import Interpreter, Pin

from configuration import ConfigError, UserError

MODEL = "config/model.yaml"


@pytest.fixture
def lean(small: Path, edit, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a repository that serves with its own image; no package index is asked."""
    for folder in ("serving_image", "requirements"):
        shutil.copytree(ROOT / folder, small / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(wheels, "fetch", lambda *_: {})
    edit(MODEL, "runtime: torch", "runtime: onnx")
    edit(MODEL, "image: huggingface", "image: lean")
    return load(small)


def step(settings: Settings, name: str) -> dict[str, Any]:
    found = next(step for step in steps_of(build(settings, {}).definition) if step["Name"] == name)
    return dict(found["Arguments"])


def test_lean_without_onnx_is_refused_by_its_key(repository, edit):
    edit(MODEL, "image: huggingface", "image: lean")
    with pytest.raises(
        ConfigError, match=r"config/model.yaml: serving.image: expected huggingface with serv"
    ):
        load(repository)


def test_a_version_is_registered_with_the_image_of_this_content(lean):
    (container,) = step(lean, "Register")["InferenceSpecification"]["Containers"]
    project = lean.project
    host = f"{project.accounts.shared_services}.dkr.ecr.{project.region}.amazonaws.com"
    tag = serving_image.tag(lean.root / "serving_image")
    assert container["Image"] == f"{host}/{project.slug}-serving:{tag}"
    assert images.python_of(container["Image"]) == "3.12"


def test_nothing_is_trained_anew_for_another_image(lean, edit):
    """Evaluation is: it refuses what the image cannot load."""
    before = [step(lean, name) for name in ("Preprocess", "Train", "Evaluate")]
    edit(MODEL, "image: lean", "image: huggingface")
    after = [step(load(lean.root), name) for name in ("Preprocess", "Train", "Evaluate")]
    assert before[:2] == after[:2]
    wanted = before[2]["AppSpecification"]["ContainerArguments"]
    assert wanted[wanted.index("--serving-image") + 1] == "lean"
    assert "--serving-image" not in after[2]["AppSpecification"]["ContainerArguments"]


def test_the_tag_follows_the_content_alone(tmp_path):
    folder = tmp_path / "serving_image"
    shutil.copytree(ROOT / "serving_image", folder, ignore=shutil.ignore_patterns("__pycache__"))
    first = serving_image.tag(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/server.pyc").write_bytes(b"0")
    (folder / "server.py").touch()
    assert serving_image.tag(folder) == first
    with (folder / "requirements.txt").open("a", encoding="utf-8") as file:
        file.write("# a change\n")
    assert serving_image.tag(folder) != first


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [(None, "Dockerfile: expected the image of"), ("FROM debian:12\n", "FROM: expected an image of Python")],
)
def test_a_folder_that_no_image_can_be_made_of_is_named(lean, dockerfile, message):
    path = lean.root / "serving_image/Dockerfile"
    path.unlink() if dockerfile is None else path.write_text(dockerfile, encoding="utf-8")
    problem = next(finding for finding in check(lean, None) if finding.good is False)
    assert message in problem.text


def test_an_image_of_another_python_than_trainings_is_refused(lean, edit):
    """ONNX Runtime travels with the model, for one Python."""
    edit("serving_image/Dockerfile", "python:3.12-slim", "python:3.13-slim")
    problem = next(finding for finding in check(lean, None) if finding.good is False)
    assert "has 3.12" in problem.text and "-py313 has 3.13" in problem.text


class Registry:
    """As much of a client of Amazon ECR as is called."""

    class exceptions:
        class ImageNotFoundException(Exception): ...

        class RepositoryNotFoundException(Exception): ...

    def __init__(self, answer: type[Exception] | None) -> None:
        self.answer = answer

    def describe_images(self, **_: Any) -> None:
        if self.answer is not None:
            raise self.answer

    def get_authorization_token(self) -> dict[str, Any]:
        token = base64.b64encode(b"AWS:secret").decode()
        return {"authorizationData": [{"authorizationToken": token}]}


def published(settings: Settings, answer: type[Exception] | None, status: int = 0) -> list[tuple[str, str]]:
    """The commands of docker that publishing runs, with what they are given."""
    ran: list[tuple[str, str]] = []

    def run(command: list[str], **given: Any) -> SimpleNamespace:
        ran.append((" ".join(command), given["input"]))
        return SimpleNamespace(returncode=status)

    serving_image.publish(settings.project, settings.root, Registry(answer), run, print)
    return ran


def test_an_image_is_built_once(lean, capsys):
    assert published(lean, None) == []
    assert "is there already" in capsys.readouterr().out


def test_it_is_built_for_the_machines_of_endpoints_and_pushed(lean):
    image = serving_image.uri(lean.project, lean.root)
    login, made, push = published(lean, Registry.exceptions.ImageNotFoundException)
    assert login == (
        f"docker login --username AWS --password-stdin {image.partition('/')[0]}",
        "secret",
    )
    folder = lean.root / "serving_image"
    assert made[0] == f"docker build --platform linux/amd64 --tag {image} {folder}"
    assert push[0] == f"docker push {image}"


def test_what_is_missing_or_fails_is_said(lean):
    with pytest.raises(UserError, match=r"ECR repository email-router-serving: .* `make register` makes it"):
        published(lean, Registry.exceptions.RepositoryNotFoundException)
    with pytest.raises(UserError, match="docker login ended with 1"):
        published(lean, Registry.exceptions.ImageNotFoundException, status=1)


def test_the_settings_that_models_are_compared_by_do_not_know_the_image(lean):
    (asset,) = (each for each in build(lean, {}).uploads if each.name == "settings")
    content = asset.files["settings.json"]
    assert isinstance(content, bytes)
    assert json.loads(content)["serving"] == {"runtime": "onnx", "max_accuracy_loss": 0.003}


def test_pins_covers_its_packages_for_its_python_alone(lean, monkeypatch, capsys):
    asked: list[tuple[str, str]] = []

    def told(wanted: list[Pin], interpreter: Interpreter, file: str) -> dict[str, str]:
        asked.append((file, str(interpreter)))
        return {each.name: "0" * 64 for each in wanted}

    monkeypatch.setattr(wheels, "hashes", told)
    assert wheels.compare(lean.root, Interpreter("3.12", wheels.IMAGES), check=True) == 1
    assert [each for each in asked if each[0] != wheels.FILE] == [
        ("serving_image/requirements.txt", "Python 3.12, linux x86_64")
    ]
    assert "serving_image/requirements.txt: - is in the file" in capsys.readouterr().out
    before = (lean.root / wheels.FILE).read_text(encoding="utf-8")
    assert wheels.compare(lean.root, Interpreter("3.12", wheels.IMAGES), check=False) == 0
    text = (lean.root / "serving_image/requirements.txt").read_text(encoding="utf-8")
    assert text.count("--hash=sha256:" + "0" * 64) == 2 and text.startswith("# What the lean image has")
    assert (lean.root / wheels.FILE).read_text(encoding="utf-8") != before
