"""Personal data is replaced in training and in serving alike: nothing of it is written, the same is read."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny
from conftest import Train

import inference
import preprocess

SECRETS = ("jane@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00")
KINDS = ("emails", "cards", "ibans")


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
