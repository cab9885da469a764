"""A free-energy surface on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.base.units import check_energy_unit, conversion, resolve_kT
from cyfes.errors import InputError
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, DTypeLike, NDArray
    from xarray import DataArray

    from cyfes.landscape.basins import Basins, Landscape, Minimum
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.landscape.regions import Region


@dataclass(frozen=True, eq=False, repr=False)
class FreeEnergySurface(SurfaceData):
    """A free energy F, and where known its gradient, on a regular grid over D CVs.

    NumPy takes a surface for the array of its values.

    Parameters
    ----------
    values : ndarray, shape grid.shape
        F, in the unit of the hills' heights; indexed in the order of the CVs.
    grid : Grid
        The grid.
    names : tuple of str
        The D collective variables.
    gradient : ndarray, shape (D, *grid.shape), optional
        dF/dCV, in the unit of F over that of the CV.
    domain : tuple of (None or (str, str)), optional
        The literals of the ends of each periodic CV's domain; see `cyfes.Hills`.
    device : str
        The device that computed it.
    plan : str
        How it was computed, in words; empty if that is not known.
    unit : str, optional
        The unit of F: "kJ/mol", "kcal/mol", "eV" or "kT"; None if that is not known.
    kT : float, optional
        Boltzmann's constant times the temperature, in the unit of F; None if it is not known.
    cv_units : tuple of D str, optional
        The units of the CVs.
    error : ndarray, shape grid.shape, optional
        The standard error of F, in the unit of F.

    Raises
    ------
    InputError
        If shapes or lengths disagree.
    """

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the values; a copy only where one is asked for or the type needs one."""
        same = dtype is None or np.dtype(dtype) == self.values.dtype
        if same:
            return self.values.copy() if copy else self.values
        if copy is False:
            raise ValueError(f"found values of {self.values.dtype}, which {dtype} needs a copy of")
        return self.values.astype(dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The values where they lie on a CUDA device, for CuPy, PyTorch and Numba."""
        interface: dict[str, Any] = self.values.__cuda_array_interface__  # type: ignore[attr-defined]
        return interface

    def __dlpack__(self, **options: Any) -> Any:
        """Hand the values to another array library, without a copy."""
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        """Return where the values lie, as DLPack numbers devices; 1 is the host."""
        # NumPy has this method since 1.22.
        return getattr(self.values, "__dlpack_device__", lambda: (1, 0))()

    def to_host(self) -> FreeEnergySurface:
        """Return the surface with its values in NumPy arrays, copied from a GPU if need be.

        Returns
        -------
        FreeEnergySurface
            A surface that can be analysed, drawn and saved.
        """
        from cyfes.native.gpu_arrays import to_numpy

        slopes = None if self.gradient is None else to_numpy(self.gradient)
        return replace(self, values=to_numpy(self.values), gradient=slopes)

    def __repr__(self) -> str:
        """Return a line that says what is known and where it was computed."""
        points = " x ".join(map(str, self.grid.shape))
        return (
            f"<FreeEnergySurface over {', '.join(self.names)}: {points} points, "
            f"{self._range()}, computed on {self.device}>"
        )

    def _repr_html_(self) -> str:
        """Return a table of what is known, for notebooks."""
        # Imported here, because it is seldom needed.
        from html import escape

        facts = {
            "CVs": ", ".join(self.names),
            "points": " × ".join(map(str, self.grid.shape)),
            "F": self._range(),
            "kT": "not known" if self.kT is None else f"{self.kT:g}",
            "computed on": self.device,
            "plan": self.plan,
        }
        rows = (f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in facts.items() if v)
        return f"<table><caption>FreeEnergySurface</caption>{''.join(rows)}</table>"

    def _range(self) -> str:
        low, high = float(self.values.min()), float(self.values.max())
        return " ".join(filter(None, (f"{low:g} to {high:g}", self.unit)))

    def with_units(
        self,
        unit: str | None = None,
        *,
        kT: float | None = None,
        temperature: float | None = None,
        cv_units: Sequence[str] | None = None,
    ) -> FreeEnergySurface:
        """Return the surface with its units named; no value changes.

        Parameters
        ----------
        unit : str, optional
            The unit that F is in: "kJ/mol", "kcal/mol", "eV" or "kT"; by default as it was.
        kT : float, optional
            kT in the unit of F.
        temperature : float, optional
            The temperature in K, instead of kT; needs the unit.
        cv_units : sequence of D str, optional
            The units of the CVs.

        Returns
        -------
        FreeEnergySurface
            A new surface of the same values.

        Raises
        ------
        InputError
            If a unit is unknown, a number is not above zero, or lengths disagree.
        """
        unit = self.unit if unit is None else check_energy_unit(unit)
        given = 1.0 if unit == "kT" else resolve_kT(unit, kT, temperature)
        return replace(
            self,
            unit=unit,
            kT=self.kT if given is None else given,
            cv_units=self.cv_units if cv_units is None else tuple(cv_units),
        )

    def to(
        self, unit: str, *, kT: float | None = None, temperature: float | None = None
    ) -> FreeEnergySurface:
        """Return the surface converted to another unit of energy.

        Parameters
        ----------
        unit : str
            "kJ/mol", "kcal/mol", "eV" or "kT".
        kT : float, optional
            kT, in the unit of the two that is not "kT"; needed if one is and the surface does not
            know kT.
        temperature : float, optional
            The temperature in K, instead of kT.

        Returns
        -------
        FreeEnergySurface
            A new surface.

        Raises
        ------
        InputError
            If the unit of the surface is not known, or a temperature is needed and not known.
        """
        if kT is None and temperature is None and unit == "kT":
            kT = self.kT
        factor = conversion(self.unit, unit, kT, temperature)
        # In units of kT, kT is 1.
        own = 1.0 if self.unit == "kT" else self.kT
        known = None if own is None else own * factor
        return replace(
            self,
            values=self.values * factor,
            gradient=None if self.gradient is None else self.gradient * factor,
            error=None if self.error is None else self.error * factor,
            unit=unit,
            kT=1.0 if unit == "kT" else known,
        )

    def shift_to_zero(self) -> FreeEnergySurface:
        """Return the surface moved so that its minimum is 0, as ``--mintozero`` does.

        Returns
        -------
        FreeEnergySurface
            A new surface; the gradient is the same.
        """
        return replace(self, values=self.values - self.values.min())

    def minima(self, depth: float = 0.0) -> tuple[Minimum, ...]:
        """Return the local minima, the lowest first.

        Parameters
        ----------
        depth : float
            Only minima from which F must rise by more than this to reach a lower one, in the unit
            of F. With 0, all of them; noise makes many.

        Returns
        -------
        tuple of Minimum
            Position, value, depth, and whether a minimum is at a free end of the grid.

        Raises
        ------
        InputError
            If `depth` is below zero, or F is nan or nowhere finite.
        """
        return self.basins(depth).minima

    def basins(self, depth: float = 0.0) -> Basins:
        """Return the basin of each minimum: the points that lead downhill to it.

        Parameters
        ----------
        depth : float
            As for `minima`. A shallower minimum's basin counts as part of the one that it
            overflows into.

        Returns
        -------
        Basins
            The minima, and the number of its minimum for each point of the grid.

        Raises
        ------
        InputError
            As for `minima`.
        """
        return self._landscape().basins(depth)

    def path(self, first: ArrayLike, last: ArrayLike) -> EnergyPath:
        """Return the minimum-energy path between two points, and its barrier.

        The way over the lowest passes of the grid, refined by the simplified string method on the
        interpolated surface; one bin of each axis counts as the same length.

        Parameters
        ----------
        first, last : array_like, shape (D,)
            The ends, in the CVs' units, such as the positions of two minima.

        Returns
        -------
        EnergyPath
            Points, values and barriers.

        Raises
        ------
        InputError
            If an end is outside of the grid or F is infinite there, or everywhere between.

        References
        ----------
        W. E, W. Ren, E. Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007).
        """
        from cyfes.landscape.minimum_path import EnergyPath, minimum_path

        points, values = minimum_path(self.values, self.grid, first, last, self._landscape())
        return EnergyPath(points, values, self.names, self.unit)

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return F at points between those of the grid, by cubic interpolation.

        Parameters
        ----------
        points : array_like, shape (M, D), or (D,) for a single one
            Where, in the CVs' units.

        Returns
        -------
        ndarray of float64, shape (M,)
            F.

        Raises
        ------
        InputError
            If a point is outside of the grid.
        """
        from cyfes.landscape.interpolation import Interpolant, places_in_bins

        return Interpolant(self.values, self.grid)(places_in_bins(points, self.grid))

    def difference(
        self, first: Region, last: Region, *, kT: float | None = None, depth: float = 0.0
    ) -> float:
        """Return the free energy of one region less that of another.

        ΔF = -kT ln(∫_last exp(-F / kT) / ∫_first exp(-F / kT)).

        Parameters
        ----------
        first, last : array_like, shape (D,), or ndarray of bool, shape grid.shape
            Two points, which stand for the basins around them, or two regions; see `cyfes.box`.
        kT : float, optional
            kT in the unit of F; by default the surface's own.
        depth : float
            How deep a minimum must be to have a basin; see `basins`.

        Returns
        -------
        float
            ΔF, in the unit of F. Its error needs more than a surface: see `cyfes.reweight_blocks`.

        Raises
        ------
        InputError
            If kT is not known, or the regions are the same, overlap or are empty.
        """
        from cyfes.landscape.regions import log_population, masks

        energy = self.known_kT(kT)
        density = self.values / -energy
        regions = masks(self.grid, (first, last), self.basins(depth))
        populations = [log_population(density, self.grid, region) for region in regions]
        return energy * (populations[0] - populations[1])

    def known_kT(self, kT: float | None = None) -> float:  # noqa: N802 - the symbol of the field
        """Return the given kT, or otherwise that of the surface.

        Parameters
        ----------
        kT : float, optional
            kT in the unit of F.

        Returns
        -------
        float
            kT.

        Raises
        ------
        InputError
            If neither is known, or the given one is not above zero.
        """
        if kT is not None:
            return check_positive("kT", kT)
        if self.kT is None:
            raise InputError(
                "found a surface of unknown temperature, expected kT; give it here or with "
                "with_units(unit, temperature=…)"
            )
        return self.kT

    def _landscape(self) -> Landscape:
        from cyfes.landscape.basins import Landscape

        return Landscape.of(self.values, self.grid)

    def plot(self, **options: Any) -> Figure:
        """Draw the surface with matplotlib; see `cyfes.plot` for the options.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; its ``savefig`` writes it.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed: ``pip install cyfes[plot]``.
        """
        from cyfes.plotting import plot

        return plot(self, **options)

    def to_xarray(self) -> DataArray:
        """Return the surface as an xarray.DataArray, without a copy of its values.

        Returns
        -------
        xarray.DataArray
            Named "F"; the dimensions are the CVs, units and grid are attributes.

        Raises
        ------
        MissingDependencyError
            If xarray is not installed: ``pip install cyfes[xarray]``.
        """
        from cyfes.io.netcdf_files import data_array

        return data_array(self)

    def save(self, path: str | os.PathLike[str], fmt: str = "%14.9f") -> None:
        """Write the surface in the format that the file's suffix names; an older file is kept.

        ======================  ==================================================================
        ``.cube``, ``.cub``     Gaussian's, for molecular viewers: three CVs, no gradient; lengths
                                are taken to be in Å unless `cv_units` says nm or bohr
        ``.vtk``                VTK's structured points, for ParaView: one to three CVs, no gradient
        ``.npz``                NumPy's, with all that the surface holds
        ``.nc``                 NetCDF, likewise; needs ``pip install cyfes[netcdf]``
        any other               PLUMED's grid file, as ``plumed sum_hills`` writes it: the CVs,
                                ``file.free`` and, with a gradient, ``der_`` of each CV; the first
                                CV runs fastest
        ======================  ==================================================================

        Parameters
        ----------
        path : path-like
            The file; it is gzipped if its name goes on with ``.gz``, as ``fes.dat.gz`` and
            ``fes.cube.gz`` do, but for ``.npz`` and ``.nc``; ``-`` is the standard output. A file
            of that name is renamed to ``bck.0.NAME``, ``bck.1.NAME`` and so on, and is never lost
            to an attempt that fails.
        fmt : str
            The C format of every number in PLUMED's file.

        Raises
        ------
        InputError
            If `fmt` is not one floating-point conversion, the format cannot hold the surface or be
            compressed so, or there are too many backups.
        MissingDependencyError
            If a package that the format needs is not installed.
        OSError
            If the file cannot be written.
        """
        # Imported here, because a sum whose surface is not saved needs no format.
        from cyfes.io.surface_files import write_surface

        write_surface(self, path, fmt)


