"""Ask a model through the ``inference.py`` inside it, in a process of its own.

    python ask_model.py MODEL TEXTS ANSWERS

The model may be of an earlier version of this repository: its code folder has modules of the same names as
the steps. Here they alone are on the path, and all that is used is the contract of SageMaker's inference
toolkit.

MODEL is the unpacked folder; TEXTS has one JSON text a line; ANSWERS gets one JSON answer a line, as the
endpoint gives it. Used by live_model.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TEXTS_IN_A_REQUEST = 4096


def main(model: Path, source: Path, target: Path) -> None:
    """Answer every line."""
    sys.path[0] = str(model / "code")  # instead of this file's own folder
    import inference  # the model's

    classifier = inference.model_fn(str(model))
    texts = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    with target.open("w", encoding="utf-8") as out:
        for start in range(0, len(texts), TEXTS_IN_A_REQUEST):
            body = json.dumps({"inputs": texts[start : start + TEXTS_IN_A_REQUEST]})
            answer = inference.predict_fn(inference.input_fn(body, "application/json"), classifier)
            for each in json.loads(inference.output_fn(answer, "application/json")):
                out.write(json.dumps(each) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
