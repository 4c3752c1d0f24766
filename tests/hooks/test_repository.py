"""The first commit is made whatever git is there, and registering happens only if somebody wants it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hooks import repository

Git = Callable[..., str]


def use_settings(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
    path.write_text(text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))


def committed(git: Git, project: Path) -> list[str]:
    """The files of the only commit on main; nothing is left outside it."""
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-list", "--count", "main") == "1"
    assert git(project, "symbolic-ref", "HEAD") == "refs/heads/main"
    return git(project, "ls-files").splitlines()


FILES = [".gitattributes", ".gitignore", "data/emails.csv"]


def test_all_files_are_committed_on_main_by_whoever_git_knows(
    by_cookiecutter: dict[str, object], project: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.main(by_cookiecutter)
    assert committed(git, project) == FILES
    assert (
        git(project, "log", "--format=%an <%ae>: %s")
        == "Tester <tester@example.org>: First commit, as generated"
    )
    assert capsys.readouterr().out.splitlines() == [
        "Next:",
        f'  cd "{project}"',
        "  make check",
        "  make local",
        "`make help` lists all commands.",
    ]


def test_no_option_is_used_that_git_lacked_in_2014(project: Path, git: Git) -> None:
    def git_2_0(arguments: list[str]) -> object:
        if {"-b", "--initial-branch"} & set(arguments) or arguments[0] in ("switch", "restore"):
            return repository.Result(False, f"error: unknown switch: {arguments}")
        return repository.run_git(arguments)

    assert repository.create_repository(git_2_0, "me@example.org") == ""
    assert committed(git, project) == FILES


def test_the_owner_stands_in_for_a_missing_identity(
    project: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, tmp_path / "config", "[user]\n  useConfigOnly = true\n")
    assert "does not know who you are" in repository.create_repository(repository.run_git, "team@example.org")
    assert committed(git, project) == FILES
    assert git(project, "log", "--format=%an <%ae>") == "cookiecutter <team@example.org>"
    assert "user" not in (project / ".git/config").read_text()


def test_an_identity_in_the_environment_is_enough(
    project: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, tmp_path / "config", "")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "CI")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ci@example.org")
    assert repository.create_repository(repository.run_git, "team@example.org") == ""
    assert git(project, "log", "--format=%an <%ae>") == "CI <ci@example.org>"


def test_hooks_signing_ignores_and_line_ending_checks_of_a_person_do_not_stop_the_commit(
    project: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert repository.create_repository(repository.run_git, "me@example.org") == ""
    assert committed(git, project) == FILES
    assert not (tmp_path / "ran").exists()


def test_a_change_in_the_second_of_the_commit_is_noticed(project: Path, git: Git) -> None:
    assert repository.create_repository(repository.run_git, "me@example.org") == ""
    (project / "data/emails.csv").write_bytes(b"subject,body\r\nb,a\r\n")  # as long as it was
    assert git(project, "status", "--porcelain") == "M data/emails.csv"


def test_a_git_that_does_not_know_the_setting_of_the_branch_begins_on_main_too(
    project: Path, git: Git
) -> None:
    def git_2_27(arguments: list[str]) -> object:
        return repository.run_git([argument.replace("init.defaultBranch", "x.x") for argument in arguments])

    assert repository.create_repository(git_2_27, "me@example.org") == ""
    assert committed(git, project) == FILES


def test_no_setting_of_this_one_commit_stays(project: Path, git: Git) -> None:
    git(project.parent, "init", "--quiet", "beside")
    assert repository.create_repository(repository.run_git, "me@example.org") == ""
    assert (project / ".git/config").read_text() == (project.parent / "beside/.git/config").read_text()
    assert not (project / ".git/info/attributes").exists()
    assert git(project, "check-attr", "text", "data/emails.csv") == "data/emails.csv: text: auto"


def test_attributes_of_a_person_s_own_template_of_repositories_stay(
    project: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "template/info").mkdir(parents=True)
    (tmp_path / "template/info/attributes").write_text("*.csv -diff\n")
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    assert repository.create_repository(repository.run_git, "me@example.org") == ""
    assert committed(git, project) == FILES
    assert (project / ".git/info/attributes").read_text() == "*.csv -diff\n"


def test_inside_another_repository_it_makes_its_own(project: Path, git: Git) -> None:
    outer = project.parent
    git(outer, "init", "--quiet")
    git(outer, "config", "user.email", "outer@example.org")
    assert repository.create_repository(repository.run_git, "me@example.org") == ""
    assert committed(git, project) == FILES
    assert git(project, "log", "--format=%ae") == "tester@example.org"
    assert git(outer, "ls-files") == ""


def test_called_from_a_git_hook_it_leaves_that_repository_alone(
    project: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(other / ".git"))
        patch.setenv("GIT_WORK_TREE", str(other))
        patch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
        assert repository.create_repository(repository.run_git, "me@example.org") == ""
    assert committed(git, project) == FILES
    assert git(other, "rev-list", "--all") == ""


def test_a_repository_that_is_there_is_left_as_it_is(project: Path, git: Git) -> None:
    git(project, "init", "--quiet")
    assert "git diff" in repository.create_repository(repository.run_git, "me@example.org")
    assert git(project, "rev-list", "--all") == ""


@pytest.mark.parametrize("commit", [{"_commit": "c"}, {}])  # cruft 2.16 says which, older ones do not
@pytest.mark.parametrize("temporary", [True, False])
def test_under_cruft_it_makes_no_repository_and_speaks_only_to_a_person(
    answers: dict[str, object],
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    temporary: bool,
    commit: dict[str, str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path if temporary else tmp_path / "tmp"))
    repository.main({**answers, "_template": "t", **commit})
    assert not (project / ".git").exists()
    assert ("git init &&" in capsys.readouterr().out) is not temporary


class Registering:
    """Stands for `make register`: counts its calls and ends as it is told."""

    def __init__(self, result: object) -> None:
        self.result, self.calls = result, 0

    def __call__(self) -> object:
        self.calls += 1
        return self.result


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
    by_cookiecutter: dict[str, object],
    project: Path,
    git: Git,
    terminal: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register = Registering(repository.Result(True, ""))
    repository.main({**by_cookiecutter, "register": True}, run=register)
    assert register.calls == 1
    assert committed(git, project) == FILES
    assert "registered" not in capsys.readouterr().out


def test_by_default_it_does_not_register(
    by_cookiecutter: dict[str, object], project: Path, terminal: None
) -> None:
    register = Registering(repository.Result(True, ""))
    repository.main(by_cookiecutter, run=register)
    assert register.calls == 0


@pytest.mark.parametrize("answer", [False, "true", "yes", 1, None])
def test_only_the_answer_true_registers(
    by_cookiecutter: dict[str, object],
    project: Path,
    terminal: None,
    answer: object,
) -> None:
    register = Registering(repository.Result(True, ""))
    repository.main({**by_cookiecutter, "register": answer}, run=register)
    assert register.calls == 0


def test_under_cruft_it_never_registers(
    answers: dict[str, object],
    project: Path,
    terminal: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_REGISTER_YES", "1")
    register = Registering(repository.Result(True, ""))
    repository.main({**answers, "register": True, "_template": "t", "_commit": "c"}, run=register)
    assert register.calls == 0


def test_without_a_terminal_it_says_the_command_and_registers_only_if_that_was_agreed_to(
    by_cookiecutter: dict[str, object],
    project: Path,
    no_terminal: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register = Registering(repository.Result(True, ""))
    repository.main({**by_cookiecutter, "register": True}, run=register)
    assert register.calls == 0
    assert "no terminal" in (out := capsys.readouterr().out) and "MLOPS_REGISTER_YES=1 make register" in out
    monkeypatch.setenv("MLOPS_REGISTER_YES", "1")
    repository.main({**by_cookiecutter, "register": True}, run=register)
    assert register.calls == 1


def test_without_a_first_commit_there_is_nothing_to_register(
    by_cookiecutter: dict[str, object],
    project: Path,
    terminal: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register = Registering(repository.Result(True, ""))
    broken = repository.Result(False, "git is broken")
    repository.main({**by_cookiecutter, "register": True}, git=lambda arguments: broken, run=register)
    assert register.calls == 0
    assert "git is broken" in (out := capsys.readouterr().out) and "no first commit. When" in out
