"""The page of the foundation's variables, read from variables.tf."""

from __future__ import annotations

from pathlib import Path

import docs_hcl

COLLECTION = Path(__file__).resolve().parents[1]
ROOTS = {
    "shared-services": "The account in which models are built and tried.",
    "production": "The account to which they are deployed.",
}


def page() -> str:
    """The whole page."""
    lines = [
        "# The foundation's variables",
        "",
        "What a platform engineer sets in `terraform.tfvars`, once for the organisation. Generated from",
        "`variables.tf`. [The foundation](../foundation.md) says what to do with them.",
    ]
    for root, intro in ROOTS.items():
        lines += ["", f"## {root}", "", intro, "", "| variable | type | default | limits | meaning |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for block in docs_hcl.read_file(COLLECTION / "shared/foundation" / root / "variables.tf"):
            given = block.attributes
            default = f"`{given['default']}`" if "default" in given else "**required**"
            limits = "; ".join(_text(one.attributes["error_message"]) for one in block.all("validation"))
            cells = [f"`{block.labels[0]}`", f"`{' '.join(given['type'].split())}`", default, limits]
            lines.append(
                "| " + " | ".join([*cells, _text(given.get("description", ""))]).replace("\n", " ") + " |"
            )
    return "\n".join(lines) + "\n"


def _text(expression: str) -> str:
    return expression.strip().strip('"').replace('\\"', '"').replace("|", "\\|")
