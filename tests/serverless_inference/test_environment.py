"""tools/environment.py of a generated repository: when an environment is made anew, with what, from where."""

import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "shared/parts/everywhere/tools/environment.py"
WHEEL = "wheels/tool-1.0-py3-none-any.whl"
both = pytest.mark.parametrize("installer", ["uv", "pip"])


@pytest.fixture
def environment(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(SCRIPT)


@pytest.fixture(scope="module")
def uv(load: Callable[[Path], ModuleType]) -> str:
    """The program, as it is found or fetched."""
    found = load(SCRIPT).find_uv([sys.executable, "-m", "pip"])
    if found is None:
        pytest.skip("uv cannot be had here")
    return str(found)


@pytest.fixture
def away(uv: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's settings, and no index but those that a test names; uv on the PATH."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "MLOPS_INSTALLER"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv's cache"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(uv).parent), os.environ["PATH"]]))
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "empty").as_uri())


def write_wheel(folder: Path, name: str, version: str, said: str = "") -> Path:
    """A wheel of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"SAID = {said!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def write_index(folder: Path, *wheels: tuple[str, str]) -> str:
    """A package index in a folder; its address."""
    for name, version in wheels:
        wheel = write_wheel(folder / name, name, version)
        link = f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>\n'
        with (folder / name / "index.html").open("a", encoding="utf-8") as page:
            page.write(link)
    return folder.as_uri()


def write_own_wheel(folder: Path, said: str) -> None:
    """A repository's own wheel, always of the same version, and the file that names it with its hash."""
    digest = hashlib.sha256(write_wheel(folder / "wheels", "tool", "1.0", said).read_bytes()).hexdigest()
    (folder / "workbench.txt").write_text(f"# what is packed\n./{WHEEL} --hash=sha256:{digest}\n")


def make(
    folder: Path, *arguments: str, python: Path | str = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), str(SCRIPT), ".venv", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def python_of(folder: Path) -> Path:
    return next(folder.glob(".venv/bin/python"), folder / ".venv/Scripts/python.exe")


def installed(folder: Path) -> set[str]:
    """Name and version of each package but pip and setuptools."""
    code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    shown = subprocess.run([python_of(folder), "-I", "-c", code], capture_output=True, text=True, check=True)
    return {one for one in shown.stdout.split() if not one.startswith(("pip==", "setuptools=="))}


def test_a_file_that_another_one_names_counts(environment: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "build.txt").write_text("-r deploy.txt\nsagemaker==3\n")
    (tmp_path / "deploy.txt").write_text("boto3==1\n")
    before = environment.fingerprint([tmp_path / "build.txt"], [])
    assert environment.fingerprint([tmp_path / "build.txt"], []) == before
    (tmp_path / "deploy.txt").write_text("boto3==2\n")
    assert environment.fingerprint([tmp_path / "build.txt"], []) != before


@both
@pytest.mark.usefixtures("away")
def test_another_wheel_of_the_same_version_takes_the_first_one_s_place(
    tmp_path: Path, installer: str
) -> None:
    command = ("--no-deps", "workbench.txt")
    for said in ("first", "second"):
        write_own_wheel(tmp_path, said)
        done = make(tmp_path, *command, MLOPS_INSTALLER=installer)
        assert done.returncode == 0, done.stderr
        assert f".venv: installing with {installer}" in done.stdout
        shown = subprocess.run(
            [python_of(tmp_path), "-c", "import tool; print(tool.SAID)"], capture_output=True, text=True
        )
        assert shown.stdout == f"{said}\n", shown.stderr
    again = make(tmp_path, *command)
    assert (again.returncode, again.stdout) == (0, ""), "what is up to date is left alone"


@both
@pytest.mark.usefixtures("away")
def test_a_wheel_of_another_hash_is_refused_and_asked_for_again(tmp_path: Path, installer: str) -> None:
    write_own_wheel(tmp_path, "what was promised")
    write_wheel(tmp_path / "wheels", "tool", "1.0", "something else")
    for _ in range(2):
        done = make(tmp_path, "--no-deps", "workbench.txt", MLOPS_INSTALLER=installer)
        assert done.returncode != 0 and installed(tmp_path) == set()
        assert "hash" in done.stderr.lower() and "could not install --no-deps" in done.stderr
        assert ("MLOPS_INSTALLER=pip" in done.stderr) is (installer == "uv"), "what to try next"


@both
@pytest.mark.usefixtures("away")
def test_the_settings_of_pip_decide(tmp_path: Path, installer: str) -> None:
    """One index completes the other and has the newer version, a folder has a third; a constraint holds."""
    first = write_index(tmp_path / "first", ("alpha", "1.0"), ("beta", "1.0"), ("beta", "3.0"))
    second = write_index(tmp_path / "second", ("alpha", "2.0"), ("beta", "2.0"))
    third = write_index(tmp_path / "third", ("gamma", "1.0"))
    write_wheel(tmp_path / "folder", "delta", "1.0")
    (tmp_path / "limits.txt").write_text("beta<3\n")
    (tmp_path / "some.txt").write_text("alpha\nbeta\ngamma\ndelta\n")
    (tmp_path / "pip.conf").write_text(
        f"[global]\nindex-url = {first}\nextra-index-url =\n    {second}\n    {third}\n"
        f"constraint = {tmp_path / 'limits.txt'}\n[install]\nfind-links = nowhere\n"
    )
    settings = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_FIND_LINKS": str(tmp_path / "folder")}
    del os.environ["PIP_INDEX_URL"]
    done = make(tmp_path, "-r", "some.txt", MLOPS_INSTALLER=installer, **settings)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"alpha==2.0", "beta==2.0", "gamma==1.0", "delta==1.0"}


