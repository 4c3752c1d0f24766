"""`make screenshots`: takes docs/images/*.png anew, of what the demo and a tutorial have left running.

    make demo ARGS=--keep
    make demo ARGS="--tutorial docs/tutorials/csat.md --keep"
    make screenshots

Needs Chromium or Chrome on PATH. A picture whose subject is not there (no browser, no demo) is left as it is,
and the command says so.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops_sandbox.organisation import record
from mlops_sandbox.organisation.record import Organisation
from PIL import Image

COLLECTION = Path(__file__).resolve().parents[1]
IMAGES = COLLECTION / "docs/images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-quic",
)
MOST_BYTES = 150_000
LOADING_MS = 6000  # for a page that asks for its own content


@dataclass(frozen=True)
class Picture:
    """What is taken: a page, and how much of it in pixels."""

    name: str
    address: str
    width: int = 1280
    height: int = 900


def main() -> int:
    """The exit status: 0 also when pictures are left as they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, default=COLLECTION / "build", help="where the demos are")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"skipped: no browser on PATH ({', '.join(BROWSERS)}); docs/images stays as it is")
        return 0
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        taken = set()
        for picture in pictures(options.build, Path(name)):
            path = IMAGES / f"{picture.name}.png"
            take(browser, picture, path, Path(name))
            taken.add(picture.name)
            print(f"{path.relative_to(COLLECTION)}: {path.stat().st_size // 1000} kB")
    for missing in sorted({"home", "sandbox", "evaluation", "comparison", "endpoint", "batch"} - taken):
        print(f"skipped: {missing}, as nothing runs or lies in build/ for it (see --help)")
    return 0


def pictures(build: Path, temporary: Path) -> Iterator[Picture]:
    """What there is to take."""
    if (home := build / "site/index.html").is_file():
        yield Picture("home", home.as_uri(), height=840)
    organisation = running(build / "email-routing")
    if organisation is not None:
        yield Picture("sandbox", organisation.page, height=1400)
        kinds = {
            "comparison": ("email-router", "/report.html"),
            "endpoint": ("email-router-endpoint", ".html"),
        }
        for name, (slug, end) in kinds.items():
            report = newest(organisation, slug, end, temporary / f"{name}.html")
            if report is not None:
                yield Picture(name, at(report, "Beside the live model"), width=1100)
    reports = sorted(build.glob("csat/*/reports/*/report.html"), key=lambda path: path.stat().st_mtime)
    if reports:
        yield Picture("evaluation", reports[-1].as_uri(), width=1100, height=1300)
    for summary in build.glob("csat/*/results/survey_month.html"):
        yield Picture("batch", summary.as_uri(), width=1100, height=1300)


def running(work: Path) -> Organisation | None:
    """The organisation that a demo has kept running."""
    found = (record.read(folder) for folder in work.glob("*/.sandbox/organisation"))
    return next((each for each in found if each is not None and each.running), None)


def newest(organisation: Organisation, slug: str, end: str, into: Path) -> Path | None:
    """The newest report in a repository's bucket, as a file; None without one."""
    s3 = organisation.client("s3")
    bucket = f"{organisation.prefix}-{slug}-{organisation.shared_services}-{organisation.region}"
    found = [
        (each["LastModified"], each["Key"])
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for each in page.get("Contents", [])
        if each["Key"].endswith(end)
    ]
    if not found:
        return None
    s3.download_file(bucket, max(found)[1], str(into))
    return into


def at(report: Path, heading: str) -> str:
    """The address of a section of a report, or of its beginning: headings have no names of their own."""
    text = report.read_text(encoding="utf-8")
    report.write_text(text.replace(f"<h2>{heading}", f'<h2 id="here">{heading}', 1), encoding="utf-8")
    return report.as_uri() + "#here"


def take(browser: str, picture: Picture, path: Path, temporary: Path) -> None:
    """Take a picture, in as few colours as a page has, so that it is small in git.

    Raises:
        RuntimeError: the browser took none; with its words.
    """
    raw = temporary / f"{picture.name}.png"
    command = [browser, *FLAGS, f"--user-data-dir={temporary / 'profile'}", f"--screenshot={raw}"]
    command += [f"--window-size={picture.width},{picture.height}", f"--virtual-time-budget={LOADING_MS}"]
    done = subprocess.run(
        [*command, picture.address], capture_output=True, text=True, timeout=120, check=False
    )
    if not raw.is_file():
        raise RuntimeError(f"{picture.address}: expected a picture, got none: {done.stderr[-500:]}")
    with Image.open(raw) as image:
        for colours in (128, 64, 32, 16):
            image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
            if path.stat().st_size <= MOST_BYTES:
                return


if __name__ == "__main__":
    sys.exit(main())
