"""PLUMED's HILLS files."""

from __future__ import annotations

import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import CyfesWarning, InputError
from cyfes.io.column_files import ColumnFile, Selection, column_blocks
from cyfes.io.hill_tables import COLVARS, TableFormat, checked_format
from cyfes.io.hills_checks import HillsFileCheck
from cyfes.io.hills_header import HillsHeader
from cyfes.io.paths import expanded, flattened
from cyfes.io.plumed_header import column_header, domain_constants
from cyfes.model.hill_kernels import KERNELS
from cyfes.model.hills import Hills, one_kernel, standard_deviations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cyfes.io.hill_tables import Periodic
    from cyfes.io.paths import AnyPath
    from cyfes.io.plumed_header import Header

# The number of hills in a portion: large enough that the fixed cost of a sum does not matter, and
# some ten megabytes for each variable.
_PORTION = 1 << 19

# A column of each row that no file has: the number of the hill's kernel.
_KERNEL = "kernel of the hill"

# Where the columns are in a table of rows that hills can be merged by; the better one comes first.
_KEYS = {"clock": -2, "time": 0}


def read_hills(
    *paths: AnyPath | Sequence[AnyPath],
    merge: str | None = "auto",
    kernel: str | None = None,
    check: bool = True,
    columns: Sequence[str] | None = None,
    periodic: Periodic = None,
    bias_factor: float | None = None,
) -> Hills:
    """Read one or several HILLS files of PLUMED.

    Parameters
    ----------
    *paths : path-like, or sequence of them
        The files, or patterns such as ``HILLS.*``. They may be compressed with gzip, xz or
        Zstandard, which needs the package zstandard.
    merge : {"auto", "time", "clock"} or None
        The column that orders the hills of several files, for example those of walkers.

        - "auto": the clock if all files have it, otherwise the time if it rises in each file. If
          neither does, one file is taken after the other.
        - None: one file is taken after the other.
    kernel : {"stretched-gaussian", "gaussian"}, optional
        The kernel of all hills. By default, it is the one that the header above the hill names, or
        the stretched Gaussian if the header names none.
    check : bool
        Whether to look for mistakes in the hills and to warn of them: times that fall or repeat,
        gaps, unusual heights and widths, and files that are given twice.
    columns : sequence of str, optional
        The names of the columns of tables without PLUMED's header: ``time``, the CVs, the width
        of each CV (``sigma_x`` for ``x``), and ``height``. Columns of other names are not read.
        Files of Colvars (``.hills.traj``) and CP2K (``.metadynLog``) need no names; their CVs
        are ``cv0``, ``cv1`` and so on.
    periodic : mapping of str to pair of str or float, optional
        For tables without a header: the two ends of the domain of each periodic CV.
    bias_factor : float, optional
        For tables without a header: the bias factor γ of a well-tempered run. Their heights are
        those of the bias; γ / (γ - 1) times these are the heights of the free energy. The heights
        of CP2K are those of the free energy already.

    Returns
    -------
    Hills
        All hills.

    Raises
    ------
    HillsFileError
        If a file is not a HILLS file, is damaged, has no hill, or does not fit the others. The
        message begins with ``file:line``.
    InputError
        If no file is named, or if the column of `merge` is missing or falls within a file.
    MissingDependencyError
        If a file is compressed with Zstandard, and the package zstandard is not installed.
    OSError
        If a file cannot be opened.

    Warns
    -----
    CyfesWarning
        In these cases:

        - The last line of a file is cut off, because the simulation runs or was killed. The line is
          not used; PLUMED does not use it either.
        - A header names no kernel. PLUMED up to 2.4 wrote none, and used plain Gaussians.
        - With `check`, hills look like a mistake. The message says the line and the time.
    """
    table = checked_format(columns, periodic, bias_factor)
    return read_and_merge(paths, merge, kernel, check, table)[0]


def read_and_merge(
    paths: Sequence[AnyPath | Sequence[AnyPath]],
    merge: str | None,
    kernel: str | None = None,
    check: bool = True,
    table: TableFormat = TableFormat(),  # noqa: B008 - it cannot be changed
) -> tuple[Hills, str | None]:
    """Read hills as `read_hills` does.

    Returns
    -------
    hills : Hills
        All hills.
    merged : str or None
        The column that hills of several files were put in the order of, if they were.
    """
    if merge != "auto":
        reader, tables = _open_tables(paths, merge, kernel, check, table)
        return reader.hills(list(tables)), merge if len(reader.files) > 1 else None
    reader = _reader(paths, kernel, check, table)
    streams = [list(reader.tables(file)) for file in reader.files]
    column = _common_column(streams) if len(streams) > 1 else None
    if column is None:
        return reader.hills([table for tables in streams for table in tables]), None
    merged = _merged([iter(tables) for tables in streams], _KEYS[column], column)
    return reader.hills(list(merged)), column


