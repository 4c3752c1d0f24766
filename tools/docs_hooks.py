"""What MkDocs does besides, for these pages (mkdocs.yml, `hooks`).

* Some pages and pictures lie where they are used or made, outside docs/: they become part of the site.
* A link to a file of the collection that is no page becomes plain text; without such a file the strict build
  fails.
* Nothing on a page may be fetched from elsewhere: the site opens without a network, and tells nobody that it
  was opened.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

COLLECTION = Path(__file__).resolve().parents[1]
#: Page of the site -> the file that it is.
ELSEWHERE = {
    "foundation.md": "shared/foundation/README.md",
    "sandbox.md": "shared/workbench/README.md",
    "changelog.md": "CHANGELOG.md",
}
#: Pictures that benchmarks draw.
PLOTS = "benchmarks/results"

log = logging.getLogger("mkdocs.hooks.collection")

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_FENCE = re.compile(r"^([ \t]*)(```|~~~).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
# what makes a browser fetch something when the page is opened
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=[\"']?(?:https?:)?//[^\"'\s>]+",
    re.IGNORECASE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the pictures that lie elsewhere."""
    for name, path in _elsewhere().items():
        files.append(File.generated(config, name, abs_src_path=str(COLLECTION / path)))
    return files


def _elsewhere() -> dict[str, str]:
    """File of the site -> the file that it is."""
    pictures = sorted((COLLECTION / PLOTS).glob("*.svg"))
    return {**ELSEWHERE, **{f"{PLOTS}/{path.name}": f"{PLOTS}/{path.name}" for path in pictures}}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the collection into links between pages, or into text."""
    here = Path(ELSEWHERE.get(page.file.src_uri, f"docs/{page.file.src_uri}"))
    rewritten = []
    for part, is_code in _parts(markdown):
        rewritten.append(part if is_code else _LINK.sub(lambda link: _rewrite(link, here, page), part))
    return "".join(rewritten)


def _parts(markdown: str) -> list[tuple[str, bool]]:
    """The text cut into what is code and what is not."""
    parts, last = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [(markdown[last : fence.start()], False), (fence[0], True)]
        last = fence.end()
    return [*parts, (markdown[last:], False)]


def _rewrite(link: re.Match[str], here: Path, page: Page) -> str:
    target, _, anchor = link["target"].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return link[0]
    meant = os.path.normpath(here.parent / target)
    pages = {path: name for name, path in _elsewhere().items()}
    if meant in pages or (meant.startswith("docs/") and here.parts[0] != "docs"):
        to = pages.get(meant, meant.removeprefix("docs/"))
        relative = os.path.relpath(to, os.path.dirname(page.file.src_uri) or ".")
        return f"{link['image']}[{link['text']}]({relative}{'#' + anchor if anchor else ''})"
    if meant.startswith("docs/"):
        return link[0]  # MkDocs checks it
    if not (COLLECTION / meant).exists():
        log.warning("%s: link to %s, which is not in the collection", here, target)
    return link["text"]


@event_priority(-200)  # type: ignore[untyped-decorator]  # after the plug-in that writes the index for file://
def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that fetches from elsewhere or cannot be searched; make llms.txt lead to its pages.

    Raises:
        PluginError: it does; each place is named.
    """
    site = Path(config.site_dir)
    overview = site / "llms.txt"
    overview.write_text(overview.read_text(encoding="utf-8").replace(".md)", ".html)"), encoding="utf-8")
    found = [
        f"{path.relative_to(site)}: {match[0][:120]}"
        for path in sorted(site.rglob("*.html"))
        for match in _FETCHED.finditer(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise PluginError("expected nothing to be fetched from elsewhere, found:\n" + "\n".join(found))
    index = site / "search/search_index.js"
    if not index.is_file() or "roles" not in index.read_text(encoding="utf-8"):
        raise PluginError(f"expected an index of the pages' words in {index}, found none")
