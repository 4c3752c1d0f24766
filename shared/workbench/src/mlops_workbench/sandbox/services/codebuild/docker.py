"""Stands for ``docker`` in builds of projects with ``privilegedMode``: login, build, push; no containers.

``build`` reads the Dockerfile and refuses what it does not know. What the image has of its own, the files
that it copies and how it is started, becomes an image with a manifest, a configuration and layers. The base
image is not fetched, and packages are checked and not kept: what runs later is the Python of sandbox.toml
with its own. ``push`` puts it into Amazon ECR, as the build's role.

A script of its own, started by the sandbox's interpreter with the build's variables.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
PART = 8 << 20  # bytes of a layer in one request

_IMAGE = re.compile(
    r"(?P<host>(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com(\.cn)?)/(?P<name>[^:@]+):(?P<tag>[\w.-]+)"
)
_RUNS = "what runs is the Python that sandbox.toml declares for the image, with its own packages"
_PYTHON = re.compile(r"\bpython:(\d\.\d+)")
_ABOUT_INDEX = re.compile(
    r"connection broken|Could not fetch URL|No matching distribution|Temporary failure", re.I
)


class Refused(Exception):
    """One line for the build's log."""


class Image:
    """What a Dockerfile makes, so far."""

    def __init__(self, context: Path) -> None:
        self.context = context
        self.base = ""
        self.config: dict[str, Any] = {}
        self.layers: list[tuple[bytes, str]] = []  # packed, and the digest of the archive inside
        self.copied: dict[str, Path] = {}

    def add(self, files: Mapping[str, Path]) -> None:
        """A layer: path in the image -> file. The same content is the same layer."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, path in sorted(files.items()):
                entry = tarfile.TarInfo(name.lstrip("/"))
                content = path.read_bytes()
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
        plain = archive.getvalue()
        self.layers.append((gzip.compress(plain, mtime=0), _digest(plain)))
        self.copied |= files


def main(arguments: list[str]) -> int:
    """Run one command of docker's."""
    parser = argparse.ArgumentParser(prog="docker", description=__doc__, exit_on_error=False)
    commands = parser.add_subparsers(required=True)
    login = commands.add_parser("login")
    login.add_argument("--username", "-u", required=True)
    login.add_argument("--password-stdin", action="store_true", required=True)
    login.add_argument("server")
    login.set_defaults(run=_login)
    build = commands.add_parser("build")
    build.add_argument("--tag", "-t", required=True)
    build.add_argument("--platform", default="linux/amd64")
    build.add_argument("context", type=Path)
    build.set_defaults(run=_build)
    push = commands.add_parser("push")
    push.add_argument("image")
    push.set_defaults(run=_push)
    try:
        options = parser.parse_args(arguments)
        options.run(options)
    except argparse.ArgumentError as error:
        print(
            f"docker: the sandbox has login, build and push as buildspecs use them: {error}", file=sys.stderr
        )
        return 125
    except Refused as error:
        print(f"docker: {error}", file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:
        print(f"docker: {error}", file=sys.stderr)
        return 1
    return 0


def _login(options: argparse.Namespace) -> None:
    if not sys.stdin.read().strip():
        raise Refused(f"login: expected a password for {options.server} on standard input, got nothing")
    known = {*_logins(), options.server.removeprefix("https://")}
    (_folder() / "logins.json").write_text(json.dumps(sorted(known)), encoding="utf-8")
    print("Login Succeeded")


def _build(options: argparse.Namespace) -> None:
    file = options.context / "Dockerfile"
    if not file.is_file():
        raise Refused(f"{file}: no such file")
    image = Image(options.context)
    for line, name, rest in instructions(file.read_text(encoding="utf-8")):
        run = INSTRUCTIONS.get(name)
        if run is None:
            known = ", ".join(sorted(INSTRUCTIONS))
            raise Refused(
                f"{file}: line {line}: {name}: the sandbox builds without containers and knows {known}"
            )
        if not image.base and name != "FROM":
            raise Refused(f"{file}: line {line}: {name}: expected FROM first")
        try:
            run(image, rest)
        except (ValueError, OSError) as error:
            raise Refused(f"{file}: line {line}: {name}: {error}") from None
    system, _, machine = options.platform.partition("/")
    config = json.dumps(
        {
            "architecture": machine,
            "os": system,
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [inner for _, inner in image.layers]},
        },
        sort_keys=True,
    ).encode()
    blobs = [(config, CONFIG), *((packed, LAYER) for packed, _ in image.layers)]
    parts = [{"mediaType": kind, "size": len(body), "digest": _digest(body)} for body, kind in blobs]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    place = _place(options.tag)
    place.mkdir(parents=True, exist_ok=True)
    for (body, _), part in zip(blobs, parts, strict=True):
        (place / str(part["digest"]).removeprefix("sha256:")).write_bytes(body)
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    print(f"built {options.tag}: {len(image.layers)} layers of its own")