def _common_column(streams: Sequence[Sequence[NDArray[np.float64]]]) -> str | None:
    """Return the clock or the time, if all files have it and it never falls within a file."""
    for column, key in _KEYS.items():
        keys = [_joined(tables, key) for tables in streams]
        if all(not np.isnan(k).any() and (np.diff(k) >= 0.0).all() for k in keys):
            return column
    return None


def iter_hills(
    *paths: AnyPath | Sequence[AnyPath],
    merge: str | None = None,
    kernel: str | None = None,
    check: bool = True,
    columns: Sequence[str] | None = None,
    periodic: Periodic = None,
    bias_factor: float | None = None,
    portion: int = _PORTION,
    progress: Callable[[float], object] | None = None,
) -> Iterator[Hills]:
    """Read HILLS files in portions, so that any number of hills needs little memory.

    Parameters
    ----------
    *paths, kernel, check, columns, periodic, bias_factor
        As for `read_hills`.
    merge : {"time", "clock"}, optional
        The column that orders the hills of several files. By default, one file is taken after the
        other, as in PLUMED.
    portion : int
        The number of hills in a portion. The last portion may have fewer.
    progress : callable, optional
        Called before each portion, with the part of the files that has been read, from 0 to 1.

    Yields
    ------
    Hills
        The next hills.

    Raises
    ------
    HillsFileError, InputError, MissingDependencyError, OSError
        As for `read_hills`.
    """
    table = checked_format(columns, periodic, bias_factor)
    reader, tables = _open_tables(paths, merge, kernel, check, table)
    for rows in _portions(tables, portion):
        if progress is not None:
            progress(reader.part_read())
        hills = reader.hills(rows)
        # Neither their rows nor, later, the hills are to take memory longer than they are used.
        rows.clear()
        yield hills
        del hills


def _open_tables(
    paths: Sequence[AnyPath | Sequence[AnyPath]],
    merge: str | None,
    kernel: str | None,
    check: bool,
    table: TableFormat,
) -> tuple[_HillsReader, Iterator[NDArray[np.float64]]]:
    """Return the reader, and an iterator over the tables of all hills."""
    if merge not in (None, *_KEYS):
        raise InputError(f'merge is {merge!r}, expected "time", "clock" or None')
    reader = _reader(paths, kernel, check, table)
    streams = [reader.tables(file) for file in reader.files]
    if merge is None:
        return reader, (table for stream in streams for table in stream)
    return reader, _merged(streams, _KEYS[merge], merge)


def _reader(
    paths: Sequence[AnyPath | Sequence[AnyPath]],
    kernel: str | None,
    check: bool,
    table: TableFormat,
) -> _HillsReader:
    """Return the reader of some files."""
    if kernel not in (None, *KERNELS):
        raise InputError(f"kernel: found {kernel!r}, expected {' or '.join(KERNELS)}")
    files = expanded(flattened(paths))
    if not files:
        raise InputError("found no file name, expected at least one HILLS file")
    return _HillsReader(files, kernel, check, table)


