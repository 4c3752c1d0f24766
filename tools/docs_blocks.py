"""Looks up every command that a page or a README tells people to type: targets, commands, options, paths.

    python tools/docs_blocks.py      # prints what does not exist; also a test (tests/docs/test_pages.py)

A tutorial's commands are executed by a test; those of all other pages are at least looked up here.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import docs_commands
from docs_commands import COLLECTION, MAKEFILES, PROGRAMS, PROJECT

SHELLS = {"bash", "sh", "shell", "console", ""}
SKIPPED = {"build", "reference", "node_modules"}
#: Modules that `python -m` may name besides our own.
OTHER_MODULES = {"pip", "venv", "pytest", "cookiecutter", "zipfile", "http.server", "hooks.assembly"}

_FENCE = re.compile(
    r"^(?P<indent>[ >]*)```(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"(?<!`)`((?:make|python3? -m|mlops-sandbox|\.venv/bin/mlops-sandbox) [^`]+)`")
_OPERATORS = re.compile(r"&&|\|\||[;|]|\$\(|\)|\"\$\(")
_PATH = re.compile(r"(?:tools|steps|examples|benchmarks)/[\w/.-]+\.\w+")


@dataclass(frozen=True)
class Command:
    """One simple command, and where it stands."""

    page: Path
    line: int
    text: str


def pages() -> list[Path]:
    """Every Markdown file that a person wrote; copies in the templates are checked where they come from."""
    return sorted(
        path
        for path in COLLECTION.rglob("*.md")
        if not (
            set(path.relative_to(COLLECTION).parts) & SKIPPED
            or any(part.startswith(".") for part in path.relative_to(COLLECTION).parts)
            or f"{PROJECT}/sandbox/" in path.as_posix()
        )
    )


def commands(page: Path, text: str | None = None) -> Iterator[Command]:
    """The commands of a page's shell blocks, and those in its running text that are ours."""
    text = page.read_text(encoding="utf-8") if text is None else text
    for block in _FENCE.finditer(text):
        if block["language"] not in SHELLS:
            continue
        body = re.sub(r"\\\n\s*", " ", block["body"])
        first = text[: block.start()].count("\n") + 2
        for number, line in enumerate(body.splitlines(), first):
            for part in _OPERATORS.split(_without_comment(line.strip(" >$"))):
                if part.strip():
                    yield Command(page, number, part.strip())
    for span in _INLINE.finditer(_FENCE.sub("", text)):
        yield Command(page, 0, span[1].replace("\\|", "|"))


def problems(command: Command) -> Iterator[str]:
    """What is wrong with one command, a line each."""
    where = f"{command.page.relative_to(COLLECTION).as_posix()}:{command.line or ''} `{command.text}`"
    try:
        words = shlex.split(command.text)
    except ValueError:
        words = command.text.split()
    while words and (re.fullmatch(r"[A-Z_]+=.*", words[0]) or words[0] in ("export", "eval", "exec", "time")):
        words = words[1:]
    if not words:
        return
    name, arguments = words[0].rsplit("/", 1)[-1], words[1:]
    if name == "make":
        yield from (f"{where}: {problem}" for problem in _make(command.page, arguments))
    elif name == "mlops-sandbox":
        yield from (f"{where}: {problem}" for problem in _program("mlops_workbench.sandbox.cli", arguments))
    elif name.startswith("python") and arguments[:1] == ["-m"] and len(arguments) > 1:
        module = arguments[1]
        if any(module == program.module.split()[0] for program in PROGRAMS):
            yield from (f"{where}: {problem}" for problem in _program(module, arguments[2:]))
        elif (
            module not in OTHER_MODULES
            and not Path(COLLECTION, *module.split(".")).with_suffix(".py").is_file()
        ):
            yield f"{where}: no module {module}"
    for path in _PATH.findall(command.text) if name.startswith("python") else ():
        if not any((top / path).exists() for top in _tops(command.page)):
            yield f"{where}: no file {path}"