def load(
    path: str | os.PathLike[str],
    *,
    unit: str | None = None,
    kT: float | None = None,
    temperature: float | None = None,
    frame: int | None = None,
) -> FreeEnergySurface:
    """Read a surface from a file that `FreeEnergySurface.save`, or PLUMED, has written.

    Parameters
    ----------
    path : path-like
        The file. Its suffix names the format: ``.cube`` or ``.cub``, ``.vtk``, ``.npz``, ``.nc``,
        and ``.pmf`` of Colvars; any other is PLUMED's grid file, of sum_hills, METAD, DUMPGRID, VES
        and others. All but ``.npz`` and ``.nc`` may be compressed with gzip, xz or Zstandard, as in
        ``fes.dat.xz`` and ``fes.cube.gz``.
    unit : str, optional
        The unit of the values, for files that do not say: "kJ/mol", "kcal/mol", "eV" or "kT".
    kT : float, optional
        kT in that unit, likewise.
    temperature : float, optional
        The temperature in K, instead of kT.
    frame : int, optional
        Of a grid file to which PLUMED has added frame after frame, the number of the one to read: 0
        is the first, -1 the last. By default the last, with a warning if there are others.

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

    Warns
    -----
    CyfesWarning
        If the file has several frames and none is named.
    """
    # Imported here, because a sum needs no format.
    from cyfes.io.surface_files import read_surface

    return _loaded(read_surface(path, frame), path, unit, kT, temperature)


