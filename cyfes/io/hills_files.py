"""PLUMED's HILLS files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import InputError
from cyfes.io.column_files import ColumnFile, Selection, column_blocks
from cyfes.io.hills_header import HillsHeader
from cyfes.io.paths import expanded, flattened
from cyfes.io.plumed_header import column_header, domain_constants
from cyfes.model.hills import Hills, standard_deviations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath
    from cyfes.io.plumed_header import Header

# The number of hills in a portion: large enough that the fixed cost of a sum does not matter, and
# some ten megabytes for each variable.
_PORTION = 1 << 19


def read_hills(*paths: AnyPath | Sequence[AnyPath], merge: str | None = None) -> Hills:
    """Read one or several HILLS files of PLUMED.

    Parameters
    ----------
    *paths : path-like, or sequence of them
        The files, plain or compressed with gzip, xz or Zstandard (this one needs the package
        zstandard), or patterns such as ``HILLS.*``.
    merge : {"time", "clock"}, optional
        Put the hills of several walkers in the order of this column; by default one file follows
        the other, as in PLUMED.

    Returns
    -------
    Hills
        All hills.

    Raises
    ------
    HillsFileError
        If a file is not a HILLS file, is damaged, holds no hill, or does not fit the others; the
        message begins with ``file:line``.
    InputError
        If no file is named, or the column to merge by is absent or falls within a file.
    MissingDependencyError
        If a file is compressed with Zstandard, and the package zstandard is not installed.
    OSError
        If a file cannot be opened.

    Warns
    -----
    CyfesWarning
        If the last line of a file is cut off, as it is in a running or killed simulation. That
        line is not used; neither does PLUMED use a last line without a line end.
    """
    layout, tables = _open_tables(paths, merge)
    return layout.hills(list(tables))


def iter_hills(
    *paths: AnyPath | Sequence[AnyPath],
    merge: str | None = None,
    portion: int = _PORTION,
    progress: Callable[[float], object] | None = None,
) -> Iterator[Hills]:
    """Read HILLS files in portions, so that any number of hills needs little memory.

    Parameters
    ----------
    *paths, merge
        As for `read_hills`.
    portion : int
        The number of hills to yield at a time; the last portion may have fewer.
    progress : callable, optional
        Called before each portion is yielded with the part of the files that has been read, 0 to 1.

    Yields
    ------
    Hills
        The next hills.

    Raises
    ------
    HillsFileError, InputError, MissingDependencyError, OSError
        As for `read_hills`.
    """
    reader, tables = _open_tables(paths, merge)
    for rows in _portions(tables, portion):
        if progress is not None:
            progress(reader.part_read())
        yield reader.hills(rows)


def _open_tables(
    paths: Sequence[AnyPath | Sequence[AnyPath]], merge: str | None
) -> tuple[_HillsReader, Iterator[NDArray[np.float64]]]:
    """Return the reader, and an iterator over the tables of all hills."""
    if merge not in (None, "time", "clock"):
        raise InputError(f'merge is {merge!r}, expected "time", "clock" or None')
    files = expanded(flattened(paths))
    if not files:
        raise InputError("found no file name, expected at least one HILLS file")
    reader = _HillsReader(files)
    streams = [reader.tables(file) for file in files]
    if merge is None:
        return reader, (table for stream in streams for table in stream)
    return reader, _merged(streams, 0 if merge == "time" else -1, merge)


def _portions(
    tables: Iterator[NDArray[np.float64]], portion: int
) -> Iterator[list[NDArray[np.float64]]]:
    """Yield lists of tables that have `portion` rows together."""
    waiting: list[NDArray[np.float64]] = []
    missing = portion
    for table in tables:
        rest = table
        while len(rest) >= missing:
            yield [*waiting, rest[:missing]]
            rest, waiting, missing = rest[missing:], [], portion
        if len(rest):
            waiting.append(rest)
            missing -= len(rest)
    if waiting:
        yield waiting


def _merged(
    streams: Sequence[Iterator[NDArray[np.float64]]], key: int, column: str
) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of all streams in the order of a column, in which each stream rises."""
    checked = [_rising(stream, key, column) for stream in streams]
    waiting = {i: next(stream) for i, stream in enumerate(checked)}
    while waiting:
        # Rows of a stream that are not read yet have larger keys than its last row here.
        limit = min(table[-1, key] for table in waiting.values())
        parts = []
        for i, table in list(waiting.items()):
            count = int(np.searchsorted(table[:, key], limit, side="right"))
            parts.append(table[:count])
            rest = table[count:] if count < len(table) else next(checked[i], None)
            if rest is None:
                del waiting[i]
            else:
                waiting[i] = rest
        rows = np.concatenate(parts)
        yield rows[np.argsort(rows[:, key], kind="stable")]


