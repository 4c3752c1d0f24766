"""Trains a tiny classifier with the template's own steps: python trained_model.py TEMPLATE FOLDER.

Runs under the container's Python. FOLDER gets base/ (the base model), sets/ and model/ (train.py's).
"""

import sys
from pathlib import Path


def main(template: Path, folder: Path) -> int:
    """Write the three folders."""
    sys.path[:0] = [str(template / "steps"), str(template / "tests/steps")]
    import tiny
    import train

    base = tiny.write_base_model(folder / "base")
    for seed, (name, rows) in enumerate({"train": 96, "validation": 30, "test": 42}.items()):
        tiny.write_set(folder / "sets" / name, tiny.examples(rows, seed))
    sets = ["--train", str(folder / "sets/train"), "--validation", str(folder / "sets/validation")]
    outputs = ["--model-dir", str(folder / "model"), "--checkpoint-dir", str(folder / "checkpoints")]
    outputs += ["--output-data-dir", str(folder / "output"), "--base-model", str(base)]
    return train.main([*sets, *outputs, "--epochs", "10", "--learning-rate", "0.01", "--max-length", "32"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
