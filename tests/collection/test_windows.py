"""What people type on a laptop works on Windows; what needs Linux says so.

There is no Windows here: the code is read, and run where files and pipes have no UTF-8, like its code pages.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath

import pytest

COLLECTION = Path(__file__).resolve().parents[2]
PROJECT = "{{cookiecutter.project_slug}}"
PACKAGES = {
    "model-build": "model_build",
    "serverless-inference": "serverless_inference",
    "batch-inference": "batch_inference",
}
LAPTOP = [
    "hooks",
    *(f"{template}/{name}" for template in PACKAGES for name in ("checkout.py", "hooks")),
    *(f"shared/parts/everywhere/{name}" for name in ("configuration", "tools")),
    *(
        f"shared/workbench/src/mlops_workbench/{name}"
        for name in ("__main__.py", "upgrade.py", "cost", "delivery", "doctor")
    ),
    *(f"shared/parts/release/{name}" for name in ("release", "watching")),
    *(f"shared/parts/pipeline/{name}" for name in ("pipeline_sdk", "steps")),
    *(f"{template}/{PROJECT}/{package}" for template, package in PACKAGES.items()),
    *(f"{template}/{PROJECT}/examples" for template in ("serverless-inference", "batch-inference")),
    f"batch-inference/{PROJECT}/steps",  # submit reads the head of a file with some of them
    f"batch-inference/{PROJECT}/functions",
]
"""What runs on laptops. Not the sandbox, other steps, and the collection's own tools, which need bash."""

NO_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NO_NAMES = {
    *(
        f"os.{name}"
        for name in ("chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid")
    ),
    *(
        f"os.{name}"
        for name in ("getuid", "killpg", "mkfifo", "sched_getaffinity", "setsid", "uname", "wait3")
    ),
    *(
        f"signal.{name}"
        for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm")
    ),
}
NO_ARGUMENTS = {"preexec_fn", "start_new_session", "pass_fds", "process_group"}
NO_PATHS = re.compile(r"^/(tmp|dev|bin|usr|etc|var|home)(/|$)")
AWS_OWN = ("/opt/ml", "/aws/")
READS_OR_WRITES_TEXT = {"read_text", "write_text", "NamedTemporaryFile", "TextIOWrapper", "fdopen"}


