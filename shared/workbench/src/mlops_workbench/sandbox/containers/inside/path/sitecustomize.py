"""Lets sagemaker-huggingface-inference-toolkit 2.6.0 import transformers 5.

The toolkit imports ``is_tf_available`` and ``is_torch_available`` from ``transformers.file_utils``;
transformers 5 has no TensorFlow and no longer has the names there. SageMaker's image ships a later,
unreleased commit of the toolkit. This file is found through PYTHONPATH in the server's processes, and costs
nothing until the module is imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

_MODULE = "transformers.file_utils"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module as the others would, and adds the names after it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's own spec with a loader that adds to it."""
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_add(module: ModuleType) -> None:
            load(module)
            from transformers.utils import is_torch_available

            for name, function in (
                ("is_torch_available", is_torch_available),
                ("is_tf_available", lambda: False),
            ):
                if not hasattr(module, name):
                    setattr(module, name, function)

        spec.loader.exec_module = load_and_add  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())
