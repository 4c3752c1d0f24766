"""Answers reach the generated files unchanged, whatever they hold, or are refused with a line for each."""

import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks import answers as rules

PROJECT = Path(__file__).resolve().parents[2] / "model-build/{{cookiecutter.project_slug}}"
Render = Callable[[Path, dict[str, object]], str]

# what YAML, TOML, JSON, Markdown, Python and shells give a meaning, beside any printable character
META = st.sampled_from(list("\"'\\#:-&*!|>%@`{}[],? $<=~/;()\u00e9\U0001f600"))
PRINTABLE = st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"])


@pytest.fixture(scope="module")
def config(generated: Path) -> Iterator[ModuleType]:
    """The generated repository's own reading of config/project.yaml."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(generated)
        for name in ("evaluation", "training"):  # packages of its steps; a benchmark has such a name too
            patch.delitem(sys.modules, name, raising=False)
        patch.setattr(sys, "dont_write_bytecode", True)
        yield importlib.import_module("model_build.config")
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(generated)):
            del sys.modules[name]


def line(longest: int) -> st.SearchStrategy[str]:
    """Texts, most of which the hook accepts."""
    return st.text(META | PRINTABLE | st.just(" "), min_size=1, max_size=longest)


@settings(max_examples=150)
@given(name=line(80), description=line(255))
def test_names_and_descriptions_that_are_accepted_arrive_unchanged(
    render: Render, answers: dict[str, object], name: str, description: str
) -> None:
    given_answers = answers | {"project_name": name, "description": description}
    if rules.problems(given_answers):
        return
    project = yaml.safe_load(render(PROJECT / "config/project.yaml", given_answers))
    assert (project["name"], project["description"]) == (name, description)
    package = tomllib.loads(render(PROJECT / "pyproject.toml", given_answers))["project"]
    assert package["description"] == description
    readme = render(PROJECT / "README.md", given_answers)
    assert readme.startswith(f"# {name.replace('<', '&lt;')}\n")


@settings(max_examples=100)
@given(
    slug=st.from_regex(r"[a-z][a-z0-9-]{2,20}", fullmatch=True),
    email=st.from_regex(r"[A-Za-z.!#$%&'*+/=?^_`~-]{1,9}@[a-z-]{1,5}\.[a-z]{2}", fullmatch=True),
    region=st.sampled_from(["ca-central-1", "us-gov-west-1", "us-isob-east-1", "cn-northwest-1"]),
    shared=st.from_regex(r"[0-9]{12}", fullmatch=True),
    single=st.booleans(),
    prefix=st.from_regex(r"[a-z0-9-]{1,18}", fullmatch=True),
    url=st.from_regex(r"https://[a-z.-]{1,9}(:[0-9]{1,5})?(/[a-z.~]{1,3}){0,2}", fullmatch=True),
)
def test_what_the_hook_accepts_the_generated_repository_accepts(
    render: Render,
    config: ModuleType,
    answers: dict[str, object],
    slug: str,
    email: str,
    region: str,
    shared: str,
    single: bool,
    prefix: str,
    url: str,
) -> None:
    given_answers = answers | {
        "project_slug": slug,
        "owner_email": email,
        "aws_region": region,
        "shared_services_account_id": shared,
        "single_account": single,
        "production_account_id": shared if single else "222222222222",
        "prefix": prefix,
        "bitbucket_url": url,
    }
    if rules.problems(given_answers):
        return
    text = yaml.safe_load(render(PROJECT / "config/project.yaml", given_answers))
    project = config.ProjectConfig.model_validate(text)
    assert (project.slug, project.owner_email, project.region) == (slug, email, region)
    assert project.accounts.shared_services == shared
    assert project.bitbucket.url == url and project.bitbucket.repository == slug
    assert project.bucket == f"{prefix}-{slug}-{shared}-{region}"


def run(cli: Path, source: Path, into: Path, *answers: str) -> subprocess.CompletedProcess[str]:
    command = [str(cli), str(source), "--directory", "model-build", "--no-input", "--output-dir", str(into)]
    encoded = [os.fsencode(part) for part in [*command, *answers]]
    return subprocess.run(encoded, capture_output=True, encoding="utf-8", errors="replace")


@pytest.mark.parametrize(
    ("given_answers", "refused"),
    [
        (["project_slug=Email_Router"], ["project_slug"]),
        (["project_slug=../outside"], ["project_slug"]),
        (["project_slug=a\"b'c\\d"], ["project_slug"]),
        (["project_name=two\nlines", "description=\x1b[31mred"], ["project_name", "description"]),
        (["project_name=\udcff", "project_slug=undecodable"], ["project_name"]),
        (["single_account=yes", "production_account_id=222222222222"], ["production_account_id"]),
        (
            [
                "project_slug=-x-",
                "owner_email=nobody",
                "aws_region=ca-central-1; rm -rf /",
                "shared_services_account_id=12345",
                "production_account_id=\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10\uff11\uff12",
                "prefix=sthree_",
                "bitbucket_url=javascript:alert(1)",
                'bitbucket_project_key="""',
            ],
            [
                "project_slug",
                "owner_email",
                "aws_region",
                "shared_services_account_id",
                "production_account_id",
                "prefix",
                "bitbucket_url",
                "bitbucket_project_key",
            ],
        ),
    ],
)
def test_hostile_answers_are_refused_all_at_once_and_leave_nothing(
    cli: Path, template_repository: Path, tmp_path: Path, given_answers: list[str], refused: list[str]
) -> None:
    into = tmp_path / "into"
    into.mkdir()
    done = run(cli, template_repository, into, *given_answers)
    assert done.returncode == 1
    lines = [text.strip() for text in done.stderr.splitlines() if text.startswith("  ")]
    assert [text.split(":")[0] for text in lines] == refused
    assert all("; got " in text and ", such as " in text for text in lines)
    # ours says what is wrong; cookiecutter logs how it noticed, for any hook that refuses
    assert "Traceback" not in done.stderr
    assert done.stdout.rstrip().endswith("Hook script failed (exit status: 1)")
    assert [path.name for path in tmp_path.rglob("*")] == ["into"]


