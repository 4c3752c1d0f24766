"""Personal data in texts (steps/serving/texts.py), and how the library for it gets to where there is none."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from model_build import assets, requests
from model_build.check import check
from model_build.definition import build
from model_build.load import load

from configuration import ConfigError

sys.path.insert(0, str(ROOT / "steps"))
from serving.texts import PLACEHOLDERS, Redaction, Redactor

ALL = Redaction(tuple(PLACEHOLDERS), "CA")
OFF = "  redact: null "
ON = "  redact: {emails: true, phones: true} "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@example.org.", "Write to <EMAIL>."),
        ("<bob@exa-mple.co.uk>, mailto:z@ex.ca", "<<EMAIL>>, mailto:<EMAIL>"),
        ("josé@exämple.fr", "<EMAIL>"),
        ("no @ here, a@b neither, @twitter", "no @ here, a@b neither, @twitter"),
        ("a@b.com@c.org", "<EMAIL>@c.org"),
        ("Call (604) 660-1234 or 604.660.1234x55", "Call <PHONE> or <PHONE>"),
        ("In London +44 20 7946 0958, in Paris +33 1 42 68 53 00", "In London <PHONE>, in Paris <PHONE>"),
        ("on 2024-11-26 at 12:30, permit 20231234", "on 2024-11-26 at 12:30, permit 20231234"),
        ("order 1234567890, 555-1234, 1-2-3", "order 1234567890, 555-1234, 1-2-3"),
        ("4111 1111 1111 1111 or 4111111111111112", "<CARD> or 4111111111111112"),
        ("118 4111 1111 1111 1111 12, 4111-1111-1111-1111", "118 <CARD> 12, <CARD>"),
        ("0000 0000 0000 0000", "0000 0000 0000 0000"),
        ("to DE89 3704 0044 0532 0130 00 PLEASE PAY", "to <IBAN> PLEASE PAY"),
        ("GB82WEST12345698765432, GB82WEST12345698765433", "<IBAN>, GB82WEST12345698765433"),
        ("", ""),
    ],
)
def test_what_is_replaced_and_what_is_not(text: str, expected: str) -> None:
    assert Redactor(ALL)(text) == expected


def test_of_what_it_returns_it_finds_nothing_more() -> None:
    pieces = ["604 660 1234", "a@b.com", "x.y@z.org", "+1", "(604)", "4111 1111 1111 1111", " ", "/", "DE89"]
    redactor = Redactor(ALL)
    for one in pieces:
        for two in pieces:
            for between in ("", " ", ", ", "\n", "-"):
                redacted = redactor(between.join((one, two, one)))
                assert redactor(redacted) == redacted


def test_only_the_kinds_that_are_named_are_replaced_and_counted() -> None:
    redactor = Redactor(Redaction(("emails",)))
    assert redactor("a@b.com, b@b.com, 604 660 1234") == "<EMAIL>, <EMAIL>, 604 660 1234"
    redactor("nothing")
    assert dict(redactor.found) == {"emails": 2, "texts": 1}
    assert Redactor(None)("a@b.com") == "a@b.com"


def test_the_region_decides_about_numbers_without_a_country() -> None:
    text = "call 020 7946 0958"
    assert Redactor(Redaction(("phones",), "GB"))(text) == "call <PHONE>"
    assert Redactor(Redaction(("phones",), "CA"))(text) == text
    with pytest.raises(
        ValueError, match=r"data.redact.phone_region: expected a country such as CA, got 'XX'"
    ):
        Redactor(Redaction(("phones",), "XX"))


def test_rules_survive_labels_json_and_serving_json() -> None:
    assert Redaction.from_json(ALL.as_json()) == ALL
    assert Redaction.from_json(None) is Redaction.from_json({"phone_region": "CA"}) is None


def test_the_library_is_imported_from_an_archive_where_none_is_installed(tmp_path: Path) -> None:
    archive = assets.library("phonenumbers")
    assert archive == assets.library("phonenumbers")
    (tmp_path / "phonenumbers.zip").write_bytes(archive)
    (tmp_path / "texts.py").write_bytes((ROOT / "steps/serving/texts.py").read_bytes())
    assert not [name for name in zipfile.ZipFile(tmp_path / "phonenumbers.zip").namelist() if ".pyc" in name]
    script = "import texts; print(texts.Redactor(texts.Redaction(('phones',)))('call 604 660 1234'))"
    # -S: without the environment's packages
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "call <PHONE>\n", done.stderr
    (tmp_path / "phonenumbers.zip").unlink()
    done = subprocess.run([sys.executable, "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "data.redact.phones: expected the library phonenumbers" in done.stderr


def test_it_is_off_and_the_code_is_small_unless_phones_are_redacted(repository: Path, edit) -> None:
    settings = load(repository)
    assert settings.model.data.redact is None
    assert "--redact" not in requests.preprocess_arguments(settings.model)
    (code,) = [each for each in build(settings).uploads if each.name == "code"]
    assert "serving/phonenumbers.zip" not in code.files
    edit("config/model.yaml", OFF, ON)
    settings = load(repository)
    found = requests.preprocess_arguments(settings.model)
    assert found[-6:] == ["--redact", "emails", "--redact", "phones", "--phone-region", "CA"]
    (code,) = [each for each in build(settings).uploads if each.name == "code"]
    assert "serving/phonenumbers.zip" in code.files
    assert "personal data: placeholders take the place of emails, phones" in [
        finding.text for finding in check(settings, None)
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{emails: false}", "at least one of emails, phones, cards and ibans to be true"),
        (
            "{phones: true, phone_region: canada}",
            'a country in two capital letters, such as CA, got "canada"',
        ),
        ("{names: true}", "unknown key"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(repository: Path, edit, value: str, problem: str) -> None:
    edit("config/model.yaml", OFF, f"  redact: {value} ")
    with pytest.raises(ConfigError, match=r"data\.redact") as error:
        load(repository)
    assert problem in str(error.value)
