"""PLUMED's grid files: a ``#!`` header, and a row for each point, the first CV running fastest.

The format was found from the behaviour of PLUMED 2.10, so that a file written by cyfes can replace
one written by ``plumed sum_hills``.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from cyfes.base.numbers import check_number_format, format_number
from cyfes.errors import InputError
from cyfes.io.compression import read_whole
from cyfes.io.plumed_header import fault_of_text, grid_header, with_line
from cyfes.io.text_files import write_text
from cyfes.model.domains import end_values
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

# So many bytes show the line ends of a file.
_START = 1 << 16

#: The column of the standard error of F.
ERROR_COLUMN = "error"

_FIELDS_LINE = re.compile(r"^[ \t]*#![ \t]+FIELDS\b", re.MULTILINE)

_ROW = re.compile(r"^[ \t]*[^#\s]", re.MULTILINE)


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
    write_text(path, surface_blocks(surface, fmt))


def surface_blocks(surface: SurfaceData, fmt: str, value: str = "file.free") -> Iterator[bytes]:
    """Yield the text of a surface's file: F, and where known its gradient and its error.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    fmt : str
        The C format of every number.
    value : str
        The name of the column of F.

    Yields
    ------
    bytes
        As `grid_blocks` does.
    """
    columns = {value: surface.values}
    if surface.gradient is not None:
        columns.update((f"der_{name}", der) for name, der in zip(surface.names, surface.gradient))
    if surface.error is not None:
        columns[ERROR_COLUMN] = surface.error
    return grid_blocks(surface.grid, surface.names, surface.bounds(), columns, fmt)


def read_surfaces(path: Path) -> list[SurfaceData]:
    """Read all frames of a file: PLUMED adds a grid, with a header of its own, at every stride.

    Parameters
    ----------
    path : Path
        The file, plain or compressed with gzip, xz or Zstandard.

    Returns
    -------
    list of SurfaceData
        For each frame the first column after the CVs, of unknown unit; with its gradient and its
        error if the file has them.

    Raises
    ------
    InputError
        If a header is missing or incomplete, a row is damaged, or the points are not the
        header's grid.
    OSError
        If the file cannot be read.
    """
    where = ""
    try:
        frames = _frames(_text(path))
        surfaces: list[SurfaceData] = []
        for number, text in enumerate(frames):
            where = f"frame {number} of 0 to {len(frames) - 1}: " if len(frames) > 1 else ""
            surfaces += _read_frame(text)
    except InputError as error:
        raise InputError(f"{path}: {where}{error}") from None
    return surfaces


def _text(path: Path) -> str:
    raw = read_whole(path)
    fault = fault_of_text(raw[:_START])
    if fault is not None:
        raise InputError(fault)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"found no text ({error}), expected PLUMED's grid file") from None


def _frames(text: str) -> list[str]:
    """Return the text of each frame, from its FIELDS line on; headers without rows are left out."""
    starts = [match.start() for match in _FIELDS_LINE.finditer(text)]
    if not starts:
        raise InputError("found no '#! FIELDS' header, expected PLUMED's grid file")
    frames = [text[start:end] for start, end in zip([0, *starts[1:]], [*starts[1:], len(text)])]
    with_rows = [frame for frame in frames if _ROW.search(frame)]
    return with_rows or frames[:1]


def _read_frame(text: str) -> Iterator[SurfaceData]:
    """Yield the surface under a header; rows of several grids are as many surfaces."""
    fields, constants, _ = _header(text)
    names = tuple(field for field in fields if f"min_{field}" in constants)
    if not names or len(names) == len(fields) or fields[: len(names)] != names:
        raise InputError(
            f"found the columns {' '.join(fields)} and the constants "
            f"{' '.join(constants)}, expected min_, max_, nbins_ and periodic_ of each CV"
        )
    table = _table(text)
    grid = _grid(names, constants, table)
    repeats = max(1, len(table) // grid.size) if len(table) % grid.size == 0 else 1
    for rows in np.split(table, repeats):
        columns = _columns(rows, fields, grid)
        _check_points(names, grid, columns)
        yield _surface(fields, names, grid, columns)


def _header(text: str) -> Header:
    header: Header | None = None
    for number, line in enumerate(io.StringIO(text), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        header = with_line(header, line, number)
    if header is None:
        raise InputError("found rows above the '#! FIELDS' header, expected them below it")
    if len(set(header.fields)) < len(header.fields):
        raise InputError(f"found the columns {' '.join(header.fields)}, expected different ones")
    return header


def _grid(names: tuple[str, ...], constants: dict[str, str], table: NDArray[np.float64]) -> Grid:
    missing = [
        f"{what}_{name}"
        for name in names
        for what in ("max", "nbins", "periodic")
        if f"{what}_{name}" not in constants
    ]
    if missing:
        raise InputError(f"found no '#! SET {missing[0]}', expected it in the header")
    periodic = [constants[f"periodic_{name}"] == "true" for name in names]
    counts = []
    for name in names:
        word = constants[f"nbins_{name}"]
        if not word.isdigit():
            raise InputError(f"nbins_{name}: found {word!r}, expected a whole number")
        counts.append(int(word))
    # On an axis that is not periodic, nbins is the number of points in the files of sum_hills and
    # METAD, and the number of bins, one less, in those of DUMPGRID. The rows tell which it is.
    more_points = _product([n if wraps else n + 1 for n, wraps in zip(counts, periodic)])
    counts_bins = len(table) == more_points != _product(counts)
    lower, upper, bins = [], [], []
    for axis, (name, count, wraps) in enumerate(zip(names, counts, periodic)):
        low, high = constants[f"min_{name}"], constants[f"max_{name}"]
        if not (wraps or counts_bins or count < 2 or not len(table)):
            # In a file that a user made for EXTERNAL, the last point may be one bin before max.
            start, end = end_values((low, high))
            step = (end - start) / count
            if abs(table[:, axis].max() - (end - step)) < 0.01 * step:
                high = format_number(end - step)
        lower.append(low)
        upper.append(high)
        bins.append(count if wraps or counts_bins else count - 1)
    return Grid(lower, upper, bins, periodic)


def _product(numbers: Sequence[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product


def _table(text: str) -> NDArray[np.float64]:
    # NumPy warns where there are no rows, which is an error later. The warning is not filtered out,
    # because all threads have the same filters.
    if not _ROW.search(text):
        return np.empty((0, 0))
    try:
        table: NDArray[np.float64] = np.loadtxt(io.StringIO(text), comments="#", ndmin=2)
    except ValueError as error:
        raise InputError(f"found a row that is damaged: {error}") from None
    return table


def _columns(
    table: NDArray[np.float64], fields: tuple[str, ...], grid: Grid
) -> dict[str, NDArray[np.float64]]:
    """Return each column in the shape of the grid."""
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
                f"found {name} {found:g} in a row where the grid of the header has another point, "
                "expected the first CV to change fastest, from min to max"
            )


def _surface(
    fields: tuple[str, ...],
    names: tuple[str, ...],
    grid: Grid,
    columns: dict[str, NDArray[np.float64]],
) -> SurfaceData:
    value = fields[len(names)]
    # DUMPGRID names the derivatives after the values.
    slopes = [columns.get(f"der_{name}", columns.get(f"d{value}_{name}")) for name in names]
    gradient = np.stack(slopes) if all(s is not None for s in slopes) else None  # type: ignore[arg-type]
    domain = tuple(ends if wraps else None for ends, wraps in zip(grid.bounds, grid.periodic))
    error = columns.get(ERROR_COLUMN) if value != ERROR_COLUMN else None
    values = columns[value]
    return SurfaceData(values, grid, names, gradient, domain, device="unknown", error=error)
