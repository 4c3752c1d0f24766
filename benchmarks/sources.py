"""The texts that benchmarks use: public data of ../shared/data where it is, the templates' samples otherwise.

Each function returns rows (text, label) and one sentence that says where they are from, for a result's notes.
"""

from __future__ import annotations

import csv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMAILS = ROOT / "model-build/{{cookiecutter.project_slug}}/data/emails.csv"

Rows = list[tuple[str, str]]


def shared(name: str) -> Path | None:
    """A file of shared/data in a folder above; None where there is none."""
    for folder in ROOT.parents:
        if (path := folder / "shared/data" / name).is_file():
            return path
    return None


def banking(part: str = "train") -> tuple[Rows, str]:
    """Short questions to a bank in 77 classes; part "train" (10,003) or "test" (3,080)."""
    return _public(f"banking77/{part}.csv", "category", f"banking77, {part}: public questions to a bank")


def comments(label: str = "category") -> tuple[Rows, str]:
    """Comments of patients, short and long; label "category" or "sentiment"."""
    return _public("nhs-feedback/feedback.csv", label, "nhs-feedback: public comments of patients")


def emails() -> tuple[Rows, str]:
    """The samples that model-build comes with."""
    with EMAILS.open(encoding="utf-8", newline="") as file:
        rows = [(f"{row['subject']}\n\n{row['body']}", row["service_line"]) for row in csv.DictReader(file)]
    return rows, "the template's sample emails, as ../shared/data is not here"


def _public(name: str, label: str, words: str) -> tuple[Rows, str]:
    path = shared(name)
    if path is None:
        return emails()
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row[label]) for row in csv.DictReader(file)], words
