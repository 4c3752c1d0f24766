"""What the benchmarks see of a job's processes and answers."""

import os
import subprocess
import sys

import pytest
import watched_jobs

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


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
