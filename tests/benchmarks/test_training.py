"""How benchmarks/training.py reads what a training says, and what it makes of it."""

import sys

import pytest
import training
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
