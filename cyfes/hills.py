"""The hills of a metadynamics run, and the reader of PLUMED's HILLS files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyfes.base.arrays import checked_array
from cyfes.column_files import ColumnFile, Selection, expanded, flattened
from cyfes.errors import CyfesWarning, InputError
from cyfes.hills_header import KERNELS, Layout, checked_ends, checked_interval, period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from cyfes.column_files import Header, Path_
    from cyfes.hills_header import Domain

else:
    from cyfes._numpy import np


# Hills are handed on in portions of this many: large against what a sum costs besides, and some
# ten megabytes a variable.
_PORTION = 1 << 19


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Hills:
    """The N Gaussian hills that a metadynamics run left along D collective variables; immutable.

    Parameters
    ----------
    names : sequence of str
        The D collective variables (CVs).
    centers : array_like, shape (N, D)
        The centres, in the CVs' units. Shape (N,) will do for one CV.
    sigmas : array_like, shape (N, D), (D,) or (), optional
        The widths, in the CVs' units, above zero. Not needed with `cholesky`.
    heights : array_like, shape (N,) or ()
        The heights, in the unit that the surface is to have. As in PLUMED's files, those of a
        well-tempered run are expected to be scaled by gamma/(gamma - 1), so that F = -Σ hills.
    kernel : {"stretched-gaussian", "gaussian"}
        The kernel, see `cyfes.sum_hills`.
    domain : sequence of D (None or pair of str or float), optional
        The ends of each periodic CV's domain, such as ``("-pi", "pi")``; None for any other.
    times : array_like, shape (N,), optional
        When each hill was laid.
    bias_factors : array_like, shape (N,) or (), optional
        The bias factor gamma of each hill; 1 by default, as PLUMED takes it.
    cholesky : array_like, shape (N, D (D + 1) / 2) or (D (D + 1) / 2,), optional
        For multivariate hills: the rows of the lower triangle of L, with a positive diagonal, where
        L L^T is the covariance matrix of the hill; PLUMED's columns ``sigma_b_a``.
    interval : pair of float, optional
        The ends of METAD's INTERVAL, for one CV: beyond them the bias is what it is at them.

    Arrays of CuPy, PyTorch and others on a CUDA device are used where they are, without a copy:
    the centers, and with them sigmas and heights. `cyfes.sum_hills` and `cyfes.bias` take such
    hills; their numbers are not looked at, and must not be changed afterwards.

    Attributes
    ----------
    names : tuple of str
        The collective variables.
    centers, sigmas : ndarray of float64, shape (N, D), C-contiguous
        Centres and widths.
    heights, bias_factors : ndarray of float64, shape (N,)
        Heights and bias factors.
    times : ndarray of float64, shape (N,), or None
        When each hill was laid.
    cholesky : ndarray of float64, shape (N, D (D + 1) / 2), or None
        The Cholesky factors of multivariate hills; `sigmas` are then the roots of the variances.
    interval : pair of float, or None
        The ends of METAD's INTERVAL.
    kernel : str
        The kernel.
    domain : tuple of (None or (str, str))
        The literals of each CV's domain.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a width is not above zero, or a name, kernel
        or domain is not usable.
    """

    names: tuple[str, ...]
    centers: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    heights: NDArray[np.float64]
    kernel: str
    domain: tuple[Domain, ...]
    times: NDArray[np.float64] | None
    bias_factors: NDArray[np.float64]
    cholesky: NDArray[np.float64] | None
    interval: tuple[float, float] | None

    def __init__(
        self,
        names: Sequence[str],
        centers: ArrayLike,
        sigmas: ArrayLike | None,
        heights: ArrayLike,
        *,
        kernel: str = "stretched-gaussian",
        domain: Sequence[tuple[str | float, str | float] | None] | None = None,
        times: ArrayLike | None = None,
        bias_factors: ArrayLike = 1.0,
        cholesky: ArrayLike | None = None,
        interval: tuple[float, float] | None = None,
    ) -> None:
        set_field = object.__setattr__
        set_field(self, "names", _checked_names(names))
        shapes = {"centers": centers, "sigmas": sigmas, "heights": heights}
        for name, value in _shape_fields(shapes, cholesky, len(self.names)).items():
            set_field(self, name, value)
        count = len(self.centers)
        set_field(self, "bias_factors", _array("bias_factors", bias_factors, (count,)))
        set_field(self, "times", None if times is None else _array("times", times, (count,)))
        set_field(self, "kernel", _checked_kernel(kernel))
        set_field(self, "domain", _checked_domain(domain, self.names))
        set_field(self, "interval", checked_interval(interval, self.ndim))

    @classmethod
    def _of_arrays(cls, **fields: object) -> Hills:
        """Return hills of arrays that are known to be right, without copies of them."""
        hills = cls.__new__(cls)
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(hills, name, value)
        return hills

    @property
    def ndim(self) -> int:
        """The number of collective variables."""
        return len(self.names)

    @property
    def periods(self) -> NDArray[np.float64]:
        """The period of each collective variable, 0 where it has none, shape (D,)."""
        return np.array([period(domain) for domain in self.domain], dtype=np.float64)

    @property
    def on_device(self) -> bool:
        """Whether the centres lie on a CUDA device, as an array of CuPy or PyTorch."""
        return not isinstance(self.centers, np.ndarray)

    def check_on_host(self, user: str) -> None:
        """Refuse hills on a CUDA device, for a function that needs NumPy's arrays.

        Parameters
        ----------
        user : str
            The function.

        Raises
        ------
        InputError
            If they are there.
        """
        if self.on_device:
            raise InputError(
                f"{user}: found hills on a GPU, which sum_hills and bias alone take; expected "
                "NumPy's arrays"
            )

    def __len__(self) -> int:
        """Return the number of hills."""
        return len(self.heights)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Hills:
        """Return some of the hills; those of a slice share their numbers with the whole."""
        if not isinstance(rows, (slice, np.ndarray)):
            raise TypeError(
                f"hills are taken by slices such as hills[:100] or by arrays, not by {rows!r}"
            )
        if self.on_device and not isinstance(rows, slice):
            raise InputError("found hills on a GPU, which are taken by slices such as hills[:100]")
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        per_hill = {k: v[rows] for k, v in fields.items() if hasattr(v, "dtype")}
        return Hills._of_arrays(**{**fields, **per_hill})

    def __repr__(self) -> str:
        """Return a line that says how many hills over which CVs."""
        return f"<Hills: {len(self)} of kernel {self.kernel} over {', '.join(self.names)}>"


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"names: found the string {names!r}, expected a sequence of names")
    checked = tuple(map(str, names))
    blanks = any(len(name.split()) != 1 for name in checked)
    if not checked or blanks or len(set(checked)) < len(checked):
        raise InputError(f"names: found {checked}, expected different names without blanks")
    return checked


def _shape_fields(
    given: dict[str, Any], cholesky: ArrayLike | None, ndim: int
) -> dict[str, NDArray[np.float64] | None]:
    """Return centres, widths, Cholesky factors and heights, checked."""
    # Not needed to read a file.
    from cyfes._arrays import on_device

    if any(map(on_device, given.values())):
        from cyfes.device_hills import placed_fields

        return {**placed_fields(given, ndim, cholesky is not None), "cholesky": None}
    centers = _centers(given["centers"], ndim)
    sigmas, factors = _widths(given["sigmas"], cholesky, (len(centers), ndim))
    heights = _array("heights", given["heights"], (len(centers),))
    return {"centers": centers, "sigmas": sigmas, "cholesky": factors, "heights": heights}


def _checked_kernel(kernel: str) -> str:
    if kernel not in KERNELS:
        raise InputError(f"kernel: found {kernel!r}, expected {' or '.join(KERNELS)}")
    return kernel


def _checked_domain(
    domain: Sequence[tuple[str | float, str | float] | None] | None, names: tuple[str, ...]
) -> tuple[Domain, ...]:
    if domain is None:
        return (None,) * len(names)
    if len(domain) != len(names):
        raise InputError(f"domain: found {len(domain)} entries, expected {len(names)}")
    return tuple(checked_ends(name, ends) for name, ends in zip(names, domain))


def _widths(
    sigmas: ArrayLike | None, cholesky: ArrayLike | None, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the widths along each axis, and the Cholesky factors if the hills have them."""
    if sigmas is None and cholesky is None:
        raise InputError("found neither sigmas nor cholesky, expected one of them")
    widths = None if sigmas is None else _array("sigmas", sigmas, shape)
    if widths is not None and not (widths > 0.0).all():
        raise InputError(f"sigmas: found {np.min(widths):g}, expected widths above zero")
    if cholesky is None:
        assert widths is not None  # noqa: S101  as was just checked
        return widths, None
    count, ndim = shape
    factors = _array("cholesky", cholesky, (count, ndim * (ndim + 1) // 2))
    diagonal = factors[:, [i * (i + 3) // 2 for i in range(ndim)]]
    if not (diagonal > 0.0).all():
        raise InputError(
            f"cholesky: found {np.min(diagonal):g} on the diagonal, expected numbers above zero"
        )
    deviations = _deviations(factors, ndim)
    if widths is not None and not np.allclose(widths, deviations, rtol=1e-6, atol=0.0):
        raise InputError("found sigmas that are not those of cholesky, expected one of the two")
    return deviations, factors


def _deviations(factors: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return the standard deviation along each axis: the lengths of the rows of L."""
    starts = [i * (i + 1) // 2 for i in range(ndim)]
    deviations = np.sqrt(np.add.reduceat(factors**2, starts, axis=1))
    deviations.flags.writeable = False
    return deviations


def _centers(value: ArrayLike, ndim: int) -> NDArray[np.float64]:
    shape = np.shape(value)
    if len(shape) == 1 and ndim == 1:
        return _array("centers", np.reshape(np.asarray(value), (-1, 1)), (shape[0], 1))
    if len(shape) != 2 or shape[1] != ndim:
        raise InputError(f"centers: found shape {shape}, expected (N, {ndim})")
    return _array("centers", value, (shape[0], ndim))


def _array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a read-only copy of `value`, broadcast to `shape`."""
    given = np.broadcast_to(checked_array(name, value, shape), shape)
    array = np.array(given, dtype=np.float64, order="C", copy=True)
    array.flags.writeable = False
    return array


def read_hills(*paths: Path_ | Sequence[Path_], merge: str | None = None) -> Hills:
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
    *paths: Path_ | Sequence[Path_],
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
    layouts, tables = _open_tables(paths, merge)
    for rows in _portions(tables, portion):
        if progress is not None:
            progress(layouts.part_read())
        yield layouts.hills(rows)


def _open_tables(
    paths: Sequence[Path_ | Sequence[Path_]], merge: str | None
) -> tuple[_Layouts, Iterator[NDArray[np.float64]]]:
    """Return what the headers are to say, and the tables of all hills to come."""
    if merge not in (None, "time", "clock"):
        raise InputError(f'merge is {merge!r}, expected "time", "clock" or None')
    files = expanded(flattened(paths))
    if not files:
        raise InputError("found no file name, expected at least one HILLS file")
    layouts = _Layouts(files)
    streams = [layouts.tables(file) for file in files]
    if merge is None:
        return layouts, (table for stream in streams for table in stream)
    return layouts, _merged(streams, 0 if merge == "time" else -1, merge)


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
        # Whatever a stream still has comes after its last row here.
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
                f"merge by {column}: found {found} in one file, expected it to rise there"
            )
        last = keys[-1]
        yield table


class _Layouts:
    """Reads files of hills that can be summed together, and makes hills of their rows."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._layout: Layout | None = None
        self._paths = files
        self._opened: list[ColumnFile] = []

    def tables(self, path: Path_) -> Iterator[NDArray[np.float64]]:
        """Yield the rows of a file in the columns of `Layout.columns`."""
        file = ColumnFile(path, self._select)
        self._opened.append(file)
        empty = True
        for table in file.tables():
            empty = False
            yield table
        if empty:
            raise file.error("found no hills, expected at least one")
        if file.dropped:
            warnings.warn(CyfesWarning(file.dropped), stacklevel=2)

    def part_read(self) -> float:
        """Return the part of all files that has been read."""
        total = sum(path.stat().st_size for path in self._paths)
        return sum(file.consumed for file in self._opened) / total if total else 0.0

    def _select(self, header: Header) -> Selection:
        layout = Layout.of_header(header)
        layout.check_agreement(self._layout or layout)
        self._layout = layout
        positive = frozenset(layout.positive)
        return Selection(layout.columns, positive, {"time": np.nan, "biasf": 1.0, "clock": np.nan})

    def hills(self, tables: Sequence[NDArray[np.float64]]) -> Hills:
        """Return the hills of rows that were read."""
        assert self._layout is not None  # noqa: S101  a file without a header has been refused
        return _hills_of(self._layout, tables)


def _hills_of(layout: Layout, tables: Sequence[NDArray[np.float64]]) -> Hills:
    """Return the hills that tables of them hold."""
    ndim = len(layout.names)
    end = 1 + ndim + len(layout.shape_columns)
    shape = _joined(tables, slice(1 + ndim, end))
    times = _joined(tables, 0)
    return Hills._of_arrays(
        names=layout.names,
        centers=_joined(tables, slice(1, 1 + ndim)),
        sigmas=_deviations(shape, ndim) if layout.multivariate else shape,
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
