"""`data.redact` with phone numbers, through the whole pipeline: the containers have no library for them."""

import csv
import json
import tarfile
from pathlib import Path

import pytest

from tests.model_build.conftest import Run, set_model

SECRET, EMAIL = "(604) 660-1234", "jane.doe@example.org"


@pytest.mark.slow
def test_a_model_is_trained_measured_and_asked_without_the_phone_numbers_that_its_data_has(
    small_repository: Path, model_build: Run, tmp_path: Path
) -> None:
    repository = small_repository
    data = repository / "data/emails.csv"
    with data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["body"] += f"\n{SECRET if number % 2 else EMAIL}"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    set_model(repository, **{"data.redact": {"emails": True, "phones": True}})

    done = model_build(repository, "local")
    assert done.returncode == 0, done.stdout + done.stderr
    questions = [
        f"Where is my permit? {SECRET}",
        "Where is my permit? <PHONE>",
        f"Ask {EMAIL} about the furnace",
        "Ask <EMAIL> about the furnace",
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text in questions), encoding="utf-8")
    asked = model_build(repository, "predict", str(file))
    assert asked.returncode == 0, asked.stderr
    answers = [
        line.replace(SECRET, "<PHONE>").replace(EMAIL, "<EMAIL>") for line in asked.stdout.splitlines()
    ]
    for raw, plain in ((questions[0], questions[1]), (questions[2], questions[3])):
        told = [line.split() for line in answers if plain in line]
        assert len(told) == 2 and told[0] == told[1], (raw, asked.stdout)

    packed = min(path for path in (repository / ".sandbox").rglob("model.tar.gz") if path.is_file())
    with tarfile.open(packed) as model:
        members = {Path(member.name).as_posix(): member for member in model.getmembers()}
        written = model.extractfile(members["serving.json"])
        assert written is not None
        serving = json.load(written)
    assert "code/serving/phonenumbers.zip" in members
    assert serving["redact"]["phones"] is True
    # but for the data itself, nobody has written what was replaced
    for path in (repository / ".sandbox").rglob("*"):
        if path.is_file() and path.suffix in (".json", ".html", ".txt", ".log"):
            assert SECRET not in path.read_text(encoding="utf-8", errors="replace"), path
