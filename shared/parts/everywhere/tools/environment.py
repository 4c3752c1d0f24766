"""Creates a virtual environment, or leaves it alone when it is up to date.

    python3 tools/environment.py .venv -r requirements/build.txt --no-deps requirements/workbench.txt

uv installs, with pip's settings: one that is on the PATH, or one that pip fetches once for this user. Where
it cannot be had, or with MLOPS_INSTALLER=pip, pip does. Where no NVIDIA GPU is, PyTorch is the build for
processors.

Standard library only: this runs before anything is installed. Up to date means: made by the same Python from
the same requirement files, those that they name, and packages. A wheel counts by its hash, which stands in
the file that names it.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

OLDEST = (3, 11)
STAMP = ".requirements.sha256"
UV = "0.13.9"  # what is fetched
OLDEST_UV = (0, 11)  # of one that is on the PATH
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 5
QUIET_SECONDS = 10  # between two lines of progress where there is no terminal

#: What pip is set to -> the option of uv that takes each of its values, and uv's own variables: they win.
AS_OPTIONS = {
    "index-url": ("--default-index", "UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("--index", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("--find-links", "UV_FIND_LINKS"),
    "constraint": ("--constraints", "UV_CONSTRAINT"),
    "trusted-host": ("--allow-insecure-host", "UV_INSECURE_HOST"),
    "only-binary": ("--only-binary",),
    "no-binary": ("--no-binary",),
}
#: The same of what is on or off.
AS_SWITCHES = {
    "no-index": ("--no-index", "UV_NO_INDEX"),
    "pre": ("--prerelease=allow", "UV_PRERELEASE"),
    "no-cache-dir": ("--no-cache", "UV_NO_CACHE"),
}
#: What pip is set to -> the variables that say it to uv, unless they are set.
AS_VARIABLES = {
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "default-timeout": ("UV_HTTP_TIMEOUT",),
    "retries": ("UV_HTTP_RETRIES",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY"),
}


class Installer(NamedTuple):
    """What installs.

    Attributes:
        name: for a person.
        command: up to the packages.
        again: the option that installs a package although one of the same version is there.
        one_more_index: the option that adds a package index.
        settings: those of pip.
        environment: the variables of its process.
    """

    name: str
    command: list[str]
    again: str
    one_more_index: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]


def main() -> int:
    """Create or refresh one environment; the exit status is the installer's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the environment is, e.g. .venv")
    parser.add_argument(
        "-r", dest="files", type=Path, action="append", default=[], help="a requirements file"
    )
    parser.add_argument(
        "-e", dest="packages", type=Path, action="append", default=[], help="a package's folder"
    )
    parser.add_argument(
        "--no-deps", type=Path, action="append", default=[], help="a requirements file, alone"
    )
    options = parser.parse_args()
    if sys.version_info < OLDEST:
        wanted, found = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        print(
            f"Python {wanted} or newer is needed, this is {found}: see https://python.org/downloads",
            file=sys.stderr,
        )
        return 1

    folder: Path = options.folder
    stamp = folder / STAMP
    deciding = [
        *options.files,
        *options.no_deps,
        *(package / "pyproject.toml" for package in options.packages),
    ]
    digest = fingerprint(deciding, options.packages)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return 0
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    try:
        installer = prepare(folder)
    except subprocess.CalledProcessError as error:
        print((error.stderr or error.stdout or "").strip(), file=sys.stderr)
        print(
            f"{sys.executable} could not put pip into {folder}; on Debian, Ubuntu: apt install python3-venv",
            file=sys.stderr,
        )
        return error.returncode
    print(f"{folder}: installing with {installer.name}", flush=True)
    for arguments in commands(options.files, options.packages, options.no_deps, installer):
        if (status := install(installer, arguments)) != 0:
            return status
    stamp.write_text(digest, encoding="utf-8", newline="\n")
    count = len(list(folder.glob("**/site-packages/*.dist-info")))
    print(f"{folder}: ready after {time.monotonic() - started:.0f} s, {count} packages", flush=True)
    return 0


def fingerprint(files: list[Path], packages: list[Path]) -> str:
    """SHA-256 over everything that decides what is installed."""
    whole = hashlib.sha256(sys.version.encode())
    whole.update("".join(str(package.resolve()) for package in packages).encode())
    for file in files:
        for each in (file, *named_in(file)):
            whole.update(each.read_bytes())
    return whole.hexdigest()


def named_in(file: Path) -> Iterator[Path]:
    """The requirement files that one names (`-r deploy.txt`), and those that these name."""
    if file.suffix != ".txt":
        return
    for line in lines_of(file):
        if line.startswith("-r "):
            inner = file.parent / line[3:].strip()
            yield inner
            yield from named_in(inner)


def lines_of(file: Path) -> list[str]:
    """The lines of a requirements file."""
    return file.read_text(encoding="utf-8").splitlines()