def _portions(
    tables: Iterator[NDArray[np.float64]], portion: int
) -> Iterator[list[NDArray[np.float64]]]:
    """Yield lists of tables that have `portion` rows together; the caller may clear them."""
    waiting: list[NDArray[np.float64]] = []
    missing = portion
    for table in tables:
        rest = table
        while len(rest) >= missing:
            waiting.append(rest[:missing])
            rest, missing = rest[missing:], portion
            yield waiting
            waiting = []
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

    def __init__(
        self, files: Sequence[Path], kernel: str | None, check: bool, table: TableFormat
    ) -> None:
        self._kernel = kernel
        self._table = table
        self._check = check
        #: Each file that was checked, by the number of its rows and their checksum.
        self._seen: dict[tuple[int, int], AnyPath] = {}
        self._warned = False
        self._layout: HillsHeader | None = None
        self.files = files
        self._opened: list[ColumnFile] = []

    def tables(self, path: Path) -> Iterator[NDArray[np.float64]]:
        """Yield the rows of a file: the columns of `HillsHeader.columns`, and the kernel."""
        header = self._table.header(path)
        file = ColumnFile(path, lambda found: self._select(found, path), header)
        self._opened.append(file)
        rows = self._checked(file) if self._check else file.tables_of("hills")
        if header is None:
            yield from rows
        else:
            yield from self._of_table(path, rows)

    def _of_table(
        self, path: Path, tables: Iterator[NDArray[np.float64]]
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the rows of a table with the heights of F and the bias factor that was given."""
        factor = self._table.height_factor(path)
        for table in tables:
            # The kernel, the clock, the bias factor and the height are the last columns.
            heights = table[:, -4]
            if self._table.bias_factor is not None:
                table[:, -3] = self._table.bias_factor
            elif path.name.endswith(COLVARS) and not (heights == heights[0]).all():
                message = (
                    f"{path}: found heights that change, as in a well-tempered run. Colvars writes "
                    "the heights of the bias, not those of F. If the run was well-tempered, give "
                    "its bias factor, (temperature + biasTemperature) / temperature, with "
                    "bias_factor= or --bias-factor"
                )
                warnings.warn(CyfesWarning(message), stacklevel=2)
            heights *= factor
            yield table

    def _checked(self, file: ColumnFile) -> Iterator[NDArray[np.float64]]:
        """Yield the rows of a file, and warn of what looks like a mistake."""
        check = HillsFileCheck(file.path)
        rows = checksum = 0
        for table in file.tables_of("hills"):
            assert self._layout is not None  # noqa: S101  a header was selected before any row
            ndim = len(self._layout.names)
            end = 1 + ndim + len(self._layout.shape_columns)
            widths = table[:, 1 + ndim : end]
            if self._layout.multivariate:
                widths = standard_deviations(widths, ndim)
            check.look(table[:, 0], widths, table[:, end], file.line_of)
            rows, checksum = (
                rows + len(table),
                zlib.crc32(np.ascontiguousarray(table).data, checksum),
            )
            yield table
        check.warn()
        twin = self._seen.setdefault((rows, checksum), file.path)
        if twin is not file.path:
            message = (
                f"{file.path}: found the same hills as in {twin}, so they count twice. If several "
                "walkers wrote into one file, name this file only once"
            )
            warnings.warn(CyfesWarning(message), stacklevel=2)

    def part_read(self) -> float:
        """Return the part of all files that has been read."""
        total = sum(path.stat().st_size for path in self.files)
        return sum(file.consumed for file in self._opened) / total if total else 0.0

    def _select(self, header: Header, path: AnyPath) -> Selection:
        found = HillsHeader.of_header(header)
        first = self._layout or found
        # The columns are found by their names; those of another order are put in that of the first.
        layout = found.ordered_as(first)
        layout.check_columns(header.fields)
        layout.check_agreement(first)
        self._layout = first
        self._warn_of_no_kernel(layout, path)
        defaults = {**layout.defaults, _KERNEL: KERNELS.index(self._kernel or layout.kernel)}
        return Selection((*layout.columns, _KERNEL), frozenset(layout.positive), defaults)

    def _warn_of_no_kernel(self, layout: HillsHeader, path: AnyPath) -> None:
        if layout.named_kernel or self._kernel or self._warned:
            return
        self._warned = True
        message = (
            f"{path}: found no '#! SET kerneltype', took stretched Gaussians, as PLUMED 2.8 and "
            "newer do. If PLUMED 2.4 or older wrote the file, the hills are plain Gaussians: then "
            'say so with kernel="gaussian" or --kernel gaussian'
        )
        warnings.warn(CyfesWarning(message), stacklevel=2)

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
        kernel=_kernels_of(_joined(tables, -1)),
        domain=layout.domain,
        times=None if np.isnan(times).any() else times,
        bias_factors=_joined(tables, end + 1),
        cholesky=shape if layout.multivariate else None,
        interval=layout.interval,
    )


def _kernels_of(numbers: NDArray[np.float64]) -> str | NDArray[np.str_]:
    """Return the kernel of all hills, or that of each; an array of names takes much memory."""
    if (numbers == numbers[:1]).all():
        return KERNELS[int(numbers[0]) if len(numbers) else 0]
    return one_kernel(np.array(KERNELS)[numbers.astype(np.intp)])


def _joined(tables: Sequence[NDArray[np.float64]], columns: int | slice) -> NDArray[np.float64]:
    return np.concatenate([table[:, columns] for table in tables])


def hills_blocks(hills: Hills) -> Iterator[str]:
    """Yield the text of a HILLS file, with heights as the hills have them.

    Parameters
    ----------
    hills : Hills
        Hills of one kernel with their times, neither multivariate nor with an INTERVAL.

    Yields
    ------
    str
        The header, then some thousand rows at a time.

    Raises
    ------
    InputError
        If the hills have no times, are multivariate, or have an INTERVAL or several kernels.
    """
    if hills.times is None:
        raise InputError("hills: found no times, expected them in order to write a HILLS file")
    if hills.cholesky is not None or hills.interval is not None or len(hills.kernels) > 1:
        raise InputError(
            "hills: found multivariate hills, an INTERVAL or several kernels, which are not "
            "written; expected others"
        )
    sigmas = [f"sigma_{name}" for name in hills.names]
    constants = {"multivariate": "false", "kerneltype": str(hills.kernel)}
    constants.update(domain_constants(hills.names, hills.domain))
    header = column_header(("time", *hills.names, *sigmas, "height", "biasf"), constants)
    columns = (hills.times, hills.centers, hills.sigmas, hills.heights, hills.bias_factors)
    return column_blocks(header, columns)
