"""Files of surfaces: the format that each suffix names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cyfes.errors import CyfesWarning, InputError
from cyfes.io import (
    colvars_files,
    cube_files,
    netcdf_files,
    npz_files,
    plumed_grid,
    vtk_files,
)
from cyfes.io.text_files import check_target

if TYPE_CHECKING:
    from typing import Any

    from cyfes.io.paths import AnyPath
    from cyfes.model.surface_data import SurfaceData

# The module of each format has `write_surface(surface, path)` and `read_surface(path)`. Any other
# suffix is that of PLUMED's grid file.
_FORMATS: dict[str, Any] = {
    ".cube": cube_files,
    ".cub": cube_files,
    ".vtk": vtk_files,
    ".npz": npz_files,
    ".nc": netcdf_files,
}

# Formats that are read, and not written.
_ONLY_READ: dict[str, Any] = {".pmf": colvars_files}

# The suffixes that PLUMED's grid files have, without one too.
_PLUMED_SUFFIXES = (".dat", ".txt", ".grid", "")

# What may follow the suffix of a format.
_COMPRESSIONS = (".gz", ".xz", ".zst")


def check_suffix(path: AnyPath) -> None:
    """Refuse a name whose suffix stands for no format, before PLUMED's is written by mistake.

    Raises
    ------
    InputError
        With the suffixes that are known.
    """
    suffix = _suffixes(Path(path))[0]
    if suffix not in (*_FORMATS, *_PLUMED_SUFFIXES):
        raise InputError(
            f"{path}: found the suffix {suffix}, expected {', '.join(_FORMATS)}, or for PLUMED's "
            f"grid file {', '.join(filter(None, _PLUMED_SUFFIXES))} or none"
        )


def write_surface(surface: SurfaceData, path: AnyPath, fmt: str) -> None:
    """Write a surface; `cyfes.FreeEnergySurface.save` says how."""
    check_target(path)
    suffix, compression = _suffixes(Path(path))
    if compression not in ("", ".gz"):
        raise InputError(
            f"{path}: found {compression}, expected .gz: surfaces are compressed with gzip only"
        )
    if suffix in _FORMATS:
        _FORMATS[suffix].write_surface(surface, path)
    else:
        plumed_grid.write_surface(surface, path, fmt)


def read_surface(path: AnyPath, frame: int | None = None) -> SurfaceData:
    """Read a surface; `cyfes.load` says which files and frames."""
    surfaces = read_surfaces(path)
    if frame is None:
        if len(surfaces) > 1:
            message = (
                f"{path}: found {len(surfaces)} frames, took the last one. For another frame, give "
                "frame=N or --frame N (0 is the first). cyfes.load_series reads all frames"
            )
            warnings.warn(CyfesWarning(message), stacklevel=3)
        return surfaces[-1]
    if not -len(surfaces) <= frame < len(surfaces):
        raise InputError(
            f"{path}: found {len(surfaces)} frames, expected one numbered {frame}; 0 is the "
            "first, -1 the last"
        )
    return surfaces[frame]


def read_surfaces(path: AnyPath) -> list[SurfaceData]:
    """Read all surfaces of a file: PLUMED's grid files may have several, others have one."""
    module = {**_FORMATS, **_ONLY_READ}.get(_suffixes(Path(path))[0])
    if module is None:
        return plumed_grid.read_surfaces(Path(path))
    return [module.read_surface(Path(path))]


def _suffixes(path: Path) -> tuple[str, str]:
    """Return the suffix that names the format, and that of the compression or "".

    Raises
    ------
    InputError
        If the format is a compressed one, or a binary one that is read in its place.
    """
    compression = path.suffix.lower() if path.suffix.lower() in _COMPRESSIONS else ""
    suffix = (Path(path.stem) if compression else path).suffix.lower()
    if compression and suffix in (".npz", ".nc"):
        raise InputError(
            f"{path}: found {suffix}{compression}, expected {suffix} without compression"
        )
    return suffix, compression
