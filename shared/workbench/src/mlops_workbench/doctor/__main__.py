"""`python -m mlops_workbench.doctor`."""

import sys

if sys.version_info < (3, 8):  # noqa: UP036 - this is the one place where an older one is met
    sys.exit(
        "Python: expected 3.11 or newer, got {}.{}: https://python.org/downloads".format(*sys.version_info)
    )

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
