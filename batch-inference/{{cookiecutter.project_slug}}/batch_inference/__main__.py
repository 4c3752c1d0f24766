"""`python -m batch_inference COMMAND`."""

import sys

from pipeline_sdk import load_quickly

load_quickly()

from .cli import main  # noqa: E402 - what is loaded quickly

if __name__ == "__main__":
    sys.exit(main())