def prepare(folder: Path) -> Installer:
    """Make the environment, with pip in it, if there is none; return what installs into it.

    Raises:
        subprocess.CalledProcessError: pip cannot be put into it.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists() or made_by(folder) not in ("", platform.python_version()):
        venv.create(folder, clear=folder.is_dir(), symlinks=os.name != "nt")
    wheel = bundled_pip()
    elsewhere = importlib.util.find_spec("pip") is not None
    if not elsewhere and not has_pip(folder):
        checked(without_uv(python, wheel))
    pip = [sys.executable if elsewhere else str(python), "-m", "pip"]
    settings = settings_of(pip)
    uv = None if os.environ.get("MLOPS_INSTALLER") == "pip" else find_uv(pip)
    if uv is None:
        if not has_pip(folder):
            checked(without_uv(python, wheel))
        command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
        return Installer("pip", command, "--force-reinstall", "--extra-index-url", settings, os.environ)
    options, environment = carried_over(settings)
    command = [uv, "pip", "install", "--python", str(python), *options]
    if not has_pip(folder):
        checked([*command, "--no-deps", str(wheel or "pip")], environment)
    return Installer(f"uv {version_of(uv)}", command, "--reinstall", "--index", settings, environment)


def made_by(folder: Path) -> str:
    """The version of the Python that an environment was made by; "" if that is not known."""
    path = folder / "pyvenv.cfg"
    lines = lines_of(path) if path.is_file() else []
    found = (line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "version")
    return next(found, "")


def has_pip(folder: Path) -> bool:
    """Whether pip is in an environment: builds in the sandbox and jobs with a requirements.txt call it."""
    return any(any(folder.glob(f"{lib}/site-packages/pip")) for lib in ("lib/python*", "Lib"))


def bundled_pip() -> Path | None:
    """The wheel of pip that comes with Python; None: this system has none."""
    places = (sysconfig.get_config_var("WHEEL_PKG_DIR"), f"{sysconfig.get_path('stdlib')}/ensurepip/_bundled")
    return next((wheel for place in places if place for wheel in Path(place).glob("pip-*.whl")), None)


def without_uv(python: Path, wheel: Path | None) -> list[str]:
    """The command that puts pip into an environment: ensurepip's work, without compiling all of it."""
    if wheel is None:
        return [str(python), "-I", "-m", "ensurepip", "--upgrade", "--default-pip"]
    alone = ["--isolated", "install", "--no-index", "--no-deps", "--no-compile"]
    return [str(python), "-I", str(wheel / "pip"), *alone, str(wheel)]


