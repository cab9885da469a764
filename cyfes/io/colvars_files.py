"""Grids of Colvars: its ``.pmf`` files, and the bias in its state files.

A value belongs to the middle of a bin, and the last variable runs fastest; see colvargrid_def.h and
colvarbias_meta.cpp in the sources of Colvars.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import InputError
from cyfes.io.compression import read_whole
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BIAS_GRID = re.compile(r"\bhills_energy\s+grid_parameters\s*\{(?P<keys>[^}]*)\}")


def read_surface(path: Path) -> SurfaceData:
    """Read a ``.pmf`` file.

    Parameters
    ----------
    path : Path
        The file, plain or compressed with gzip, xz or Zstandard.

    Returns
    -------
    SurfaceData
        F over cv0, cv1 and so on, because the file names no variables; of unknown unit.

    Raises
    ------
    InputError
        If the file is of another kind or damaged.
    OSError
        If the file cannot be read.
    """
    lines = read_whole(path).decode("utf-8", "replace").splitlines()
    try:
        header = [line[1:].split() for line in lines if line.startswith("#")]
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        table = np.array(rows, dtype=np.float64)
        if header[0][:1] == ["xi"]:
            return _curve(path, table)
        ndim = int(header[0][0])
        axes = [(float(low), float(width), int(n), p == "1") for low, width, n, p in header[1:]]
    except (IndexError, ValueError) as error:
        raise InputError(f"{path}: found no grid of Colvars ({error}), expected one") from None
    shape = tuple(points for _, _, points, _ in axes)
    if len(axes) != ndim or table.shape != (int(np.prod(shape)), ndim + 1):
        raise InputError(
            f"{path}: found rows of shape {table.shape} for {len(axes)} of {ndim} variables with "
            f"{' x '.join(map(str, shape))} points, expected one row for each point"
        )
    return _surface(path, axes, table[:, -1].reshape(shape))


def _curve(path: Path, table: NDArray[np.float64]) -> SurfaceData:
    """Return a free energy that Colvars has integrated along one variable, points at bin ends."""
    count = len(table)
    if count < 2 or table.shape[1] != 2:
        raise InputError(
            f"{path}: found a table of shape {table.shape}, expected rows of xi, A(xi)"
        )
    grid = Grid(float(table[0, 0]), float(table[-1, 0]), count - 1)
    if np.abs(table[:, 0] - grid.axes[0]).max() > 1e-3 * float(grid.spacing[0]):
        raise InputError(f"{path}: found points at uneven distances, expected a regular grid")
    return SurfaceData(np.ascontiguousarray(table[:, 1]), grid, ("cv0",), device="unknown")


def read_bias(path: Path, names: Sequence[str] | None, periodic: Sequence[bool]) -> SurfaceData:
    """Read the bias of the first metadynamics in a state file of Colvars.

    Parameters
    ----------
    path : Path
        The file, such as ``NAME.colvars.state``.
    names : sequence of D str, optional
        The variables; otherwise those of the bias are cv0, cv1 and so on.
    periodic : sequence of D bool
        Which of them are periodic, which the file does not say; one value for all.

    Returns
    -------
    SurfaceData
        The bias, of unknown unit.

    Raises
    ------
    InputError
        If the file has no such grid, or is damaged.
    OSError
        If the file cannot be read.
    """
    text = read_whole(path).decode("utf-8", "replace")
    match = _BIAS_GRID.search(text)
    if match is None:
        raise InputError(
            f"{path}: found no grid hills_energy, expected the state of a run of Colvars with "
            "metadynamics on a grid (useGrids)"
        )
    keys = {words[0]: words[1:] for words in map(str.split, match["keys"].splitlines()) if words}
    try:
        shape = [int(word) for word in keys["sizes"]]
        low, width = ([float(x) for x in keys[key]] for key in ("lower_boundaries", "widths"))
        flags = list(periodic) * len(shape) if len(periodic) == 1 else list(periodic)
        axes = list(zip(low, width, shape, flags))
        words = text[match.end() :].split(maxsplit=int(np.prod(shape)))[: int(np.prod(shape))]
        values = np.array(words, dtype=np.float64).reshape(shape)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: found a damaged grid ({error}), expected a whole one") from None
    if len(axes) != len(shape) or (names and len(names) != len(shape)):
        raise InputError(
            f"{path}: found a bias over {len(shape)} variables, expected as many names and flags "
            "of periodic ones"
        )
    return _surface(path, axes, values, names)


def _surface(
    path: Path,
    axes: Sequence[tuple[float, float, int, bool]],
    values: NDArray[np.float64],
    names: Sequence[str] | None = None,
) -> SurfaceData:
    first = [low + 0.5 * width for low, width, _, _ in axes]
    bins = [points if wraps else points - 1 for _, _, points, wraps in axes]
    last = [start + width * n for start, n, (_, width, _, _) in zip(first, bins, axes)]
    try:
        grid = Grid(first, last, bins, [wraps for *_, wraps in axes])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    named = tuple(names or (f"cv{k}" for k in range(grid.ndim)))
    return SurfaceData(np.ascontiguousarray(values), grid, named, device="unknown")
