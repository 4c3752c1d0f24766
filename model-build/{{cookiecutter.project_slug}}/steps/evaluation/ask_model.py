"""Ask a model through the ``inference.py`` inside it, in a process of its own.

    python ask_model.py MODEL TEXTS ANSWERS [OUTPUTS BATCH_SIZE]

The model may be of an earlier version of this repository: its code folder has modules of the same names as
the steps. Here they alone are on the path, and all that is used is the contract of SageMaker's inference
toolkit.

MODEL is the unpacked folder; TEXTS has one JSON text a line; ANSWERS gets one JSON answer a line, as the
endpoint gives it. With OUTPUTS the model is one of this version, as it is measured: that file (.npz) gets for
each target, by its number, ``logits0`` and ``confidence0``; nothing is logged for the drift check; and a GPU
that may be here is left alone, as endpoints have none. Used by models.py.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path
from typing import Any

TEXTS_IN_A_REQUEST = 4096


def main(model: str, texts: str, answers: str, outputs: str = "", batch_size: str = "") -> None:
    """Answer every line."""
    # The libraries are most of this process. Loading them makes many objects and no garbage: looking for that
    # meanwhile, and once more among all of them at the end, is a third of the time.
    gc.disable()
    sys.path[0] = str(Path(model, "code"))  # instead of this file's own folder
    inference = importlib.import_module("inference")  # the model's

    parameters = {"parameters": {"batch_size": int(batch_size)}} if batch_size else {}
    asked = [json.loads(line) for line in Path(texts).read_text(encoding="utf-8").splitlines()]
    classifier = load_measured(inference, Path(model)) if outputs else inference.model_fn(model)
    gc.freeze()
    gc.enable()
    ask = inference.answer_to if outputs else inference.predict_fn
    outcomes = []
    with Path(answers).open("w", encoding="utf-8") as out:
        for start in range(0, len(asked), TEXTS_IN_A_REQUEST):
            part = asked[start : start + TEXTS_IN_A_REQUEST]
            body = json.dumps({"inputs": part, **parameters})
            answer = ask(inference.input_fn(body, "application/json"), classifier)
            for each in json.loads(inference.output_fn(answer, "application/json")):
                out.write(json.dumps(each) + "\n")
            if outputs:
                outcomes.append(answer.outcomes)
                print(f"  {start + len(part)} of {len(asked)} texts", flush=True)
    if outputs:
        save(outputs, outcomes)


def load_measured(inference: Any, model: Path) -> Any:
    """Load what will be served, and say so if it is something else that is measured."""
    classifier = inference.load(model, prefer_gpu=False)
    runtime = json.loads((model / "serving.json").read_text(encoding="utf-8")).get("runtime") or {}
    if (artefact := runtime.get("artefact")) and classifier.engine.artefact != artefact:
        print(f"note: {artefact} will be served, and is not what is measured here", flush=True)
    return classifier


def save(path: str, outcomes: list[Any]) -> None:
    """Write the outputs of all requests, target by target."""
    import numpy as np

    arrays: dict[str, Any] = {}
    for number, of_target in enumerate(zip(*outcomes, strict=True)):
        arrays[f"logits{number}"] = np.concatenate([each.logits for each in of_target])
        arrays[f"confidence{number}"] = np.concatenate([each.confidence for each in of_target])
    np.savez(path, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
