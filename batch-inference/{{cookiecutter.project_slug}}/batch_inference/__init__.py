"""Answers files with a model: the pipeline, what its builds do, and the commands for people.

A rule of functions/ and steps/ is not written twice: modules here import theirs. Those folders hold scripts
for Lambda and for containers, not packages, and so their modules have no prefix.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(_ROOT / "functions"), str(_ROOT / "steps")]
