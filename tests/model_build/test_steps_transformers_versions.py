"""The steps on the versions of transformers that SageMaker's images have: 5.3 trains, 5.5 serves."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model_build.conftest import with_machinery

COLLECTION = Path(__file__).resolve().parents[2]
TEMPLATE = COLLECTION / "model-build/{{cookiecutter.project_slug}}"
SHARED = COLLECTION / "shared/parts/pipeline/steps"  # which generation adds to the steps
SCRIPT = Path(__file__).with_name("trained_model.py")

# What these versions of transformers need where the newest does not suit them; nothing else is replaced.
BESIDE = ["huggingface_hub<2", "tokenizers>=0.22,<0.23.0", "httpx", "httpcore", "certifi"]
TRAINING, SERVING = "5.3.0", "5.5.3"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def overlay(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """For each version an environment in which it comes before the installed one."""
    environments = {}
    for version in (TRAINING, SERVING):
        folder = tmp_path_factory.mktemp(f"transformers-{version}")
        install = [container_python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        done = subprocess.run([*install, f"transformers=={version}", *BESIDE], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"transformers {version} cannot be installed here: {done.stderr.strip()[-200:]}")
        environments[version] = {
            **os.environ,
            "PYTHONPATH": f"{folder}{os.pathsep}{SHARED}",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
    installed = {"PYTHONPATH": str(SHARED), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environments["installed"] = {**os.environ, **installed}
    return environments


@pytest.mark.parametrize("version", [TRAINING, SERVING])
def test_the_steps_pass_their_own_tests(
    version: str,
    overlay: dict[str, dict[str, str]],
    container_python: Path,
    generate: Callable[..., Path],
    tmp_path: Path,
) -> None:
    repository = with_machinery(generate(tmp_path))
    names = ("train", "train_speed", "targets", "inference", "evaluate")
    tests = [f"tests/steps/test_{name}.py" for name in names]
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={repository}"]
    options += ["-o", "tmp_path_retention_policy=failed"]
    done = subprocess.run(
        [container_python, "-m", "pytest", *options, *tests],
        cwd=repository,
        env=overlay[version],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize(
    ("trained_with", "served_with"), [(TRAINING, SERVING), ("installed", SERVING), (TRAINING, "installed")]
)
def test_a_model_gives_the_same_answers_on_another_version(
    trained_with: str,
    served_with: str,
    overlay: dict[str, dict[str, str]],
    container_python: Path,
    tmp_path: Path,
) -> None:
    subprocess.run([container_python, SCRIPT, TEMPLATE, tmp_path], env=overlay[trained_with], check=True)
    for folder, least in ((tmp_path, 0.8), (tmp_path / "several", 0)):
        measured = []
        for version in (trained_with, served_with):
            output = folder / version
            paths = ["--model", folder / "model", "--test", folder / "sets/test", "--output", output]
            script = TEMPLATE / "steps/evaluate.py"
            subprocess.run([container_python, script, *paths], env=overlay[version], check=True)
            measured.append(_main_figures(json.loads((output / "evaluation.json").read_text())))
        assert measured[0] == measured[1]
        assert min(measured[0]) > least


def _main_figures(evaluation: dict[str, Any]) -> list[float]:
    """Accuracy of the first target, and micro F1 of those with any number of labels."""
    parts = [evaluation, *evaluation.get("targets", {}).values()]
    return [evaluation["multiclass_classification_metrics"]["accuracy"]["value"]] + [
        part["multilabel_classification_metrics"]["micro_f1"]["value"]
        for part in parts
        if "multilabel_classification_metrics" in part
    ]