def load_series(
    path: str | os.PathLike[str],
    *,
    unit: str | None = None,
    kT: float | None = None,
    temperature: float | None = None,
) -> list[FreeEnergySurface]:
    """Read all frames of a grid file to which PLUMED has added one at every stride.

    Parameters
    ----------
    path, unit, kT, temperature
        As for `load`. Files that ``sum_hills --stride`` wrote may be joined to one.

    Returns
    -------
    list of FreeEnergySurface
        The frames, in the order of the file.

    Raises
    ------
    InputError, MissingDependencyError, OSError
        As for `load`.
    """
    from cyfes.io.surface_files import read_surfaces

    return [_loaded(data, path, unit, kT, temperature) for data in read_surfaces(path)]


def _loaded(
    data: SurfaceData,
    path: str | os.PathLike[str],
    unit: str | None,
    kT: float | None,
    temperature: float | None,
) -> FreeEnergySurface:
    surface = FreeEnergySurface(**{name: getattr(data, name) for name in data.__dataclass_fields__})
    if unit is not None and surface.unit not in (None, unit):
        raise InputError(
            f"{path}: found values in {surface.unit}, expected {unit} as given; "
            "leave the unit out, and convert with to(unit)"
        )
    return surface.with_units(unit, kT=kT, temperature=temperature)
