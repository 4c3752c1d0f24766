"""A deployment asks Terraform for its plan as JSON only where something may be made for the first time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from release.terraform import may_create

pytestmark = pytest.mark.skipif(not shutil.which("terraform"), reason="needs terraform")


def test_terraform_s_words_say_whether_a_plan_creates(tmp_path: Path) -> None:
    def terraform(*arguments: str) -> list[str]:
        words = ["terraform", f"-chdir={tmp_path}", arguments[0], "-no-color", *arguments[1:]]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def write(version: int) -> None:
        text = f'resource "terraform_data" "it" {{\n  count = 1\n  triggers_replace = {version}\n}}\n'
        text += f'output "version" {{\n  value = {version}\n}}\n'
        (tmp_path / "main.tf").write_text(text)

    write(1)
    terraform("init")
    assert may_create(terraform("plan", "-out=it.tfplan"))
    terraform("apply", "it.tfplan")
    assert not may_create(terraform("plan"))
    assert not may_create(terraform("plan", "-destroy"))
    write(2)
    replaced = terraform("plan")
    assert any("must be replaced" in line for line in replaced) and not may_create(replaced)


def test_words_that_are_not_known_are_no_answer() -> None:
    assert may_create([]) and may_create(["OpenTofu has some new way to say it"])
