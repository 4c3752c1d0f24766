"""A foundation that is applied in the background, with Terraform: who waits, who is told, how it ends."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox.cli import main
from mlops_workbench.sandbox.organisation import applying, record
from mlops_workbench.sandbox.organisation.record import Organisation

SHARED, PRODUCTION = "111111111111", "222222222222"
PARAMETERS = ((SHARED, "foundation"), (SHARED, "foundation-staging"), (PRODUCTION, "foundation-production"))

pytestmark = pytest.mark.skipif(not shutil.which("terraform"), reason="needs terraform")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[str], Organisation]]:
    """Starts an organisation whose foundation is a shell command in each root."""

    def start(command: str) -> Organisation:
        for root in ("shared-services", "production"):
            folder = tmp_path / "foundation" / root
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "main.tf").write_text(
                f'resource "terraform_data" "it" {{\n  provisioner "local-exec" {{\n'
                f'    command = "{command}"\n  }}\n}}\n'
            )
        source = ["--foundation", str(tmp_path / "foundation")]
        assert main(["up", "--no-wait", *source, "--folder", str(tmp_path / "organisation")]) == 0
        return record.running(tmp_path / "organisation")

    yield start
    main(["down", "--folder", str(tmp_path / "organisation")])


def until(tmp_path: Path, ended: Callable[[str], bool]) -> str:
    """What `status` would say of the foundation, once it is as expected."""
    while not ended(words := applying.in_words(tmp_path / "organisation")):
        time.sleep(0.05)
    return words


def test_a_command_waits_until_the_foundation_can_be_used_and_no_longer(up, tmp_path, capsys, monkeypatch):
    organisation = up(f"until test -e {tmp_path}/go; do sleep 0.1; done")
    folder = ["--folder", str(tmp_path / "organisation")]

    def say_what_there_is(seconds: float) -> None:
        """In the place of the first pause: the foundation has come so far."""
        monkeypatch.undo()
        for account, name in PARAMETERS:
            organisation.client("ssm", account).put_parameter(
                Name=f"/mlops/{name}", Value="{}", Type="String"
            )

    monkeypatch.setattr(applying.time, "sleep", say_what_there_is)
    assert main(["env", *folder]) == 0
    said = capsys.readouterr()
    assert "waiting until it can be used" in said.err and "AWS_ENDPOINT_URL" in said.out
    assert main(["status", *folder]) == 0
    assert f"is being applied: {applying.log_path(tmp_path / 'organisation')}" in capsys.readouterr().out

    (tmp_path / "go").touch()
    until(tmp_path, lambda words: words == "")
    log = applying.log_path(tmp_path / "organisation").read_text()
    assert log.count("Apply complete!") == 2 and "the foundation is applied" in log
    assert main(["env", *folder]) == 0
    assert capsys.readouterr().err == ""


def test_a_failure_is_told_by_the_next_command(up, tmp_path, capsys):
    up("echo no such luck; exit 3")
    folder = ["--folder", str(tmp_path / "organisation")]
    assert main(["env", *folder]) == 1
    said = capsys.readouterr()
    assert "the foundation could not be applied" in said.err and "no such luck" in said.err
    assert said.out.splitlines()[-1] == "false"  # what `eval` makes of it has failed, too
    assert main(["follow", *folder]) == 1
    assert "the foundation could not be applied" in capsys.readouterr().err


def test_down_ends_it_and_up_begins_anew(up, tmp_path, capsys):
    up(f"until test -e {tmp_path}/go; do sleep 0.1; done")
    log = applying.log_path(tmp_path / "organisation")
    while "apply" not in log.read_text():
        time.sleep(0.05)
    assert main(["down", "--folder", str(tmp_path / "organisation")]) == 0
    assert applying.in_words(tmp_path / "organisation") == ""
    up("true")
    until(tmp_path, lambda words: words == "")
    assert "the foundation is applied" in log.read_text()