@pytest.mark.parametrize(
    "name", ["\"\"\"'''\\", "$(touch x) `touch x` & | ; #", "\u6771\u4eac \U0001f600 <b>", "%s %(a)s {0}"]
)
def test_strange_but_honest_names_are_accepted(
    cli: Path, template_repository: Path, tmp_path: Path, name: str
) -> None:
    done = run(
        cli, template_repository, tmp_path, f"project_name={name}", f"description={name}", "project_slug=odd"
    )
    assert done.returncode == 0, done.stderr
    project = yaml.safe_load((tmp_path / "odd/config/project.yaml").read_text(encoding="utf-8"))
    assert (project["name"], project["description"]) == (name, name)
    assert [path.name for path in tmp_path.iterdir()] == ["odd"]


@pytest.mark.parametrize("answer", ["project_name={{", "single_account=perhaps", f"project_slug={'a' * 300}"])
def test_what_cookiecutter_itself_refuses_before_any_hook_leaves_nothing(
    cli: Path, template_repository: Path, tmp_path: Path, answer: str
) -> None:
    assert run(cli, template_repository, tmp_path, answer).returncode == 1
    assert not list(tmp_path.iterdir())


def test_a_name_without_a_single_letter_still_gives_a_folder(
    generate: Callable[..., Path], tmp_path: Path
) -> None:
    assert generate(tmp_path, project_name="\U0001f600").name == "model"


def test_one_account_needs_one_answer(generate: Callable[..., Path], tmp_path: Path) -> None:
    repository = generate(tmp_path, single_account=True, shared_services_account_id="012345678901")
    accounts = yaml.safe_load((repository / "config/project.yaml").read_text())["accounts"]
    assert accounts == {"shared_services": "012345678901", "production": "012345678901"}
