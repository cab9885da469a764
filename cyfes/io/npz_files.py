"""NumPy's ``.npz`` archives, which keep all that a surface holds."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from cyfes._version import __version__
from cyfes.errors import InputError
from cyfes.io.text_files import replacing
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath


def write_surface(surface: SurfaceData, path: AnyPath) -> None:
    """Write a surface; an older file is kept.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with replacing(Path(path)) as target, target.open("wb") as stream:
        np.savez_compressed(stream, **_arrays(surface))  # type: ignore[arg-type]


def read_surface(path: Path) -> SurfaceData:
    """Read a surface.

    Raises
    ------
    InputError
        If the file is no such archive, or is damaged.
    OSError
        If it cannot be read.
    """
    try:
        # Opened here, because np.load does not close a file that is no archive.
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


def _arrays(surface: SurfaceData) -> dict[str, NDArray[Any]]:
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
        "error": surface.error,
    }
    return {name: np.asarray(part) for name, part in parts.items() if part is not None}


def _from_arrays(parts: dict[str, NDArray[Any]]) -> SurfaceData:
    bounds = parts["bounds"].tolist()
    lower, upper = [low for low, _ in bounds], [high for _, high in bounds]
    domain = [
        tuple(ends) if ends[0] else None for ends in parts.get("domain", np.array([])).tolist()
    ]
    return SurfaceData(
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
        error=parts.get("error"),
    )
