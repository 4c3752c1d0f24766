"""inference.py as it lies in the trained model: what is asked, what is answered, and what is refused."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from transformers import pipeline

import inference
from serving import engines
from serving.engines import passes

TEXT = "the invoice for the lift please"
OTHERS = ["hello", "a furnace . we have a question about the furnace", "", "lift lift lift"]


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Any:
    """The loaded model."""
    return inference.model_fn(str(trained / "model"))


@pytest.fixture(scope="module")
def public(trained: Path) -> Any:
    """What the toolkit's default handler calls."""
    return pipeline("text-classification", str(trained / "model"), truncation=True, max_length=32)


@pytest.fixture
def ask(classifier: Any) -> Any:
    """Sends a body through the four functions, as the toolkit does; returns the answer's body."""

    def run(
        body: str | bytes, content_type: str = "application/json", accept: str = "application/json"
    ) -> str:
        request = inference.input_fn(body, content_type)
        return str(inference.output_fn(inference.predict_fn(request, classifier), accept))

    return run


def same(ours: Any, theirs: Any) -> bool:
    """Whether two answers have the same shape and labels, and scores that differ by rounding only."""
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    return (
        set(ours) == set(theirs)
        and ours["label"] == theirs["label"]
        and abs(ours["score"] - theirs["score"]) < 1e-5
    )


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [TEXT, [TEXT], [TEXT, *OTHERS]])
@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"top_k": None},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": 99},
        {"function_to_apply": "sigmoid", "top_k": None},
        {"function_to_apply": "none"},
        {"batch_size": 2},
    ],
)
def test_answers_have_the_shapes_and_values_of_the_public_pipeline(
    inputs: Any, parameters: dict[str, Any] | None, ask: Any, public: Any
) -> None:
    body = {"inputs": inputs} if parameters is None else {"inputs": inputs, "parameters": parameters}
    assert same(json.loads(ask(json.dumps(body))), public(inputs, **(parameters or {})))


def test_no_text_gets_no_answer(ask: Any) -> None:
    assert ask('{"inputs": []}') == "[]"
    assert ask('{"inputs": []}', accept="application/jsonlines") == ""
    assert ask('{"inputs": []}', accept="text/csv") == "label,score\n"
    assert ask("inputs\n", "text/csv") == "[]"


@pytest.mark.parametrize(
    ("lengths", "most", "parts"),
    [
        ([9, 4, 4, 4, 2, 2, 2], None, [1, 2, 2, 2]),
        ([50, 9, 3, 3, 3, 1], None, [1, 1, 3, 1]),
        ([4, 3, 2, 2], 1, [1, 1, 1, 1]),
        ([1] * 12, 8, [8, 4]),
        ([0, 0], None, [2]),
        ([], None, []),
    ],
)
def test_a_pass_has_ten_tokens_at_most_or_one_text(
    lengths: list[int], most: int | None, parts: list[int]
) -> None:
    slices = list(passes(lengths, 10, most))
    assert [len(lengths[part]) for part in slices] == parts
    assert [length for part in slices for length in lengths[part]] == lengths


def test_the_order_is_kept_whatever_the_lengths_and_the_batch_size(ask: Any) -> None:
    texts = [text for text, _ in tiny.examples(30, seed=5)]
    alone = [json.loads(ask(json.dumps({"inputs": text})))[0] for text in texts]
    for size in (1, 7, 64):
        together = json.loads(ask(json.dumps({"inputs": texts, "parameters": {"batch_size": size}})))
        assert same(together, alone)


