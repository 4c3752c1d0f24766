"""Before the files are rendered: hooks/generation.py of the collection checks the answers."""

import json
import sys

call = json.loads(
    r"""
{{ (checkout() if checkout is defined else {}) | tojson }}
"""
)
if not call:
    sys.exit("Nothing is generated, because these answers are an older template's: answer again, without --replay")
sys.dont_write_bytecode = True
sys.path.insert(0, call["collection"])

from hooks import generation  # noqa: E402 - found by the path above

sys.exit(generation.before(call["template"], call["answers"]))
