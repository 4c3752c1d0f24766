"""After the files are rendered: hooks/generation.py of the collection adds the shared ones and makes a repository."""

import json
import sys

call = json.loads(
    r"""
{{ checkout() | tojson }}
"""
)
sys.dont_write_bytecode = True
sys.path.insert(0, call["collection"])

from hooks import generation  # noqa: E402 - found by the path above

sys.exit(generation.after(call["template"], call["answers"]))
