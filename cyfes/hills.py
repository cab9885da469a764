"""The hills of a metadynamics run, and the reader of PLUMED's HILLS files."""

from __future__ import annotations

import os
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cyfes.errors import CyfesWarning, HillsFileError, InputError
from cyfes.plumed_format import format_number, parse_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedIOBase
    from typing import Optional, Tuple, Union

    from numpy.typing import ArrayLike, NDArray

    # Typing's own names: an alias is evaluated where the type checker runs on Python 3.7 too.
    Domain = Optional[Tuple[str, str]]
    Path_ = Union[str, "os.PathLike[str]"]

KERNELS = ("stretched-gaussian", "gaussian")

# Columns of a HILLS file that are neither a collective variable nor a width.
_OTHER_COLUMNS = ("time", "height", "biasf", "clock")

# Lines are parsed in blocks of this many bytes, so that memory holds numbers, not text.
_BLOCK = 1 << 22

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Hills:
    """The N Gaussian hills that a metadynamics run left along D collective variables; immutable.

    Parameters
    ----------
    names : sequence of str
        The D collective variables (CVs).
    centers : array_like, shape (N, D)
        The centres, in the CVs' units. Shape (N,) will do for one CV.
    sigmas : array_like, shape (N, D), (D,) or ()
        The widths, in the CVs' units, above zero.
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

    def __init__(
        self,
        names: Sequence[str],
        centers: ArrayLike,
        sigmas: ArrayLike,
        heights: ArrayLike,
        *,
        kernel: str = "stretched-gaussian",
        domain: Sequence[tuple[str | float, str | float] | None] | None = None,
        times: ArrayLike | None = None,
        bias_factors: ArrayLike = 1.0,
    ) -> None:
        set_field = object.__setattr__
        set_field(self, "names", _checked_names(names))
        ndim = len(self.names)
        set_field(self, "centers", _centers(centers, ndim))
        count = len(self.centers)
        set_field(self, "sigmas", _array("sigmas", sigmas, (count, ndim)))
        if not (self.sigmas > 0.0).all():
            raise InputError(f"sigmas: found {np.min(self.sigmas):g}, expected widths above zero")
        set_field(self, "heights", _array("heights", heights, (count,)))
        set_field(self, "bias_factors", _array("bias_factors", bias_factors, (count,)))
        set_field(self, "times", None if times is None else _array("times", times, (count,)))
        set_field(self, "kernel", _checked_kernel(kernel))
        set_field(self, "domain", _checked_domain(domain, self.names))

    @property
    def ndim(self) -> int:
        """The number of collective variables."""
        return len(self.names)

    @property
    def periods(self) -> NDArray[np.float64]:
        """The period of each collective variable, 0 where it has none, shape (D,)."""
        return np.array([_period(domain) for domain in self.domain], dtype=np.float64)

    def __len__(self) -> int:
        """Return the number of hills."""
        return len(self.heights)

    def __repr__(self) -> str:
        """Return a line that says how many hills over which CVs."""
        return f"<Hills: {len(self)} of kernel {self.kernel} over {', '.join(self.names)}>"


def _period(domain: Domain) -> float:
    return 0.0 if domain is None else parse_number(domain[1]) - parse_number(domain[0])


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"names: found the string {names!r}, expected a sequence of names")
    checked = tuple(map(str, names))
    blanks = any(len(name.split()) != 1 for name in checked)
    if not checked or blanks or len(set(checked)) < len(checked):
        raise InputError(f"names: found {checked}, expected different names without blanks")
    return checked


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
    return tuple(_checked_ends(name, ends) for name, ends in zip(names, domain))


def _checked_ends(name: str, ends: tuple[str | float, str | float] | None) -> Domain:
    if ends is None:
        return None
    try:
        low, high = (x if isinstance(x, str) else format_number(float(x)) for x in ends)
        period = _period((low, high))
    except (TypeError, ValueError) as error:
        raise InputError(f"domain of {name}: {error}") from error
    if period <= 0.0:
        raise InputError(f"domain of {name}: found {low} to {high}, expected ascending ends")
    return low, high


def _centers(value: ArrayLike, ndim: int) -> NDArray[np.float64]:
    shape = np.shape(value)
    if len(shape) == 1 and ndim == 1:
        return _array("centers", np.reshape(np.asarray(value), (-1, 1)), (shape[0], 1))
    if len(shape) != 2 or shape[1] != ndim:
        raise InputError(f"centers: found shape {shape}, expected (N, {ndim})")
    return _array("centers", value, (shape[0], ndim))


def _array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a read-only copy of `value`, broadcast to `shape`."""
    try:
        given = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: found no array of numbers ({error})") from error
    # A column may not be stretched into a matrix: (N, 1) is a mistake where (N, D) is meant.
    if given.ndim and given.shape != shape[-given.ndim :]:
        raise InputError(f"{name}: found shape {given.shape}, expected {shape}")
    if not np.isfinite(given).all():
        raise InputError(f"{name}: found nan or inf, expected finite numbers")
    array = np.array(np.broadcast_to(given, shape), dtype=np.float64, order="C", copy=True)
    array.flags.writeable = False
    return array


