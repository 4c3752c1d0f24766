"""Trains two tiny classifiers with the template's own steps: trained_model.py TEMPLATE FOLDER [WHEELS].

Runs under the container's Python. FOLDER gets base/ (the base model), sets/ and model/ (train.py's), and in
several/ the same of a model with two targets and triage, one of them with any number of labels. With WHEELS,
the folder with those of requirements/onnx.txt, both get an artefact for ONNX Runtime.
"""

import sys
from pathlib import Path


def main(template: Path, folder: Path, wheel_folder: Path | None = None) -> int:
    """Write the folders."""
    shared = Path(__file__).parents[2] / "shared/parts/pipeline/steps"  # which generation adds to the steps
    sys.path[:0] = [str(template / "steps"), str(template / "tests/steps"), str(shared)]
    from training import start_up

    start_up.before_loading()
    import tiny
    import train
    from packing import artefact

    start_up.after_loading()

    served = ["--serving-runtime", "onnx", "--max-accuracy-loss", "0.1"] if wheel_folder else []
    artefact.WHEELS = wheel_folder or artefact.WHEELS
    base = tiny.write_base_model(folder / "base")

    def fit(into: Path, *arguments: str) -> int:
        sets = ["--train", str(into / "sets/train"), "--validation", str(into / "sets/validation")]
        outputs = ["--model-dir", str(into / "model"), "--checkpoint-dir", str(into / "checkpoints")]
        outputs += ["--output-data-dir", str(into / "output"), "--base-model", str(base)]
        return train.main(
            [*sets, *outputs, "--learning-rate", "0.01", "--max-length", "32", *served, *arguments]
        )

    for seed, (name, rows) in enumerate({"train": 96, "validation": 30, "test": 42}.items()):
        tiny.write_set(folder / "sets" / name, tiny.examples(rows, seed))
        tiny.write_targets(folder / "several/sets" / name, rows, seed)
    return fit(folder, "--epochs", "10") or fit(
        folder / "several", "--epochs", "4", "--triage-precision", "team=0.8,topics=0.7"
    )


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
