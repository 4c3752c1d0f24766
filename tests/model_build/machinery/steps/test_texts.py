"""Texts are read, cut and tokenised alike in training and in serving, and a model leaves none of them behind.

Neither its log nor its profile has one in it; and personal data is replaced before anything reads a text.
"""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import inference
import numpy as np
import preprocess
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from conftest import Train
from data.intake import clean_array, join_arrays
from packing import profile
from serving import watch
from serving.texts import (
    POLICIES,
    SEPARATORS,
    WHITESPACE,
    clean,
    join_columns,
    read_tokenizer,
    tokenise,
    truncate,
)
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

TEXTS = [
    "",
    " ",
    "the invoice for the lift please",
    "Où est l'élévateur? Ça va, naïve façade. İstanbul straße",
    "[SEP] in a text, [CLS][MASK], and </s> or <pad> too",
    "an emoji 👩‍👩‍👧‍👦 and 🇨🇦, half of one: \ufffd",
    "电梯 坏了。エレベーター 승강기 \u0627\u0644\u0645\u0635\u0639\u062f",
    "e\u0301 is é, \u200b\u00ad\u2028 and \ttabs\nlines",
    "lift " * 3000,
    "x" * 5000,
    "\U0001f600" * 300,
]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (None, ""),
        ("", ""),
        (" \t\r\n\u00a0\u200b\ufeff ", ""),
        ("  Élevé — 电梯 ΑΣ  ", "Élevé — 电梯 ΑΣ"),
        ("a\0b", "ab"),
        ("\0 a \0", "a"),
        ("one\r\ntwo\rthree\n\nfour", "one\ntwo\nthree\n\nfour"),
        ("inner   spaces\tstay", "inner   spaces\tstay"),
        ("cut \ud83d", "cut \ufffd"),
        ("whole \ud83d\ude00", "whole 😀"),
        ("e\u0301 stays in two", "e\u0301 stays in two"),
    ],
)
def test_clean_removes_what_carries_no_meaning_and_nothing_else(text: str | None, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean(cleaned) == cleaned


def test_every_character_that_python_calls_white_space_is_trimmed() -> None:
    assert {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()} <= set(WHITESPACE)


def test_preprocessing_whole_columns_cleans_as_serving_cleans_one_text() -> None:
    characters = [*map(chr, range(0x3100)), "\ufeff", "\ufffd", "\U0001f600"]
    texts = [f"{character}x{character}y\r{character}" for character in characters] + [
        "\0 \0 a",
        "",
        "\0\ufeff",
    ]
    assert clean_array(pa.array(texts)).to_pylist() == [clean(text) for text in texts]
    assert clean_array(pa.array(["a", None], pa.string())).to_pylist() == ["a", ""]


@pytest.mark.parametrize("join", SEPARATORS)
def test_columns_are_joined_without_separators_around_empty_ones(join: str) -> None:
    between = SEPARATORS[join]
    records = [
        ("a", "b", "c"),
        ("a", " ", "c"),
        (None, "b\r\n", None),
        ("", None, ""),
        ("", "", " c"),
        ("a", "", ""),
    ]
    expected = [f"a{between}b{between}c", f"a{between}c", "b", "", "c", "a"]
    assert [join_columns(record, join) for record in records] == expected
    columns = [clean_array(pa.array(column, pa.string())) for column in zip(*records, strict=True)]
    assert join_arrays(columns, join).to_pylist() == expected


def test_an_unknown_join_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="join: expected one of newline, blank_line, space, got 'comma'"):
        join_columns(["a"], "comma")


@pytest.mark.parametrize(
    ("policy", "limit", "kept"),
    [
        ("head", 4, [0, 1, 2, 3]),
        ("tail", 4, [6, 7, 8, 9]),
        ("head_tail", 4, [0, 7, 8, 9]),
        ("head_tail", 8, [0, 1, 4, 5, 6, 7, 8, 9]),
        ("head_tail", 1, [9]),
    ],
)
def test_a_long_text_is_cut_where_the_policy_says(policy: str, limit: int, kept: list[int]) -> None:
    assert truncate(list(range(10)), limit, policy) == kept


