"""Trains, evaluates and registers a text classifier on Amazon SageMaker, or on this machine."""

import sys
from pathlib import Path

# steps/ holds scripts for containers and what they import, without a prefix: as they do it, this package
# imports from there what both go by (metrics, hyperparameters), so that nothing is said twice.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "steps"))
