"""Which modules travel with a model: train.py copies them into its ``code`` folder, archive.py asks them."""

MODULES = (
    "inference",
    "answers",
    "bodies",
    "engines",
    "mms_service",
    "redact",
    "targets",
    "texts",
    "tokens",
    "watch",
)
"""``inference`` with everything of this folder that it imports, and what multi-model-server starts."""
