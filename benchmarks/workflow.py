"""From a clone to a green run: this checkout's commit beside an older one, each in fresh clones of its own.

    python benchmarks/workflow.py                              # all parts, beside 7bcb047: hours
    python benchmarks/workflow.py setup test --rounds 1        # some of them
    python benchmarks/workflow.py sandbox --against ../before  # beside another checkout's commit
    make bench ARGS='workflow -- setup test --rounds 1'        # the same, when the machine is quiet

What is measured is what is committed. Each part has results of its own, with the day and the machine. The
sides take turns; one that fails is left out from there on, with the last lines of its log, and Ctrl-C keeps
what was measured. Processor time is that of all processes, detached ones included (commands.py).

Clones, environments and caches lie in a temporary folder (--folder; up to 40 GB), which is removed at the
end; pip, uv and whoever heeds XDG_CACHE_HOME find caches there, not a person's. Settings stay as they are:
pip's, git's, and where Terraform finds its plug-ins (MLOPS_TERRAFORM_PLUGINS, or what this checkout has
fetched).
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import commands
import machine
import rounds
from rounds import ROOT, Goal, Measured
from run import wait_until_quiet

BEFORE = "7bcb0478e73182b76e702b732ccd210b18e4b31b"
NOW = "this checkout"
STEP = Path("model-build/{{cookiecutter.project_slug}}/steps/train.py")
ENVIRONMENTS = (".venv*", "*.egg-info")  # what `git clean` leaves
Figures = dict[str, float]

#: Variables of whoever runs this that are not for the commands: `make bench` is a make as well.
FOREIGN = (
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS"),
    *("MLOPS_CONTAINER_PYTHON", "MYPYPATH", "RUFF_CACHE_DIR", "VIRTUAL_ENV", "PYTEST_ADDOPTS"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
)

START = """
import sys
try:
    from mlops_workbench.sandbox import Sandbox
    from mlops_workbench.sandbox.images import Images
except ImportError:  # as it was called before
    from mlops_sandbox import Sandbox
    from mlops_sandbox.jobs import Images
images = Images.single(sys.executable)
with Sandbox(sys.argv[1], images, accounts=("111111111111",), region="ca-central-1") as sandbox:
    sandbox.client("s3").list_buckets()
