"""A free-energy surface on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import InputError
from cyfes.plumed_format import grid_blocks, parse_number, write_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import Optional, Tuple

    from numpy.typing import DTypeLike, NDArray

    from cyfes.grid import Grid

    Domain = Optional[Tuple[str, str]]


@dataclass(frozen=True, eq=False, repr=False)
class FreeEnergySurface:
    """A free energy F, and where known its gradient, on a regular grid over D CVs.

    NumPy takes a surface for the array of its values.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        F, in the unit of the hills' heights; indexed in the order of the CVs.
    grid : Grid
        The grid.
    names : tuple of str
        The D collective variables.
    gradient : ndarray, shape (D, *grid.shape), optional
        dF/dCV, in the unit of F over that of the CV.
    domain : tuple of (None or (str, str)), optional
        The literals of the ends of each periodic CV's domain; see `cyfes.Hills`.
    device : str
        The device that computed it.

    Raises
    ------
    InputError
        If shapes or lengths disagree.
    """

    values: NDArray[np.floating[Any]]
    grid: Grid
    names: tuple[str, ...]
    gradient: NDArray[np.floating[Any]] | None = None
    domain: tuple[Domain, ...] | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check the shapes against the grid."""
        shape = self.grid.shape
        if self.values.shape != shape:
            raise InputError(f"values: found shape {self.values.shape}, expected {shape}")
        if self.gradient is not None and self.gradient.shape != (self.grid.ndim, *shape):
            expected = (self.grid.ndim, *shape)
            raise InputError(f"gradient: found shape {self.gradient.shape}, expected {expected}")
        for what, entries in (("names", self.names), ("domain", self.domain)):
            if entries is not None and len(entries) != self.grid.ndim:
                raise InputError(f"{what}: found {len(entries)}, expected {self.grid.ndim}")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the values; a copy only where one is asked for or the type needs one."""
        same = dtype is None or np.dtype(dtype) == self.values.dtype
        if same:
            return self.values.copy() if copy else self.values
        if copy is False:
            raise ValueError(f"found values of {self.values.dtype}, which {dtype} needs a copy of")
        return self.values.astype(dtype)

    def __repr__(self) -> str:
        """Return a line that says what is known and where it was computed."""
        points = " x ".join(map(str, self.grid.shape))
        low, high = np.min(self.values), np.max(self.values)
        return (
            f"<FreeEnergySurface over {', '.join(self.names)}: {points} points, "
            f"{low:g} to {high:g}, computed on {self.device}>"
        )

    def shift_to_zero(self) -> FreeEnergySurface:
        """Return the surface moved so that its minimum is 0, as ``--mintozero`` does.

        Returns
        -------
        FreeEnergySurface
            A new surface; the gradient is the same.
        """
        return replace(self, values=self.values - np.min(self.values))

    def save(self, path: str | os.PathLike[str], fmt: str = "%14.9f") -> None:
        """Write the surface as ``plumed sum_hills`` does; an older file is kept.

        The columns are the CVs, ``file.free`` and, with a gradient, ``der_`` of each CV; the first
        CV runs fastest.

        Parameters
        ----------
        path : path-like
            The file, gzipped if it ends with ``.gz``; ``-`` is the standard output. A file of that
            name is renamed to ``bck.0.NAME``, ``bck.1.NAME`` and so on, and is never lost to an
            attempt that fails.
        fmt : str
            The C format of every number.

        Raises
        ------
        InputError
            If `fmt` is not one floating-point conversion, or there are too many backups.
        OSError
            If the file cannot be written.
        """
        write_text(path, self._blocks(fmt))

    def _blocks(self, fmt: str) -> Iterator[str]:
        columns = {"file.free": self.values}
        if self.gradient is not None:
            columns.update((f"der_{name}", der) for name, der in zip(self.names, self.gradient))
        return grid_blocks(self.grid, self.names, self._bounds(), columns, fmt)

    def _bounds(self) -> list[tuple[str, str]]:
        """Return the literals of each axis's ends: the domain's where they stand for the ends."""
        domains = self.domain or (None,) * self.grid.ndim
        return [
            domain if domain and _values(domain) == _values(own) else own
            for own, domain in zip(self.grid.bounds, domains)
        ]


def _values(literals: tuple[str, str]) -> tuple[float, float]:
    return parse_number(literals[0]), parse_number(literals[1])
