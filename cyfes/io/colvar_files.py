"""PLUMED's COLVAR files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import HillsFileError, InputError
from cyfes.io.column_files import ColumnFile, Selection
from cyfes.io.hills_header import hill_variables
from cyfes.io.paths import expanded, flattened
from cyfes.io.plumed_header import header_domain
from cyfes.model.colvar import Colvar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath
    from cyfes.io.plumed_header import Header
    from cyfes.model.domains import Domain

# The name of a column that no file has.
_NO_COLUMN = "no column"


def read_colvar(
    *paths: AnyPath | Sequence[AnyPath], columns: Sequence[str] | None = None
) -> Colvar:
    """Read one or several COLVAR files of PLUMED, one after the other.

    Parameters
    ----------
    *paths : path-like, or sequence of them
        The files, or patterns such as ``COLVAR.*``. They may be compressed with gzip, xz or
        Zstandard. You may also give a HILLS file: the centres of its hills are the samples.
    columns : sequence of str, optional
        The columns to read, in this order. By default, these are all columns except the time, and
        in a HILLS file except the widths and heights.

    Returns
    -------
    Colvar
        All samples.

    Raises
    ------
    HillsFileError
        If a file is not a column file, is damaged, holds no sample, lacks a column or does not fit
        the others; the message begins with ``file:line``.
    InputError
        If no file is named.
    MissingDependencyError
        If a file is compressed with Zstandard, and the package zstandard is not installed.
    OSError
        If a file cannot be opened.

    Warns
    -----
    CyfesWarning
        If the last line of a file is cut off. That line is not used.
    """
    portions = list(iter_colvar(*paths, columns=columns))
    first = portions[0]
    values = np.concatenate([portion.values for portion in portions])
    times = [portion.times for portion in portions if portion.times is not None]
    together = np.concatenate(times) if len(times) == len(portions) else None
    return Colvar(first.names, _read_only(values), first.domain, together)


def iter_colvar(
    *paths: AnyPath | Sequence[AnyPath], columns: Sequence[str] | None = None
) -> Iterator[Colvar]:
    """Read COLVAR files in portions, so that any number of samples needs little memory.

    Parameters
    ----------
    *paths, columns
        As for `read_colvar`.

    Yields
    ------
    Colvar
        The next samples.

    Raises
    ------
    HillsFileError, InputError, MissingDependencyError, OSError
        As for `read_colvar`.
    """
    files = expanded(flattened(paths))
    if not files:
        raise InputError("found no file name, expected at least one COLVAR file")
    reader = _ColvarReader(columns)
    for path in files:
        file = ColumnFile(path, reader.select)
        yield from map(reader.samples, file.tables_of("samples"))


def colvar_names(paths: Iterable[AnyPath]) -> tuple[str, ...]:
    """Return the columns that `read_colvar` reads by default; of several files, of the first."""
    names: list[str] = []

    def note(header: Header) -> Selection:
        names[:] = _samples(header)
        # One column has to be selected; the others need not hold numbers.
        return Selection(header.fields[:1], frozenset(), {})

    file = ColumnFile(expanded(paths)[0], note)
    next(file.tables_of("samples"))
    return tuple(names)


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values.flags.writeable = False
    return values


class _ColvarReader:
    """Reads COLVAR files that have the same columns and domains as the first one."""

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._wanted = columns
        self._names: tuple[str, ...] | None = None
        self._domain: tuple[Domain, ...] = ()

    def select(self, header: Header) -> Selection:
        names = tuple(_samples(header) if self._wanted is None else self._wanted)
        for name in names:
            if header.fields.count(name) != 1:
                raise HillsFileError(
                    f"found {header.fields.count(name)} columns {name} "
                    f"({' '.join(header.fields)}), expected one"
                )
        domain = tuple(header_domain(name, header.constants) for name in names)
        if self._names is not None and (names, domain) != (self._names, self._domain):
            found, before = _described(names, domain), _described(self._names, self._domain)
            raise HillsFileError(f"found {found}, expected {before} as before")
        self._names, self._domain = names, domain
        time = "time" if "time" not in names else _NO_COLUMN
        return Selection((*names, time), frozenset(), {time: np.nan})

    def samples(self, table: NDArray[np.float64]) -> Colvar:
        assert self._names is not None  # noqa: S101  a header was selected before any row
        named = self._names.index("time") if "time" in self._names else -1
        times = None if np.isnan(table[:, named]).any() else table[:, named]
        return Colvar(self._names, _read_only(table[:, :-1]), self._domain, times)


def _samples(header: Header) -> list[str]:
    """Return the columns that hold samples: all but the time; in a HILLS file, its CVs."""
    fields = header.fields
    if "height" in fields and any(f"sigma_{name}" in fields for name in fields):
        names = list(hill_variables(fields))
    elif "height" in fields and any(f"sigma_{name}_{name}" in fields for name in fields):
        names = list(hill_variables(fields, multivariate=True))
    else:
        names = [name for name in fields if name != "time"]
    if not names:
        raise HillsFileError(f"found no samples in the columns {' '.join(header.fields)}")
    return names


def _described(names: tuple[str, ...], domain: tuple[Domain, ...]) -> str:
    ends = (f" from {d[0]} to {d[1]}" if d else "" for d in domain)
    return ", ".join(name + end for name, end in zip(names, ends))
