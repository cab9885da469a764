"""Surfaces in files: the format of each suffix, written and read back."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from cyfes import cube
from cyfes._version import __version__
from cyfes.errors import InputError
from cyfes.grid import Grid
from cyfes.grid_file import grid_blocks
from cyfes.plumed_format import check_target, replacing, write_text
from cyfes.surface import FreeEnergySurface
from cyfes.units import ENERGY_UNITS

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Path_ = str | os.PathLike[str]

# What one unit of length is in Å, which programs that read cube files expect.
_ANGSTROM = {"nm": 10.0, "bohr": cube.BOHR}

# What may follow the suffix of a format.
_COMPRESSIONS = (".gz", ".xz", ".zst")

# The first bytes of a NetCDF file of version 4, which is HDF5, and of the versions before.
_HDF5, _NETCDF = b"\x89HDF", b"CDF"


def save(surface: FreeEnergySurface, path: Path_, fmt: str) -> None:
    """Write a surface; `FreeEnergySurface.save` says how."""
    check_target(path)
    suffix, compression = _suffixes(Path(path))
    if compression not in ("", ".gz"):
        raise InputError(f"{path}: found {compression}, expected .gz: surfaces are not written so")
    if suffix in (".cube", ".cub"):
        write_text(path, _cube_blocks(surface))
    elif suffix == ".vtk":
        from cyfes.vtk import vtk_bytes

        write_text(path, [vtk_bytes(surface, description(surface))])
    elif suffix == ".npz":
        with replacing(Path(path)) as target, target.open("wb") as stream:
            np.savez_compressed(stream, **_arrays(surface))  # type: ignore[arg-type]
    elif suffix == ".nc":
        from cyfes.netcdf import write_netcdf

        with replacing(Path(path)) as target:
            write_netcdf(surface, target)
    else:
        write_text(path, _plumed_blocks(surface, fmt))


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


def load(
    path: Path_,
    *,
    unit: str | None = None,
    kT: float | None = None,
    temperature: float | None = None,
) -> FreeEnergySurface:
    """Read a surface from a file that `FreeEnergySurface.save`, or PLUMED, has written.

    Parameters
    ----------
    path : path-like
        The file. Its suffix names the format: ``.cube`` or ``.cub``, ``.vtk``, ``.npz``, ``.nc``;
        any other is PLUMED's grid file. All but ``.npz`` and ``.nc`` may be compressed with gzip,
        xz or Zstandard, as in ``fes.dat.xz`` and ``fes.cube.gz``.
    unit : str, optional
        The unit of the values, for files that do not say: "kJ/mol", "kcal/mol", "eV" or "kT".
    kT : float, optional
        kT in that unit, likewise.
    temperature : float, optional
        The temperature in K, instead of kT.

    Returns
    -------
    FreeEnergySurface
        The surface. A cube file's lengths are in Å. A file that cyfes has written keeps names,
        periodicity and units in any format but PLUMED's, which keeps no unit.

    Raises
    ------
    InputError
        If the file is damaged or of another kind, or says another unit than the one given.
    MissingDependencyError
        If a package that the format, or Zstandard, needs is not installed.
    OSError
        If the file cannot be read.
    """
    readers = {".cube": _read_cube, ".cub": _read_cube, ".vtk": _read_vtk}
    readers.update({".npz": _read_npz, ".nc": _read_netcdf})
    surface = readers.get(_suffixes(Path(path))[0], _read_plumed)(Path(path))
    if unit is not None and surface.unit not in (None, unit):
        raise InputError(
            f"{path}: found values in {surface.unit}, expected {unit} as given; "
            "leave the unit out, and convert with to(unit)"
        )
    return surface.with_units(unit, kT=kT, temperature=temperature)


def description(surface: FreeEnergySurface) -> str:
    """Return a line for formats that have room for no more: unit, names and periodic CVs."""
    periodic = [name for name, wraps in zip(surface.names, surface.grid.periodic) if wraps]
    parts = [
        f"free energy in {surface.unit}" if surface.unit else "free energy",
        f"CVs {' '.join(surface.names)}",
        f"periodic {' '.join(periodic)}" if periodic else "",
        f"kT {surface.kT!r}" if surface.kT else "",
    ]
    line = "; ".join(filter(None, parts))
    return line.encode("ascii", "replace").decode("ascii")


def described_surface(
    line: str, values: NDArray[np.float64], lower: Sequence[float], spacing: Sequence[float]
) -> FreeEnergySurface:
    """Return the surface that values and a `description` stand for; anyone's line will do."""
    found = re.match(rf"free energy in ({'|'.join(ENERGY_UNITS)})\b", line)
    parts = {words[0]: words[1:] for words in map(str.split, line.split(";")) if words}
    names = tuple(parts.get("CVs", ()))
    if len(names) != values.ndim:
        names = tuple("xyz"[: values.ndim])
    periodic = [name in parts.get("periodic", ()) for name in names]
    bins = [n if wraps else n - 1 for n, wraps in zip(values.shape, periodic)]
    if min(bins) < 1:
        raise InputError(f"found {values.shape} points, expected two or more along each axis")
    upper = [low + count * step for low, count, step in zip(lower, bins, spacing)]
    kT = float(parts["kT"][0]) if "kT" in parts else None
    grid = Grid(list(lower), upper, bins, periodic)
    return FreeEnergySurface(values, grid, names, unit=found and found[1], kT=kT)


