"""The workbench is for laptops: nothing that AWS runs has it, names it, or needs it."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mlops_workbench.sandbox import Sandbox

WORKBENCH = "mlops_workbench"
ACCOUNT, PRODUCTION, REGION = "111111111111", "222222222222", "ca-central-1"
#: what AWS runs or loads, wherever a repository has it
NEVER = ("steps", "functions", "release", "watching", "configuration", "pipeline_sdk", "serving_image")
#: runs a module as python -m does, where there is no workbench and whoever asks for it is told on
WITHOUT = f"""
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{WORKBENCH}":
            sys.stderr.write("REFUSED " + name + "\\n")
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, "")
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def archives(repositories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Template -> what CodeBuild gets: the unpacked `git archive` of the commit."""
    made = {}
    for template, repository in repositories.items():
        made[template] = tmp_path_factory.mktemp("archive") / template
        file = made[template].with_suffix(".tar")
        subprocess.run(["git", "archive", f"--output={file}", "HEAD"], cwd=repository, check=True)
        with tarfile.open(file) as archive:
            archive.extractall(made[template], filter="data")
    return made


@pytest.fixture
def archive(template: str, archives: dict[str, Path]) -> Path:
    """Each of them."""
    return archives[template]


def commands(archive: Path) -> list[list[str]]:
    """The words of every command of every buildspec, those within $(…) alone."""
    found = []
    for file in sorted((archive / "buildspecs").glob("*.yml")):
        phases = yaml.safe_load(file.read_text(encoding="utf-8"))["phases"]
        for phase in phases.values():
            for command in phase["commands"]:
                lines = re.sub(r"\w+=\$\((.*)\)", r"\1", command).splitlines()
                found += [shlex.split(line) for line in lines if not line.lstrip().startswith("echo")]
    return found


def modules(archive: Path) -> list[list[str]]:
    """What the buildspecs run as python -m: the module and its arguments; not pip."""
    run = [words[2:] for words in commands(archive) if words[:2] == ["python", "-m"]]
    return [words for words in run if words[0] != "pip"]


def requirements(archive: Path) -> list[Path]:
    """The files of requirements that the buildspecs name, and those that these name."""
    flags = ("-r", "-c", "--requirement", "--constraint")
    waiting = [
        archive / words[number + 1]
        for words in commands(archive)
        for number, word in enumerate(words)
        if word in flags
    ]
    found: list[Path] = []
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.append(file)
            text = file.read_text(encoding="utf-8")
            nested = re.findall(r"^(?:-r|-c|--requirement|--constraint)[ =](\S+)", text, re.MULTILINE)
            waiting += [file.parent / name for name in nested]
    return found


def at_import(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """What a module imports when it is imported: nothing within functions, nothing for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from at_import(node)


def names(node: ast.Import | ast.ImportFrom, package: list[str]) -> list[str]:
    """The dotted names that an import may load, without those above them."""
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    above = package[: len(package) - node.level + 1] if node.level else []
    base = [*above, *(node.module.split(".") if node.module else [])]
    return [".".join(base), *(".".join([*base, each.name]) for each in node.names)]


def loaded(archive: Path, module: str) -> tuple[set[Path], set[str]]:
    """What `python -m module` loads before it does anything: files of the archive, and other packages."""
    files: set[Path] = set()
    others: set[str] = set()
    waiting = [module, f"{module}.__main__"]
    while waiting:
        parts = waiting.pop().split(".")
        for length in range(1, len(parts) + 1):
            place = archive.joinpath(*parts[:length])
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if not file.is_file():
                if length == 1 and not place.is_dir():
                    others.add(parts[0])
                continue
            if file in files:
                continue
            files.add(file)
            package = parts[:length] if place.is_dir() else parts[: length - 1]
            for node in at_import(ast.parse(file.read_text(encoding="utf-8"))):
                waiting += names(node, package)
    return files, others


def importers(folder: Path) -> set[str]:
    """The files that import the workbench, anywhere in them."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            imported = names(node, []) if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            if any(name.partition(".")[0] == WORKBENCH for name in imported):
                found.add(file.relative_to(folder).as_posix())
    return found


def without_workbench(archive: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m …` in an archive, away from AWS unless the environment says where."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    away = {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    nobody = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *words],
        cwd=archive,
        env={**kept, **away, **nobody, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_what_travels_to_aws_does_not_have_it(archive: Path, repository: Path) -> None:
    assert (repository / "wheels").is_dir() and (repository / "requirements/workbench.txt").is_file()
    assert (archive / "buildspecs").is_dir()
    assert not (archive / "wheels").exists()
    assert not (archive / "requirements/workbench.txt").exists()
    assert not [path for path in archive.rglob("*") if path.suffix == ".whl" or WORKBENCH in path.name]


def test_no_buildspec_names_it(archive: Path) -> None:
    scripts = [archive / words[1] for words in commands(archive) if words[:1] == ["bash"]]
    read = [*(archive / "buildspecs").glob("*.yml"), *requirements(archive), *scripts]
    assert len(read) > 2
    for file in read:
        text = re.sub(r"(?m)(^|\s)#.*$", "", file.read_text(encoding="utf-8"))
        assert not re.search(r"workbench|mlops-sandbox|wheels/", text), file
    assert not [words for words in commands(archive) if words[:1] == ["make"]], "make is for people"


def test_what_buildspecs_run_loads_without_it(archive: Path) -> None:
    assert modules(archive)
    for module, *_ in modules(archive):
        files, others = loaded(archive, module)
        assert len(files) > 5, module
        assert WORKBENCH not in others, module


def test_what_aws_runs_never_imports_it(archive: Path) -> None:
    there = [archive / name for name in NEVER if (archive / name).is_dir()]
    assert len(there) > 1
    assert {folder.name: importers(folder) for folder in there} == {folder.name: set() for folder in there}


def test_only_the_command_line_for_a_person_s_machine_imports_it(archives: dict[str, Path]) -> None:
    assert importers(archives["serverless-inference"]) == importers(archives["batch-inference"]) == set()
    found = importers(archives["model-build"])
    assert found, "make local runs the pipeline in the sandbox"
    assert not [name for name in found if not name.startswith("model_build/")]


def test_whoever_needs_it_is_told_on(archives: dict[str, Path]) -> None:
    assert f"REFUSED {WORKBENCH}" in without_workbench(archives["model-build"], "model_build", "local").stderr


@pytest.mark.slow
def test_every_command_of_a_buildspec_runs_without_it(archive: Path) -> None:
    for words in modules(archive):
        done = without_workbench(archive, *words)
        said = done.stdout + done.stderr
        assert WORKBENCH not in said and "Traceback" not in said, f"{words}: {said}"
        # what it ends with here, where nobody has signed in
        assert done.returncode == 0 or "credentials" in done.stderr.splitlines()[-1], f"{words}: {said}"


@pytest.mark.slow
def test_a_training_is_started_without_it(archives: dict[str, Path], tmp_path: Path) -> None:
    with Sandbox(tmp_path / "sandbox", accounts=(ACCOUNT, PRODUCTION), region=REGION) as sandbox:
        sandbox.client("s3").create_bucket(
            Bucket=f"mlops-email-router-{ACCOUNT}-{REGION}",
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        command = next(words for words in modules(archives["model-build"]) if "run" in words)
        done = without_workbench(archives["model-build"], *command, **sandbox.environment(ACCOUNT))
    assert done.returncode == 0 and WORKBENCH not in done.stderr, done.stderr
    assert done.stdout.startswith(f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/email-router/execution/")
