"""VTK's legacy files of structured points: one scalar on a regular grid of up to three axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cyfes.errors import InputError
from cyfes.io.compression import read_whole
from cyfes.io.text_files import write_text
from cyfes.io.titles import title, titled_surface

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath
    from cyfes.model.surface_data import SurfaceData

# The format ends a title after this many characters, the line end included.
_TITLE = 255

# What a number is in a binary file: the format fixes the byte order.
_TYPES = {"float": ">f4", "double": ">f8"}

_HEADER = re.compile(
    rb"# vtk DataFile Version [0-9.]+\s*\n(?P<title>[^\n]*)\n(?P<kind>ASCII|BINARY)\s*\n"
    rb"DATASET STRUCTURED_POINTS\s*\n(?P<keys>(?:(?:DIMENSIONS|ORIGIN|SPACING)[^\n]*\n){3})"
    rb"POINT_DATA +(?P<count>[0-9]+)\s*\nSCALARS +\S+ +(?P<type>float|double)(?: +1)?\s*\n"
    rb"LOOKUP_TABLE +\S+\s*\n"
)


class VtkData(NamedTuple):
    """What a file says of its grid and values."""

    title: str
    origin: list[float]
    spacing: list[float]
    values: NDArray[np.float64]


def vtk_bytes(surface: SurfaceData, line: str) -> bytes:
    """Return a binary file of a surface.

    Parameters
    ----------
    surface : SurfaceData
        A surface over one to three CVs.
    line : str
        The title: a line of ASCII text.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    InputError
        If the surface has more CVs, or the title no room.
    """
    grid = surface.grid
    if grid.ndim > 3:
        raise InputError(f"found {grid.ndim} CVs, expected at most 3 for a VTK file")
    if len(line) > _TITLE:
        raise InputError(f"found names of {len(line)} characters, expected at most {_TITLE}")
    flat = 3 - grid.ndim
    shape = [*grid.shape, *[1] * flat]
    lines = [
        "# vtk DataFile Version 3.0",
        line,
        "BINARY",
        "DATASET STRUCTURED_POINTS",
        "DIMENSIONS " + " ".join(map(str, shape)),
        "ORIGIN " + " ".join(map(repr, [*grid.lower.tolist(), *[0.0] * flat])),
        "SPACING " + " ".join(map(repr, [*grid.spacing.tolist(), *[1.0] * flat])),
        f"POINT_DATA {grid.size}",
        "SCALARS free_energy double 1",
        "LOOKUP_TABLE default\n",
    ]
    # The first axis runs fastest.
    values = np.asarray(surface.values, dtype=_TYPES["double"]).ravel(order="F")
    return "\n".join(lines).encode("ascii") + values.tobytes() + b"\n"


def read_vtk(path: Path) -> VtkData:
    """Read a file of structured points with one scalar, binary or ASCII.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    VtkData
        The title, and grid and values of as many axes as have more than one point.

    Raises
    ------
    InputError
        If the file is of another kind or cut off.
    OSError
        If the file cannot be read.
    """
    raw = read_whole(path)
    match = _HEADER.match(raw)
    if match is None:
        raise InputError(
            f"{path}: found no legacy VTK file of structured points with one scalar, expected one"
        )
    keys = {words[0]: words[1:] for words in map(str.split, match["keys"].decode().splitlines())}
    body = raw[match.end() :]
    try:
        shape = [int(word) for word in keys["DIMENSIONS"]]
        origin, spacing = ([float(w) for w in keys[key]] for key in ("ORIGIN", "SPACING"))
        count = int(match["count"])
        if match["kind"] == b"ASCII":
            values = np.array(body.split()[:count], dtype=np.float64)
        else:
            kind = np.dtype(_TYPES[match["type"].decode()])
            values = np.frombuffer(body, dtype=kind, count=count).astype(np.float64)
        values = values.reshape(shape, order="F")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: found a damaged VTK file ({error}), expected a whole one"
        ) from None
    ndim = max([axis + 1 for axis, n in enumerate(shape) if n > 1], default=1)
    return VtkData(
        match["title"].decode("ascii", "replace"),
        origin[:ndim],
        spacing[:ndim],
        np.ascontiguousarray(values.reshape(shape[:ndim])),
    )


def write_surface(surface: SurfaceData, path: AnyPath) -> None:
    """Write a surface over one to three CVs; an older file is kept.

    Raises
    ------
    InputError
        As for `vtk_bytes`.
    OSError
        If the file cannot be written.
    """
    write_text(path, [vtk_bytes(surface, title(surface))])


def read_surface(path: Path) -> SurfaceData:
    """Read a surface.

    Raises
    ------
    InputError, OSError
        As for `read_vtk`.
    """
    data = read_vtk(path)
    return titled_surface(path, data.title, data.values, data.origin, data.spacing)
