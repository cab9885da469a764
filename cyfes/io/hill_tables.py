"""Tables of hills without PLUMED's header: those of Colvars and CP2K, and any other.

The columns of Colvars (``NAME.hills.traj``, of writeHillsTrajectory) and of CP2K
(``PROJECT-HILLS.metadynLog``, of METADYN%PRINT%HILLS) are the step or time, the centres, the
widths and the height of the hill, which is a plain Gaussian; see colvarbias_meta.cpp and
metadynamics.F in their sources.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cyfes.errors import InputError
from cyfes.io.compression import decompressed
from cyfes.io.plumed_header import Header, domain_constants
from cyfes.model.domains import checked_ends

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Optional, Tuple, Union

    from cyfes.io.paths import AnyPath

    Ends = Tuple[Union[str, float], Union[str, float]]
    Periodic = Optional[Mapping[str, Ends]]

COLVARS, CP2K = ".hills.traj", ".metadynLog"

# The first line is looked for in so many bytes.
_START = 1 << 16


class TableFormat(NamedTuple):
    """What a table does not say of itself."""

    #: The names of the columns; None where the file has PLUMED's header, or its suffix tells them.
    columns: tuple[str, ...] | None = None
    #: The ends of the domains of periodic CVs.
    periodic: Mapping[str, Ends] = {}
    #: The bias factor of a well-tempered run.
    bias_factor: float | None = None

    def header(self, path: AnyPath) -> Header | None:
        """Return the header of a table, or None of a file of PLUMED."""
        columns = self.columns or _columns_by_suffix(Path(path))
        if columns is None:
            if self.periodic or self.bias_factor is not None:
                raise InputError(
                    f"{path}: found a file of PLUMED with its own header, expected one without it "
                    "where periodic CVs or a bias factor are given"
                )
            return None
        unknown = [name for name in self.periodic if name not in columns]
        if unknown:
            raise InputError(f"periodic: found {unknown[0]}, expected one of {', '.join(columns)}")
        constants = {"multivariate": "false", "kerneltype": "gaussian"}
        domain = [checked_ends(*pair) for pair in self.periodic.items()]
        constants.update(domain_constants(list(self.periodic), domain))
        return Header(tuple(_marked(name, columns) for name in columns), constants, 1)

    def height_factor(self, path: AnyPath) -> float:
        """Return by what to multiply the heights, so that F is the sum of the negative hills.

        A well-tempered run of Colvars writes the heights of the bias; CP2K and PLUMED multiply
        them by γ / (γ - 1) before they write them.
        """
        if self.bias_factor is None or str(path).endswith(CP2K):
            return 1.0
        return self.bias_factor / (self.bias_factor - 1.0)


def _marked(name: str, columns: Sequence[str]) -> str:
    """Return the name of a column; with a blank, which no CV has, if it is none of hills."""
    known = name in ("time", "height", "biasf", "clock") or f"sigma_{name}" in columns
    return name if known or name.startswith("sigma_") else f"{name} (not read)"


def checked_format(
    columns: Sequence[str] | None, periodic: Periodic, bias_factor: float | None
) -> TableFormat:
    """Return the format of a table, or refuse it with an InputError."""
    if columns is not None and (isinstance(columns, str) or len(set(columns)) < len(columns)):
        raise InputError(f"columns: found {columns!r}, expected a sequence of different names")
    if bias_factor is not None and not bias_factor > 1.0:
        raise InputError(f"bias_factor: found {bias_factor:g}, expected a number above 1")
    return TableFormat(None if columns is None else tuple(columns), periodic or {}, bias_factor)


def _columns_by_suffix(path: Path) -> tuple[str, ...] | None:
    """Return the columns of a file of Colvars or CP2K, known by its name; None of any other."""
    name = path.name
    for compression in (".gz", ".xz", ".zst"):
        name = name[: -len(compression)] if name.endswith(compression) else name
    if not name.endswith((COLVARS, CP2K)):
        return None
    with path.open("rb") as file, decompressed(file, path) as (stream, _):
        start = bytearray(_START)
        size = stream.readinto(start)
    lines = bytes(start[:size]).splitlines()
    words = next((line.split() for line in lines if line.split(b"#")[0].strip()), [])
    count = len(words) - 2
    if count < 2 or count % 2:
        raise InputError(
            f"{path}: found {len(words)} columns, expected a time, the centres, as many widths, "
            "and a height; name the columns of another table (columns=, --columns)"
        )
    names = [f"cv{k}" for k in range(count // 2)]
    return ("time", *names, *(f"sigma_{cv}" for cv in names), "height")