def _make(page: Path, arguments: list[str]) -> Iterator[str]:
    targets = [word for word in arguments if re.fullmatch(r"[a-z][a-z-]*", word)]
    makefiles = [makefile for makefile in _makefiles(page)]
    for target in targets:
        offered = [makefile for makefile in makefiles if target in docs_commands.targets(makefile)]
        if not offered:
            yield f"no target {target} in {', '.join(_name(makefile) for makefile in makefiles)}"
        for word in arguments:
            if word.startswith("ARGS=") and offered:
                options = re.findall(r"--[a-z][\w-]*", word)
                runs = [_runs(makefile, target) for makefile in offered]
                for option in options:
                    if not any(option in text for text in runs):
                        yield f"no option {option} of make {target}"


def _program(module: str, arguments: list[str]) -> Iterator[str]:
    known = _helps(module)
    words = [word for word in arguments if re.fullmatch(r"[a-z][a-z-]*", word)]
    chosen = arguments[0] if arguments and arguments[0] in known else None
    if chosen is None and words and arguments[0] == words[0]:
        yield f"no command {words[0]}; there are {', '.join(name for name in known if name)}"
        return
    text = known[chosen or ""]
    for word in arguments:
        option = re.match(r"--[a-z][\w-]*", word)
        if option and option[0] not in text and option[0] not in known[""]:
            yield f"no option {option[0]}"


@cache
def _helps(module: str) -> dict[str, str]:
    """Command -> its --help, in all templates that have it; "" is the program's own."""
    found: dict[str, str] = {}
    for program in PROGRAMS:
        if program.module.split()[0] == module:
            (_, own), *rest = docs_commands.helps(program)
            alone = "" if rest else " ".join(program.module.split()[1:])
            for name, text in [(alone, own), *((prog.rsplit(" ", 1)[-1], text) for prog, text in rest)]:
                found[name] = found.get(name, "") + text
    return found


def _runs(makefile: Path, target: str) -> str:
    """The --help of what a target runs; all of its Makefile's programs where that cannot be told."""
    text = makefile.read_text(encoding="utf-8")
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n?)+)", text, re.MULTILINE)
    called = re.search(r"\$\((\w+)\) ([a-z]+)", recipe[1]) if recipe else None
    module = re.search(rf"^{called[1]} .*-m ([\w.]+)$", text, re.MULTILINE) if called else None
    if called and module and any(module[1] == program.module.split()[0] for program in PROGRAMS):
        return _helps(module[1]).get(called[2], "")
    direct = (
        re.search(r"(?:-m |/)([\w.]+)(?: ([a-z]+))?( \$\(ARGS\))?$", recipe[1], re.MULTILINE)
        if recipe
        else None
    )
    if direct and any(direct[1] == program.module.split()[0] for program in PROGRAMS):
        return _helps(direct[1])[direct[2] or ""]
    script = re.search(r"\b(?:examples|tools|benchmarks)/\w+\.py", recipe[1]) if recipe else None
    if script:
        return (makefile.parent / script[0]).read_text(encoding="utf-8")
    return recipe[1] + _helps("mlops_workbench.sandbox.cli").get("up", "") if recipe else ""


def _makefiles(page: Path) -> list[Path]:
    """The Makefiles that a page may mean: its own template's, or any."""
    own = [COLLECTION / path for path in MAKEFILES.values() if (COLLECTION / path).parent == page.parent]
    own = [path for path in own if PROJECT in path.parts]
    return own or [COLLECTION / path for path in MAKEFILES.values()]


def _tops(page: Path) -> list[Path]:
    parts = (COLLECTION / "shared/parts").iterdir()
    return [page.parent, *(path.parent for path in _makefiles(page)), *parts]


def _name(makefile: Path) -> str:
    return makefile.relative_to(COLLECTION).as_posix().replace(f"{PROJECT}/", "")


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line)


def main() -> int:
    """The exit status: 1 when a command does not exist."""
    found = [problem for page in pages() for command in commands(page) for problem in problems(command)]
    print("\n".join(found) or "every command exists")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
