"""Make ONNX artefacts of a trained model, and ask them: artefact.py runs this in processes of its own.

So a crash in foreign code, or too little memory, ends an export and not a training; and onnx meets its own
protobuf, whatever the image has loaded. Two commands, run where steps/ is on Python's path::

    python -m packing.onnx_export export MODEL IDS.npz FOLDER
    python -m packing.onnx_export ask MODEL IDS.npz ARTEFACT OUT.npy PAD_ID

``export`` writes model.onnx and model.int8.onnx into FOLDER; it wants the unpacked wheels (artefact.py) on
``PYTHONPATH``. ``ask`` writes the logits in the order of the texts; wants nothing but the model's folder,
and goes the way of serving (serving/engines.py).

int8: weights per channel, activations as they come (dynamic), for matrix products and the table of words. The
weights have 7 bits of the 8 (``reduce_range``): on a CPU with AVX2 or AVX-512 and no VNNI the sums of two
products would leave their 16 bits else. So every CPU gives the answers that were measured here.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from serving import engines
from serving.texts import padded

OPSET = 17
"""Of 2022: with LayerNormalization, and known to every PyTorch and ONNX Runtime in question."""

FP32, INT8 = "model.onnx", "model.int8.onnx"
INPUTS = ("input_ids", "attention_mask")
"""Those that train.py gives: token types, where there are any, are all 0 inside the model."""


def export(model: Path, ids: Path, folder: Path) -> None:
    """Write ``model.onnx`` and ``model.int8.onnx``, both optimised."""
    started = time.perf_counter()
    raw, optimised, quantised = (folder / name for name in ("raw.onnx", "optimised.onnx", "quantised.onnx"))
    _trace(model, _texts(ids), raw)
    _optimise(raw, optimised)
    optimised.rename(folder / FP32)
    _told(folder / FP32, started)
    started = time.perf_counter()
    _quantise(folder / FP32, quantised)
    _optimise(quantised, folder / INT8)
    _told(folder / INT8, started)


def _trace(folder: Path, texts: list[np.ndarray], target: Path) -> None:
    """Write the model as ONNX, for batches of any number of texts of any length."""
    import torch
    from transformers import AutoModelForSequenceClassification

    loaded = AutoModelForSequenceClassification.from_pretrained(
        str(folder), dtype=torch.float32, attn_implementation="eager"
    )

    class Logits(torch.nn.Module):
        """The model with plain tensors as inputs and output."""

        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True).logits

    # Two texts of different lengths: where all were full, a branch for batches without padding would be kept.
    longest = max(texts, key=len)[:64]
    batch = padded([longest, longest[: max(1, len(longest) - 1)]], loaded.config.pad_token_id or 0)
    module = Logits().eval()
    with torch.no_grad():
        torch.onnx.export(
            module,
            tuple(torch.from_numpy(batch[name]) for name in INPUTS),
            str(target),
            dynamo=False,  # the other way needs onnxscript, which is one more wheel
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes={
                **{name: {0: "batch", 1: "length"} for name in INPUTS},
                "logits": {0: "batch"},
            },
        )


def _optimise(source: Path, target: Path) -> None:
    """Write the graph with its operators fused, as ONNX Runtime would do at every start."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Extended, not all: the last level is for the layout that the CPU of this machine likes.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3  # a warning that such a file is for this runtime, with which it ships
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _quantise(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        # The type of what ONNX Runtime's own fused operators answer, which onnx does not know.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def ask(model: Path, ids: Path, artefact: Path, out: Path, pad_id: int) -> None:
    """Write an artefact's logits for the texts."""

    started = time.perf_counter()
    engine = engines.onnx_engine(model, {"artefact": str(artefact), "pad_id": pad_id}, engines.threads())
    loaded = time.perf_counter()
    texts = _texts(ids)
    columns = engine.outputs(padded([texts[0]], pad_id)).shape[1]
    np.save(out, engine.logits(texts, columns))
    print(
        f"  {artefact.name}: loaded in {loaded - started:.2f} s, "
        f"{len(texts) / (time.perf_counter() - loaded):.0f} texts/s",
        flush=True,
    )


def _texts(ids: Path) -> list[np.ndarray]:
    with np.load(ids) as file:
        return np.split(file["ids"], file["ends"][:-1])


def _told(path: Path, started: float) -> None:
    megabytes = path.stat().st_size / 1e6
    print(f"  {path.name}: {megabytes:.1f} MB, made in {time.perf_counter() - started:.1f} s", flush=True)


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    command, *given = arguments
    if command == "export":
        warnings.simplefilter("ignore")  # of the tracer, on branches; artefact.py compares the answers
        export(*map(Path, given))
    else:
        model, ids, artefact, out = map(Path, given[:4])
        ask(model, ids, artefact, out, int(given[4]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
