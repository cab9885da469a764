"""Sums of hills that arrive in portions."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import CyfesWarning, InputError
from cyfes.sums import hills_on_grid
from cyfes.sums.boxes import wraps
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hills


class RunningSum:
    """The free-energy surface of the hills so far.

    Parameters
    ----------
    grid : Grid
        The grid.
    device, dtype : str
        As for `cyfes.sum_hills`.

    Attributes
    ----------
    count : int
        The number of hills so far.
    """

    def __init__(self, grid: Grid, device: str = "auto", dtype: str = "float64") -> None:
        self.count = 0
        self._grid = grid
        self._how: dict[str, Any] = {"device": device, "dtype": dtype, "truncation": "boxes"}
        self._warned = False
        self._sum: FreeEnergySurface | None = None

    def add(self, hills: Hills, progress: Callable[[float], object] | None = None) -> None:
        """Add hills of the same variables as those before.

        Parameters
        ----------
        hills : Hills
            The hills.
        progress : callable, optional
            As for `cyfes.sum_hills`.

        Raises
        ------
        InputError, DeviceError, LibraryError
            As `cyfes.sum_hills` does.
        """
        self._warn_of_wide(hills)
        added = hills_on_grid.sum_hills(
            hills, self._grid, gradient=True, progress=progress, **self._how
        )
        self._sum = added if self._sum is None else _added(self._sum, added)
        self.count += len(hills)

    def clear(self) -> None:
        """Remove all hills; a surface that was returned before does not change."""
        if self._sum is not None:
            zero = np.zeros_like(self._sum.values)
            slopes = np.zeros_like(self._sum.gradient)
            self._sum = replace(self._sum, values=zero, gradient=slopes)

    def surface(self) -> FreeEnergySurface:
        """Return the free energy F = -Σ hills; it changes when more hills are added.

        Raises
        ------
        InputError
            If there have been no hills.
        """
        if self._sum is None:
            raise InputError("found no hills, expected at least one")
        for array in (self._sum.values, self._sum.gradient):
            _without_plus_zero(array)
        return self._sum

    def _warn_of_wide(self, hills: Hills) -> None:
        # With an INTERVAL there is one variable, whose box ends where the hills end.
        if self._warned or hills.interval is not None or not wraps(hills, self._grid).any():
            return
        self._warned = True
        message = (
            "found hills whose box is wider than a periodic axis of the grid; at some points "
            "PLUMED adds them more than once, and so does cyfes"
        )
        warnings.warn(CyfesWarning(message), stacklevel=2)


def _added(total: FreeEnergySurface, part: FreeEnergySurface) -> FreeEnergySurface:
    """Add a part to a surface, in its own memory."""
    np.add(total.values, part.values, out=total.values)
    assert total.gradient is not None  # noqa: S101  always computed here
    assert part.gradient is not None  # noqa: S101
    np.add(total.gradient, part.gradient, out=total.gradient)
    return replace(total, plan=part.plan, device=part.device)


def _without_plus_zero(array: NDArray[np.floating] | None) -> None:
    """Replace 0 by -0, which PLUMED writes where there is no hill."""
    if array is not None:
        np.subtract(0.0, array, out=array)
        np.negative(array, out=array)
