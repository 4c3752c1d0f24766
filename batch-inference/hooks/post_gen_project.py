"""Adds what templates share, makes the first commit, registers: the collection's hooks/ does it."""

import json
import sys

sys.dont_write_bytecode = True
sys.path.insert(
    0,
    json.loads(
        r"""
{{ collection | tojson }}
"""
    ),
)

from hooks import generation  # noqa: E402 - found by the path above

# Without where the template came from: it may hold a password, and this file stays in the temporary folder.
status = generation.after(
    json.loads(
        r"""
{{ dict(cookiecutter.items() | rejectattr(0, "in", ["_template", "_repo_dir"])) | tojson }}
"""
    ),
    ["everywhere", "release", "pipeline"],
)
sys.exit(status)
