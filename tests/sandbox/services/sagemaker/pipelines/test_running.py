"""How an execution goes: which steps may run when, failures, retries, time limits, caching, stops."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from documents import (
    BUCKET,
    compare,
    condition,
    fail,
    get,
    output_uri,
    parameter,
    pipeline,
    processing,
    text,
    training,
)

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.graph import Schedule, State

INTERNAL = "SageMaker.JOB_INTERNAL_ERROR"
SLEEP = "import time; time.sleep({})"
WAIT = "import os, time\nwhile not os.path.exists({!r}): time.sleep(0.02)"


def meet(folder: Path, *, me: str, other: str) -> str:
    """Return a program that ends only if another one runs at the same time."""
    return (
        "import os, sys, time; from pathlib import Path;"
        f"folder = Path({str(folder)!r}); (folder / {me!r}).touch(); end = time.time() + 300;\n"
        f"while not (folder / {other!r}).exists():\n"
        "    time.sleep(0.02)\n"
        "    if time.time() > end: sys.exit('alone')\n"
    )


def counts(folder: Path, then: str = "") -> str:
    """Return a program that adds a line to a file each time it runs."""
    return f"open({str(folder / 'runs')!r}, 'a').write('x');" + then


def runs(folder: Path) -> int:
    """Return how often a program of ``counts`` has run."""
    path = folder / "runs"
    return len(path.read_text()) if path.exists() else 0


def overlap(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one["StartTime"] < two["EndTime"] and two["StartTime"] < one["EndTime"]


def test_independent_steps_run_side_by_side(run: Any, tmp_path: Path) -> None:
    ended = run(
        pipeline(
            processing("A", meet(tmp_path, me="a", other="b"), outputs={}),
            processing("B", meet(tmp_path, me="b", other="a"), outputs={}),
        )
    )
    assert ended.status == "Succeeded", ended.reason
    assert overlap(ended.steps["A"], ended.steps["B"])


def test_parallelism_can_be_limited(run: Any) -> None:
    steps = [processing(name, SLEEP.format(0.1), outputs={}) for name in "ABC"]
    ended = run(pipeline(*steps), parallelism=1)
    assert ended.status == "Succeeded"
    assert ended.describe()["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 1}
    a, b, c = (ended.steps[name] for name in "ABC")
    assert not overlap(a, b)
    assert not overlap(b, c)


def test_after_a_failure_running_steps_finish_and_no_other_starts(start: Any, tmp_path: Path) -> None:
    failed = tmp_path / "failed"
    ended = start(
        pipeline(
            processing("Bad", "import sys; print('oh no'); sys.exit(3)", outputs={}),
            processing("Slow", WAIT.format(str(failed)), outputs={}),
            processing("AfterSlow", outputs={}, DependsOn=["Slow"]),
            processing("AfterBad", outputs={}, DependsOn=["Bad"]),
        )
    )
    ended.until(lambda: ended.statuses().get("Bad") == "Failed")
    failed.touch()
    ended.wait()
    assert ended.status == "Failed"
    assert ended.statuses() == {"Bad": "Failed", "Slow": "Succeeded"}
    assert ended.reason.startswith("Step 'Bad' failed: AlgorithmError: exit code 3")
    assert ended.steps["Bad"]["FailureReason"] in ended.reason


def test_two_failures_are_both_named(run: Any) -> None:
    ended = run(pipeline(fail("One", "first"), fail("Two", "second")))
    assert ended.reason == "Step 'One' failed: first; Step 'Two' failed: second"


def test_a_step_after_a_condition_runs_when_the_branch_is_done(run: Any) -> None:
    ended = run(
        pipeline(
            condition(
                "Gate",
                [compare("Equals", get("Parameters.P"), "x")],
                [processing("Yes", SLEEP.format(0.3), outputs={})],
                [fail("No", "no")],
            ),
            processing("After", outputs={}, DependsOn=["Gate"]),
            parameters=[parameter("P", default="x")],
        )
    )
    assert ended.status == "Succeeded"
    assert ended.steps["After"]["StartTime"] >= ended.steps["Yes"]["EndTime"]


def test_a_failed_job_is_retried(run: Any, tmp_path: Path) -> None:
    fails_twice = counts(tmp_path) + f"import sys; sys.exit(len(open({str(tmp_path / 'runs')!r}).read()) < 3)"
    policy = {"ExceptionType": [INTERNAL], "IntervalSeconds": 1, "BackoffRate": 0.5, "MaxAttempts": 2}
    ended = run(pipeline(processing("A", fails_twice, outputs={}, RetryPolicies=[policy])))
    assert ended.status == "Succeeded", ended.reason
    assert runs(tmp_path) == 3
    assert ended.steps["A"]["AttemptCount"] == 3
    assert ended.steps["A"]["EndTime"] - ended.steps["A"]["StartTime"] >= timedelta(seconds=1.5)


def test_a_job_that_goes_on_failing_fails_when_the_retries_are_used_up(run: Any, tmp_path: Path) -> None:
    policy = {"ExceptionType": [INTERNAL], "IntervalSeconds": 0, "MaxAttempts": 1}
    code = counts(tmp_path, "import sys; sys.exit(1)")
    ended = run(pipeline(processing("A", code, outputs={}, RetryPolicies=[policy])))
    assert ended.status == "Failed"
    assert runs(tmp_path) == 2


def test_another_exception_type_is_not_retried(run: Any, tmp_path: Path) -> None:
    policy = {"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "IntervalSeconds": 0, "MaxAttempts": 5}
    code = counts(tmp_path, "import sys; sys.exit(1)")
    ended = run(pipeline(processing("A", code, outputs={}, RetryPolicies=[policy])))
    assert ended.status == "Failed"
    assert runs(tmp_path) == 1


def test_a_job_that_takes_too_long_is_ended(run: Any) -> None:
    ended = run(pipeline(processing("A", SLEEP.format(3600), outputs={}, max_runtime=1)))
    assert ended.status == "Failed"
    assert "MaxRuntimeInSeconds" in ended.reason


def test_a_stop_reaches_the_running_job(start: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(3600)"
    running = start(pipeline(processing("A", code, outputs={}), processing("B", outputs={}, DependsOn=["A"])))
    running.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    running.stop()
    assert running.status in ("Stopping", "Stopped")
    running.wait()
    assert running.status == "Stopped"
    assert running.statuses() == {"A": "Stopped"}
    job = running.steps["A"]["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[-1]
    described = sandbox.client("sagemaker").describe_processing_job(ProcessingJobName=job)
    assert described["ProcessingJobStatus"] == "Stopped"
    with pytest.raises(running.client.exceptions.ClientError, match="is Stopped"):
        running.stop()


def test_a_stop_ends_the_wait_for_a_retry(start: Any) -> None:
    policy = {"ExceptionType": [INTERNAL], "IntervalSeconds": 600, "MaxAttempts": 1}
    running = start(pipeline(processing("A", "import sys; sys.exit(1)", outputs={}, RetryPolicies=[policy])))
    jobs = lambda: running.client.list_processing_jobs(StatusEquals="Failed", NameContains="-A-")  # noqa: E731
    mine = running.arn.rsplit("/", 1)[-1]
    running.until(lambda: any(mine in job["ProcessingJobName"] for job in jobs()["ProcessingJobSummaries"]))
    running.stop()
    running.wait()
    assert running.statuses() == {"A": "Stopped"}


def test_a_second_run_takes_the_results_of_the_first(run: Any, tmp_path: Path) -> None:
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}}
    write = "open('/opt/ml/{}', 'w').write('x')"
    definition = pipeline(
        processing("Prepare", counts(tmp_path, write.format("processing/out/x")), **cached),
        training(
            "Train",
            counts(tmp_path, write.format("model/x")),
            channels={"t": output_uri("Prepare")},
            **cached,
        ),
        processing("Last", counts(tmp_path), arguments=[get("Steps.Train.TrainingJobName")], outputs={}),
        parameters=[parameter("Word", default="a")],
    )
    first = run(definition)
    second = run(definition)
    assert first.status == second.status == "Succeeded", second.reason
    assert runs(tmp_path) == 4
    for name in ("Prepare", "Train"):
        assert second.steps[name]["CacheHitResult"] == {"SourcePipelineExecutionArn": first.arn}
        assert second.steps[name]["Metadata"] == first.steps[name]["Metadata"]
        assert "CacheHitResult" not in first.steps[name]
    assert "CacheHitResult" not in second.steps["Last"]
    third = run(definition)
    assert third.steps["Train"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first.arn}


def test_a_changed_argument_an_expired_result_and_a_failed_run_are_not_taken(
    run: Any, tmp_path: Path
) -> None:
    def definition(expire: str) -> dict[str, Any]:
        step = processing(
            "A",
            counts(tmp_path, "import sys; sys.exit(sys.argv[1] == 'bad')"),
            arguments=[get("Parameters.Word")],
            outputs={},
            CacheConfig={"Enabled": True, "ExpireAfter": expire},
        )
        return pipeline(step, parameters=[parameter("Word", default="a")])

    run(definition("P1D"))
    run(definition("P1D"), Word="b")
    assert runs(tmp_path) == 2
    run(definition("P1D"), Word="b")
    assert runs(tmp_path) == 2
    run(definition("PT0S"), Word="b")
    assert runs(tmp_path) == 3
    run(definition("P1D"), Word="bad")
    run(definition("P1D"), Word="bad")
    assert runs(tmp_path) == 5


def test_a_result_whose_objects_were_deleted_is_made_again(
    run: Any, sandbox: Sandbox, tmp_path: Path
) -> None:
    code = counts(tmp_path, "open('/opt/ml/processing/out/x', 'w').write('x')")
    definition = pipeline(processing("A", code, CacheConfig={"Enabled": True}))
    first = run(definition)
    key = f"runs/{first.arn.rsplit('/', 1)[-1]}/A/out/x"
    sandbox.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert "CacheHitResult" not in run(definition).steps["A"]
    assert runs(tmp_path) == 2


def test_without_cache_config_a_step_runs_every_time(run: Any, tmp_path: Path) -> None:
    definition = pipeline(processing("A", counts(tmp_path), outputs={}))
    run(definition)
    run(definition)
    assert runs(tmp_path) == 2


def test_the_journal_is_on_disk_at_every_moment(start: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    running = start(pipeline(processing("A", WAIT.format(str(tmp_path / "read")), outputs={})))
    path = sandbox.folder / "executions" / f"{running.arn.rsplit('/', 1)[-1]}.json"
    running.until(lambda: running.statuses().get("A") == "Executing")
    document = json.loads(path.read_text())
    assert (document["status"], document["steps"]["A"]["status"]) == ("Executing", "Executing")
    assert document["process"][0] == os.getpid()
    (tmp_path / "read").touch()
    running.wait()
    assert json.loads(path.read_text())["status"] == "Succeeded"


TRUE = compare("Equals", 1, 1)


def run(definition: dict[str, Any], outcomes: dict[str, bool]) -> list[list[str]]:
    """Return the waves of steps that may run together, every step taking one unit of time."""
    schedule = Schedule(parse(text(definition)))
    waves = []
    while wave := schedule.ready():
        waves.append(wave)
        for name in wave:
            schedule.start(name)
        for name in wave:
            schedule.succeed(name, outcomes.get(name))
    return waves


def test_independent_steps_are_ready_together() -> None:
    """A diamond: one, two side by side, one."""
    diamond = pipeline(
        processing("A"),
        processing("B", inputs={"x": output_uri("A")}),
        processing("C", DependsOn=["A"]),
        processing("D", inputs={"b": output_uri("B"), "c": output_uri("C")}),
    )
    assert run(diamond, {}) == [["A"], ["B", "C"], ["D"]]


def test_only_the_taken_branch_runs() -> None:
    """And what needs a step of the other branch does not."""
    fork = pipeline(
        condition("Gate", [TRUE], [processing("Yes")], [fail("No", "no")]),
        processing("AfterYes", inputs={"x": output_uri("Yes")}),
    )
    assert run(fork, {"Gate": True}) == [["Gate"], ["Yes"], ["AfterYes"]]
    assert run(fork, {"Gate": False}) == [["Gate"], ["No"]]


def test_a_step_after_a_condition_waits_for_the_branch_that_is_taken() -> None:
    """DependsOn a Condition step joins the branches again, nested ones too."""
    inner = condition("Inner", [TRUE], [processing("Deep")])
    fork = pipeline(
        processing("After", DependsOn=["Gate"]),
        condition("Gate", [TRUE], [processing("Yes"), inner], [processing("No")]),
    )
    assert run(fork, {"Gate": True, "Inner": True}) == [["Gate"], ["Yes", "Inner"], ["Deep"], ["After"]]
    assert run(fork, {"Gate": True, "Inner": False}) == [["Gate"], ["Yes", "Inner"], ["After"]]
    assert run(fork, {"Gate": False}) == [["Gate"], ["No"], ["After"]]


def test_a_whole_nested_condition_is_left_out_with_its_branch() -> None:
    """Its own branches included."""
    inner = condition("Inner", [TRUE], [processing("Deep")], [processing("Other")])
    schedule = Schedule(parse(text(pipeline(condition("Gate", [TRUE], [inner], [processing("No")])))))
    schedule.start("Gate")
    schedule.succeed("Gate", False)
    assert schedule.ready() == ["No"]
    assert {name for name, state in schedule.states.items() if state is State.SKIPPED} == {
        "Inner",
        "Deep",
        "Other",
    }


def test_what_needs_a_failed_step_is_never_ready() -> None:
    """Directly or not."""
    chain = pipeline(processing("A"), processing("B", DependsOn=["A"]), processing("C", DependsOn=["B"]))
    schedule = Schedule(parse(text(chain)))
    schedule.start("A")
    schedule.end("A")
    assert schedule.ready() == []


def test_a_long_chain_is_no_problem() -> None:
    """No recursion over the steps."""
    chain = [fail("S0", "x")]
    chain += [{**fail(f"S{i}", "x"), "DependsOn": [f"S{i - 1}"]} for i in range(1, 2000)]
    assert Schedule(parse(text(pipeline(*chain[::-1])))).ready() == ["S0"]