def read_hills(*paths: Path_ | Sequence[Path_]) -> Hills:
    """Read one or several HILLS files of PLUMED, plain or gzipped.

    Parameters
    ----------
    *paths : path-like, or sequence of them
        The files; the hills of several walkers are put together in the order given.

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
        If no file is named.
    OSError
        If a file cannot be opened.

    Warns
    -----
    CyfesWarning
        If the last line of a file is cut off, as it is in a running or killed simulation. That
        line is not used; neither does PLUMED use a last line without a line end.
    """
    files = _flattened(paths)
    if not files:
        raise InputError("found no file name, expected at least one HILLS file")
    layout: _Layout | None = None
    tables = []
    for file in files:
        reader = _Reader(file, layout)
        tables.append(reader.read())
        layout = layout or reader.layout
        if reader.dropped:
            warnings.warn(CyfesWarning(reader.dropped), stacklevel=2)
    assert layout is not None  # noqa: S101  a file without a header has been refused
    return layout.hills(np.concatenate(tables))


def _flattened(paths: Sequence[Path_ | Sequence[Path_]]) -> list[Path]:
    files: list[Path] = []
    for entry in paths:
        single = isinstance(entry, (str, os.PathLike))
        files += [Path(entry)] if single else _flattened(entry)  # type: ignore[arg-type]
    return files


class _Layout(NamedTuple):
    """What a header says: the CVs and where their numbers stand in a line."""

    names: tuple[str, ...]
    domain: tuple[Domain, ...]
    kernel: str
    fields: tuple[str, ...]

    @classmethod
    def of_header(cls, fields: tuple[str, ...], constants: dict[str, str]) -> _Layout:
        _refuse_unsupported(fields, constants)
        names = _collective_variables(fields)
        domain = tuple(_header_domain(name, constants) for name in names)
        kernel = constants.get("kerneltype", KERNELS[0]).lower()
        if kernel not in KERNELS:
            raise HillsFileError(
                f"found kerneltype {constants['kerneltype']}, expected {' or '.join(KERNELS)}"
            )
        return cls(names, domain, kernel, fields)

    @property
    def columns(self) -> list[str]:
        """The columns of a table of hills, in this order; not every file has all of them."""
        return ["time", *self.names, *(f"sigma_{n}" for n in self.names), "height", "biasf"]

    @property
    def indices(self) -> list[int | None]:
        """The place of each column of the table in a line of the file."""
        return [self.fields.index(c) if c in self.fields else None for c in self.columns]

    @property
    def defaults(self) -> list[float]:
        """What each column of the table holds where the file has none."""
        return [float("nan"), *[0.0] * (2 * len(self.names) + 1), 1.0]

    def allows(self, table: NDArray[np.float64]) -> bool:
        """Whether all numbers read are finite and all widths above zero."""
        read = [index is not None for index in self.indices]
        ndim = len(self.names)
        widths = table[:, 1 + ndim : 1 + 2 * ndim]
        return bool(np.isfinite(table[:, read]).all() and (widths > 0.0).all())

    def check_agreement(self, other: _Layout) -> None:
        """Refuse hills that cannot be summed with those under another header."""
        if self.names != other.names:
            found, expected = " ".join(self.names), " ".join(other.names)
            raise HillsFileError(f"found the CVs {found}, expected {expected} as before")
        if self.kernel != other.kernel:
            raise HillsFileError(
                f"found kerneltype {self.kernel}, expected {other.kernel} as before"
            )
        for name, mine, theirs in zip(self.names, self.domain, other.domain):
            if mine != theirs:
                raise HillsFileError(
                    f"found {name} {_described(mine)}, expected {_described(theirs)} as before"
                )

    def hills(self, table: NDArray[np.float64]) -> Hills:
        """Return the hills that a table of them holds."""
        ndim = len(self.names)
        times = table[:, 0]
        return Hills(
            names=self.names,
            centers=table[:, 1 : 1 + ndim],
            sigmas=table[:, 1 + ndim : 1 + 2 * ndim],
            heights=table[:, -2],
            kernel=self.kernel,
            domain=self.domain,
            times=None if np.isnan(times).any() else times,
            bias_factors=table[:, -1],
        )


