"""Generating each of the three repositories beside cookiecutter itself, on the same files without hooks.

Ours checks every answer, makes a git repository and its first commit. The other side is the same command on a
copy of the same template whose hooks/ are removed: what cookiecutter takes to render the files.

    python benchmarks/generate.py --rounds 5

Both are processes of their own, from the first import to the end, with no answers asked and settings of their
own (COOKIECUTTER_CONFIG, GIT_CONFIG_GLOBAL), so that nobody's configuration changes what is measured.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import processes
from rounds import ROOT, Goal, arguments, measure, report, versions

TEMPLATES = ("model-build", "serverless-inference", "batch-inference")
OURS, PLAIN = "with our hooks", "cookiecutter alone"


def main() -> None:
    """Measure the three templates."""
    options = arguments(__doc__).parse_args()
    rounds = 2 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_templates(folder)
        sides = {
            f"{template}, {side}": generation(folder, template, side)
            for template in TEMPLATES
            for side in (OURS, PLAIN)
        }
        results = measure(sides, rounds)
        files = {template: count(folder / f"{template}-{PLAIN}/0") for template in TEMPLATES}
    report(
        "generate",
        "Generating a repository",
        results,
        *(
            Goal(
                f"generating {template}",
                "cookiecutter itself on the same files, no hooks",
                "time, s",
                (f"{template}, {OURS}", f"{template}, {PLAIN}"),
                at_most=1.3,
            )
            for template in TEMPLATES
        ),
        quick=options.quick,
        libraries=versions("cookiecutter", "Jinja2"),
        notes=[
            "Files: " + ", ".join(f"{template} {number}" for template, number in files.items()) + ".",
            "The hooks check every answer and make the first commit; nothing is registered.",
        ],
    )


def copy_templates(folder: Path) -> None:
    """The templates twice, once without hooks, and settings for cookiecutter and git."""
    for side in (OURS, PLAIN):
        for template in TEMPLATES:
            ignore = shutil.ignore_patterns("hooks" if side == PLAIN else "", "__pycache__")
            shutil.copytree(
                ROOT / template, folder / side / template, ignore=top_only(ROOT / template, ignore)
            )
    (folder / "cookiecutter.yaml").write_text(
        f"cookiecutters_dir: {folder / 'clones'}\nreplay_dir: {folder / 'replay'}\n", encoding="utf-8"
    )
    (folder / "gitconfig").write_text(
        "[user]\n  name = Somebody\n  email = somebody@example.org\n", encoding="utf-8"
    )


def top_only(top: Path, ignore: Callable[[str, list[str]], set[str]]) -> Callable[[str, list[str]], set[str]]:
    """Ignore only in the template's own folder: a generated repository may have a folder of that name."""
    return lambda folder, names: ignore(folder, names) if Path(folder) == top else set()


def generation(folder: Path, template: str, side: str) -> Callable[[], dict[str, float]]:
    """One run of cookiecutter, into a folder of its own.

    Nothing is removed before the end: ext4 passes over each file that was removed in the last five seconds
    when it makes a new one, which doubled the time of whatever makes files.
    """
    command = [sys.executable, "-m", "cookiecutter", folder / side / template, "--no-input", "-o"]
    numbers = itertools.count()
    settings = {
        "COOKIECUTTER_CONFIG": str(folder / "cookiecutter.yaml"),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }

    def run() -> dict[str, float]:
        out = folder / f"{template}-{side}" / str(next(numbers))
        used = processes.run([*command, out], settings)
        assert any(out.glob("*/.git")) == (side == OURS), f"{out}: expected a git repository from hooks only"
        return {"time, s": used.seconds, "processor time, s": used.processor}

    return run


def count(folder: Path) -> int:
    """How many files were generated."""
    return sum(path.is_file() for path in folder.rglob("*"))


if __name__ == "__main__":
    main()
