"""PLUMED's grid files: a ``#!`` header, and a row for each point, the first CV running fastest.

The format was found from the behaviour of PLUMED 2.10, so that a file written by cyfes can replace
one written by ``plumed sum_hills``.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import check_number_format
from cyfes.errors import InputError
from cyfes.io.compression import read_whole
from cyfes.io.plumed_header import grid_header, with_line
from cyfes.io.text_files import write_text
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData
from cyfes.native.extensions import text_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath
    from cyfes.io.plumed_header import Header

# Some megabytes of text: enough work for the threads that share it.
_ROWS_PER_BLOCK = 1 << 15

# The column of standard errors, which PLUMED does not write, and `cyfes reweight --blocks` does.
_ERROR = "error"


def grid_blocks(
    grid: Grid,
    names: Sequence[str],
    bounds: Sequence[tuple[str, str]],
    columns: Mapping[str, NDArray[np.floating]],
    fmt: str,
) -> Iterator[bytes]:
    """Yield the text of a PLUMED grid file, piece by piece.

    Parameters
    ----------
    grid : Grid
        The grid of D axes.
    names : sequence of str
        The D collective variables.
    bounds : sequence of (str, str)
        The literals of each axis's minimum and maximum for the header.
    columns : mapping of str to ndarray
        What follows the coordinates: column name to values of shape ``grid.shape``.
    fmt : str
        The C format of every number.

    Yields
    ------
    bytes
        The header, then rows with the first collective variable running fastest; a blank line
        comes before every row but the first whose index on the last axis but one is 0.

    Raises
    ------
    InputError
        If `fmt` is not one floating-point conversion.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    number = " " + check_number_format(fmt)
    native = text_module()
    yield grid_header(names, bounds, grid.shape, grid.periodic, list(columns)).encode()
    flat = [np.ascontiguousarray(column, dtype=np.float64).ravel() for column in columns.values()]
    text = native.GridText(list(grid.axes), flat, number.encode())
    threads = native.threads()
    for first in range(0, text.rows, _ROWS_PER_BLOCK):
        yield from text.format(first, min(first + _ROWS_PER_BLOCK, text.rows), threads)


def write_surface(surface: SurfaceData, path: AnyPath, fmt: str) -> None:
    """Write a surface; an older file is kept.

    Raises
    ------
    InputError
        If `fmt` is not one floating-point conversion.
    OSError
        If the file cannot be written.
    """
    columns = {"file.free": surface.values}
    if surface.gradient is not None:
        columns.update((f"der_{name}", der) for name, der in zip(surface.names, surface.gradient))
    if surface.error is not None:
        columns[_ERROR] = surface.error
    write_text(path, grid_blocks(surface.grid, surface.names, surface.bounds(), columns, fmt))


def read_surface(path: Path) -> SurfaceData:
    """Read a free energy, with its gradient and its errors if the file has them.

    Parameters
    ----------
    path : Path
        The file, plain or compressed with gzip, xz or Zstandard.

    Returns
    -------
    SurfaceData
        The first column after the CVs; of unknown unit.

    Raises
    ------
    InputError
        If the header is missing or incomplete, a row is damaged, or the points are not the
        header's grid.
    OSError
        If the file cannot be read.
    """
    text = _text(path)
    try:
        fields, constants, _ = _header(text)
        names = tuple(field for field in fields if f"min_{field}" in constants)
        if not names or len(names) == len(fields) or fields[: len(names)] != names:
            raise InputError(
                f"found the columns {' '.join(fields)} and the constants "
                f"{' '.join(constants)}, expected min_, max_, nbins_ and periodic_ of each CV"
            )
        grid = _grid(names, constants)
        columns = _columns(text, fields, grid)
        _check_points(names, grid, columns)
        return _surface(fields, names, grid, columns)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _text(path: Path) -> str:
    try:
        return read_whole(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: found no text ({error}), expected PLUMED's grid file") from None


def _header(text: str) -> Header:
    header: Header | None = None
    for number, line in enumerate(io.StringIO(text), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        header = with_line(header, line, number)
    if header is None or not header.fields:
        raise InputError("found no '#! FIELDS' header, expected PLUMED's grid file")
    if len(set(header.fields)) < len(header.fields):
        raise InputError(f"found the columns {' '.join(header.fields)}, expected different ones")
    return header


def _grid(names: tuple[str, ...], constants: dict[str, str]) -> Grid:
    missing = [
        f"{what}_{name}"
        for name in names
        for what in ("max", "nbins", "periodic")
        if f"{what}_{name}" not in constants
    ]
    if missing:
        raise InputError(f"found no '#! SET {missing[0]}', expected it in the header")
    periodic = [constants[f"periodic_{name}"] == "true" for name in names]
    points = []
    for name in names:
        word = constants[f"nbins_{name}"]
        if not word.isdigit():
            raise InputError(f"nbins_{name}: found {word!r}, expected a whole number")
        points.append(int(word))
    # PLUMED's nbins is the number of points, which on a periodic axis is that of the bins.
    bins = [n if wraps else n - 1 for n, wraps in zip(points, periodic)]
    lower = [constants[f"min_{name}"] for name in names]
    return Grid(lower, [constants[f"max_{name}"] for name in names], bins, periodic)


def _columns(text: str, fields: tuple[str, ...], grid: Grid) -> dict[str, NDArray[np.float64]]:
    """Return each column in the shape of the grid."""
    try:
        with warnings.catch_warnings():
            # NumPy warns where there are no rows, which is an error below.
            warnings.simplefilter("ignore", UserWarning)
            table: NDArray[Any] = np.loadtxt(io.StringIO(text), comments="#", ndmin=2)
    except ValueError as error:
        raise InputError(f"found a row that is damaged: {error}") from None
    if table.shape != (grid.size, len(fields)):
        raise InputError(
            f"found {table.shape[0]} rows of {table.shape[1]} numbers, expected {grid.size} of "
            f"{len(fields)}: {' x '.join(map(str, grid.shape))} points, columns {' '.join(fields)}"
        )
    backwards = grid.shape[::-1]
    return {
        field: np.ascontiguousarray(column.reshape(backwards).T)
        for field, column in zip(fields, table.T)
    }


def _check_points(
    names: tuple[str, ...], grid: Grid, columns: dict[str, NDArray[np.float64]]
) -> None:
    mesh = np.meshgrid(*grid.axes, indexing="ij", sparse=True)
    for name, axis, step in zip(names, mesh, grid.spacing):
        off = np.abs(columns[name] - axis) > 0.5 * step
        if off.any():
            found = columns[name][off][0]
            raise InputError(
                f"found {name} {found:g} where the header's grid has another point, expected the "
                "first CV to run fastest from min to max"
            )


def _surface(
    fields: tuple[str, ...],
    names: tuple[str, ...],
    grid: Grid,
    columns: dict[str, NDArray[np.float64]],
) -> SurfaceData:
    slopes = [columns.get(f"der_{name}") for name in names]
    gradient = np.stack(slopes) if all(s is not None for s in slopes) else None  # type: ignore[arg-type]
    domain = tuple(ends if wraps else None for ends, wraps in zip(grid.bounds, grid.periodic))
    values = columns[fields[len(names)]]
    error = columns.get(_ERROR) if fields[len(names)] != _ERROR else None
    return SurfaceData(values, grid, names, gradient, domain, device="unknown", error=error)
