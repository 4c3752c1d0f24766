"""Which steps may run, and when."""

from __future__ import annotations

from typing import Any

from documents import compare, condition, fail, output_uri, pipeline, processing, text

from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.graph import Schedule, State

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