@pytest.mark.parametrize("policy", POLICIES)
def test_a_cut_text_keeps_its_order_and_fills_the_limit(policy: str) -> None:
    for length in range(20):
        for limit in range(1, 25):
            kept = truncate(list(range(length)), limit, policy)
            assert len(kept) == min(length, limit)
            assert kept == sorted(set(kept))


def test_a_limit_or_policy_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token"):
        truncate([1], 0, "head")
    with pytest.raises(ValueError, match="expected one of head, tail, head_tail, got 'middle'"):
        truncate([1], 1, "middle")


def test_the_module_needs_nothing_but_the_standard_library() -> None:
    from serving import texts

    lines = Path(texts.__file__).read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= sys.stdlib_module_names


def word_pieces() -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer in the style of BERT."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return tokenizer, dict(zip(names, special, strict=True))


def byte_pairs() -> tuple[Tokenizer, dict[str, str]]:
    """A tokenizer in the style of RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    return tokenizer, {**dict(zip(names, special, strict=True)), "cls_token": "<s>", "sep_token": "</s>"}


@pytest.fixture(scope="module", params=[word_pieces, byte_pairs])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The tokenizer as transformers loads it, and as serving does."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer, names = request.param()
    # Files of base models cut and pad by themselves, as training never asks them to.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **names).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), read_tokenizer(Path(folder) / "tokenizer.json")


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
@pytest.mark.parametrize("max_length", [8, 100_000])
def test_both_tokenizers_give_the_same_ids(both: tuple[Any, Any], max_length: int, truncation: str) -> None:
    first, second = (tokenise(each, TEXTS, max_length, truncation) for each in both)
    assert first == second
    assert len(first) == len(TEXTS) and max(map(len, first)) <= max_length
    assert len(first[0]) == 2  # nothing but the special tokens
    assert [tokenise(both[1], [text], max_length, truncation)[0] for text in TEXTS] == first


def test_a_text_may_hold_a_special_token(both: tuple[Any, Any]) -> None:
    special = both[0].all_special_tokens
    ids = [tokenise(each, special, 100, "head") for each in both]
    assert ids[0] == ids[1]
    assert all(len(each) == 3 for each in ids[0])


SCORES = np.array([[0.9, 0.1], [0.29, 0.71], [0.5, 0.5]])


SECRETS = ("jane@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00")

KINDS = ("emails", "cards", "ibans")


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line that was printed."""
    (only,) = capsys.readouterr().out.splitlines()
    assert only.startswith(watch.MARKER)
    content: dict[str, Any] = json.loads(only.removeprefix(watch.MARKER))
    return content


def test_of_a_target_with_one_label_the_best_is_told_and_how_sure_the_model_is() -> None:
    found = watch.answered(SCORES, ["gas", "lift"], "one", None, [False, True, True])
    assert [(each.labels, each.needs_review) for each in found] == [
        (("gas",), False),
        (("lift",), True),
        (("gas",), True),
    ]
    assert [each.confidence for each in found] == [0.9, 0.71, 0.5]
    assert watch.answered(np.empty((0, 2)), ["gas", "lift"], "one") == []


def test_of_a_target_with_several_the_least_sure_label_is_told() -> None:
    found = watch.answered(SCORES, ["gas", "lift"], "several", {"lift": 0.8})
    assert [each.labels for each in found] == [("gas",), (), ("gas",)]
    assert [round(each.confidence, 2) for each in found] == [0.9, 0.71, 0.5]
    assert found[0].needs_review is None


