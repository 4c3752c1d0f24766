"""For the tests of the benchmarks: they are scripts that import one another."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if str(BENCHMARKS) not in sys.path:
    # last: some of them have the name of what they measure
    sys.path.append(str(BENCHMARKS))
