"""Which modules travel with a model: train.py copies them into its ``code`` folder, archive.py asks them."""

MODULES = ("inference", "answers", "bodies", "engines", "redact", "targets", "texts", "tokens", "watch")
"""``inference`` and everything of this folder that it imports."""
