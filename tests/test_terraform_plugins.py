"""Where Terraform's provider is found: its 700 MB are there once, and what a person has said is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import terraform_plugins

from tests.terraform_environment import cli_environment

ROOT = 'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n'


def test_what_is_fetched_once_is_a_mirror_that_every_root_links_to(tmp_path: Path) -> None:
    fetched = terraform_plugins.fetch({**os.environ, **cli_environment()}, tmp_path / "plugins")
    assert terraform_plugins.fetch({}, fetched) == fetched  # no Terraform on the PATH was needed
    found = terraform_plugins.environment(tmp_path, {"MLOPS_TERRAFORM_PLUGINS": str(fetched)})
    root = tmp_path / "root"
    root.mkdir()
    (root / "main.tf").write_text(ROOT)
    subprocess.run(["terraform", "init", "-no-color"], cwd=root, env={**os.environ, **found}, check=True)
    real = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in real) < 100_000
    assert any((root / ".terraform/providers").glob("*/*/*/*/*/terraform-provider-aws*"))


@pytest.mark.parametrize("name", ["TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"])
def test_a_person_who_has_said_where_plug_ins_are_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").touch()
    found = terraform_plugins.environment(tmp_path, {name: str(tmp_path / "mine")})
    assert found[name] == str(tmp_path / "mine") and not (tmp_path / "terraform.tfrc").exists()


@pytest.mark.skipif(shutil.which("terraform") is None, reason="Terraform is not installed")
def test_a_provider_that_cannot_be_fetched_is_said_once_with_what_to_do(tmp_path: Path) -> None:
    away = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    with pytest.raises(RuntimeError, match="MLOPS_TERRAFORM_PLUGINS"):
        terraform_plugins.fetch(away, tmp_path / "plugins")
    assert not (tmp_path / "plugins").exists()
