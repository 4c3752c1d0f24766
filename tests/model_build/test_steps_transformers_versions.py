"""The steps on the versions of transformers that SageMaker's images have: 5.3 trains, 5.5 serves."""

import functools
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

# The files of tests/steps that run what reaches transformers: on the version that AWS trains with, and on the
# one that it serves with. The others cannot depend on it: data, evaluation and report may not import it
# (model-build/layers.toml), and what evaluate.py asks is inference.py, in a process that test_targets.py and
# the last test of this file start, too.
SERVES = ("inference", "targets")
TRAINS = (*SERVES, "train", "train_ranks", "train_speed")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def overlay(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """For each version an environment in which it comes before the installed one."""
    environments = {}
    for version in (TRAINING, SERVING):
        folder = tmp_path_factory.mktemp(f"transformers-{version}")
        install = [container_python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        packages = [f"transformers=={version}", *BESIDE]
        done = subprocess.run([*install, "--target", folder, *packages], capture_output=True, text=True)
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


@pytest.fixture(scope="module")
def trained(
    overlay: dict[str, dict[str, str]], container_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Trains the models of trained_model.py on a version, once; returns the folder."""

    @functools.cache
    def run(version: str) -> Path:
        folder = tmp_path_factory.mktemp(f"trained-{version}")
        subprocess.run([container_python, SCRIPT, TEMPLATE, folder], env=overlay[version], check=True)
        return folder

    return run


@pytest.fixture(scope="module")
def measured(
    trained: Callable[[str], Path], overlay: dict[str, dict[str, str]], container_python: Path
) -> Callable[[str, str, str], list[float]]:
    """Evaluates, once, a model (its folder in `trained`) of one version on another; returns the figures."""

    @functools.cache
    def run(model: str, trained_with: str, version: str) -> list[float]:
        folder = trained(trained_with) / model
        output = folder / version
        paths = ["--model", folder / "model", "--test", folder / "sets/test", "--output", output]
        script = TEMPLATE / "steps/evaluate.py"
        subprocess.run([container_python, script, *paths], env=overlay[version], check=True)
        return _main_figures(json.loads((output / "evaluation.json").read_text()))

    return run


@pytest.mark.parametrize(
    ("version", "names"), [(TRAINING, TRAINS), (SERVING, SERVES)], ids=["training", "serving"]
)
def test_the_steps_pass_their_own_tests(
    version: str,
    names: tuple[str, ...],
    overlay: dict[str, dict[str, str]],
    container_python: Path,
    generate: Callable[..., Path],
    tmp_path: Path,
) -> None:
    repository = with_machinery(generate(tmp_path))
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
    trained_with: str, served_with: str, measured: Callable[[str, str, str], list[float]]
) -> None:
    for model, least in ((".", 0.8), ("several", 0)):
        figures = measured(model, trained_with, trained_with)
        assert measured(model, trained_with, served_with) == figures
        assert min(figures) > least


def _main_figures(evaluation: dict[str, Any]) -> list[float]:
    """Accuracy of the first target, and micro F1 of those with any number of labels."""
    parts = [evaluation, *evaluation.get("targets", {}).values()]
    return [evaluation["multiclass_classification_metrics"]["accuracy"]["value"]] + [
        part["multilabel_classification_metrics"]["micro_f1"]["value"]
        for part in parts
        if "multilabel_classification_metrics" in part
    ]
