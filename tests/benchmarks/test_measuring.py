"""What the benchmarks see of the processes that they measure: time, memory, words and answers."""

import os
import subprocess
import sys

import processes
import pytest
import training
import watched_jobs
from training import Training

OURS = """
precision bf16: bf16 measured 1.7 times as fast as fp32 on this CPU
training: at most 2 epochs, 12 steps
epoch 1 of 2: validation:loss=1.2; validation:accuracy=0.5000; validation:macro_f1=0.4;
epoch 2 of 2: validation:loss=1.1; validation:accuracy=0.7500; validation:macro_f1=0.6;
model of epoch 2 written to model
"""
THEIRS = """
training
{'eval_loss': '1.2', 'eval_accuracy': '0.5', 'epoch': '1'}
{'eval_loss': 1.1, 'eval_accuracy': 0.75, 'epoch': 2.0}
{'train_runtime': '3', 'train_samples_per_second': '4'}
{'eval_loss': 1.1, 'eval_accuracy': 0.75, 'epoch': 2.0}
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_a_process_is_measured_by_itself():
    hungry = "import time\ndata = bytearray(60 << 20)\nwhile time.process_time() < 0.2: pass"
    small, large = (
        processes.run([sys.executable, "-c", "pass"]),
        processes.run([sys.executable, "-c", hungry]),
    )
    assert large.peak - small.peak > 50
    assert large.seconds >= large.processor - 0.2 and large.processor >= 0.2


def test_a_process_that_fails_ends_the_benchmark():
    with pytest.raises(SystemExit, match="failed"):
        processes.run([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize(
    ("lines", "words"),
    [(OURS, "bf16 (bf16 measured 1.7 times as fast as fp32 on this CPU)"), (THEIRS, "")],
)
def test_a_training_is_timed_by_what_it_says(lines, words):
    program = f"import time\nfor line in {lines.splitlines()!r}:\n print(line)\n time.sleep(0.02)"
    seen = training.watch([sys.executable, "-c", program])
    assert [accuracy for _, accuracy in seen.curve] == [50, 75]
    assert 0 < seen.loop <= seen.curve[1][0] < seen.whole
    assert seen.format == words


def test_a_training_that_fails_shows_its_last_words():
    with pytest.raises(SystemExit, match="no memory left"):
        training.watch([sys.executable, "-c", "raise SystemExit('no memory left')"])


def test_the_time_to_an_accuracy_is_that_to_what_all_sides_reach():
    seen = {
        "slow": [Training(9, 9, [(4, 50), (8, 80)], ""), Training(9, 9, [(4, 60), (8, 50)], "")],
        "fast": [Training(9, 9, [(1, 40), (2, 81)], ""), Training(9, 9, [(1, 61), (2, 90)], "")],
    }
    assert training.times_to_accuracy(seen) == {"slow": [8, 4], "fast": [2, 1]}


@linux
def test_only_a_process_of_ours_that_holds_a_model_counts(tmp_path):
    server = tmp_path / "serve.py"
    server.write_text("import sys; print(flush=True); held = bytearray(50_000_000); sys.stdin.read()\n")
    # another process between, as a supervisor is
    between = "import subprocess, sys; subprocess.run([sys.executable, sys.argv[1]])"
    with subprocess.Popen(
        [sys.executable, "-c", between, server], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        found = watched_jobs.descendants(os.getpid())
        (holding,) = filter(watched_jobs.holds_model, found)
        assert process.pid in found
        assert holding not in (process.pid, os.getpid())
        process.stdin.close()
    assert watched_jobs.memory(holding, "VmHWM") == 0


@linux
def test_memory_is_in_megabytes():
    now = watched_jobs.memory(os.getpid(), "VmRSS")
    assert 5 < now < 50_000
    assert watched_jobs.memory(os.getpid(), "VmHWM") >= now - 5


@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"SageMakerOutput":[{"label":"a","score":0.5}]}\n{"id":2,"SageMakerOutput":[{"label":"b","score":1}]}\n',
        '[{"label":"a","score":0.5}]\n[{"label":"b","score":1}]\n',
        '[{"label": "a", "score": 0.5}][{"label": "b", "score": 1}]',
    ],
)
def test_answers_are_read_in_each_form(tmp_path, text):
    (tmp_path / "a.out").write_text(text)
    assert [each["label"] for each in watched_jobs.answered(tmp_path / "a.out")] == ["a", "b"]
