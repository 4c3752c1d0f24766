"""The built site in a real browser, from a folder: no server, no network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[2] / "build/site"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.mark.slow
def test_the_search_answers_from_a_folder_without_a_network(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None or not (SITE / "index.html").is_file():
        pytest.skip("needs a browser, and the site that make docs builds")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    flags += ["--virtual-time-budget=20000", "--host-resolver-rules=MAP * ~NOTFOUND"]
    page = subprocess.run(
        [browser, *flags, f"{(SITE / 'index.html').as_uri()}?q=webhook"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = re.search(r"(\d+) matching documents", page)
    assert found and int(found[1]) > 3, page[-3000:]
