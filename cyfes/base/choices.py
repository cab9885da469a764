"""The words that arguments take, as types: editors offer them, and type checkers refuse others.

They exist for type checkers only, because CPython 3.7 has no ``typing.Literal``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Literal, Type, Union

    import numpy as np

    #: The units of energy.
    EnergyUnit = Literal["kJ/mol", "kcal/mol", "eV", "kT"]

    #: Where to compute; also "cuda:N" and "cuda:N,M" with the numbers of devices.
    DeviceName = Union[Literal["auto", "cpu", "cuda", "cuda:all"], str]

    #: The precision of a sum.
    Precision = Union[
        Literal["float64", "float32"], Type[np.float64], Type[np.float32], "np.dtype[Any]"
    ]

    #: How to compute a sum.
    Plan = Literal["auto", "direct", "separable", "truncated", "nufft"]

    #: Where a plain Gaussian ends.
    Truncation = Literal["plumed", "none", "boxes"]

    #: What a picture shows as zero.
    Zero = Literal["surface", "picture", "none"]