def _plumed_blocks(surface: FreeEnergySurface, fmt: str) -> Any:
    columns = {"file.free": surface.values}
    if surface.gradient is not None:
        columns.update((f"der_{name}", der) for name, der in zip(surface.names, surface.gradient))
    return grid_blocks(surface.grid, surface.names, surface.bounds(), columns, fmt)


def _read_plumed(path: Path) -> FreeEnergySurface:
    from cyfes.grid_file import read_grid_file

    return read_grid_file(path)


def _cube_blocks(surface: FreeEnergySurface) -> Any:
    if surface.grid.ndim != 3:
        raise InputError(
            f"found {surface.grid.ndim} CVs, expected 3 for a cube file; "
            "use .vtk for one or two, or another format"
        )
    units = surface.cv_units or ("",) * 3
    scale = np.array([_ANGSTROM.get(unit, 1.0) for unit in units]) / cube.BOHR
    grid, values = surface.grid, np.asarray(surface.values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("found values that are not finite, expected none in a cube file")
    return cube.cube_blocks(grid.lower * scale, grid.spacing * scale, values, description(surface))


def _read_cube(path: Path) -> FreeEnergySurface:
    data = cube.read_cube(path)
    lower, steps = data.origin * cube.BOHR, data.steps * cube.BOHR
    surface = _named(path, data.comment, data.values, lower.tolist(), steps.tolist())
    return surface.with_units(cv_units=("Å",) * 3)


def _read_vtk(path: Path) -> FreeEnergySurface:
    from cyfes.vtk import read_vtk

    data = read_vtk(path)
    return _named(path, data.title, data.values, data.origin, data.spacing)


def _named(path: Path, *parts: Any) -> FreeEnergySurface:
    try:
        return described_surface(*parts)
    except (InputError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def _arrays(surface: FreeEnergySurface) -> dict[str, NDArray[Any]]:
    """Return all of a surface as arrays that need no pickling."""
    grid = surface.grid
    parts: dict[str, Any] = {
        "cyfes": __version__,
        "values": surface.values,
        "names": surface.names,
        "bounds": grid.bounds,
        "lower": grid.lower,
        "upper": grid.upper,
        "bins": grid.bins,
        "periodic": grid.periodic,
        "gradient": surface.gradient,
        "domain": surface.domain and [ends or ("", "") for ends in surface.domain],
        "device": surface.device,
        "plan": surface.plan,
        "unit": surface.unit,
        "kT": surface.kT,
        "cv_units": surface.cv_units,
    }
    return {name: np.asarray(part) for name, part in parts.items() if part is not None}


def _read_npz(path: Path) -> FreeEnergySurface:
    try:
        # Opened here: np.load leaves a file open that is no archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return _from_arrays({name: arrays[name] for name in arrays.files})
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        EOFError,
        BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(f"{path}: found no surface of cyfes ({error}), expected one") from None


def _from_arrays(parts: dict[str, NDArray[Any]]) -> FreeEnergySurface:
    bounds = parts["bounds"].tolist()
    lower, upper = [low for low, _ in bounds], [high for _, high in bounds]
    domain = [
        tuple(ends) if ends[0] else None for ends in parts.get("domain", np.array([])).tolist()
    ]
    return FreeEnergySurface(
        values=parts["values"],
        grid=Grid(lower, upper, parts["bins"].tolist(), parts["periodic"].tolist()),
        names=tuple(parts["names"].tolist()),
        gradient=parts.get("gradient"),
        domain=tuple(domain) or None,
        device=str(parts["device"]),
        plan=str(parts["plan"]),
        unit=str(parts["unit"]) if "unit" in parts else None,
        kT=float(parts["kT"]) if "kT" in parts else None,
        cv_units=tuple(parts["cv_units"].tolist()) if "cv_units" in parts else None,
    )


def _read_netcdf(path: Path) -> FreeEnergySurface:
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == _HDF5:
        raise InputError(
            f"{path}: found NetCDF version 4 (HDF5), expected version 3 as cyfes writes it; "
            "convert it with: nccopy -k nc6 IN OUT"
        )
    if not magic.startswith(_NETCDF):
        raise InputError(f"{path}: found no NetCDF file, expected one")
    from cyfes.netcdf import read_netcdf

    return read_netcdf(path)