"""


class CommandFailed(Exception):
    """A command of a side failed: which, and how."""


@dataclass
class Side:
    """One of the two builds: a commit, and a folder for its clones and caches."""

    name: str
    source: Path
    """A repository with the commit."""
    commit: str
    folder: Path
    quick: bool = False
    said: list[str] = field(default_factory=list)
    """What a reader must know of its runs."""
    caches: Path = field(init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _ready: Path | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.caches = self.empty()

    def empty(self) -> Path:
        """A new folder."""
        path = self.folder / str(next(self._numbers))
        path.mkdir()
        return path

    def clone(self) -> Path:
        """A new clone."""
        path = self.empty()
        for words in (
            ["clone", "--quiet", "--no-checkout", str(self.source), str(path)],
            ["-C", str(path), "checkout", "--quiet", "--detach", self.commit],
        ):
            subprocess.run(["git", *words], check=True)
        return path

    def ready(self, clean: bool = True) -> Path:
        """A clone with its environments, as `make setup` leaves it: made once, and clean each time."""
        clone = self._ready
        if clone is None:
            clone = self.clone()
            if not self.quick:
                print(f"  {self.name}: make setup, not measured here", flush=True)
                self.run(["make", "setup"], clone)
            self.keep(clone, self.caches)
        if clean:
            subprocess.run(["git", "-C", clone, "checkout", "--quiet", "--", "."], check=True)
            kept = [word for each in ENVIRONMENTS for word in ("-e", each)]
            subprocess.run(["git", "-C", clone, "clean", "-ffdxq", *kept], check=True)
        return clone

    def python(self, clone: Path) -> Path:
        """The Python of a clone's environment; of this process, where none is made."""
        return Path(sys.executable) if self.quick else clone / ".venv/bin/python"

    def run(
        self,
        command: Sequence[str | Path],
        folder: Path,
        more: Mapping[str, str] | None = None,
        caches: Path | None = None,
    ) -> tuple[commands.Spent, str, int]:
        """Run a command in a folder, with caches (this side's) and a temporary folder of its own.

        Returns:
            What it took, what it printed, and how many bytes the temporary folder had at most.

        Raises:
            CommandFailed: its exit status is not 0; not for tests of which some failed, as all ran.
        """
        own = Path(tempfile.mkdtemp(prefix="t", dir=self.folder))
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        if not self.quick:
            settle()
        words = " ".join(Path(word).name for word in command).splitlines()[0][:60]
        try:
            with commands.watched(own) as peak:
                spent = commands.run(
                    command, folder, variables(caches or self.caches, own) | dict(more or {}), log
                )
        finally:
            remove(own)
        printed = log.read_text(encoding="utf-8", errors="replace")
        if spent.left:
            print(f"  {self.name}: {words}: ended what it left running ({spent.left})", flush=True)
        if spent.status and not tests_of(printed):
            print("\n".join(f"    {line}" for line in printed.splitlines()[-15:]), flush=True)
            raise CommandFailed(f"`{words}` ended with status {spent.status}")
        return spent, printed, peak.bytes

    def keep(self, clone: Path, caches: Path) -> None:
        """Use these, as set-up has left them, from here on, and remove those before."""
        for old in (self._ready, self.caches):
            if old is not None and old not in (clone, caches):
                remove(old)
        self._ready, self.caches = clone, caches
        if (caches / "xdg").is_dir():
            shutil.copytree(caches / "xdg", caches / "set-up", symlinks=True)

    def anew(self) -> dict[str, str]:
        """A user's cache as set-up has left it: what else puts something there has not run yet."""
        own = self.empty()
        if (self.caches / "set-up").is_dir():
            shutil.copytree(self.caches / "set-up", own, symlinks=True, dirs_exist_ok=True)
        return {"XDG_CACHE_HOME": str(own)}

    def say(self, line: str) -> None:
        """Tell the reader, once."""
        if line not in self.said:
            self.said.append(line)


def variables(caches: Path, temporary: Path) -> dict[str, str]:
    """The variables of a command: a person's own and these caches, without what is this process's.

    That is also the environment of Python in which it may run (`make bench` does), on the path.
    """
    own = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if sys.prefix != sys.base_prefix:
        places = [place for place in places if Path(place) != Path(sys.prefix, "bin")]
    fetched = ROOT / "build/terraform-plugins"
    if fetched.is_dir() and not own.keys() & {"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"}:
        own.setdefault("MLOPS_TERRAFORM_PLUGINS", str(fetched))
    return own | {
        "PATH": os.pathsep.join(places),
        "PYTHON": str(Path(sys.base_prefix, "bin/python3")),
        "PIP_CACHE_DIR": str(caches / "pip"),
        "UV_CACHE_DIR": str(caches / "uv"),
        "XDG_CACHE_HOME": str(caches / "xdg"),
        "TMPDIR": str(temporary),
    }


_removed = time.monotonic()


def settle() -> None:
    """Let the disk write what came before; after files were removed wait for ext4 (see generate.py)."""
    os.sync()
    time.sleep(max(0.0, _removed + 6 - time.monotonic()))


def remove(folder: Path) -> None:
    """Delete a folder."""
    global _removed
    shutil.rmtree(folder, ignore_errors=True)
    _removed = time.monotonic()


def make(side: Side, *words: str) -> list[str | Path]:
    """A command of the Makefile; `--quick` only prints what it would do."""
    return ["make", *(["--dry-run"] if side.quick else []), *words]


def setup(side: Side, number: int) -> Figures:
    """`make setup` with nothing in the caches, and in another clone with what the first has put there."""
    caches, first = side.empty(), side.clone()
    bare = commands.size(first)
    new, _, _ = side.run(make(side, "setup"), first, caches=caches)
    taken = commands.size(first) - bare
    again = side.clone()
    warm, _, _ = side.run(make(side, "setup"), again, caches=caches)
    figures = {
        "from nothing, s": new.seconds,
        "from nothing, processor time, s": new.processor,
        "warm caches, s": warm.seconds,
        "warm caches, processor time, s": warm.processor,
        "environments on disk, GB": taken / 1e9,
        "caches on disk, GB": commands.size(caches) / 1e9,
    }
    remove(first)
    side.keep(again, caches)
    return figures


