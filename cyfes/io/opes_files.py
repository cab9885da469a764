"""The KERNELS and STATE files of PLUMED's OPES."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.base.numbers import parse_number
from cyfes.errors import HillsFileError, InputError
from cyfes.io.column_files import ColumnFile, Selection
from cyfes.io.hills_header import hill_variables
from cyfes.io.plumed_header import header_domain
from cyfes.model.opes_kernels import Kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath
    from cyfes.io.plumed_header import Header

# Settings in the header that are numbers; "biasfactor inf" is one.
_SETTINGS = (
    *("biasfactor", "epsilon", "kernel_cutoff", "compression_threshold"),
    *("zed", "sum_weights", "sum_weights2", "counter"),
)


def read_kernels(path: AnyPath) -> Kernels:
    """Read the KERNELS or STATE file of an OPES run.

    Parameters
    ----------
    path : path-like
        The file; it may be compressed with gzip, xz or Zstandard. From a KERNELS file, all kernels
        are read, also those after a restart. From a STATE file with several states, the last state
        is read.

    Returns
    -------
    Kernels
        The kernels.

    Raises
    ------
    HillsFileError
        If the file is of another kind, is damaged or holds no kernel; the message begins with
        ``file:line``.
    MissingDependencyError
        If it is compressed with Zstandard, and the package zstandard is not installed.
    OSError
        If the file cannot be opened.

    Warns
    -----
    CyfesWarning
        If the last line is cut off. That line is not used.
    """
    parts = _parts(path)
    header = parts[-1][0]
    tables = parts[-1:] if header.is_state else parts
    return header.kernels(np.concatenate([table for _, table in tables]))


def read_states(path: AnyPath) -> list[Kernels]:
    """Read all states of the STATE file of an OPES run; `read_kernels` reads only the last one.

    Parameters
    ----------
    path : path-like
        The file, plain or compressed with gzip, xz or Zstandard.

    Returns
    -------
    list of Kernels
        The states, in the order of the file.

    Raises
    ------
    HillsFileError, MissingDependencyError, OSError
        As for `read_kernels`, and if it is a KERNELS file.

    Warns
    -----
    CyfesWarning
        If the last line is cut off. That line is not used.
    """
    parts = _parts(path)
    if not parts[0][0].is_state:
        raise HillsFileError(
            f"{path}: found a KERNELS file, which does not contain the norm of its kernels; "
            "expected a STATE file, which OPES writes with STATE_WFILE. cyfes.state_of_kernels and "
            "--kernels compute a state from a KERNELS file"
        )
    return [header.kernels(table) for header, table in parts]


def _parts(path: AnyPath) -> list[tuple[_OpesHeader, NDArray[np.float64]]]:
    """Return what follows each header."""
    headers: list[_OpesHeader] = []

    def select(header: Header) -> Selection:
        headers.append(_OpesHeader(header))
        headers[-1].check_agreement(headers[0])
        return headers[-1].selection

    file = ColumnFile(path, select)
    parts: list[tuple[_OpesHeader, list[NDArray[np.float64]]]] = []
    for table in file.tables_of("kernels"):
        if not parts or parts[-1][0] is not headers[-1]:
            parts.append((headers[-1], []))
        parts[-1][1].append(table)
    return [(header, np.concatenate(tables)) for header, tables in parts]


class _OpesHeader:
    """What a header says."""

    def __init__(self, header: Header) -> None:
        fields = header.fields
        self.is_state = "logweight" not in fields
        if self.is_state and "zed" not in header.constants:
            raise HillsFileError(
                "found neither the column logweight of a KERNELS file nor '#! SET zed' of a STATE "
                "file, expected one of them; read HILLS with cyfes.read_hills"
            )
        self.names = hill_variables(fields)
        widths = [f"sigma_{name}" for name in self.names]
        columns = (*self.names, *widths, "height", "time")
        self.columns = columns if self.is_state else (*columns, "logweight")
        for column in self.columns:
            if not self.names or fields.count(column) != 1:
                raise HillsFileError(
                    f"found {fields.count(column)} columns {column} ({' '.join(fields)}), "
                    "expected one, and a width sigma_CV for each CV"
                )
        self.domain = tuple(header_domain(name, header.constants) for name in self.names)
        self.settings = {
            name: _setting(name, header.constants[name])
            for name in _SETTINGS
            if name in header.constants
        }
        self.action = header.constants.get("action", "")
        self.selection = Selection(self.columns, frozenset(widths), {})

    def check_agreement(self, other: _OpesHeader) -> None:
        if (self.names, self.domain, self.columns) != (other.names, other.domain, other.columns):
            raise HillsFileError(
                f"found the columns {' '.join(self.columns)} with the domains {self.domain}, "
                f"expected {' '.join(other.columns)} with {other.domain} as before"
            )

    def kernels(self, table: NDArray[np.float64]) -> Kernels:
        ndim = len(self.names)
        table.flags.writeable = False
        return Kernels(
            self.names,
            table[:, :ndim],
            table[:, ndim : 2 * ndim],
            table[:, 2 * ndim],
            self.domain,
            None if self.is_state else table[:, -1],
            table[:, 2 * ndim + 1],
            self.settings,
            self.action,
        )


def _setting(name: str, text: str) -> float:
    if name == "biasfactor" and text == "inf":
        return np.inf
    try:
        return parse_number(text)
    except InputError as error:
        raise HillsFileError(f"{name}: {error}") from error
