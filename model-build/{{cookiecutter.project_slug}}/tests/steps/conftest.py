"""The step scripts, importable as they are in a container: each by its own name, beside its siblings."""

import sys
from pathlib import Path

STEPS = Path(__file__).parents[2] / "steps"
sys.path.insert(0, str(STEPS))
