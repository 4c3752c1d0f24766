"""What a page tells people to type, set or look up exists; and the built site finds its pages."""

import re
import shutil
import subprocess
from pathlib import Path

import docs_blocks
import pytest

COLLECTION = Path(__file__).resolve().parents[2]
#: Where environment variables are read: code of ours that runs for a user.
CODE = ("hooks", "shared/parts/everywhere", "shared/parts/release", "shared/workbench/src", "tools")
SITE = COLLECTION / "build/site"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.mark.parametrize(
    "page", docs_blocks.pages(), ids=lambda page: page.relative_to(COLLECTION).as_posix()
)
def test_every_command_on_a_page_exists(page):
    assert [problem for each in docs_blocks.commands(page) for problem in docs_blocks.problems(each)] == []


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("make tset", "no target tset"),
        ("make check && make locla", "no target locla"),
        ("make register ARGS='--no-bitbukcet'", "no option --no-bitbukcet"),
        ("python -m model_build lcoal", "no command lcoal"),
        (".venv/bin/python -m model_build run --no-wiat", "no option --no-wiat"),
        ('eval "$(mlops-sandbox evn)"', "no command evn"),
        ("python -m modelbuild check", "no module modelbuild"),
        ("python benchmarks/bacth.py", "no file benchmarks/bacth.py"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command, problem):
    found = docs_blocks.commands(COLLECTION / "README.md", f"```bash\n{command}\n```\n")
    assert problem in " ".join(line for each in found for line in docs_blocks.problems(each))


def test_the_tests_that_the_threat_model_names_exist():
    named = re.findall(
        r"`(tests/[\w/]+\.py)::(\w+)`", (COLLECTION / "docs/security.md").read_text(encoding="utf-8")
    )
    assert len(named) > 20
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}("
        not in ((COLLECTION / file).read_text(encoding="utf-8") if (COLLECTION / file).is_file() else "")
    ]
    assert missing == []


def test_the_slow_tests_that_the_contributors_page_names_exist():
    named = re.findall(
        r"`(tests/[\w/]+\.py)`", (COLLECTION / "docs/contributing.md").read_text(encoding="utf-8")
    )
    assert len(named) >= 20
    assert [file for file in named if not (COLLECTION / file).is_file()] == []


def test_every_environment_variable_has_a_line():
    page = (COLLECTION / "docs/environment-variables.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    read = {
        name
        for folder in CODE
        for path in (COLLECTION / folder).rglob("*.py")
        for name in re.findall(
            r"[\"'](MLOPS_(?!SANDBOX[\"'])[A-Z_]+|BITBUCKET_TOKEN|BITBUCKET_CA_FILE)[\"']",
            path.read_text("utf-8"),
        )
    }
    assert read - told == set()
    everything = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in (*CODE, "model-build")
        for path in (COLLECTION / folder).rglob("*")
        if path.suffix in (".py", ".sh", ".toml", ".yml", ".tf") or "yml" in path.name
    )
    assert {name for name in told if name not in everything} == set()


@pytest.mark.parametrize(
    "page",
    [*docs_blocks.pages(), COLLECTION / "docs/llms.txt"],
    ids=lambda page: page.relative_to(COLLECTION).as_posix(),
)
def test_every_link_of_a_page_leads_to_a_file(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"(?<!`)\]\((?!https?:|mailto:|#)([^()\s#]+)", text)
    missing = [
        target
        for target in targets
        if not (page.parent / target).exists() and not target.startswith(("reference/", "../reference/"))
    ]
    assert missing == []


@pytest.mark.slow
def test_the_search_answers_from_a_folder_without_a_network(tmp_path):
    """In a real browser; no server."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None or not (SITE / "index.html").is_file():
        pytest.skip("needs a browser, and the site that make docs builds")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    flags += ["--virtual-time-budget=20000", "--host-resolver-rules=MAP * ~NOTFOUND"]
    page = subprocess.run(
        [browser, *flags, f"{(SITE / 'index.html').as_uri()}?q=webhook"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = re.search(r"(\d+) matching documents", page)
    assert found and int(found[1]) > 3, page[-3000:]
