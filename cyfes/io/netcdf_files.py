"""Surfaces as xarray objects and NetCDF files, with the same names and attributes in both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import format_number
from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.io.text_files import replacing
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.io.paths import AnyPath

# The first bytes of a NetCDF file of version 4, which is HDF5, and of the versions before.
_HDF5, _NETCDF = b"\x89HDF", b"CDF"

# The variables that hold F, its gradient and its standard error.
_VALUES, _GRADIENT, _ERROR = "F", "gradient", "error"


def data_array(surface: SurfaceData) -> Any:
    """Return a surface as an xarray.DataArray; see `cyfes.FreeEnergySurface.to_xarray`."""
    xarray = need("xarray", "to_xarray()")
    units = surface.cv_units or ("",) * surface.grid.ndim
    coordinates = {
        name: (name, axis, {"units": unit} if unit else {})
        for name, axis, unit in zip(surface.names, surface.grid.axes, units)
    }
    return xarray.DataArray(
        surface.values,
        dims=surface.names,
        coords=coordinates,
        name=_VALUES,
        attrs=_attributes(surface),
    )


def _attributes(surface: SurfaceData) -> dict[str, Any]:
    """Return what is known beside values and axes, in types that NetCDF 3 has."""
    ends = surface.bounds()
    known = {
        "long_name": "free energy",
        "units": surface.unit,
        # scipy writes a Python float in single precision.
        "kT": None if surface.kT is None else np.float64(surface.kT),
        "lower": " ".join(low for low, _ in ends),
        "upper": " ".join(high for _, high in ends),
        "bins": np.array(surface.grid.bins, dtype=np.int32),
        "periodic": np.array(surface.grid.periodic, dtype=np.int32),
        "cv_units": None if surface.cv_units is None else "\t".join(surface.cv_units),
        "device": surface.device,
        "plan": surface.plan,
    }
    return {k: v for k, v in known.items() if isinstance(v, np.ndarray) or v}


def write_surface(surface: SurfaceData, path: AnyPath) -> None:
    """Write a surface to a NetCDF file of version 3 with 64-bit offsets; an older file is kept.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    path : path-like
        The file.

    Raises
    ------
    MissingDependencyError
        If SciPy is not installed.
    OSError
        If the file cannot be written.
    """
    with replacing(Path(path)) as target:
        _write(surface, target)


def _write(surface: SurfaceData, path: Path) -> None:
    netcdf_file = need("scipy.io", "a .nc file").netcdf_file
    with netcdf_file(str(path), "w", version=2) as file:
        for name, axis in zip(surface.names, surface.grid.axes):
            file.createDimension(name, len(axis))
            file.createVariable(name, "f8", (name,))[:] = axis
        for name, unit in zip(surface.names, surface.cv_units or ()):
            file.variables[name].units = unit
        values = file.createVariable(_VALUES, surface.values.dtype, surface.names)
        values[:] = surface.values
        for name, value in _attributes(surface).items():
            setattr(values, name, value)
        if surface.gradient is not None:
            file.createDimension("cv", surface.grid.ndim)
            kind = surface.gradient.dtype
            file.createVariable(_GRADIENT, kind, ("cv", *surface.names))[:] = surface.gradient
        if surface.error is not None:
            kind = surface.error.dtype
            file.createVariable(_ERROR, kind, surface.names)[:] = surface.error


def read_surface(path: Path) -> SurfaceData:
    """Read a surface from a file that `write_surface`, or xarray, has written.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    SurfaceData
        The surface.

    Raises
    ------
    InputError
        If the file holds none, is damaged, or is of version 4 of NetCDF.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == _HDF5:
        raise InputError(
            f"{path}: found NetCDF version 4 (HDF5), expected version 3 as cyfes writes it; "
            "convert it with: nccopy -k nc6 IN OUT"
        )
    if not magic.startswith(_NETCDF):
        raise InputError(f"{path}: found no NetCDF file, expected one")
    netcdf_file = need("scipy.io", "a .nc file").netcdf_file
    try:
        # Without mmap, because the arrays are used after the file is closed.
        with netcdf_file(str(path), "r", mmap=False) as file:
            return _surface(file.variables)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: found no surface of cyfes ({type(error).__name__}: {error}), expected one"
        ) from None


def _surface(variables: dict[str, Any]) -> SurfaceData:
    main = variables[_VALUES]
    known = {name: _text(value) for name, value in main._attributes.items()}
    slopes, error = (
        None if found is None else _native(found[:])
        for found in (variables.get(_GRADIENT), variables.get(_ERROR))
    )
    return _from_parts(_native(main[:]), tuple(main.dimensions), known, slopes, error)


def surface_of_data_array(array: Any) -> SurfaceData:
    """Return the surface of an xarray.DataArray; see `cyfes.FreeEnergySurface.from_xarray`."""
    names = tuple(map(str, array.dims))
    known = dict(array.attrs)
    if "bins" not in known:
        known.update(_grid_attributes(array, names))
    try:
        return _from_parts(np.asarray(array.values), names, known)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"found a DataArray that is no surface: {error}") from None


def _grid_attributes(array: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the attributes of the grid of an array that was not made by `data_array`."""
    axes = []
    for name in names:
        axis = np.asarray(array.coords[name].values) if name in array.coords else np.array([])
        steps = np.diff(axis.astype(np.float64)) if axis.dtype.kind in "fiu" else np.array([])
        if not len(steps) or not (steps > 0.0).all() or np.ptp(steps) > 1e-6 * steps.mean():
            raise InputError(
                f"{name}: found no evenly spaced, rising coordinates, expected them for each CV"
            )
        axes.append(axis.astype(np.float64))
    units = [str(array.coords[name].attrs.get("units", "")) for name in names]
    known: dict[str, Any] = {
        "lower": " ".join(format_number(axis[0]) for axis in axes),
        "upper": " ".join(format_number(axis[-1]) for axis in axes),
        "bins": [len(axis) - 1 for axis in axes],
        "periodic": [False] * len(axes),
    }
    return {**known, "cv_units": "\t".join(units)} if any(units) else known


def _from_parts(
    values: NDArray[Any],
    names: tuple[str, ...],
    known: dict[str, Any],
    gradient: NDArray[Any] | None = None,
    error: NDArray[Any] | None = None,
) -> SurfaceData:
    """Return the surface of an array and the attributes that `_attributes` makes."""
    periodic = [bool(flag) for flag in np.atleast_1d(known["periodic"])]
    bins = [int(count) for count in np.atleast_1d(known["bins"])]
    grid = Grid(known["lower"].split(), known["upper"].split(), bins, periodic)
    domain = tuple(ends if wraps else None for ends, wraps in zip(grid.bounds, periodic))
    return SurfaceData(
        values,
        grid,
        names,
        gradient,
        domain if any(periodic) else None,
        device=known.get("device", "unknown"),
        plan=known.get("plan", ""),
        unit=known.get("units"),
        kT=float(known["kT"]) if "kT" in known else None,
        cv_units=tuple(known["cv_units"].split("\t")) if "cv_units" in known else None,
        error=error,
    )


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in this machine's byte order."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
