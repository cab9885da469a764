"""NumPy, imported when it is first used: that takes longer than a small job does without it."""

from types import ModuleType
from typing import Any


class _NumPy(ModuleType):
    def __getattr__(self, name: str) -> Any:
        import numpy

        return getattr(numpy, name)


np = _NumPy("numpy")
