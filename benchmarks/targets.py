"""One model for two targets beside one model for each: accuracy, size, time and memory.

On the public survey comments of ../shared/data/nhs-feedback (text, category, sentiment); where they are not,
it says so and stops. Both sides have the same rows in the same sets, base model, settings and seeds.

    python benchmarks/targets.py --seeds 13 14 15 --work build/targets

Three models are trained for each seed, which takes a while: what is finished stays in `--work`, and the next
run goes on from there. Serving is measured with the model's own inference.py, one process with one thread for
each model, in alternating rounds: two models are two processes, each of which is asked about every text. Only
the ratios say something about another machine. `make bench` runs it with one seed; MLOPS_CONTAINER_PYTHON is
the Python that stands for SageMaker's images.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import sources
from endpoint import STEPS, base_model
from rounds import Goal, arguments, container_python, measure, report, versions

DATA = sources.shared("nhs-feedback/feedback.csv")
TARGETS = ("sentiment", "category")
MODELS = ("both", *TARGETS)
SETTINGS = {
    "epochs": 5,
    "learning-rate": 2e-4,
    "batch-size": 32,
    "max-length": 48,  # half of the comments have fewer than 15 tokens, one in fourteen is cut
    "early-stopping-patience": 2,
    "truncation": "head_tail",
    "precision": "fp32",
}

SOME_TARGETS = """
import json, sys
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq
source, folder, most, *names = sys.argv[1:]
source, folder, most = Path(source), Path(folder), int(most)
content = json.loads((source / "labels.json").read_text(encoding="utf-8"))
content["targets"] = [target for target in content["targets"] if target["name"] in names]
fields = [f"{name}.label" for name in names]
table = pq.read_table(source / "data.parquet").select(["text", *fields, "row"])
if most and most < len(table):
    table = table.take(np.sort(np.random.default_rng(13).choice(len(table), most, replace=False)))
if len(names) == 1:
    table = table.rename_columns(["text", "label", "row"])
