"""The first commit is made whatever git is there, and never at the price of the generated files."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Git = Callable[..., str]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_settings: Path) -> Path:
    """A folder of generated files, entered as cookiecutter does for a hook."""
    folder = tmp_path / "outer/my project"
    (folder / "data").mkdir(parents=True)
    (folder / "data/emails.csv").write_bytes(b"subject,body\r\na,b\r\n")
    (folder / ".gitignore").write_text(".venv*/\n")
    (folder / ".gitattributes").write_text("* text=auto eol=lf\n")
    monkeypatch.chdir(folder)
    return folder


def use_settings(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
    path.write_text(text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))


def committed(git: Git, repository: Path) -> list[str]:
    """The files of the only commit on main; nothing is left outside it."""
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "rev-list", "--count", "main") == "1"
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/main"
    return git(repository, "ls-files").splitlines()


FILES = [".gitattributes", ".gitignore", "data/emails.csv"]


def test_all_files_are_committed_on_main_by_whoever_git_knows(
    post_gen: ModuleType, repository: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    post_gen.main()
    assert committed(git, repository) == FILES
    assert (
        git(repository, "log", "--format=%an <%ae>: %s")
        == "Tester <tester@example.org>: First commit, as generated"
    )
    assert capsys.readouterr().out.splitlines() == [
        "Next:",
        f'  cd "{repository}"',
        "  make check",
        "  make local",
        "`make help` lists all commands.",
    ]


def test_no_option_is_used_that_git_lacked_in_2014(post_gen: ModuleType, repository: Path, git: Git) -> None:
    def git_2_0(arguments: list[str]) -> object:
        if {"-b", "--initial-branch"} & set(arguments) or arguments[0] in ("switch", "restore"):
            return post_gen.Result(False, f"error: unknown switch: {arguments}")
        return post_gen.run_git(arguments)

    assert post_gen.create_repository(git_2_0, "me@example.org") == ""
    assert committed(git, repository) == FILES


def test_the_owner_stands_in_for_a_missing_identity(
    post_gen: ModuleType, repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, tmp_path / "config", "[user]\n  useConfigOnly = true\n")
    assert "does not know who you are" in post_gen.create_repository(post_gen.run_git, "team@example.org")
    assert committed(git, repository) == FILES
    assert git(repository, "log", "--format=%an <%ae>") == "cookiecutter <team@example.org>"
    assert "user" not in (repository / ".git/config").read_text()


def test_an_identity_in_the_environment_is_enough(
    post_gen: ModuleType, repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, tmp_path / "config", "")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "CI")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ci@example.org")
    assert post_gen.create_repository(post_gen.run_git, "team@example.org") == ""
    assert git(repository, "log", "--format=%an <%ae>") == "CI <ci@example.org>"


def test_hooks_signing_ignores_and_line_ending_checks_of_a_person_do_not_stop_the_commit(
    post_gen: ModuleType, repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "ignore").write_text("*.csv\n")
    use_settings(
        monkeypatch,
        tmp_path / "config",
        f"[user]\n  name = Tester\n  email = tester@example.org\n  signingKey = none\n"
        f"[commit]\n  gpgSign = true\n[gpg]\n  program = /bin/false\n"
        f"[core]\n  hooksPath = {hooks}\n  excludesFile = {tmp_path}/ignore\n  safecrlf = true\n",
    )
    assert post_gen.create_repository(post_gen.run_git, "me@example.org") == ""
    assert committed(git, repository) == FILES
    assert not (tmp_path / "ran").exists()


def test_the_files_go_into_one_pack_and_no_setting_stays(
    post_gen: ModuleType, repository: Path, git: Git, tmp_path: Path
) -> None:
    assert post_gen.create_repository(post_gen.run_git, "me@example.org") == ""
    assert len(list((repository / ".git/objects/pack").glob("*.pack"))) == 1
    assert not (repository / ".git/info/attributes").exists()
    assert git(repository, "check-attr", "text", "data/emails.csv") == "data/emails.csv: text: auto"


def test_a_change_in_the_second_of_the_commit_is_noticed(
    post_gen: ModuleType, repository: Path, git: Git
) -> None:
    assert post_gen.create_repository(post_gen.run_git, "me@example.org") == ""
    (repository / "data/emails.csv").write_bytes(b"subject,body\r\nb,a\r\n")  # as long as it was
    assert git(repository, "status", "--porcelain") == "M data/emails.csv"
    assert (repository / ".git/index").stat().st_mtime < time.time() + 1


def test_a_git_that_does_not_know_the_setting_of_the_branch_begins_on_main_too(
    post_gen: ModuleType, repository: Path, git: Git
) -> None:
    def git_2_27(arguments: list[str]) -> object:
        return post_gen.run_git([argument.replace("init.defaultBranch", "x.x") for argument in arguments])

    assert post_gen.create_repository(git_2_27, "me@example.org") == ""
    assert committed(git, repository) == FILES


def test_nobody_who_reads_what_the_hook_says_is_no_reason_to_fail(
    rendered: Callable[..., Path], answers: dict[str, object], repository: Path, git: Git
) -> None:
    hook = rendered("post_gen_project", {**answers, "_output_dir": "/somewhere"})
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        assert subprocess.run([sys.executable, str(hook)], stdout=closed, stderr=closed).returncode == 0
    assert committed(git, repository) == FILES


def test_attributes_of_a_person_s_own_template_of_repositories_stay(
    post_gen: ModuleType, repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "template/info").mkdir(parents=True)
    (tmp_path / "template/info/attributes").write_text("*.csv -diff\n")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    assert post_gen.create_repository(post_gen.run_git, "me@example.org") == ""
    assert committed(git, repository) == FILES
    assert (repository / ".git/info/attributes").read_text() == "*.csv -diff\n"


def test_inside_another_repository_it_makes_its_own(post_gen: ModuleType, repository: Path, git: Git) -> None:
    outer = repository.parent
    git(outer, "init", "--quiet")
    git(outer, "config", "user.email", "outer@example.org")
    assert post_gen.create_repository(post_gen.run_git, "me@example.org") == ""
    assert committed(git, repository) == FILES
    assert git(repository, "log", "--format=%ae") == "tester@example.org"
    assert git(outer, "ls-files") == ""


def test_called_from_a_git_hook_it_leaves_that_repository_alone(
    post_gen: ModuleType, repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(other / ".git"))
        patch.setenv("GIT_WORK_TREE", str(other))
        patch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
        assert post_gen.create_repository(post_gen.run_git, "me@example.org") == ""
    assert committed(git, repository) == FILES
    assert git(other, "rev-list", "--all") == ""


def test_a_repository_that_is_there_is_left_as_it_is(
    post_gen: ModuleType, repository: Path, git: Git
) -> None:
    git(repository, "init", "--quiet")
    assert "git diff" in post_gen.create_repository(post_gen.run_git, "me@example.org")
    assert git(repository, "rev-list", "--all") == ""


@pytest.mark.parametrize(
    ("path", "reason"), [("", "git is not installed"), ("broken", "cannot read the configuration")]
)
def test_without_a_working_git_it_says_what_to_type_and_succeeds(
    rendered: Callable[..., Path],
    answers: dict[str, object],
    repository: Path,
    tmp_path: Path,
    path: str,
    reason: str,
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/git").write_text("#!/bin/sh\necho fatal: cannot read the configuration\nexit 128\n")
    (tmp_path / "broken/git").chmod(0o755)
    hook = rendered("post_gen_project", {**answers, "_output_dir": "/somewhere"})
    environment = {"PATH": str(tmp_path / path) if path else str(tmp_path / "nothing")}
    done = subprocess.run([sys.executable, str(hook)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert reason in done.stdout and "git init && git add -A && git commit" in done.stdout
    assert "make check" in done.stdout


def test_a_fault_of_its_own_does_not_fail_the_hook(
    rendered: Callable[..., Path], answers: dict[str, object], repository: Path
) -> None:
    hook = rendered("post_gen_project", {**answers, "_output_dir": "/somewhere"})
    hook.write_text(hook.read_text().replace('"owner_email":', '"owner_email": {}['))
    done = subprocess.run([sys.executable, str(hook)], capture_output=True, text=True)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("temporary", [True, False])
def test_under_cruft_it_makes_no_repository_and_speaks_only_to_a_person(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    temporary: bool,
) -> None:
    hook = load(rendered("post_gen_project", {**answers, "_template": "t", "_commit": "c"}))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path if temporary else tmp_path / "tmp"))
    hook.main()
    assert not (repository / ".git").exists()
    assert ("git init &&" in capsys.readouterr().out) is not temporary


class Registering:
    """Stands for `make register`: counts its calls and ends as it is told."""

    def __init__(self, result: object) -> None:
        self.result, self.calls = result, 0

    def __call__(self) -> object:
        self.calls += 1
        return self.result


def wants_to_register(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    **more: object,
) -> ModuleType:
    """The hook of somebody who answered that it should register."""
    changed = {**answers, "register": True, "_output_dir": "/somewhere", **more}
    return load(
        rendered("post_gen_project", {key: value for key, value in changed.items() if value is not None})
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is somebody to ask."""
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.delenv("MLOPS_REGISTER_YES", raising=False)


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody to ask, and nothing was agreed to beforehand."""
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    monkeypatch.delenv("MLOPS_REGISTER_YES", raising=False)


def test_it_registers_once_when_that_is_wanted(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    repository: Path,
    git: Git,
    terminal: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook = wants_to_register(rendered, load, answers)
    register = Registering(hook.Result(True, ""))
    hook.main(run=register)
    assert register.calls == 1
    assert committed(git, repository) == FILES
    assert "registered" not in capsys.readouterr().out


def test_by_default_it_does_not_register(post_gen: ModuleType, repository: Path, terminal: None) -> None:
    register = Registering(post_gen.Result(True, ""))
    post_gen.main(run=register)
    assert register.calls == 0


@pytest.mark.parametrize("answer", [False, "true", "yes", 1, None])
def test_only_the_answer_true_registers(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    repository: Path,
    terminal: None,
    answer: object,
) -> None:
    hook = wants_to_register(rendered, load, answers, register=answer)
    register = Registering(hook.Result(True, ""))
    hook.main(run=register)
    assert register.calls == 0


def test_under_cruft_it_never_registers(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    repository: Path,
    terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_REGISTER_YES", "1")
    hook = wants_to_register(rendered, load, answers, _output_dir=None, _template="t", _commit="c")
    register = Registering(hook.Result(True, ""))
    hook.main(run=register)
    assert register.calls == 0


def test_without_a_terminal_it_says_the_command_and_registers_only_if_that_was_agreed_to(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    repository: Path,
    no_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook = wants_to_register(rendered, load, answers)
    register = Registering(hook.Result(True, ""))
    hook.main(run=register)
    assert register.calls == 0
    assert "no terminal" in (out := capsys.readouterr().out) and "MLOPS_REGISTER_YES=1 make register" in out
    monkeypatch.setenv("MLOPS_REGISTER_YES", "1")
    hook.main(run=register)
    assert register.calls == 1


def test_without_a_first_commit_there_is_nothing_to_register(
    rendered: Callable[..., Path],
    load: Callable[[Path], ModuleType],
    answers: dict[str, object],
    repository: Path,
    terminal: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hook = wants_to_register(rendered, load, answers)
    register = Registering(hook.Result(True, ""))
    hook.main(git=lambda arguments: hook.Result(False, "git is broken"), run=register)
    assert register.calls == 0
    assert "git is broken" in (out := capsys.readouterr().out) and "no first commit. When" in out


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (None, "make is not installed"),
        ("exit 2", "words are above"),
        ("kill -INT $PPID; sleep 2", "interrupted"),
    ],
)
def test_when_registering_fails_the_files_stay_and_the_command_is_named(
    rendered: Callable[..., Path],
    answers: dict[str, object],
    repository: Path,
    git: Git,
    tmp_path: Path,
    make: str | None,
    reason: str,
) -> None:
    found = shutil.which("git")
    assert found is not None
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "git").symlink_to(found)
    for name in ("sleep", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    if make is not None:
        (folder / "make").write_text(f"#!/bin/sh\n{make}\n")
        (folder / "make").chmod(0o755)
    hook = rendered("post_gen_project", {**answers, "register": True, "_output_dir": "/somewhere"})
    environment = {**os.environ, "PATH": str(folder), "MLOPS_REGISTER_YES": "1"}
    done = subprocess.run([sys.executable, str(hook)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"not registered ({reason}" in done.stdout.replace("its words", "words")
    assert "To go on in its folder: make register" in done.stdout and "make check" in done.stdout
    assert committed(git, repository) == FILES


def test_no_secret_of_the_environment_is_in_a_rendered_hook(
    rendered: Callable[..., Path], answers: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITBUCKET_TOKEN", "token-of-this-test")
    hook = rendered("post_gen_project", {**answers, "register": True})
    assert "token-of-this-test" not in hook.read_text()
