"""The system's memory for Arrow, when this is imported before it.

Arrow's own allocator keeps what has been freed: that was a quarter of preprocess.py's memory.
"""

import os

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
