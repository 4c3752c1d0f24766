"""The reference is made from the code: what the code does not say is missing there, so it is missed here."""

import re
from pathlib import Path

import docs_commands
import docs_hcl
import docs_questions
import docs_roles
import docs_settings
import docs_variables
import pytest

COLLECTION = Path(__file__).resolve().parents[2]


def test_every_key_of_the_configuration_says_what_it_means():
    assert docs_settings.undescribed() == []


@pytest.mark.parametrize("file", docs_settings.FILES, ids=lambda file: file.name)
def test_a_page_has_every_key_of_its_file(file):
    page = docs_settings.page(file)
    keys = docs_settings.keys(docs_settings.models()[file.name], docs_settings.meanings(file))
    missing = [key.path for key in keys if not re.search(rf"\b{re.escape(key.path.split('.')[-1])}\b", page)]
    assert missing == []


def test_limits_and_choices_are_those_that_the_models_check():
    page = docs_settings.page(docs_settings.FILES[1])
    assert "| `memory_mb` | `1024`, `2048`, `3072`, `4096`, `5120`, `6144` | `3072` |" in page
    assert "| `max_concurrency` | whole number | `5` | 1 to 200 |" in page


@pytest.mark.parametrize("template", docs_questions.TEMPLATES)
def test_every_question_says_what_it_asks(template):
    assert [name for name, _, meaning in docs_questions.questions(template) if len(meaning) < 10] == []


def test_every_variable_of_the_foundation_is_described():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", docs_variables.page(), re.MULTILINE)
    assert len(rows) > 20
    assert [name for name, meaning in rows if len(meaning) < 10] == []


@pytest.mark.parametrize("program", docs_commands.PROGRAMS, ids=lambda each: f"{each.template}/{each.module}")
def test_every_command_says_what_it_does(program):
    helps = docs_commands.helps(program)
    assert len(helps) == len({command for command, _ in helps})
    assert [command for command, text in helps if len(text.split("\n\n")) < 2] == []


def test_the_reader_of_hcl_finds_every_statement_and_every_role():
    for folder in docs_roles.folders():
        text = "\n".join(path.read_text(encoding="utf-8") for path in (COLLECTION / folder).glob("*.tf"))
        found = docs_roles.policies(folder)
        assert sum(len(policy.statements) for policy in found) == len(
            re.findall(r"^\s*statement \{", text, re.M)
        )
        made = re.findall(r'^resource "aws_iam_role" ', text, re.M)
        made += re.findall(
            r'^  source\s*= "\.\./(?:modules/)?(?:service-role|pipeline-role|build-project)"', text, re.M
        )
        assert len(docs_roles.roles(folder)) == len(made), folder


def test_every_policy_is_used_and_says_what_it_allows_on_what():
    for folder in docs_roles.folders():
        for policy in docs_roles.policies(folder):
            assert policy.uses, f"{policy.folder}: {policy.name} is used by nothing"
            for statement in policy.statements:
                assert statement.actions, f"{policy.folder}: {policy.name}: {statement.sid}"


def test_what_is_allowed_without_a_bound_says_why():
    assert docs_roles.unexplained() == []


def test_comments_stay_with_their_statement(tmp_path):
    (tmp_path / "main.tf").write_text(
        """
# about the file

# about the document
data "aws_iam_policy_document" "it" {
  statement {
    sid       = "First" # beside "it"
    actions   = ["s3:Get*"] # "#" is no comment in "a # text"
    resources = ["arn:${local.x}:s3:::a#b/*"]
  }

  # above the second
  statement {
    # inside
    sid     = "Second"
    actions = [
      "s3:Put*", # in a list
      "s3:List*",
    ]
    resources = ["*"]
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["true"]
    }
  }
}
"""
    )
    (document,) = docs_hcl.read(tmp_path)
    first, second = document.all("statement")
    assert document.comment == "about the document"
    assert first.attributes["resources"] == '["arn:${local.x}:s3:::a#b/*"]'
    assert first.comment == 'beside "it" "#" is no comment in "a # text"'
    assert second.comment == "above the second inside in a list"
    assert docs_roles.items(second.attributes["actions"]) == ['"s3:Put*"', '"s3:List*"']
    assert second.all("condition")[0].attributes["values"] == '["true"]'


def test_a_line_that_the_reader_does_not_know_is_named(tmp_path):
    (tmp_path / "main.tf").write_text("locals {\n  what is this\n}\n")
    with pytest.raises(ValueError, match=r"main\.tf:2: expected a block"):
        docs_hcl.read(tmp_path)