def checked(command: list[str], environment: Mapping[str, str] = os.environ) -> str:
    """What a command prints.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, encoding="utf-8", errors="replace"
    ).stdout


def find_uv(pip: list[str]) -> str | None:
    """A uv on the PATH that is new enough, or the one that pip fetches once for this user; None: neither."""
    found = shutil.which("uv")
    if found and tuple(map(int, re.findall(r"\d+", version_of(found))[:2])) >= OLDEST_UV:
        return found
    if os.name == "nt":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    else:
        darwin = sys.platform == "darwin"
        caches = Path.home() / "Library/Caches" if darwin else Path.home() / ".cache"
        caches = Path(os.environ.get("XDG_CACHE_HOME") or caches)
    kept = caches / "mlops-workbench" / f"uv-{UV}"
    name = "uv.exe" if os.name == "nt" else "uv"
    if not any(kept.glob(f"*/{name}")):
        print(f"uv {UV}: fetching it, once for this user ({kept})", flush=True)
        wanted = ["--no-deps", "--only-binary=:all:", f"uv=={UV}"]
        # what a person may have told pip, and what does not go together with a folder
        environment = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as whole:
                checked([*pip, "install", "--quiet", "--target", f"{whole}/uv", *wanted], environment)
                if not kept.exists():  # another set-up may have been faster
                    Path(whole, "uv").rename(kept)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            print(f"uv {UV} cannot be had: {said.strip().splitlines()[-1]}", flush=True)
            print("pip installs instead, which takes several times as long", flush=True)
            return None
    return str(next(kept.glob(f"*/{name}")))


def version_of(uv: str) -> str:
    """What `uv --version` says, such as 0.13.9; 0.0 if that is nothing."""
    try:
        said = checked([uv, "--version"])
    except (OSError, subprocess.CalledProcessError):
        return "0.0"
    return next(iter(re.findall(r"\d+\.\d+\S*", said)), "0.0")


def settings_of(pip: list[str]) -> dict[str, str]:
    """What pip is set to, by its files and by PIP_* variables: the option without dashes -> its value."""
    lines = checked([*pip, "config", "list"]).splitlines()
    settings = {}
    for section in ("global.", "install.", ":env:."):  # a later one wins
        for line in lines:
            name, _, value = line.partition("=")
            if name.startswith(section):
                settings[name.removeprefix(section)] = str(ast.literal_eval(value))
    return settings


def carried_over(settings: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """What makes uv install as pip would: its options, and the variables of its process.

    Args:
        settings: those of pip.
    """
    environment = dict(os.environ)
    options = []
    for name, (option, *own) in AS_OPTIONS.items():
        if not any(variable in environment for variable in own):
            values = re.split(r"[\s,]+" if name.endswith("binary") else r"\s+", settings.get(name, ""))
            options += [f"{option}={value}" for value in values if value]
    for name, (option, *own) in AS_SWITCHES.items():
        if is_on(settings, name) and not any(variable in environment for variable in own):
            options.append(option)
    for name, variables in AS_VARIABLES.items():
        if value := settings.get(name):
            if name == "proxy" and "://" not in value:
                value = f"http://{value}"
            for variable in variables:
                environment.setdefault(variable, value)
    if settings.get("keyring-provider") in ("import", "subprocess"):
        environment.setdefault("UV_KEYRING_PROVIDER", "subprocess")
    # As pip does: the best version that any index has. uv's own rule, only the first index that knows a name,
    # finds nothing where one index completes another.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    # the organisation's certificates lie in the system's store; a bare container has none
    if os.name == "nt" or sys.platform == "darwin" or any(Path("/etc/ssl/certs").glob("*")):
        environment.setdefault("UV_SYSTEM_CERTS", "true")
    if bundle := environment.get("REQUESTS_CA_BUNDLE"):
        environment.setdefault("SSL_CERT_FILE", bundle)
    return options, environment


def is_on(settings: Mapping[str, str], name: str) -> bool:
    """Whether pip is told to."""
    return settings.get(name, "").lower() in ("1", "true", "yes", "on")


def commands(
    files: list[Path], packages: list[Path], no_deps: list[Path], installer: Installer
) -> Iterator[list[str]]:
    """What is installed one after another: the arguments of each call."""
    every = [each for file in files for each in (file, *named_in(file))]
    pins = [line.strip() for file in every for line in lines_of(file) if line.startswith("torch==")]
    if pins and for_processors(installer.settings):
        yield ["--no-deps", installer.one_more_index, CPU_INDEX, *pins]
    named = [part for file in files for part in ("-r", str(file))]
    linked = [part for package in packages for part in ("-e", str(package))]
    if named or linked:
        yield [*named, *linked]
    # each that has a hash alone: the hash would be asked of every package of the command
    alone = [file for file in no_deps if any("--hash" in line for line in lines_of(file))]
    if together := [part for file in no_deps if file not in alone for part in ("-r", str(file))]:
        yield ["--no-deps", *together]
    for file in alone:
        # a wheel of this repository is installed although there is one of the same version
        local = any(line.startswith("./") for line in lines_of(file))
        yield ["--no-deps", *([installer.again] if local else []), "-r", str(file)]


def has_gpu() -> bool:
    """Whether an NVIDIA GPU, which PyPI's build of PyTorch is for, is on this machine."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def for_processors(settings: Mapping[str, str]) -> bool:
    """Whether PyTorch's own index of builds without CUDA is used, for PyTorch alone; says what, and why.

    PyPI has, for Linux, the build for NVIDIA's GPUs, with 3 GB of libraries.

    Args:
        settings: those of pip.
    """
    if sys.platform != "linux" or is_on(settings, "no-index"):
        return False
    if has_gpu():
        print("PyTorch: as the package index has it, as an NVIDIA GPU is here", flush=True)
        return False
    try:
        certificates = ssl.create_default_context(cafile=settings.get("cert"))
        handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=certificates)]
        if proxy := settings.get("proxy"):
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        urllib.request.build_opener(*handlers).open(f"{CPU_INDEX}/torch/", timeout=PROBE_SECONDS).close()
    except OSError as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        print(f"PyTorch: no NVIDIA GPU is here, but {CPU_INDEX} does not answer ({reason}):", flush=True)
        print("  it is taken from where the other packages are", flush=True)
        return False
    print(f"PyTorch: the build for processors, from {CPU_INDEX}, as no NVIDIA GPU is here", flush=True)
    return True


def install(installer: Installer, arguments: list[str]) -> int:
    """Install; show what is done, on one line that changes or every few seconds, and why it failed."""
    live = sys.stdout.isatty()
    lines: list[str] = []
    started = shown = time.monotonic()
    cuda = False
    with subprocess.Popen(
        [*installer.command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=installer.environment,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines = [*lines[-20:], line.rstrip()[:300]]
            now = time.monotonic()
            if live:
                print(f"\r\033[K  {now - started:3.0f} s  {line.strip()[:90]}", end="", flush=True)
            elif now - shown > QUIET_SECONDS:
                print(f"  {now - started:3.0f} s  {line.strip()[:90]}", flush=True)
                shown = now
            if not cuda and re.search(r"\b(Collecting|Downloading) nvidia-", line):
                cuda = True
                print(("\r\033[K" if live else "") + "  with CUDA for NVIDIA's GPUs: about 3 GB", flush=True)
    if live:
        print("\r\033[K", end="", flush=True)
    if process.returncode != 0:
        other = ", or have pip install: MLOPS_INSTALLER=pip" if installer.name != "pip" else ""
        print("\n".join(lines), file=sys.stderr)
        print(
            f"{installer.name} could not install {' '.join(arguments)}; its last words are above. Index, "
            f"proxy and certificates are those of `{Path(sys.executable).name} -m pip config list`{other}",
            file=sys.stderr,
        )
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