def tests(*words: str) -> Callable[[Side, int], Figures]:
    """`make test`, whole."""

    def run(side: Side, number: int) -> Figures:
        clone = side.ready()
        command: list[str | Path] = ["make", "test", *words]
        if side.quick:
            command = [side.python(clone), "-m", "pytest", "-q", "tests/hooks/test_rendering.py"]
        spent, printed, peak = side.run(command, clone, side.anew())
        side.say(f"{side.name}: {tests_of(printed)}.")
        return {
            "time, s": spent.seconds,
            "processor time, s": spent.processor,
            "temporary files at their peak, GB": peak / 1e9,
        }

    return run


def tests_of(printed: str) -> str:
    """The last line in which pytest says what has passed; "" if there is none."""
    found = re.findall(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", printed, re.MULTILINE)
    return found[-1] if found and ("passed" in found[-1] or "failed" in found[-1]) else ""


def demo(side: Side, number: int) -> Figures:
    """`make demo` after set-up, with nothing of an earlier one."""
    spent, _, peak = side.run(make(side, "demo"), side.ready(), side.anew())
    return {
        "time, s": spent.seconds,
        "processor time, s": spent.processor,
        "temporary files at their peak, GB": peak / 1e9,
    }


def generate(side: Side, clone: Path, out: Path) -> tuple[commands.Spent, Path]:
    """A generated repository, by this process's cookiecutter and with settings of its own."""
    settings = out / "cookiecutter.yaml"
    settings.write_text(f"cookiecutters_dir: {out / 'c'}\nreplay_dir: {out / 'replay'}\n", encoding="utf-8")
    person = {
        f"GIT_{role}_{what}": "a@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "cookiecutter",
        clone,
        "--directory",
        "model-build",
        "--no-input",
    ]
    more = {"COOKIECUTTER_CONFIG": str(settings), **person}
    spent, _, _ = side.run([*command, "-o", out / "made"], out, more)
    (made,) = (out / "made").iterdir()
    return spent, made


def local(side: Side, number: int) -> Figures:
    """A generated repository's `make local`, from a fresh clone of the collection and empty caches."""
    caches, clone, out = side.empty(), side.clone(), side.empty()
    generated, made = generate(side, clone, out)
    spent, _, _ = side.run(make(side, "local"), made, caches=caches)
    figures = {
        "time, s": generated.seconds + spent.seconds,
        "processor time, s": generated.processor + spent.processor,
        "on disk, GB": commands.size(made) / 1e9,
    }
    for folder in (caches, clone, out):
        remove(folder)
    return figures


def change(side: Side, number: int) -> Figures:
    """One more statement in a step, then the tests that are about it.

    They are `make test-changed` where there is one, which has run once before the change; else what one ran
    then, a generated repository's `make test`, here in the collection's environments.
    """
    clone = side.ready(clean=number == 0)
    if "\ntest-changed:" in (clone / "Makefile").read_text(encoding="utf-8"):
        where, changed = clone, clone / STEP
        told = [make(side, "test-changed")]
        if number == 0:
            before, _, _ = side.run(told[0], clone)
            side.say(
                f"{side.name}: `make test-changed`, after it had run once, which took"
                f" {before.processor:.0f} s of processor time."
            )
    else:
        out = side.empty()
        _, where = generate(side, clone, out)
        changed = where / "steps/train.py"
        told = [[clone / ".venv/bin/python", "-m", "pytest", "tests/build"]]
        told += [[clone / ".venv-container/bin/python", "-m", "pytest", "tests/steps"]]
        if side.quick:
            told = [make(side, "test")]
        side.say(f"{side.name}: `make test` in a generated repository.")
    with changed.open("a", encoding="utf-8") as file:
        file.write(f"\nCHANGED = {number}\n")
    container = {"MLOPS_CONTAINER_PYTHON": str(clone / ".venv-container/bin/python")}
    ran = [side.run(command, where, container) for command in told]
    if where is not clone:
        remove(out)
    for _, printed, _ in ran:
        if counted := tests_of(printed):
            side.say(f"{side.name}: {counted}.")
    return {
        "time, s": sum(spent.seconds for spent, _, _ in ran),
        "processor time, s": sum(spent.processor for spent, _, _ in ran),
    }


def sandbox(side: Side, number: int) -> Figures:
    """A sandbox's own start: in a process, with its end; by `mlops-sandbox up`, until it answers."""
    clone, own = side.ready(clean=number == 0), side.empty()
    sources = [clone / "shared/workbench/src", clone / "shared/sandbox/src"]
    found = {"PYTHONPATH": os.pathsep.join(map(str, sources))} if side.quick else {}
    (own / "here").mkdir()

    def measured(once: str) -> Figures:
        within: list[str | Path] = [side.python(clone), "-c", START, own / once / "within"]
        inside, _, _ = side.run(within, own / "here", found)
        figures = {"in a process, s": inside.seconds, "in a process, processor time, s": inside.processor}
        if not side.quick:
            up: list[str | Path] = [
                clone / ".venv/bin/mlops-sandbox",
                "up",
                "--no-foundation",
                "--folder",
                own / once / "up",
            ]
            started, _, _ = side.run(up, own / "here")
            figures |= {"up, s": started.seconds, "up, processor time, s": started.processor}
        return figures

    if number == 0:
        measured("first")  # compiles what was not yet
    figures = measured("measured")
    remove(own)
    return figures


class Aim(NamedTuple):
    """A row of the table: its name, the metric, and the most that it may be of the older build's."""

    what: str
    metric: str
    at_most: float | None
    alone: bool = False
    """The bound is one of the figure itself, in seconds."""


class Part(NamedTuple):
    """What can be measured by itself."""

    title: str
    measure: Callable[[Side, int], Figures]
    rounds: int
    aims: tuple[Aim, ...]


PARTS = {
    "setup": Part(
        "make setup",
        setup,
        3,
        (
            Aim("`make setup` from nothing, empty caches", "from nothing, s", 0.33),
            Aim("`make setup` again in another clone, warm caches", "warm caches, s", 0.15),
            Aim("disk that the environments take", "environments on disk, GB", 0.6),
        ),
    ),
    "test": Part("make test", tests(), 3, (Aim("`make test`", "time, s", 0.5),)),
    "demo": Part(
        "make demo after set-up, first time on a machine",
        demo,
        2,
        (Aim("`make demo` after set-up, first time on a machine", "time, s", 0.6),),
    ),
    "local": Part(
        "A generated repository's make local, from nothing",
        local,
        2,
        (Aim("a generated repository's `make local` from nothing, set-up included", "time, s", 0.4),),
    ),
    "change": Part(
        "One change to a step, then its tests",
        change,
        3,
        (Aim("one change to a step, then its tests: processor time", "processor time, s", 20, alone=True),),
    ),
    "sandbox": Part(
        "The sandbox's own start",
        sandbox,
        5,
        (
            Aim("a sandbox in a process, from its start to its end", "in a process, s", None),
            Aim("`mlops-sandbox up --no-foundation`, until it answers", "up, s", None),
        ),
    ),
    "slow": Part(
        "make test SLOW=1, whole",
        tests("SLOW=1"),
        1,
        (Aim("`make test SLOW=1`, whole", "time, s", 0.4),),
    ),
}


def main(arguments: Sequence[str] | None = None, ours: Path = ROOT) -> int:
    """Measure the parts that are wanted; the exit status is 1 if a side failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"those wanted: {', '.join(PARTS)}")
    parser.add_argument(
        "--against", metavar="FOLDER|REVISION", help=f"a checkout, or a commit of this one ({BEFORE[:7]})"
    )
    parser.add_argument("--rounds", type=int, help="each side is measured so often (each part has its own)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="sets nothing up, runs few tests: shows that it works, in a minute",
    )
    parser.add_argument("--folder", type=Path, help="where the clones are made (the temporary folder)")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"expected names of parts ({', '.join(PARTS)}), got {', '.join(unknown)}")
    theirs = found(options.against, ours)
    if theirs is None and options.against:
        parser.error(f"--against: expected a checkout or a commit, found neither: {options.against}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="wf", dir=options.folder, ignore_cleanup_errors=True) as name:
        sides = [Side(NOW, ours, commit(ours, "HEAD") or "", Path(name, "now"), options.quick)]
        if theirs:
            sides.append(Side(theirs[1][:7], *theirs, Path(name, "before"), options.quick))
        else:
            print(
                f"no history with {BEFORE[:7]} here (git fetch --unshallow): this checkout is measured alone"
            )
        if git(ours, "status", "--porcelain"):
            print("what is not committed here is not measured")
        for part in options.parts or PARTS:
            failed |= not measured(part, sides, options.rounds, options.quick)
    return 1 if failed else 0


def measured(name: str, sides: Sequence[Side], wanted: int | None, quick: bool) -> bool:
    """Measure a part and report it, also if it is interrupted; whether all sides came through."""
    part = PARTS[name]
    if not quick:
        wait_until_quiet()
    machine.LOAD_AT_START = machine.load()
    results: Measured = {side.name: {} for side in sides}
    failures: dict[str, str] = {}
    count = wanted or (1 if quick else part.rounds)
    for side in sides:
        side.said = [f"{side.name}: commit {side.commit[:7]}."] if side.name == NOW else []
    print(f"{name}: {part.title}, {count} rounds", flush=True)
    try:
        for number in range(count):
            for side in sides if number % 2 == 0 else reversed(sides):
                if side.name in failures:
                    continue
                try:
                    figures = part.measure(side, number)
                except (CommandFailed, subprocess.CalledProcessError, RuntimeError) as error:
                    failures[side.name] = f"{side.name}: {error}; from there on it was left out."
                    print(f"  {failures[side.name]}", flush=True)
                    continue
                for metric, value in figures.items():
                    results[side.name].setdefault(metric, []).append(value)
                told = ", ".join(f"{metric} {value:.3g}" for metric, value in figures.items())
                print(f"  round {number + 1}/{count}, {side.name}: {told}", flush=True)
    finally:
        report(name, sides, {side: each for side, each in results.items() if each}, failures, quick)
    return not failures


def report(
    name: str, sides: Sequence[Side], results: Measured, failures: Mapping[str, str], quick: bool
) -> None:
    """Write what was measured, if anything was."""
    part = PARTS[name]
    if not results:
        return
    goals = []
    for aim in () if quick else part.aims:
        theirs = next((side for side in results if side != NOW), None)
        if NOW not in results or aim.metric not in results[NOW]:
            continue
        if aim.alone:
            goals.append(Goal(aim.what, "itself", aim.metric, (NOW,), at_most=aim.at_most, unit=" s"))
        elif theirs and any(results[theirs].get(aim.metric, ())):
            goals.append(Goal(aim.what, theirs, aim.metric, (NOW, theirs), at_most=aim.at_most))
    rounds.report(
        f"workflow-{name}",
        part.title,
        results,
        *goals,
        quick=quick,
        notes=[*(line for side in sides for line in side.said), *failures.values()],
    )


def found(against: str | None, ours: Path) -> tuple[Path, str] | None:
    """A repository and a commit of it: of another checkout, or of this one's history."""
    if against and Path(against).is_dir():
        folder, revision = Path(against).resolve(), "HEAD"
    else:
        folder, revision = ours, against or BEFORE
    name = commit(folder, revision)
    return (folder, name) if name else None


def commit(folder: Path, revision: str) -> str | None:
    """The name of a commit; None where there is none."""
    return git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or None


def git(folder: Path, *words: str) -> str:
    """What git says; nothing where it fails."""
    done = subprocess.run(["git", "-C", folder, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    # the same clean end as Ctrl-C: nothing runs on, and no gigabytes stay
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; what was measured is written", file=sys.stderr)
        sys.exit(130)