def _rising(
    tables: Iterator[NDArray[np.float64]], key: int, column: str
) -> Iterator[NDArray[np.float64]]:
    last = -np.inf
    for table in tables:
        keys = np.concatenate([[last], table[:, key]])
        if np.isnan(keys).any():
            raise InputError(f"merge by {column}: found hills without it, expected it in each file")
        falls = np.flatnonzero(np.diff(keys) < 0.0)
        if len(falls):
            found = f"{keys[falls[0] + 1]:.10g} after {keys[falls[0]]:.10g}"
            raise InputError(
                f"merge by {column}: found {found} in one file, expected it to increase there"
            )
        last = keys[-1]
        yield table


class _HillsReader:
    """Reads files of hills that can be summed together, and makes hills of their rows."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._layout: HillsHeader | None = None
        self._paths = files
        self._opened: list[ColumnFile] = []

    def tables(self, path: AnyPath) -> Iterator[NDArray[np.float64]]:
        """Yield the rows of a file in the columns of `HillsHeader.columns`."""
        file = ColumnFile(path, self._select)
        self._opened.append(file)
        yield from file.tables_of("hills")

    def part_read(self) -> float:
        """Return the part of all files that has been read."""
        total = sum(path.stat().st_size for path in self._paths)
        return sum(file.consumed for file in self._opened) / total if total else 0.0

    def _select(self, header: Header) -> Selection:
        layout = HillsHeader.of_header(header)
        layout.check_agreement(self._layout or layout)
        self._layout = layout
        positive = frozenset(layout.positive)
        return Selection(layout.columns, positive, {"time": np.nan, "biasf": 1.0, "clock": np.nan})

    def hills(self, tables: Sequence[NDArray[np.float64]]) -> Hills:
        """Return the hills of rows that were read."""
        assert self._layout is not None  # noqa: S101  files without a header are refused before
        return _hills_of(self._layout, tables)


def _hills_of(layout: HillsHeader, tables: Sequence[NDArray[np.float64]]) -> Hills:
    """Return the hills that tables of them hold."""
    ndim = len(layout.names)
    end = 1 + ndim + len(layout.shape_columns)
    shape = _joined(tables, slice(1 + ndim, end))
    times = _joined(tables, 0)
    return Hills.of_checked_arrays(
        names=layout.names,
        centers=_joined(tables, slice(1, 1 + ndim)),
        sigmas=standard_deviations(shape, ndim) if layout.multivariate else shape,
        heights=_joined(tables, end),
        kernel=layout.kernel,
        domain=layout.domain,
        times=None if np.isnan(times).any() else times,
        bias_factors=_joined(tables, end + 1),
        cholesky=shape if layout.multivariate else None,
        interval=layout.interval,
    )


def _joined(tables: Sequence[NDArray[np.float64]], columns: int | slice) -> NDArray[np.float64]:
    return np.concatenate([table[:, columns] for table in tables])


def hills_blocks(hills: Hills) -> Iterator[str]:
    """Yield the text of a HILLS file, with heights as the hills have them.

    Parameters
    ----------
    hills : Hills
        Hills with their times, neither multivariate nor with an INTERVAL.

    Yields
    ------
    str
        The header, then some thousand rows at a time.

    Raises
    ------
    InputError
        If the hills have no times, are multivariate, or have an INTERVAL.
    """
    if hills.times is None:
        raise InputError("hills: found no times, expected them in order to write a HILLS file")
    if hills.cholesky is not None or hills.interval is not None:
        raise InputError(
            "hills: found multivariate hills or an INTERVAL, which are not written; expected others"
        )
    sigmas = [f"sigma_{name}" for name in hills.names]
    constants = {"multivariate": "false", "kerneltype": hills.kernel}
    constants.update(domain_constants(hills.names, hills.domain))
    header = column_header(("time", *hills.names, *sigmas, "height", "biasf"), constants)
    columns = (hills.times, hills.centers, hills.sigmas, hills.heights, hills.bias_factors)
    return column_blocks(header, columns)
