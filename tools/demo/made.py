"""What there is once the story has been told: read from the sandbox that the commands have started."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_workbench.sandbox.organisation.record import Organisation


def organisations(work: Path) -> list[Organisation]:
    """Return the organisations that run below a folder."""
    # Not above: as soon as it is loaded, moto asks for this person's AWS profile.
    from mlops_workbench.sandbox.organisation import record

    found = (record.read(each) for each in sorted(work.glob("*/.sandbox/organisation")))
    return [each for each in found if each is not None and each.running]


def overview(organisation: Organisation) -> dict[str, Any]:
    """Return what the sandbox's page shows."""
    # Not a person's proxy: it cannot reach this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(organisation.page + "overview.json", timeout=60) as answer:
        loaded: dict[str, Any] = json.load(answer)
    return loaded


def in_words(seen: dict[str, Any]) -> Iterator[str]:
    """Return a line for each model package, endpoint and pipeline."""
    for package in seen.get("packages", []):
        figures = [f"{name} {value}" for name, value in package["metrics"] if name == "accuracy"]
        name = "/".join(package["arn"].rsplit("/", 2)[-2:])
        yield f"model package  {name}: {', '.join([package['approval'], *figures])}"
    for endpoint in seen.get("endpoints", []):
        yield f"endpoint       {endpoint['name']} in account {endpoint['account']}: {endpoint['status']}"
    for pipeline in seen.get("pipelines", []):
        runs = pipeline.get("executions", [])
        newest = runs[0]["status"] if runs else "nothing was started"
        yield f"pipeline       {pipeline['name']}: {len(runs)} latest executions, the newest {newest}"


def pages(work: Path) -> Iterator[str]:
    """Return what there is to look at in a browser, below a folder."""
    for path in sorted(work.glob("*/reports/*/report.html")):
        yield path.as_uri()
    for path in sorted(work.glob("*/results/*")):
        yield path.as_uri()
