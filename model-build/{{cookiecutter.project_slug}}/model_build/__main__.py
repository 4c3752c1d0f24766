"""`python -m model_build`."""

import sys

from pipeline_sdk import load_quickly

load_quickly()

from .cli import main  # noqa: E402 - what is loaded quickly

sys.exit(main())
