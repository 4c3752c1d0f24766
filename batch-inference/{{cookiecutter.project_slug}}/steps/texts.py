"""Whether a text is empty, decided as the model decides it.

A model of model-build cleans each text itself (its ``texts.clean``), so nothing is cleaned here: what goes to
the model is what a client would send. But a text of which nothing would be left is not worth asking about.
"""

from __future__ import annotations

# NUL, every character that `str.isspace` knows (Unicode 16), and two that are invisible as well: the
# zero-width space and the byte order mark. Spelled out as in model-build, so that no version of Python
# decides otherwise.
NOTHING = (
    "\0"
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\ufeff"
)


def is_empty(text: str) -> bool:
    """Say whether nothing is left of the text once the model has cleaned it."""
    return not text.strip(NOTHING)