def _push(options: argparse.Namespace) -> None:
    found = _IMAGE.fullmatch(options.image)
    if found is None:
        raise Refused(
            f"push: expected ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG, got {options.image}"
        )
    if found["host"] not in _logins():
        raise Refused(f"push: no basic auth credentials for {found['host']}: log in first")
    place = _place(options.image)
    if not place.is_dir():
        raise Refused(f"push: an image does not exist locally with the tag: {options.image}")
    text = (place / "manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    ecr = boto3.client("ecr", region_name=found["region"])
    where = {"registryId": found["account"], "repositoryName": found["name"]}
    for part in (*manifest["layers"], manifest["config"]):
        digest = part["digest"]
        there = ecr.batch_check_layer_availability(**where, layerDigests=[digest])["layers"]
        if any(layer["layerAvailability"] == "AVAILABLE" for layer in there):
            print(f"{digest[7:19]}: Layer already exists")
            continue
        body = (place / digest.removeprefix("sha256:")).read_bytes()
        upload = ecr.initiate_layer_upload(**where)["uploadId"]
        for start in range(0, len(body), PART):
            piece = body[start : start + PART]
            ecr.upload_layer_part(
                **where,
                uploadId=upload,
                partFirstByte=start,
                partLastByte=start + len(piece) - 1,
                layerPartBlob=piece,
            )
        ecr.complete_layer_upload(**where, uploadId=upload, layerDigests=[digest])
        print(f"{digest[7:19]}: Pushed")
    ecr.put_image(**where, imageManifest=text, imageManifestMediaType=MANIFEST, imageTag=found["tag"])
    print(f"{found['tag']}: digest: {_digest(text.encode())}")


# --- a Dockerfile's instructions --------------------------------------------------------------------


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """A Dockerfile's instructions: the line that each begins in, its name, and the rest in one line."""
    pending, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        began = began or number
        pending += line.strip()
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        name, _, rest = pending.partition(" ")
        yield began, name.upper(), rest.strip()
        pending, began = "", 0


def _from(image: Image, rest: str) -> None:
    if image.base:
        raise ValueError("expected one stage")
    if not (found := _PYTHON.search(rest)) or " " in rest:
        raise ValueError(f"expected an image of Python, got {rest}")
    image.base = found[1]
    print(f"{rest}: not fetched: {_RUNS}")


def _copy(image: Image, rest: str) -> None:
    *sources, target = shlex.split(rest)
    if not sources or any(each.startswith("-") for each in sources):
        raise ValueError(f"expected files and a folder, got {rest}")
    if not target.startswith("/") or (len(sources) > 1 and not target.endswith("/")):
        raise ValueError(f"expected an absolute path, a folder's with / at its end, got {target}")
    files = {}
    for source in sources:
        path = image.context / source
        if not path.is_file():
            raise ValueError(f"{source}: expected a file of {image.context.name}/")
        files[target + path.name if target.endswith("/") else target] = path
    image.add(files)


def _run(image: Image, rest: str) -> None:
    """Of all commands ``pip install`` of pinned wheels: that each can be had for the image, with its hash."""
    words = shlex.split(rest)
    while words[:1] == ["python"] or words[:1] == ["-m"]:
        del words[0]
    given = [word for word in words[2:] if word.startswith("-") and word != "-r"]
    names = [word for word in words[2:] if not word.startswith("-")]
    if words[:2] != ["pip", "install"] or words.count("-r") != 1 or len(names) != 1:
        raise ValueError(f"expected pip install … -r FILE, got {rest}")
    needed = {"--no-deps", "--require-hashes", "--only-binary=:all:"}
    if not needed <= set(given) or set(given) - needed - {"--no-cache-dir"}:
        raise ValueError(f"expected the options {', '.join(sorted(needed))}, got {' '.join(given)}")
    if names[0] not in image.copied:
        raise ValueError(f"{names[0]}: expected a file that was copied before")
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)]
    platforms.append("--platform=manylinux2014_x86_64")
    with tempfile.TemporaryDirectory() as folder:
        command = ["python", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += [
            "--dest",
            folder,
            *sorted(needed),
            "--implementation=cp",
            f"--python-version={image.base}",
        ]
        command += [*platforms, "--requirement", str(image.copied[names[0]])]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        wheels = sorted(path.name for path in Path(folder).iterdir())
    if done.returncode == 0:
        print(f"{names[0]}: {', '.join(wheels)}: as pinned, and not kept: {_RUNS}")
    elif "DO NOT MATCH THE HASHES" in done.stderr or not _ABOUT_INDEX.search(done.stderr):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ValueError(f"{names[0]}: {' '.join(lines[-8:])[:600]}")
    else:
        print(f"{names[0]}: not checked, as no package index has answered: {_RUNS}")


def _start(key: str) -> Callable[[Image, str], None]:
    def note(image: Image, rest: str) -> None:
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f'expected a list of texts such as ["python", "/server.py"], got {rest}')
        image.config[key] = words

    return note


def _pairs(rest: str) -> dict[str, str]:
    pairs = dict(word.partition("=")[::2] for word in shlex.split(rest))
    if not pairs or not all("=" in word for word in shlex.split(rest)):
        raise ValueError(f"expected NAME=VALUE, got {rest}")
    return pairs


def _env(image: Image, rest: str) -> None:
    image.config.setdefault("Env", []).extend(f"{name}={value}" for name, value in _pairs(rest).items())


def _label(image: Image, rest: str) -> None:
    image.config.setdefault("Labels", {}).update(_pairs(rest))


def _expose(image: Image, rest: str) -> None:
    image.config.setdefault("ExposedPorts", {}).update({f"{port}/tcp": {} for port in rest.split()})


INSTRUCTIONS: dict[str, Callable[[Image, str], None]] = {
    "FROM": _from,
    "LABEL": _label,
    "COPY": _copy,
    "RUN": _run,
    "ENV": _env,
    "EXPOSE": _expose,
    "ENTRYPOINT": _start("Entrypoint"),
    "CMD": _start("Cmd"),
}


# --- what is kept between commands of one build ------------------------------------------------------


def _folder() -> Path:
    folder = Path(os.environ["HOME"]) / ".sandbox-docker"
    folder.mkdir(exist_ok=True)
    return folder


def _logins() -> list[str]:
    path = _folder() / "logins.json"
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []


def _place(tag: str) -> Path:
    return _folder() / hashlib.sha256(tag.encode()).hexdigest()


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