def test_a_line_has_counts_and_no_word_of_the_texts(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["Mrs Bergström wants her invoice 4711", "confidential " * 130, "lift"]
    vocabulary = watch.Vocabulary(frozenset(map(watch.word_id, ["her", "invoice", "lift"])))
    answers = {
        "team": watch.answered(SCORES, ["gas", "lift"], "one", None, [False, True, True]),
        "topics": watch.answered(SCORES, ["a", "b"], "several", {"b": 0.8}),
    }
    watch.log(texts, answers, vocabulary)
    content = line(capsys)
    assert content == {
        "version": 1,
        "texts": 3,
        "targets": {
            "team": {"labels": {"gas": 2, "lift": 1}, "confidence": {"50": 1, "71": 1, "90": 1}, "review": 2},
            "topics": {"labels": {"a": 2, watch.NO_LABEL: 1}, "confidence": {"50": 1, "71": 1, "90": 1}},
        },
        "words": {"1": 1, "6": 1, "130": 1},
        "unknown": {"0": 1, "60": 1, "100": 1},  # 4711 does not count; of the other five words two are known
    }
    assert not re.findall("bergström|invoice|confidential|4711", json.dumps(content).lower())


def test_a_request_without_a_text_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    watch.log([], {"team": []}, None)
    assert capsys.readouterr().out == ""


def test_a_thousand_texts_have_a_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    scores = np.random.default_rng(1).dirichlet([0.2] * 9, 1000)
    answers = {"team": watch.answered(scores, [f"label {n}" for n in range(9)], "one")}
    watch.log(["word " * n for n in range(1000)], answers, watch.Vocabulary(frozenset()))
    assert len(capsys.readouterr().out) < 4000


@pytest.mark.parametrize("bounds", [watch.CONFIDENCE, watch.UNKNOWN])
def test_rounding_down_to_hundredths_moves_nothing_into_another_bin(bounds: tuple[float, ...]) -> None:
    values = np.random.default_rng(2).random(2000).tolist() + list(bounds) + [0.0, 1.0]
    rounded = [watch._hundredths(value) / 100 for value in values]
    assert watch.bin_counts(values, bounds) == watch.bin_counts(rounded, bounds)


def test_rounding_to_two_digits_moves_no_length_into_another_bin() -> None:
    lengths = range(3000)
    assert watch.bin_counts(lengths, watch.WORDS) == watch.bin_counts(
        map(watch._two_digits, lengths), watch.WORDS
    )


def test_the_profile_has_the_words_that_occur_twice_and_no_text() -> None:
    texts = ["The lift is stuck", "the lift again, invoice 12", "a zebra"]
    answers = {"team": [watch.Answered(("gas",), 0.95, True), watch.Answered(("lift",), 0.5, False)]}
    made = profile.make(texts, {"team": {"gas": 1, "lift": 2}}, ["The lift", "zebra lift"], answers)
    assert made.vocabulary.ids == {watch.word_id("the"), watch.word_id("lift")}
    assert made.content["targets"]["team"] == {
        "labels": {"gas": 1, "lift": 2},
        "validation": {
            "texts": 2,
            "labels": {"gas": 1, "lift": 1},
            "confidence": {
                "mean": 0.725,
                "bins": {"bounds": list(watch.CONFIDENCE), "counts": [0, 1, 0, 0, 1, 0]},
            },
            "review_share": 0.5,
        },
    }
    assert made.content["words"]["bins"]["counts"] == [2, 1, 0, 0, 0, 0, 0]
    assert (made.content["words"]["mean"], made.content["unknown"]["mean"]) == (3.67, 0.25)
    assert not re.search("lift is|zebra|invoice", json.dumps(made.content))


def test_the_vocabulary_is_bounded_and_keeps_the_most_frequent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(profile, "MOST_WORDS", 3)
    monkeypatch.setattr(profile, "CROWDED", 10)
    texts = [*(["one two three four"] * 3), "one two three", *(f"rare{chr(97 + n)}" for n in range(20))]
    made = profile.make(texts, {}, [], {})
    assert made.vocabulary.ids == {watch.word_id(word) for word in ("one", "two", "three")}
    profile.write(made, tmp_path / "model", tmp_path / "output")
    assert (tmp_path / "model" / watch.VOCABULARY).stat().st_size == 12
    assert watch.Vocabulary.read(tmp_path / "model") == made.vocabulary
    assert watch.Vocabulary.read(tmp_path / "output") is None


def test_a_trained_model_carries_its_profile_and_says_what_it_answers(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained / "model"
    written = json.loads((model / "profile.json").read_text(encoding="utf-8"))
    assert written == json.loads((trained / "output/profile.json").read_text(encoding="utf-8"))
    ((name, target),) = written["targets"].items()
    assert sum(target["labels"].values()) == 96 and target["validation"]["texts"] == 30
    classifier = inference.model_fn(str(model))
    assert len(classifier.vocabulary.ids) == written["unknown"]["vocabulary"]
    capsys.readouterr()
    inference.predict_fn(
        inference.input_fn('{"inputs": ["the lift", "quux"]}', "application/json"), classifier
    )
    said = line(capsys)
    assert said["texts"] == 2 and said["unknown"] == {"0": 1, "100": 1}
    assert set(said["targets"]) == {name} and sum(said["targets"][name]["labels"].values()) == 2


@pytest.fixture(scope="module")
def redacted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets of texts that all had personal data."""
    folder = tmp_path_factory.mktemp("redacted")
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "body", "label"])
        for number, (text, label) in enumerate(tiny.examples(120, 5)):
            secret = SECRETS[number % len(SECRETS)]
            writer.writerow([f"hello {secret}", f"{text} {number} {secret}", label])
    arguments = ["--input", str(folder / "data.csv"), "--output", str(folder / "sets")]
    for column in ("subject", "body"):
        arguments += ["--text-column", column]
    for kind in KINDS:
        arguments += ["--redact", kind]
    preprocess.main([*arguments, "--label-column", "label"])
    return folder / "sets"


@pytest.fixture(scope="module")
def model(redacted: Path, train_in: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on them."""
    return train_in(tmp_path_factory.mktemp("trained"), sets=redacted, epochs=1)


def test_no_file_that_preprocessing_writes_has_what_was_replaced(redacted: Path) -> None:
    files = [path for path in redacted.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = "\n".join(pq.read_table(path).column("text").to_pylist()).encode()
            assert b"<EMAIL>" in content or b"<CARD>" in content or b"<IBAN>" in content
        for secret in SECRETS:
            assert secret.encode() not in content, path


def test_the_data_report_counts_each_kind(redacted: Path) -> None:
    report = json.loads((redacted / "report/data_report.json").read_text(encoding="utf-8"))
    # 120 texts in turn, each with its secret in the subject and in the body
    assert report["input"]["redacted"] == {"emails": 80, "cards": 80, "ibans": 80, "texts": 120}
    assert report["settings"]["redact"]["emails"] is True


def test_the_model_says_what_it_was_trained_without(model: Path) -> None:
    serving = json.loads((model / "serving.json").read_text(encoding="utf-8"))
    assert [kind for kind in KINDS if serving["redact"][kind]] == list(KINDS)
    assert serving["redact"]["phones"] is False
    assert not (model / "code/phonenumbers.zip").exists()


def test_serving_reads_what_training_has_read(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier: Any = inference.model_fn(str(model))
    for secret, placeholder in zip(SECRETS, ("<EMAIL>", "<CARD>", "<IBAN>"), strict=True):
        given = {"subject": f"hello {secret}", "body": f"the invoice {secret}"}
        raw, plain = (
            inference.predict_fn(
                inference.input_fn(json.dumps({"inputs": text}), "application/json"), classifier
            )
            for text in (given, f"hello {placeholder}\n\nthe invoice {placeholder}")
        )
        assert raw.texts == plain.texts == [f"hello {placeholder}\n\nthe invoice {placeholder}"]
        assert (raw.outcomes[0].logits == plain.outcomes[0].logits).all()
        assert secret not in capsys.readouterr().out
