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

from PIL import Image

from mlops_workbench.sandbox.organisation import record
from mlops_workbench.sandbox.organisation.record import Organisation

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
    cut: int = 0  # from above: what says where this machine keeps things


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
        yield Picture("sandbox", organisation.page, height=1400, cut=64)
        kinds = {
            "comparison": ("email-router", "/report.html"),
            "endpoint": ("email-router-endpoint", ".html"),
        }
        for name, (slug, end) in kinds.items():
            report = report_of(organisation, slug, end, temporary / f"{name}.html")
            if report is not None:
                yield Picture(name, beginning_at(report, "Beside the live model"), width=1100)
        first = report_of(
            organisation, "email-router", "/report.html", temporary / "first.html", newest=False
        )
        if first is not None:
            yield Picture("evaluation", first.as_uri(), width=1100, height=1300)
    for summary in build.glob("csat/*/results/survey_month.html"):
        yield Picture("batch", summary.as_uri(), width=1100, height=1300)


def running(work: Path) -> Organisation | None:
    """The organisation that a demo has kept running."""
    found = (record.read(folder) for folder in work.glob("*/.sandbox/organisation"))
    return next((each for each in found if each is not None and each.running), None)


def report_of(
    organisation: Organisation, slug: str, end: str, into: Path, newest: bool = True
) -> Path | None:
    """The newest report in a repository's bucket, or the oldest, as a file; None without one."""
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
    s3.download_file(bucket, (max if newest else min)(found)[1], str(into))
    return into


def beginning_at(report: Path, heading: str) -> str:
    """The address of a report that begins with one of its sections: a picture shows the top of a page."""
    text = report.read_text(encoding="utf-8")
    first, section = text.find("<section"), text.find(f"<section><h2>{heading}")
    if section > first:
        report.write_text(text[:first] + text[section:], encoding="utf-8")
    return report.as_uri()


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
    with Image.open(raw) as whole:
        image = whole.convert("RGB").crop((0, picture.cut, whole.width, whole.height))
        for colours in (128, 64, 32, 16):
            image.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
            if path.stat().st_size <= MOST_BYTES:
                return


if __name__ == "__main__":
    sys.exit(main())