def _described(domain: Domain) -> str:
    return "not periodic" if domain is None else f"periodic from {domain[0]} to {domain[1]}"


def _refuse_unsupported(fields: tuple[str, ...], constants: dict[str, str]) -> None:
    """Refuse what would be summed to something else than the free energy."""
    multivariate = constants.get("multivariate", "false")
    if multivariate != "false":
        raise HillsFileError(
            f"found multivariate {multivariate}, expected false: hills with a full covariance "
            "matrix are not supported by this version; sum them with PLUMED's sum_hills"
        )
    if "logweight" in fields:
        raise HillsFileError(
            "found the column logweight of an OPES KERNELS file, expected a HILLS file"
        )
    if constants.get("lower_int") != constants.get("upper_int"):
        raise HillsFileError(
            "found lower_int and upper_int, expected neither: hills laid with METAD's INTERVAL "
            "are not supported by this version; sum them with PLUMED's sum_hills"
        )


def _collective_variables(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns before the first width, less the time."""
    widths = [i for i, field in enumerate(fields) if field.startswith("sigma_")]
    before = fields[: widths[0]] if widths else fields
    names = tuple(field for field in before if field not in _OTHER_COLUMNS)
    if not names:
        raise HillsFileError(f"found no collective variable in the columns {' '.join(fields)}")
    for column in [f"sigma_{name}" for name in names] + ["height"]:
        if fields.count(column) != 1:
            raise HillsFileError(
                f"found {fields.count(column)} columns {column} in the header "
                f"({' '.join(fields)}), expected one"
            )
    if len(set(names)) < len(names):
        raise HillsFileError(f"found the columns {' '.join(names)}, expected different CVs")
    return names


def _header_domain(name: str, constants: dict[str, str]) -> Domain:
    low, high = constants.get(f"min_{name}"), constants.get(f"max_{name}")
    if low is None and high is None:
        return None
    if low is None or high is None:
        missing = "min" if low is None else "max"
        raise HillsFileError(f"found no '#! SET {missing}_{name}', expected both ends of a domain")
    try:
        return _checked_ends(name, (low, high))
    except InputError as error:
        raise HillsFileError(str(error)) from error


class _Reader:
    """Reads one HILLS file: header by header, and the lines between in blocks."""

    def __init__(self, path: Path, agreed: _Layout | None) -> None:
        self.path = path
        self.layout = agreed
        self.dropped: str | None = None
        self._fields: tuple[str, ...] | None = None
        self._constants: dict[str, str] = {}
        self._header_line = 0
        self._header_is_new = False
        self._tables: list[NDArray[np.float64]] = []

    def read(self) -> NDArray[np.float64]:
        """Return the table of all hills in the file, its columns as `_Layout.columns`."""
        number = 1
        with _opened(self.path) as stream:
            for first, lines, last in self._blocks(stream):
                number = first + len(lines) - 1
                self._take(first, self._without_cut_off(lines, number), last)
        if not self._tables:
            raise self._error(number, "found no hills, expected at least one")
        return np.concatenate(self._tables)

    def _error(self, number: int, message: str) -> HillsFileError:
        return HillsFileError(f"{self.path}:{number}: {message}")

    def _blocks(self, stream: BufferedIOBase) -> Iterator[tuple[int, list[bytes], bool]]:
        """Yield the number of the first line, some lines, and whether they are the last ones."""
        first = 1
        lines = self._lines(stream, first)
        while lines:
            following = self._lines(stream, first + len(lines))
            yield first, lines, not following
            first, lines = first + len(lines), following

    def _lines(self, stream: BufferedIOBase, first: int) -> list[bytes]:
        try:
            return stream.readlines(_BLOCK)
        except (EOFError, OSError, zlib.error) as fault:
            if isinstance(fault, OSError) and fault.errno is not None:
                raise
            message = f"found damaged or incomplete gzip data ({fault}), expected a whole file"
            raise self._error(first, message) from fault

    def _without_cut_off(self, lines: list[bytes], number: int) -> list[bytes]:
        if lines[-1].endswith(b"\n") or not lines[-1].strip():
            return lines
        self._drop(number, "found no line end")
        return lines[:-1]

    def _drop(self, number: int, found: str) -> None:
        self.dropped = (
            f"{self.path}:{number}: {found}, so this last line may be cut off; it is not used"
        )

    def _take(self, first: int, lines: list[bytes], last: bool) -> None:
        start = 0
        for i in [i for i, line in enumerate(lines) if line.lstrip().startswith(b"#!")]:
            self._take_hills(first + start, lines[start:i], last=False)
            self._take_header(first + i, lines[i])
            start = i + 1
        self._take_hills(first + start, lines[start:], last)

    def _take_header(self, number: int, line: bytes) -> None:
        words = line.decode("utf-8", "replace").split()
        if words[:2] == ["#!", "FIELDS"]:
            self._fields, self._constants, self._header_line = tuple(words[2:]), {}, number
        elif words[:2] == ["#!", "SET"] and len(words) == 4:
            self._constants[words[2]] = words[3]
        self._header_is_new = True

    def _take_hills(self, first: int, lines: list[bytes], last: bool) -> None:
        numbered = [(i, x) for i, x in enumerate(lines, first) if x.partition(b"#")[0].strip()]
        if not numbered:
            return
        layout = self._current_layout(numbered[0][0])
        table = _parsed([line for _, line in numbered], layout)
        if table is None:
            table = self._parsed_by_line(numbered, layout, last)
        if len(table):
            self._tables.append(table)

    def _current_layout(self, number: int) -> _Layout:
        """Return the layout under the last header, which must agree with the ones before."""
        if self._fields is None:
            raise self._error(number, "found no '#! FIELDS time …' header before this line")
        if self.layout is None or self._header_is_new:
            try:
                layout = _Layout.of_header(self._fields, self._constants)
                layout.check_agreement(self.layout or layout)
            except HillsFileError as error:
                raise self._error(self._header_line, str(error)) from error
            self.layout, self._header_is_new = layout, False
        return self.layout

    def _parsed_by_line(
        self, numbered: list[tuple[int, bytes]], layout: _Layout, last: bool
    ) -> NDArray[np.float64]:
        """Parse line by line: to name the faulty one, or because a comment was in the way."""
        rows = []
        for number, line in numbered:
            words = line.partition(b"#")[0].split()
            missing = len(layout.fields) - len(words)
            if missing > 0 and last and number == numbered[-1][0]:
                self._drop(number, f"found {len(words)} of {len(layout.fields)} columns")
                break
            try:
                rows.append(_checked_row(words, layout))
            except HillsFileError as error:
                raise self._error(number, str(error)) from error
        return np.array(rows, dtype=np.float64).reshape(-1, len(layout.columns))


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    with path.open("rb") as stream:
        # Peeking instead of seeking lets the file be a pipe.
        if stream.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
            yield stream
            return
        # Seldom needed, and it takes its time to import.
        from gzip import GzipFile

        with GzipFile(fileobj=stream) as unzipped:
            yield unzipped


def _parsed(lines: list[bytes], layout: _Layout) -> NDArray[np.float64] | None:
    """Return the table of hills that lines hold, or None if any line is not plain and right."""
    if any(b"_" in line for line in lines):
        # Python would read 1_000 as a number.
        return None
    try:
        numbers = np.array([list(map(float, line.split())) for line in lines], dtype=np.float64)
    except ValueError:
        return None
    if numbers.ndim != 2 or numbers.shape[1] != len(layout.fields):
        return None
    table = np.tile(layout.defaults, (len(numbers), 1))
    for column, index in enumerate(layout.indices):
        if index is not None:
            table[:, column] = numbers[:, index]
    return table if layout.allows(table) else None


def _checked_row(words: list[bytes], layout: _Layout) -> list[float]:
    if len(words) != len(layout.fields):
        raise HillsFileError(
            f"found {len(words)} columns, expected {len(layout.fields)} ({' '.join(layout.fields)})"
        )
    return [
        default if index is None else _checked_number(column, words[index])
        for column, index, default in zip(layout.columns, layout.indices, layout.defaults)
    ]


def _checked_number(column: str, word: bytes) -> float:
    text = word.decode("utf-8", "replace")
    try:
        value = float(text.replace("_", "?"))
    except ValueError:
        raise HillsFileError(f"column {column}: found {text!r}, expected a number") from None
    if not np.isfinite(value):
        raise HillsFileError(f"column {column}: found {text}, expected a finite number")
    if value <= 0.0 and column.startswith("sigma_"):
        raise HillsFileError(f"column {column}: found {text}, expected a width above zero")
    return value
