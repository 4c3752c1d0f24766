"""What the tests of pipelines share; the module ``documents`` beside it makes definitions."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest imports tests without putting their folder on the path (import mode "importlib").
sys.path.insert(0, str(Path(__file__).parent))
