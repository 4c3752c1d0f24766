"""The step scripts, importable as they are in a container: each by its own name, beside its siblings.

And for the tests of training and serving: a tiny base model, sets of texts, and a model trained on them.
"""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STEPS = Path(__file__).parents[2] / "steps"
sys.path.insert(0, str(STEPS))

# Before anything imports the libraries: no test asks the hub, and a tiny model is slower on many threads.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

# And as train.py starts, which takes half of the time. But tests compare with what scipy and sklearn say.
from training import start_up  # noqa: E402 - found by the path above

start_up.leave_out(name for name in start_up.UNUSED if name not in ("scipy", "sklearn"))
gc.disable()


def pytest_collection_finish() -> None:
    """Everything is loaded."""
    start_up.after_loading()


Train = Callable[..., Path]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT and its tokenizer."""
    import tiny

    return tiny.write_base_model(tmp_path_factory.mktemp("base-model"))


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, validation and test."""
    import tiny

    folder = tmp_path_factory.mktemp("sets")
    for seed, (name, rows) in enumerate({"train": 96, "validation": 30, "test": 42}.items()):
        tiny.write_set(folder / name, tiny.examples(rows, seed))
    return folder


@pytest.fixture(scope="session")
def train_in(base_model: Path, sets: Path) -> Train:
    """Trains into a folder; returns the model's. Keywords are hyperparameters, or `sets` for other sets."""
    import train

    def run(folder: Path, **given: object) -> Path:
        source = Path(str(given.pop("sets", sets)))
        values = {"epochs": 10, "learning_rate": 0.01, "max_length": 32, "truncation": "head_tail"}
        values |= {"base_model": base_model, **given}
        hyperparameters = [
            part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        channels = ["--train", str(source / "train"), "--validation", str(source / "validation")]
        outputs = ["--model-dir", str(folder / "model"), "--checkpoint-dir", str(folder / "checkpoints")]
        outputs += ["--output-data-dir", str(folder / "output")]
        assert train.main([*channels, *outputs, *hyperparameters]) == 0
        return folder / "model"

    return run


@pytest.fixture(scope="session")
def trained(train_in: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model`, `checkpoints` and `output` of a training. For reading: tests share it."""
    folder = tmp_path_factory.mktemp("trained")
    train_in(folder)
    return folder