def wrong(code: str) -> Iterator[tuple[int, str]]:
    """The lines of a module that do not work on Windows, or not with its code pages, and why."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [each.name for each in node.names]
            )
            for name in NO_MODULES & {name.split(".")[0] for name in names}:
                yield line, f"import {name}: Windows has no such module"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in NO_NAMES:
            yield line, f"{ast.unparse(node)}: Windows has none"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and NO_PATHS.match(node.value):
            yield (
                line,
                f"{node.value!r}: there is no such path on Windows; use tempfile, os.devnull, shutil.which",
            )
        elif isinstance(node, ast.Call):
            yield from ((line, each) for each in wrong_call(node))


def wrong_call(call: ast.Call) -> Iterator[str]:
    """What is wrong with a call."""
    words, given = ast.unparse(call.func), {each.arg: each.value for each in call.keywords}
    name = words.split(".")[-1]
    for argument in NO_ARGUMENTS & given.keys():
        yield f"{words}({argument}=): not on Windows"
    mode = given.get("mode") or next((each for each in call.args[-2:] if _is_mode(each)), None)
    how = mode.value if isinstance(mode, ast.Constant) and isinstance(mode.value, str) else ""
    opens = (
        words == "open"
        or (name == "open" and _is_mode(mode) and not words.startswith("tarfile."))
        or (words == "gzip.open" and "t" in how)
    )
    if (opens and "b" not in how) or name in READS_OR_WRITES_TEXT - _binary(how):
        positional = name in ("read_text", "write_text") and len(call.args) == (
            1 if name == "read_text" else 2
        )
        if "encoding" not in given and not positional:
            yield f"{words}(…) without encoding: it would be the code page"
        if ("w" in how or "a" in how or name == "write_text") and "newline" not in given:
            yield f"{words}(…) without newline: lines would end in CR LF"
    process = re.fullmatch(r"subprocess\.(run|Popen|check_output|check_call)", words)
    if process and {"text", "universal_newlines"} & given.keys() and "encoding" not in given:
        yield f"{words}(text=True) without encoding: it would be the code page"


def _is_mode(node: ast.AST | None) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and bool(re.fullmatch("[rwaxbt+]+", node.value))
    )


def _binary(mode: str) -> set[str]:
    return {"NamedTemporaryFile", "fdopen"} if "b" in mode or not mode else set()


@pytest.mark.parametrize("where", LAPTOP)
def test_nothing_that_windows_lacks_is_used_where_people_type(where: str) -> None:
    path = COLLECTION / where
    modules = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert modules, where
    found = [
        f"{module.relative_to(COLLECTION)}:{line}: {why}"
        for module in modules
        for line, why in wrong(module.read_text(encoding="utf-8"))
        if not (where.endswith("/steps") and "newline" in why)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import fcntl", "no such module"),
        ("from resource import getrusage", "no such module"),
        ("import os\nos.getuid()", "os.getuid"),
        ("process.send_signal(signal.SIGKILL)", "signal.SIGKILL"),
        ("Path('/tmp/x')", "no such path"),
        ("open(name)", "without encoding"),
        ("open(name, 'w', encoding='utf-8')", "without newline"),
        ("path.open('a', encoding='utf-8')", "without newline"),
        ("gzip.open(path, 'rt')", "without encoding"),
        ("path.read_text()", "without encoding"),
        ("path.write_text('a', encoding='utf-8')", "without newline"),
        ("subprocess.run(['git'], text=True)", "without encoding"),
        ("subprocess.Popen(['x'], start_new_session=True)", "not on Windows"),
    ],
)
def test_each_rule_finds_what_it_is_for(code: str, why: str) -> None:
    assert any(why in found for _, found in wrong(code)), code


@pytest.mark.parametrize(
    "code",
    [
        "open(name, 'rb')",
        "open(name, encoding='utf-8')",
        "path.open('w', encoding='utf-8', newline='\\n')",
        "path.open('wb', buffering=1)",
        "path.read_text('utf-8')",
        "gzip.open(path)",
        "tarfile.open(fileobj=file, mode='w')",
        "opener.open(url, timeout=3)",
        "subprocess.run(['git'], capture_output=True)",
        "'/opt/ml/model'",
    ],
)
def test_what_works_everywhere_is_let_through(code: str) -> None:
    assert list(wrong(code)) == []


def test_a_checkout_on_windows_has_every_file(git: Callable[..., str]) -> None:
    names = git(COLLECTION, "-c", "core.quotepath=off", "ls-files").splitlines()
    odd = [name for name in names if re.search(r'[<>:"|?*\\]|[. ](/|$)', name)]
    assert not odd, "Windows has no such names"
    reserved = [
        name for name in names if any(PureWindowsPath(part).is_reserved() for part in name.split("/"))
    ]
    assert not reserved
    same = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    assert not same, "one file on Windows"
    longest = max((name.partition(f"{PROJECT}/")[2] for name in names), key=len)
    assert len(longest) < 160, f"{longest}: with a folder before it Windows' 260 characters are soon used up"


# Where neither files nor pipes have UTF-8

CODE_PAGE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "cp1252"}
NAME = "Prüfung ► 料金"


def with_code_page(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LC_", "LANG"))}
    away = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(folder / "nobody"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-X", "utf8=0", *arguments],
        cwd=folder,
        env={**kept, **away, **CODE_PAGE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
    )


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def repository(
    request: pytest.FixtureRequest,
    template_repository: Path,
    cli: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """A repository that was generated, hooks and all, where the code page is not UTF-8; and its package."""
    folder = tmp_path_factory.mktemp("windows")
    settings = folder / "settings.yaml"
    settings.write_text(
        f"cookiecutters_dir: {folder}/cookiecutters\nreplay_dir: {folder}/replay\ndefault_context:\n"
        f'  project_name: "{NAME}"\n  project_slug: the-project\n  description: "{NAME}: → …"\n',
        encoding="utf-8",
    )
    options = ["--no-input", "--config-file", str(settings), "-o", str(folder)]
    made = with_code_page(folder, str(cli), str(template_repository), "--directory", request.param, *options)
    assert made.returncode == 0, made.stderr.decode("cp1252")
    return folder / "the-project", PACKAGES[request.param]


@pytest.mark.slow
def test_the_commands_work_with_a_code_page(repository: tuple[Path, str]) -> None:
    folder, package = repository
    assert NAME in (folder / "config/project.yaml").read_text(encoding="utf-8")
    commands = [
        (package, "--help"),
        (package, "check"),
        (package, "schema"),
        ("mlops_workbench", "--help"),
        ("mlops_workbench", "cost"),
    ]
    commands += [("mlops_workbench", "register", "--help"), ("mlops_workbench", "doctor", "--help")]
    commands += [(package, "describe")] if package == "model_build" else [(package, "status", "--help")]
    for command in commands:
        done = with_code_page(folder, "-m", *command)
        words = (done.stdout + done.stderr).decode("cp1252")
        assert done.returncode == 0 and "Traceback" not in words, f"{command}: {words}"
    for path in folder.glob("config/*.schema.json"):
        assert b"\r" not in path.read_bytes()


@pytest.mark.slow
def test_a_mistake_is_shown_with_a_code_page(repository: tuple[Path, str]) -> None:
    folder, package = repository
    path = folder / "config/project.yaml"
    before = path.read_bytes()
    path.write_bytes(before + f'"{NAME}": 1\n'.encode())
    try:
        done = with_code_page(folder, "-m", package, "check")
    finally:
        path.write_bytes(before)
    assert done.returncode == 1
    assert "Prüfung ? ??: unknown key" in done.stderr.decode("cp1252"), done.stderr


def test_a_hook_tells_a_wrong_answer_with_a_code_page(
    template_repository: Path, cli: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"cookiecutters_dir: {tmp_path}/c\nreplay_dir: {tmp_path}/r\n"
        f'default_context:\n  project_slug: "A B"\n  aws_region: "{NAME}"\n',
        encoding="utf-8",
    )
    options = ["--no-input", "--config-file", str(settings), "-o", str(tmp_path)]
    done = with_code_page(
        tmp_path, str(cli), str(template_repository), "--directory", "model-build", *options
    )
    words = (done.stdout + done.stderr).decode("cp1252", "replace")
    assert done.returncode != 0 and "project_slug" in words and "Prüfung" in words, words
    assert "UnicodeEncodeError" not in words and "UnicodeDecodeError" not in words, words


# What needs Linux

WINDOWS = """
import sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None  # what Windows does not have
import {module}
sys.platform = "win32"
sys.exit({module}.main({arguments!r}))
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("mlops_workbench.sandbox.cli", ["up"]),
        ("mlops_workbench.sandbox.cli", ["serve"]),
        ("model_build.cli", ["local"]),
    ],
)
def test_the_sandbox_says_in_one_line_that_it_needs_wsl(
    generated: Path, tmp_path: Path, module: str, arguments: list[str]
) -> None:
    code = WINDOWS.format(module=module, arguments=arguments)
    if module.startswith("model_build"):
        arguments[:0] = ["--root", str(generated)]
        code = WINDOWS.format(module=module, arguments=arguments).replace(
            "import model_build.cli",
            f"sys.path.insert(0, {str(generated)!r}); import model_build.cli, model_build.local",
        )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and "wsl/install" in done.stderr, done.stderr
