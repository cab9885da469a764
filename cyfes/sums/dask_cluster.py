"""Sums of hills on the workers of a Dask cluster: parts of the hills, or of the grid, on each.

Needs the optional package dask: ``pip install cyfes[dask]``. The parts are run
by the scheduler that Dask is set up to use, such as the `distributed.Client` of the process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.io.hills_files import read_hills
from cyfes.model.hills import Hills
from cyfes.sums import hills_on_grid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Union

    from cyfes.model.grid import Grid
    from cyfes.surface import FreeEnergySurface

    Source = Union[Hills, str, "os.PathLike[str]"]


def sum_hills_dask(
    hills: Source | Sequence[Source], grid: Grid, parts: int = 8, **options: Any
) -> FreeEnergySurface:
    """Return the free-energy surface F = -Σ hills, summed by the workers of a cluster.

    Parameters
    ----------
    hills : Hills, path-like, or sequence of them
        Hills, or HILLS files that the workers can read. With one item, each worker computes a part
        of the grid from all hills. With several items, each worker sums one item on the whole grid,
        and the sums are added.
    grid : Grid
        The grid, as for `cyfes.sum_hills`.
    parts : int
        For one item: the largest number of parts into which the grid is split along its first axis.
    **options
        `device`, `dtype`, `gradient`, `truncation` and `plan` as for `cyfes.sum_hills`. With
        workers of one GPU each, "auto" and "cuda" mean the worker's own.

    Returns
    -------
    FreeEnergySurface
        As of `cyfes.sum_hills`, within round-off; `plan` is that of the first part.

    Raises
    ------
    InputError
        As `cyfes.sum_hills` does, or if there is no item, or no part.
    MissingDependencyError
        If dask is not installed.
    """
    if parts < 1:
        raise InputError(f"parts: found {parts}, expected at least 1")
    items = [hills] if isinstance(hills, (Hills, str, os.PathLike)) else list(hills)
    if not items:
        raise InputError("hills: found none, expected Hills or HILLS files")
    dask = need("dask", "sum_hills_dask")
    if len(items) > 1:
        return _added(dask, items, grid, options)
    return _joined(dask, items[0], grid, parts, options)


def _added(
    dask: Any, items: list[Source], grid: Grid, options: dict[str, Any]
) -> FreeEnergySurface:
    """Return the sum of the surfaces of all items, added in pairs on the workers."""
    summed = dask.delayed(_whole)
    surfaces = [summed(item, grid, options) for item in items]
    while len(surfaces) > 1:
        pairs = [surfaces[i : i + 2] for i in range(0, len(surfaces), 2)]
        surfaces = [dask.delayed(_plus)(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    surface: FreeEnergySurface = surfaces[0].compute()
    return surface


def _joined(
    dask: Any, item: Source, grid: Grid, parts: int, options: dict[str, Any]
) -> FreeEnergySurface:
    """Return the surface whose parts along the first axis the workers compute."""
    points = grid.shape[0]
    parts = min(parts, points)
    ends = [points * part // parts for part in range(parts + 1)]
    source = dask.delayed(item) if isinstance(item, Hills) else item
    part_of = dask.delayed(_part)
    pieces = dask.compute(*(part_of(source, grid, pair, options) for pair in zip(ends, ends[1:])))
    return hills_on_grid.joined(pieces, grid)


def _hills(item: Source) -> Hills:
    return item if isinstance(item, Hills) else read_hills(item)


def _whole(item: Source, grid: Grid, options: dict[str, Any]) -> FreeEnergySurface:
    return hills_on_grid.sum_hills(_hills(item), grid, **options)


def _part(
    item: Source, grid: Grid, rows: tuple[int, int], options: dict[str, Any]
) -> hills_on_grid.SurfacePart:
    return hills_on_grid.sum_rows(_hills(item), grid, rows, **options)


def _plus(first: FreeEnergySurface, second: FreeEnergySurface) -> FreeEnergySurface:
    from dataclasses import replace

    gradient = None
    if first.gradient is not None and second.gradient is not None:
        gradient = first.gradient + second.gradient
    return replace(first, values=np.asarray(first.values + second.values), gradient=gradient)
