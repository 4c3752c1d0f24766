"""train.py in several processes, as on several GPUs or machines."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import STEPS, Train
from training.machine import part


def test_two_ranks_learn_what_one_learns_from_batches_of_twice_the_size(
    train_in: Train, base_model: Path, sets: Path, tmp_path: Path
) -> None:
    still = tmp_path / "still"  # a model without dropout, whose random numbers differ from rank to rank
    shutil.copytree(base_model, still)
    config = json.loads((still / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(config))
    train_in(tmp_path / "one", base_model=still, batch_size=16, epochs=4)

    two = tmp_path / "two"
    folders = {"--train": sets / "train", "--validation": sets / "validation", "--base-model": still}
    folders |= {f"--{name}-dir": two / name for name in ("model", "checkpoint", "output-data")}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(STEPS / "train.py"), *(str(part) for pair in folders.items() for part in pair)]
    command += ["--batch-size", "8", "--epochs", "4", "--learning-rate", "0.01", "--max-length", "32"]
    command += ["--tokens-per-pass", "100"]  # the ranks take different numbers of passes for a batch
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"CPU, \d+ threads, 2 ranks", done.stdout)
    assert done.stdout.count("epoch 1 of 4") == 1  # one rank speaks

    assert (two / "model/serving.json").is_file()
    histories = [tmp_path / "one/output/training.json", two / "output-data/training.json"]
    one_rank, two_ranks = (json.loads(path.read_text())["epochs"] for path in histories)
    assert [epoch["step"] for epoch in two_ranks] == [epoch["step"] for epoch in one_rank] == [6, 12, 18, 24]
    for one_epoch, two_epoch in zip(one_rank, two_ranks, strict=True):
        assert two_epoch["accuracy"] == pytest.approx(one_epoch["accuracy"], abs=0.07)  # 2 texts of 30


def test_ranks_part_at_the_end_and_a_single_process_has_nobody_to_part_from(tmp_path: Path) -> None:
    part()
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    part()
    assert not torch.distributed.is_initialized()
