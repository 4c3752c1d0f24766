"""The page of what cookiecutter asks, read from each template's cookiecutter.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[1]
TEMPLATES = ("model-build", "serverless-inference", "batch-inference")


def page() -> str:
    """The whole page."""
    lines = [
        "# What is asked when a repository is generated",
        "",
        "`cookiecutter <this collection> --directory model-build` asks; `--no-input` takes the defaults, and",
        '`name="…"` on the command line gives an answer. Answers are checked before anything is made.',
    ]
    for template in TEMPLATES:
        asked = questions(template)
        lines += ["", f"## {template}", "", "| question | default | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in asked]
    return "\n".join(lines) + "\n"


def questions(template: str) -> list[tuple[str, str, str]]:
    """Name, default and meaning of each question of a template."""
    content: dict[str, Any] = json.loads((COLLECTION / template / "cookiecutter.json").read_text("utf-8"))
    meanings = content.get("__prompts__", {})
    return [
        (name, _default(value), _meaning(meanings.get(name, "")))
        for name, value in content.items()
        if not name.startswith("_")
    ]


def _default(value: Any) -> str:
    if isinstance(value, list):  # a choice, of which the first is taken
        return ", ".join(f"`{each}`" for each in value)
    if isinstance(value, str) and "{{" in value:
        return "from other answers"
    return f"`{json.dumps(value)}`"


def _meaning(prompt: str | dict[str, str]) -> str:
    if isinstance(prompt, str):
        return prompt.replace("|", "\\|")
    words = [f"`{choice}`: {text}" for choice, text in prompt.items() if choice != "__prompt__"]
    return ". ".join([prompt.get("__prompt__", ""), *words]).replace("|", "\\|")