folder.mkdir(parents=True, exist_ok=True)
pq.write_table(table, folder / "data.parquet")
(folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
"""

TEST_TEXTS = """
import json, sys
import pyarrow.parquet as pq
print(json.dumps(pq.read_table(sys.argv[1])["text"].to_pylist()[:1000]))
"""

SERVE = """
import json, os, resource, sys, time
model, texts = sys.argv[1:]
sys.path.insert(0, model + "/code")
import inference
began = time.perf_counter()
classifier = inference.model_fn(model)
loaded = time.perf_counter() - began
texts = json.loads(open(texts, encoding="utf-8").read())
sys.stdout = open(os.devnull, "w")
def ask(inputs):
    request = inference.input_fn(json.dumps({"inputs": inputs}), "application/json")
    return inference.output_fn(inference.predict_fn(request, classifier), "application/json")
ask(texts[0])
began, used = time.perf_counter(), time.process_time()
for text in texts:
    ask(text)
single, processor = time.perf_counter() - began, time.process_time() - used
began = time.perf_counter()
for start in range(0, len(texts), 100):
    ask(texts[start : start + 100])
batched = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
sys.stdout = sys.__stdout__
print(json.dumps([loaded, single, processor, batched, peak]))
"""


SERVING = (
    "size of the models, MB",
    "loading, s",
    "a request for each text, s",
    "a request for each text, processor time, s",
    "100 texts a request, s",
    "peak memory of the processes, MiB",
)
SIDES = {"one model": ("both",), "a model for each": TARGETS}


def main() -> None:
    """Train what is missing, measure, report."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[13])
    parser.add_argument("--rows", type=int, default=0, help="texts to train on; 0 for all 6,117")
    parser.add_argument("--work", type=Path, help="where finished trainings are kept; else nowhere")
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side")
    options = parser.parse_args()
    if DATA is None:
        print("targets: skipped, as ../shared/data/nhs-feedback is not there")
        return
    rows, rounds = (200, 1) if options.quick else (options.rows, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        work = (options.work or Path(name)).resolve()
        write_sets(work / "sets", rows)
        wanted = [(seed, model) for seed in options.seeds for model in MODELS]
        missing = [each for each in wanted if not evaluation_of(work, *each).is_file()]
        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(lambda each: train(work, *each, options.workers), missing))
        texts = work / "texts.json"
        texts.write_text(run("-c", TEST_TEXTS, work / "sets/both/test/data.parquet"), encoding="utf-8")
        served = measure(
            {
                side: partial(
                    serving, [work / f"{model}-{options.seeds[0]}/model" for model in models], texts
                )
                for side, models in SIDES.items()
            },
            rounds,
        )
        quality = {side: accuracy(work, options.seeds, side) for side in SIDES}
        tested = json.loads(evaluation_of(work, options.seeds[0], "both").read_text(encoding="utf-8"))
    one, each = SIDES
    report(
        "targets",
        "One model for two targets beside a model for each",
        {side: {**quality[side], **served[side]} for side in SIDES},
        *(Goal(f"{metric.rpartition(',')[0]} of one model", each, metric, (one, each)) for metric in SERVING),
        *(
            Goal(
                f"{metric.rpartition(',')[0]} of one model",
                each,
                metric,
                (one, each),
                minus=True,
                unit=" points",
            )
            for metric in quality[one]
        ),
        quick=options.quick,
        libraries=versions("torch", "transformers", python=container_python()),
        notes=[
            f"nhs-feedback: public comments of patients; {rows or 6117:,} texts to train on, "
            f"{tested['test_rows']:,} to test, seeds {', '.join(map(str, options.seeds))}.",
            "1,000 texts are answered, by one process with one thread for each model; two models are two "
            "processes, each of which is asked about every text.",
        ],
    )


def run(*command: object, threads: int | None = None) -> str:
    """Run the container's Python, which may use so many threads; return its output.

    Raises:
        SystemExit: it failed; its words are the message.
    """
    done = subprocess.run(
        [str(container_python()), *map(str, command)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **({"OMP_NUM_THREADS": str(threads)} if threads else {})},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(map(str, command))}\n{done.stdout or ''}")
    return done.stdout or ""


def write_sets(folder: Path, rows: int) -> None:
    """One division of the rows, for the model with both targets and for each model with one."""
    if folder.is_dir():
        return
    source = folder.with_name("sets-being-written")
    columns = [part for name in TARGETS for part in ("--target", f"{name}={name}")]
    # one label in 1,000 contradicts another: real data
    share = ("--max-bad-label-share", 0.01)
    every = source / "all"
    run(
        STEPS / "preprocess.py", "--input", DATA, "--output", every, "--text-column", "text", *columns, *share
    )
    for model in MODELS:
        names = TARGETS if model == "both" else (model,)
        for part, most in (("train", rows), ("validation", rows // 4), ("test", 0)):
            run("-c", SOME_TARGETS, every / part, source / model / part, most, *names)
    source.rename(folder)


def evaluation_of(work: Path, seed: int, model: str) -> Path:
    """The file that says how good a model is; written last."""
    return work / f"{model}-{seed}" / "evaluation/evaluation.json"


def train(work: Path, seed: int, model: str, workers: int) -> None:
    """Train and evaluate one model."""
    began, threads = time.perf_counter(), max(1, (os.cpu_count() or 1) // workers)
    folder, sets = work / f"{model}-{seed}", work / "sets" / model
    settings = [part for name, value in SETTINGS.items() for part in (f"--{name}", value)]
    places = ("--train", sets / "train", "--validation", sets / "validation", "--model-dir", folder / "model")
    places += ("--checkpoint-dir", folder / "checkpoints", "--output-data-dir", folder / "output")
    command = (STEPS / "train.py", *places, "--base-model", base_model(), *settings, "--seed", seed)
    run(*command, threads=threads)
    test = ("--model", folder / "model", "--test", sets / "test", "--output", folder / "evaluation")
    run(STEPS / "evaluate.py", *test, "--bootstrap", 0, threads=threads)
    print(f"{model}, seed {seed}: trained in {time.perf_counter() - began:.0f} s", flush=True)


def accuracy(work: Path, seeds: list[int], side: str) -> dict[str, list[float]]:
    """Each target's figures on the test set, one for each seed."""
    found: dict[str, list[float]] = {}
    for target in TARGETS:
        for seed in seeds:
            model = "both" if side == "one model" else target
            content = json.loads(evaluation_of(work, seed, model).read_text(encoding="utf-8"))
            metrics = content["targets"][target] if model == "both" else content
            for metric in ("accuracy", "macro_f1"):
                value = metrics["multiclass_classification_metrics"][metric]["value"]
                found.setdefault(f"{target} {metric}, %", []).append(100 * value)
    return found


def serving(models: list[Path], texts: Path) -> dict[str, float]:
    """What it costs to have 1,000 texts answered, summed over the processes that it takes."""
    # the last line: the handler may say before which runtime it has taken
    parts = [json.loads(run("-c", SERVE, model, texts, threads=1).splitlines()[-1]) for model in models]
    size = sum(path.stat().st_size for model in models for path in model.rglob("*") if path.is_file())
    return dict(zip(SERVING, [size / 1e6, *map(sum, zip(*parts, strict=True))], strict=True))


if __name__ == "__main__":
    main()
