"""For the tests of every folder: the collection as a git repository, and repositories generated from it."""

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import hypothesis
import jinja2
import pytest
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from xdist.scheduler import LoadScopeScheduling

from tests.made_once import made_once

COLLECTION = Path(__file__).resolve().parents[1]
TEMPLATE = "model-build"
STORIES = ("test_from_", "test_demo.", "test_tutorial_")
Once = Callable[[str, Callable[[Path], object]], Path]

# a busy machine is no failure
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long stories first: begun last, one of them would go on alone while the other workers are idle."""
    items.sort(key=lambda item: not item.path.name.startswith(STORIES))


class Scheduling(LoadScopeScheduling):
    """Tests go to the workers one by one, but for those of a file that share what a fixture has made."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return file if shares(COLLECTION / file) else nodeid


@functools.cache
def shares(file: Path) -> bool:
    """Whether a file, or a conftest.py between it and this one, has a fixture for more than one test."""
    above = file.parents[: file.parents.index(COLLECTION / "tests")]
    read = [file, *(folder / "conftest.py" for folder in above)]
    return any("scope=" in path.read_text(encoding="utf-8") for path in read if path.is_file())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """See Scheduling; needs --no-loadscope-reorder, so that the long stories stay first."""
    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Tests that are started in the background ignore Ctrl-C, and so would every process that they start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def collection() -> Path:
    """The folder of the collection that is being tested."""
    return COLLECTION


@pytest.fixture(scope="session")
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """git and cookiecutter read settings of these tests, not those of whoever runs them.

    Returns:
        A folder for what cookiecutter keeps: clones and replays.
    """
    folder = tmp_path_factory.mktemp("settings")
    (folder / "gitconfig").write_text("[user]\n  name = Tester\n  email = tester@example.org\n")
    (folder / "cookiecutter.yaml").write_text(
        f"cookiecutters_dir: {folder / 'clones'}\nreplay_dir: {folder / 'replay'}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            patch.delenv(name)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
        patch.setenv("COOKIECUTTER_CONFIG", str(folder / "cookiecutter.yaml"))
        yield folder


@pytest.fixture(scope="session")
def git(own_settings: Path) -> Callable[..., str]:
    """Runs git in a folder and returns what it prints."""

    def run(folder: Path, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder that all workers of a run share (`made_once`)."""
    return lambda name, make: made_once(name, make, tmp_path_factory)


@pytest.fixture(scope="session")
def template_repository(git: Callable[..., str], once: Once) -> Path:
    """A git repository of one commit with the files that a commit of the working tree would have."""

    def make(place: Path) -> None:
        folder = place / "collection"
        for name in git(COLLECTION, "ls-files", "-z", "-co", "--exclude-standard").strip("\0").split("\0"):
            if (COLLECTION / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(COLLECTION / name, folder / name)
        git(folder, "init", "--quiet")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "The collection")

    return once("clone", make) / "collection"


@pytest.fixture(scope="session")
def generate(template_repository: Path) -> Callable[..., Path]:
    """Generates a repository into a folder, with default answers but for those given; returns where it is."""

    def run(
        into: Path,
        template: str | None = None,
        directory: str = TEMPLATE,
        checkout: str | None = None,
        overwrite_if_exists: bool = False,
        **answers: object,
    ) -> Path:
        made = cookiecutter(
            template or str(template_repository),
            directory=directory,
            checkout=checkout,
            output_dir=str(into),
            overwrite_if_exists=overwrite_if_exists,
            no_input=True,
            extra_context=answers,
        )
        return Path(made)

    return run


@pytest.fixture(scope="session")
def generated(generate: Callable[..., Path], git: Callable[..., str], once: Once) -> Iterator[Path]:
    """The repository that default answers give. Tests share it: for reading, nothing may write into it."""
    (repository,) = once("generated", generate).iterdir()
    yield repository
    assert git(repository, "status", "--porcelain", "--ignored") == "", "a test wrote into what tests share"


@pytest.fixture(scope="session")
def load() -> Callable[[Path], ModuleType]:
    """Imports a Python file that is not on the path."""

    def run(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return run


@pytest.fixture(scope="session")
def render() -> Callable[[Path, dict[str, object]], str]:
    """Renders a file of a template the way cookiecutter does."""
    extensions = {"_extensions": ["checkout.Checkout"]}

    @functools.cache
    def compiled(template: Path, text: str) -> jinja2.Template:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(template)
            return create_env_with_context({"cookiecutter": extensions}).from_string(text)

    def run(path: Path, answers: dict[str, object]) -> str:
        template = COLLECTION / path.relative_to(COLLECTION).parts[0]
        text = path.read_text(encoding="utf-8")
        return compiled(template, text).render(cookiecutter={**answers, **extensions})

    return run


@pytest.fixture(scope="session")
def answers() -> dict[str, object]:
    """The default answers of model-build, as cookiecutter gives them to a template."""
    context = generate_context(str(COLLECTION / TEMPLATE / "cookiecutter.json"))
    del context["cookiecutter"]["_extensions"]  # which no question uses
    return {key: value for key, value in prompt_for_config(context, no_input=True).items() if key[0] != "_"}


@pytest.fixture(scope="session")
def container_python() -> Path:
    """The interpreter that stands for SageMaker's images: `make setup` makes it."""
    python = Path(os.environ.get("MLOPS_CONTAINER_PYTHON") or COLLECTION / ".venv-container/bin/python")
    if not python.exists():
        pytest.skip(f"no {python}: run `make setup`, or set MLOPS_CONTAINER_PYTHON")
    return python.absolute()


@pytest.fixture(scope="session")
def tiny_model(container_python: Path, once: Once) -> Path:
    """A folder with a random BERT of 30,000 parameters. For reading: tests share it."""
    script = COLLECTION / "tests/model_build/tiny_model.py"
    command = [container_python, script]
    return once("tiny-model", lambda into: subprocess.run([*command, into], check=True, capture_output=True))
