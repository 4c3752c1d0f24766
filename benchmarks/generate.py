"""Generating each of the three repositories beside the last collection with copies, and cookiecutter itself.

Ours checks every answer, assembles the repository and makes its first commit. So does the commit COPIES of
this collection, whose templates hold copies of all that they share, four times as many files. The third side
is what cookiecutter takes to render our own files, as a template without hooks.

    python benchmarks/generate.py --rounds 5

Each is a process of its own, from the first import to the end, with no answers asked and settings of its own
(COOKIECUTTER_CONFIG, GIT_CONFIG_GLOBAL), so that nobody's configuration changes what is measured.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import processes
from rounds import ROOT, Goal, arguments, measure, report, versions

TEMPLATES = ("model-build", "serverless-inference", "batch-inference")
PROJECT = "{{cookiecutter.project_slug}}"
OURS, BEFORE, PLAIN = "assembled", "with copies", "cookiecutter alone"
COPIES = "7bcb0478e73182b76e702b732ccd210b18e4b31b"


def main() -> None:
    """Measure the three templates."""
    options = arguments(__doc__).parse_args()
    rounds = 2 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own_settings(folder)
        unpack_copies(folder / BEFORE)
        for template in TEMPLATES:
            without_hooks(folder, template)
        sides = {
            f"{template}, {side}": generation(folder, template, side)
            for template in TEMPLATES
            for side in (OURS, BEFORE, PLAIN)
        }
        results = measure(sides, rounds)
        files = {
            template: [count(folder / f"{template}-{side}/1") for side in (OURS, BEFORE)]
            for template in TEMPLATES
        }
    report(
        "generate",
        "Generating a repository",
        results,
        *(
            Goal(
                f"generating {template}",
                "the same template when it held copies",
                "time, s",
                (f"{template}, {OURS}", f"{template}, {BEFORE}"),
                at_most=1.0,
            )
            for template in TEMPLATES
        ),
        quick=options.quick,
        libraries=versions("cookiecutter", "Jinja2"),
        notes=[
            "Files: "
            + ", ".join(f"{name} {now} (with copies {was})" for name, (now, was) in files.items())
            + ".",
            "The hooks check every answer, assemble, and make the first commit; nothing is registered.",
        ],
    )


def own_settings(folder: Path) -> None:
    """Settings for cookiecutter and git."""
    (folder / "cookiecutter.yaml").write_text(
        f"cookiecutters_dir: {folder / 'clones'}\nreplay_dir: {folder / 'replay'}\n", encoding="utf-8"
    )
    (folder / "gitconfig").write_text(
        "[user]\n  name = Somebody\n  email = somebody@example.org\n", encoding="utf-8"
    )


def unpack_copies(folder: Path) -> None:
    """The templates as they were, from the collection's history.

    Raises:
        SystemExit: the history does not go back so far.
    """
    command = ["git", "archive", "--format=tar", COPIES, *TEMPLATES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    if done.returncode:
        raise SystemExit(f"expected a history with {COPIES[:7]}, found none: git fetch --unshallow")
    archive = folder.with_suffix(".tar")
    archive.write_bytes(done.stdout)
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")


def without_hooks(folder: Path, template: str) -> None:
    """A template that renders to our own files with nothing of ours at work."""
    generation(folder, template, OURS)()
    (made,) = (folder / f"{template}-{OURS}/0").iterdir()
    target = folder / PLAIN / template
    shutil.copytree(made, target / PROJECT, ignore=shutil.ignore_patterns(".git"))
    shutil.copytree(ROOT / template / PROJECT, target / PROJECT, dirs_exist_ok=True)
    project = target / PROJECT / "config/project.yaml"
    project.write_text(
        project.read_text(encoding="utf-8").replace("{{ assembled() -}}", ""), encoding="utf-8"
    )
    settings = json.loads((ROOT / template / "cookiecutter.json").read_text(encoding="utf-8"))
    del settings["_extensions"]
    (target / "cookiecutter.json").write_text(json.dumps(settings), encoding="utf-8")


def generation(folder: Path, template: str, side: str) -> Callable[[], dict[str, float]]:
    """One run of cookiecutter, into a folder of its own.

    Nothing is removed before the end: ext4 passes over each file that was removed in the last five seconds
    when it makes a new one, which doubled the time of whatever makes files.
    """
    source = ROOT / template if side == OURS else folder / side / template
    command = [sys.executable, "-m", "cookiecutter", source, "--no-input", "-o"]
    numbers = itertools.count(0 if not (folder / f"{template}-{side}").exists() else 1)
    settings = {
        "COOKIECUTTER_CONFIG": str(folder / "cookiecutter.yaml"),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }

    def run() -> dict[str, float]:
        out = folder / f"{template}-{side}" / str(next(numbers))
        used = processes.run([*command, out], settings)
        assert any(out.glob("*/.git")) == (side != PLAIN), f"{out}: expected a git repository from hooks only"
        return {"time, s": used.seconds, "processor time, s": used.processor}

    return run


def count(folder: Path) -> int:
    """How many files were generated, without git's."""
    return sum(path.is_file() and ".git" not in path.parts for path in folder.rglob("*"))


if __name__ == "__main__":
    main()