@both
@pytest.mark.usefixtures("away")
def test_without_an_index_only_folders_are_asked(tmp_path: Path, installer: str) -> None:
    index = write_index(tmp_path / "index", ("alpha", "2.0"))
    write_wheel(tmp_path / "folder", "alpha", "1.0")
    (tmp_path / "some.txt").write_text("alpha\n")
    settings = {"PIP_INDEX_URL": index, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "folder")}
    done = make(tmp_path, "-r", "some.txt", MLOPS_INSTALLER=installer, **settings)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"alpha==1.0"}


def test_each_setting_of_pip_has_a_word_for_uv(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "SSL_CLIENT_CERT", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "cert": "/ca.pem",
        "client-cert": "/me.pem",
        "default-timeout": "60",
        "extra-index-url": "https://a.example/simple\nhttps://b.example/simple",
        "keyring-provider": "import",
        "no-binary": "alpha,beta",
        "proxy": "proxy.example:3128",
        "retries": "9",
        "trusted-host": "a.example b.example",
    }
    options, variables = environment.carried_over(settings)
    assert options == [
        "--index=https://a.example/simple",
        "--index=https://b.example/simple",
        "--allow-insecure-host=a.example",
        "--allow-insecure-host=b.example",
        "--no-binary=alpha",
        "--no-binary=beta",
    ]
    told = {
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "UV_HTTP_RETRIES": "9",
        "UV_HTTP_TIMEOUT": "60",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_KEYRING_PROVIDER": "subprocess",
    }
    assert told.items() <= variables.items()

    monkeypatch.setenv("UV_INDEX", "https://c.example/simple")
    monkeypatch.setenv("UV_INDEX_STRATEGY", "first-index")
    options, variables = environment.carried_over(settings)
    assert not any(option.startswith("--index") for option in options), "uv's own settings win"
    assert variables["UV_INDEX_STRATEGY"] == "first-index"


@pytest.mark.usefixtures("away")
def test_where_uv_cannot_be_had_pip_installs_and_says_so(tmp_path: Path) -> None:
    old = tmp_path / "old" / "uv"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho uv 0.1.0\n")
    old.chmod(0o755)
    index = write_index(tmp_path / "index", ("alpha", "1.0"))
    (tmp_path / "some.txt").write_text("alpha\n")
    caches = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    path = os.pathsep.join([str(old.parent), *os.environ["PATH"].split(os.pathsep)[1:]])
    done = make(tmp_path, "-r", "some.txt", PIP_INDEX_URL=index, PATH=path, **caches)
    assert done.returncode == 0, done.stderr
    assert "cannot be had: " in done.stdout and "pip installs instead" in done.stdout
    assert ".venv: installing with pip\n" in done.stdout
    assert installed(tmp_path) == {"alpha==1.0"}
    assert not any(tmp_path.glob("mlops-workbench/*")), "what was begun is gone"


@pytest.mark.usefixtures("away")
def test_a_python_without_pip_will_do(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=os.name != "nt")
    bare = next(tmp_path.glob("bare/bin/python"), tmp_path / "bare/Scripts/python.exe")
    write_own_wheel(tmp_path, "something")
    done = make(tmp_path, "--no-deps", "workbench.txt", python=bare)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path) == {"tool==1.0"}
    pip = subprocess.run([python_of(tmp_path), "-m", "pip", "--version"], capture_output=True)
    assert pip.returncode == 0, "builds in the sandbox call it"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """An index as PyTorch's own: its build for processors, and a newer version of another package."""
    folder = tmp_path / "served"
    write_index(folder, ("torch", "2.0+cpu"), ("alpha", "9.0"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def torch(
    environment: ModuleType, away: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., set[str]]:
    """Makes an environment with PyTorch on a machine with a GPU or without one; what is in it then."""
    index = write_index(tmp_path / "index", ("torch", "2.0"), ("alpha", "1.0"))
    (tmp_path / "some.txt").write_text("torch==2.0\nalpha\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "argv", ["environment.py", ".venv", "-r", "some.txt"])
    monkeypatch.setenv("PIP_INDEX_URL", index)

    def run(address: str, installer: str, gpu: bool) -> set[str]:
        monkeypatch.setenv("MLOPS_INSTALLER", installer)
        monkeypatch.setattr(environment, "CPU_INDEX", address)
        monkeypatch.setattr(environment, "has_gpu", lambda: gpu)
        assert environment.main() == 0
        return installed(tmp_path)

    return run


@both
def test_without_a_gpu_pytorch_alone_is_the_build_for_processors(
    torch: Callable[..., set[str]], served: str, installer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert torch(served, installer, gpu=False) == {"torch==2.0+cpu", "alpha==1.0"}
    assert f"the build for processors, from {served}, as no NVIDIA GPU is here" in capsys.readouterr().out


def test_with_a_gpu_pytorch_is_that_of_the_package_index(
    torch: Callable[..., set[str]], served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert torch(served, "uv", gpu=True) == {"torch==2.0", "alpha==1.0"}
    assert "PyTorch: as the package index has it, as an NVIDIA GPU is here" in capsys.readouterr().out


@both
def test_where_pytorch_s_index_does_not_answer_it_comes_with_the_rest(
    torch: Callable[..., set[str]],
    served: str,
    installer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_wheel(tmp_path / "folder", "torch", "2.0+cpu")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "folder"))
    assert torch(f"{served}/nothing-here", installer, gpu=False) == {"torch==2.0+cpu", "alpha==1.0"}
    said = capsys.readouterr().out
    assert f"no NVIDIA GPU is here, but {served}/nothing-here does not answer (File not found)" in said