@pytest.mark.parametrize(("texts", "characters"), [(3, 1 << 20), (4096, 40), (4096, 1)])
def test_no_more_than_a_window_of_texts_is_tokenised_at_once(
    texts: int, characters: int, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(
        {"inputs": [text for text, _ in tiny.examples(10, seed=5)], "parameters": {"top_k": None}}
    )
    together, sizes, tokenise = json.loads(ask(body)), [], inference.tokenise

    def counted(tokenizer: Any, some: list[str], *rest: Any) -> Any:
        sizes.append((len(some), sum(map(len, some))))
        return tokenise(tokenizer, some, *rest)

    monkeypatch.setattr(inference, "tokenise", counted)
    for name, most in (("WINDOW_TEXTS", texts), ("WINDOW_CHARACTERS", characters)):
        monkeypatch.setitem(inference.windows.__globals__, name, most)
    assert same(json.loads(ask(body)), together)
    assert sum(count for count, _ in sizes) == 10
    assert len(sizes) > 1
    assert all(count <= texts and (count == 1 or size <= characters) for count, size in sizes)


def test_a_long_text_is_cut_as_in_training(ask: Any, trained: Path) -> None:
    serving = json.loads((trained / "model/serving.json").read_text())
    assert (serving["max_length"], serving["truncation"]) == (32, "head_tail")
    middle = " ".join(
        ["hello"] * 7 + ["furnace"] + ["hello"] * 23
    )  # 30 fit: 7 from the beginning, 23 from the end
    without = " ".join(["hello"] * 30)
    answers = json.loads(ask(json.dumps({"inputs": [middle, without], "parameters": {"top_k": None}})))
    assert same(*answers)
    end = " ".join(["hello"] * 50 + ["furnace"])
    assert json.loads(ask(json.dumps({"inputs": end})))[0]["label"] == "gas"


def test_a_record_with_the_text_columns_is_joined_as_in_training(ask: Any) -> None:
    record = {"subject": " our invoice\r\n", "body": "thank you", "id": 7}
    joined = ask(json.dumps({"inputs": "our invoice\n\nthank you"}))
    assert ask(json.dumps({"inputs": record})) == joined
    assert json.loads(ask(json.dumps({"inputs": [record, record]}))) == json.loads(joined) * 2
    alone = ask(json.dumps({"inputs": "thank you"}))
    assert ask(json.dumps({"inputs": {"subject": None, "body": "thank you"}})) == alone


# --- other forms ----------------------------------------------------------------------------------


def test_json_lines_hold_a_text_a_record_or_inputs_each_with_its_own_parameters(ask: Any) -> None:
    lines = [
        json.dumps(TEXT),
        json.dumps({"inputs": TEXT}),
        json.dumps({"subject": TEXT, "body": None}),
        json.dumps({"inputs": {"subject": "", "body": TEXT}, "parameters": {"top_k": 2}}),
    ]
    answer = ask("\n".join(lines).encode(), "application/jsonlines", "application/jsonlines")
    assert answer.endswith("\n")
    answers = [json.loads(line) for line in answer.removesuffix("\n").split("\n")]
    alone = json.loads(ask(json.dumps({"inputs": TEXT})))
    assert answers[0] == answers[1] == answers[2] == alone
    assert answers[3][:1] == alone and len(answers[3]) == 2


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\\n", "\\r\\n"])
def test_a_line_ends_at_a_line_feed_only(separator: str, ask: Any) -> None:
    body = f'{{"inputs": "hello{separator}lift"}}\r\n{{"inputs": "furnace"}}\r\n'.encode()
    answers = ask(body, "application/jsonlines", "application/jsonlines").splitlines()
    assert [json.loads(line)[0]["label"] for line in answers] == ["elevators", "gas"]


def test_csv_with_inputs_or_with_the_text_columns(ask: Any) -> None:
    alone = json.loads(ask(json.dumps({"inputs": ["hello\nlift", "furnace, please"]})))
    plain = 'inputs\r\n"hello\nlift"\r\n"furnace, please"\r\n'
    assert json.loads(ask(plain, "text/csv; charset=utf-8")) == alone
    columns = 'id,body,subject\n1,"hello\nlift",\n2,"furnace, please",\n'
    assert json.loads(ask("\ufeff" + columns, "text/csv")) == alone
    assert json.loads(ask(columns.encode("utf-8-sig"), "text/csv")) == alone


def test_a_csv_field_may_be_longer_than_an_email_usually_is(ask: Any) -> None:
    answer = json.loads(ask(f"inputs\nlift {'hello ' * 40_000}\n", "text/csv"))
    assert len(answer) == 1


def test_answers_as_csv(ask: Any) -> None:
    best = list(csv.reader(io.StringIO(ask(json.dumps({"inputs": [TEXT, "lift"]}), accept="text/csv"))))
    assert best[0] == ["label", "score"]
    assert [len(row) for row in best] == [2, 2, 2]
    assert best[2][0] == "elevators" and 0 < float(best[2][1]) <= 1
    two = ask(json.dumps({"inputs": ["lift"], "parameters": {"top_k": 2}}), accept="text/csv")
    assert two.splitlines()[0] == "label_1,score_1,label_2,score_2"
    assert two.splitlines()[1].startswith("elevators,")


@pytest.mark.parametrize(
    ("accept", "first"),
    [
        ("*/*", "["),
        ("", "["),
        ("text/html, application/json;q=0.9", "["),
        ("text/csv, */*", "l"),
        ("TEXT/CSV", "l"),
    ],
)
def test_the_first_form_that_is_known_is_answered(accept: str, first: str, ask: Any) -> None:
    assert ask(json.dumps({"inputs": TEXT}), accept=accept)[0] == first


# --- mistakes -------------------------------------------------------------------------------------

COLUMNS = "subject and body"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{oops", "the body is not JSON: Expecting property name enclosed in double quotes"),
        ("", "the body is not JSON: Expecting value"),
        ('{"text": "x"}', 'expected {"inputs": text or list of texts}, got the keys text'),
        ('["x"]', 'expected {"inputs": text or list of texts}, got a list of 1'),
        ("{}", 'expected {"inputs": text or list of texts}, got an object'),
        ('{"inputs": null}', "inputs: expected text, got null"),
        ('{"inputs": ["a", "b", 5]}', "record 3: expected text, got number 5"),
        ('{"inputs": ["a", ["b"]]}', "record 2: expected text, got a list of 1"),
        ('{"inputs": ["a", true]}', "record 2: expected text, got true"),
        (
            '{"inputs": [{"subject": "a", "text": "b"}]}',
            f"record 1: expected text, or an object with {COLUMNS}, got an object with subject and text",
        ),
        ('{"inputs": {}}', f"inputs: expected text, or an object with {COLUMNS}, got an object with nothing"),
        ('{"inputs": ["a", {"subject": "a", "body": 3.5}]}', "record 2: body: expected text, got number 3.5"),
        (
            '{"inputs": "a", "parameter": {}}',
            "the body: expected inputs and parameters only, got 'parameter'",
        ),
        ('{"inputs": "a", "parameters": [1]}', "parameters: expected an object, got a list of 1"),
        (
            '{"inputs": "a", "parameters": {"max_length": 9}}',
            "parameters: expected top_k, function_to_apply and batch_size only, got 'max_length'",
        ),
        (
            '{"inputs": "a", "parameters": {"top_k": 0}}',
            "parameters.top_k: expected a whole number above 0 or null, got number 0",
        ),
        (
            '{"inputs": "a", "parameters": {"top_k": true}}',
            "parameters.top_k: expected a whole number above 0 or null, got true",
        ),
        (
            '{"inputs": "a", "parameters": {"batch_size": "many"}}',
            'parameters.batch_size: expected a whole number above 0, got text "many"',
        ),
        (
            '{"inputs": "a", "parameters": {"function_to_apply": "tanh"}}',
            'parameters.function_to_apply: expected softmax, sigmoid or none, got text "tanh"',
        ),
    ],
)
def test_a_mistake_in_a_json_request_is_named(body: str, message: str, ask: Any) -> None:
    with pytest.raises(ValueError) as caught:
        ask(body)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('"a"\n{"inputs": \n', "record 2: expected JSON, got Expecting value"),
        ('"a"\n\n"b"', "record 2: expected JSON, got an empty line"),
        ("", "record 1: expected JSON, got an empty line"),
        ('"a"\n7', "record 2: expected text, got number 7"),
        ('"a"\n{"inputs": ["b"]}', "record 2: expected text, got a list of 1"),
        (
            '"a"\n{"inputs": "b", "parameters": {"top_k": -1}}',
            "record 2: parameters.top_k: expected a whole number",
        ),
        (b'"a"\n"\xe9"', "the body is not UTF-8: "),
    ],
)
def test_a_mistake_in_json_lines_is_named(body: str | bytes, message: str, ask: Any) -> None:
    with pytest.raises(ValueError) as caught:
        ask(body, "application/jsonlines")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "expected CSV with a header: inputs, or the text columns; got an empty body"),
        ("inputs\na\nb,c\n", "record 2: expected 1 fields as in the header, got 2"),
        ("text\na\n", f"record 1: expected text, or an object with {COLUMNS}, got an object with text"),
        ('inputs\na\n"b" c\n', "record 2: the body is not CSV: "),
    ],
)
def test_a_mistake_in_csv_is_named(body: str, message: str, ask: Any) -> None:
    with pytest.raises(ValueError) as caught:
        ask(body, "text/csv")
    assert str(caught.value).startswith(message)


def test_unknown_forms_are_refused_with_those_that_are_known(ask: Any) -> None:
    known = "expected application/json, application/jsonlines or text/csv"
    with pytest.raises(ValueError, match=f"content type: {known}, got text/plain"):
        ask("x", "text/plain")
    with pytest.raises(ValueError, match=f"accept: {known}, got image/png"):
        ask(json.dumps({"inputs": TEXT}), accept="image/png")


# --- the machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "threads"), [("", 6), ("1", 6), ("2", 3), ("4", 2), ("12", 1), ("x", 6)])
def test_the_workers_of_a_server_share_the_cpus(
    workers: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_MODEL_SERVER_WORKERS", workers)
    monkeypatch.setattr(engines.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(engines, "QUOTA", Path("/no/such/file"))
    assert engines.cpu_share() == threads


@pytest.mark.parametrize(("quota", "threads"), [("max 100000", 6), ("200000 100000", 2), ("50000 100000", 1)])
def test_a_containers_quota_limits_the_threads(
    quota: str, threads: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.delenv("SAGEMAKER_MODEL_SERVER_WORKERS", raising=False)
    monkeypatch.setattr(engines.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(engines, "QUOTA", tmp_path / "cpu.max")
    assert engines.cpu_share() == threads
