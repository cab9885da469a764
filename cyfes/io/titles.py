"""What is known of a surface in one line, for formats that have room for no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cyfes.base.units import ENERGY_UNITS
from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def title(surface: SurfaceData) -> str:
    """Return a line for formats that have room for no more: unit, names and periodic CVs."""
    periodic = [name for name, wraps in zip(surface.names, surface.grid.periodic) if wraps]
    parts = [
        f"free energy in {surface.unit}" if surface.unit else "free energy",
        f"CVs {' '.join(surface.names)}",
        f"periodic {' '.join(periodic)}" if periodic else "",
        f"kT {surface.kT!r}" if surface.kT else "",
    ]
    line = "; ".join(filter(None, parts))
    return line.encode("ascii", "replace").decode("ascii")


def titled_surface(
    path: Path,
    line: str,
    values: NDArray[np.float64],
    lower: Sequence[float],
    spacing: Sequence[float],
) -> SurfaceData:
    """Return the surface that values and a `title` stand for; any other line will do, too.

    Raises
    ------
    InputError
        If they do not make a surface; the message begins with the path of their file.
    """
    try:
        return _surface(line, values, lower, spacing)
    except (InputError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def _surface(
    line: str, values: NDArray[np.float64], lower: Sequence[float], spacing: Sequence[float]
) -> SurfaceData:
    found = re.match(rf"free energy in ({'|'.join(ENERGY_UNITS)})\b", line)
    parts = {words[0]: words[1:] for words in map(str.split, line.split(";")) if words}
    names = tuple(parts.get("CVs", ()))
    if len(names) != values.ndim:
        names = tuple("xyz"[: values.ndim])
    periodic = [name in parts.get("periodic", ()) for name in names]
    bins = [n if wraps else n - 1 for n, wraps in zip(values.shape, periodic)]
    if min(bins) < 1:
        raise InputError(f"found {values.shape} points, expected two or more along each axis")
    upper = [low + count * step for low, count, step in zip(lower, bins, spacing)]
    kT = float(parts["kT"][0]) if "kT" in parts else None
    grid = Grid(list(lower), upper, bins, periodic)
    return SurfaceData(values, grid, names, unit=found and found[1], kT=kT)
