"""A free-energy surface on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.base.units import check_energy_unit, conversion, cv_conversion, resolve_kT
from cyfes.errors import InputError
from cyfes.model.domains import scaled_ends
from cyfes.model.grid import Grid
from cyfes.model.surface_data import SurfaceData

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, DTypeLike, NDArray
    from xarray import DataArray

    from cyfes.base.choices import EnergyUnit
    from cyfes.landscape.basins import Basins, Landscape, Minimum, Place
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.landscape.regions import Region


@dataclass(frozen=True, eq=False, repr=False)
class FreeEnergySurface(SurfaceData):
    """A free energy F, and where known its gradient, on a regular grid over D CVs.

    NumPy functions use a surface like the array of its values. ``fes[i, j]`` is a value, and
    ``fes.shape`` is the shape of the values. Surfaces on the same grid can be added, subtracted
    and compared with ``==``.

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
        The standard error of each value, in the unit of F; None if it is not known.

    Raises
    ------
    InputError
        If shapes or lengths disagree.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of points along each axis."""
        return self.grid.shape

    @property
    def ndim(self) -> int:
        """The number of CVs."""
        return self.grid.ndim

    def __len__(self) -> int:
        """Return the number of points along the first axis, as of an array."""
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Yield the values along the first axis, as an array does."""
        return iter(self.values)

    def __getitem__(self, index: Any) -> Any:
        """Return values, as the array of them does."""
        return self.values[index]

    def __eq__(self, other: object) -> bool:
        """Whether another surface has the same grid, names, units, values and gradient.

        Which device computed it, and how, does not count.
        """
        if not isinstance(other, FreeEnergySurface):
            return NotImplemented
        mine, others = self.to_host(), other.to_host()
        plain = ("grid", "names", "unit", "kT", "cv_units")
        arrays = ("values", "gradient", "error")
        return all(getattr(mine, k) == getattr(others, k) for k in plain) and all(
            _same_arrays(getattr(mine, k), getattr(others, k)) for k in arrays
        )

    # What is compared by its arrays, which may change, has no hash.
    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: FreeEnergySurface | ArrayLike) -> FreeEnergySurface:
        """Return the sum with a surface on the same grid, an array of its shape, or a number."""
        return self._combined(other, 1.0)

    def __radd__(self, other: ArrayLike) -> FreeEnergySurface:
        """Return the sum; that of a list of surfaces begins with 0."""
        return self._combined(other, 1.0)

    def __sub__(self, other: FreeEnergySurface | ArrayLike) -> FreeEnergySurface:
        """Return the difference from a surface on the same grid, an array, or a number.

        Errors of two surfaces are taken to be independent.
        """
        return self._combined(other, -1.0)

    def __mul__(self, factor: float) -> FreeEnergySurface:
        """Return the surface times a number."""
        if np.ndim(factor):
            return NotImplemented
        return self._scaled(float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> FreeEnergySurface:
        """Return the surface divided by a number: the mean of two is ``(a + b) / 2``."""
        if np.ndim(divisor):
            return NotImplemented
        return self._scaled(1.0 / float(divisor))

    def __neg__(self) -> FreeEnergySurface:
        """Return the negative: the bias, where F is minus the sum of hills."""
        return self._scaled(-1.0)

    def _scaled(self, factor: float) -> FreeEnergySurface:
        """Return the surface of another F; the temperature stays what it was."""
        return replace(
            self,
            values=self.values * factor,
            gradient=None if self.gradient is None else self.gradient * factor,
            error=None if self.error is None else self.error * abs(factor),
        )

    def _combined(self, other: Any, sign: float) -> FreeEnergySurface:
        if not isinstance(other, FreeEnergySurface):
            if np.shape(other) not in ((), self.shape):
                raise InputError(
                    f"found an array of shape {np.shape(other)}, expected a number, "
                    f"{self.shape} as the surface, or a surface on its grid"
                )
            number = np.ndim(other) == 0
            added = float(other) if number else np.asarray(other)
            # The slope of an array is not known.
            gradient = self.gradient if number else None
            return replace(self, values=self.values + sign * added, gradient=gradient)
        self._check_fits(other)
        gradient = error = None
        if self.gradient is not None and other.gradient is not None:
            gradient = self.gradient + sign * other.gradient
        if self.error is not None and other.error is not None:
            error = np.hypot(self.error, other.error)
        return replace(
            self,
            values=self.values + sign * other.values,
            gradient=gradient,
            error=error,
            unit=self.unit or other.unit,
            kT=self.kT or other.kT,
            device=self.device if self.device == other.device else f"{self.device}, {other.device}",
            plan=self.plan if self.plan == other.plan else "",
        )

    def _check_fits(self, other: FreeEnergySurface) -> None:
        """Refuse a surface that this one cannot be added to."""
        if self.names != other.names:
            found = ", ".join(other.names)
            raise InputError(f"found a surface over {found}, expected {', '.join(self.names)}")
        if self.grid != other.grid:
            raise InputError(
                f"found surfaces on two grids, {_grid_text(self)} and {_grid_text(other)}; "
                "expected one: sum both on the same grid"
            )
        for what in ("unit", "kT", "cv_units"):
            mine, others = getattr(self, what), getattr(other, what)
            if None not in (mine, others) and mine != others:
                raise InputError(
                    f"found surfaces of {what} {mine} and {others}, expected the same; "
                    "to(…) converts units"
                )

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
        """Return the surface with its values in NumPy arrays, copied from a GPU if necessary.

        Returns
        -------
        FreeEnergySurface
            A surface that can be analysed, drawn and saved.
        """
        from cyfes.native.gpu_arrays import to_numpy

        slopes = None if self.gradient is None else to_numpy(self.gradient)
        error = None if self.error is None else to_numpy(self.error)
        return replace(self, values=to_numpy(self.values), gradient=slopes, error=error)

    def __repr__(self) -> str:
        """Return a line that says what is known and where it was computed."""
        points = " x ".join(map(str, self.grid.shape))
        kT = "" if self.kT is None or self.unit == "kT" else f", kT {self.kT:.6g}"
        # A file does not say which device has computed its surface.
        device = "" if self.device == "unknown" else f", computed on {self.device}"
        return (
            f"<FreeEnergySurface over {', '.join(self._names_with_units())}: {points} points, "
            f"{self._range()}{kT}{device}>"
        )

    def _names_with_units(self) -> list[str]:
        units = self.cv_units or ("",) * self.ndim
        return [f"{name} ({unit})" if unit else name for name, unit in zip(self.names, units)]

    def _repr_html_(self) -> str:
        """Return a table of what is known and a small picture, for notebooks."""
        # Imported here, because they are seldom needed.
        from base64 import b64encode
        from html import escape

        facts = {
            "CVs": ", ".join(self._names_with_units()),
            "points": " × ".join(map(str, self.grid.shape)),
            "F": self._range(),
            "kT": "not known" if self.kT is None else f"{self.kT:g}",
            "computed on": self.device,
            "plan": self.plan,
        }
        rows = (f"<tr><th>{k}</th><td>{escape(v)}</td></tr>" for k, v in facts.items() if v)
        table = f"<table><caption>FreeEnergySurface</caption>{''.join(rows)}</table>"
        picture = self._repr_png_()
        if picture is None:
            return table
        data = b64encode(picture).decode("ascii")
        return f'{table}<img alt="the surface" src="data:image/png;base64,{data}">'

    def _repr_png_(self) -> bytes | None:
        """Return a small picture; None without matplotlib, or if the values are on a GPU."""
        from cyfes.errors import MissingDependencyError
        from cyfes.native.gpu_arrays import on_device

        if on_device(self.values) or not np.isfinite(self.values).any():
            return None
        try:
            from cyfes.plotting.surfaces import png

            picture: bytes = png(self)
        except MissingDependencyError:
            return None
        return picture

    def _range(self) -> str:
        low, high = float(self.values.min()), float(self.values.max())
        return " ".join(filter(None, (f"{low:g} to {high:g}", self.unit)))

    def with_units(
        self,
        unit: EnergyUnit | None = None,
        temperature: float | None = None,
        *,
        kT: float | None = None,
        cv_units: Sequence[str] | None = None,
    ) -> FreeEnergySurface:
        """Return the surface with the names of its units; no value changes.

        Parameters
        ----------
        unit : {"kJ/mol", "kcal/mol", "eV", "kT"}, optional
            The unit of F. By default, it stays as it is.
        temperature : float, optional
            The temperature in K. It needs the unit, in which kT is computed.
        kT : float, optional
            kT in the unit of F, instead of the temperature.
        cv_units : sequence of D str, optional
            The units of the CVs. To convert them, use `to`.

        Returns
        -------
        FreeEnergySurface
            A new surface with the same values.

        Raises
        ------
        InputError
            If a unit is unknown, a number is not above zero, there is not one unit for each CV, or
            a CV is said to be in degrees although its domain ends at multiples of pi.

        Examples
        --------
        >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
        >>> fes = cyfes.sum_hills(hills, cyfes.Grid(-2, 2, 80))
        >>> fes.with_units("kJ/mol", temperature=300).kT
        2.494338785445972
        """
        unit = self.unit if unit is None else check_energy_unit(unit)  # type: ignore[assignment]
        given = 1.0 if unit == "kT" else resolve_kT(unit, kT, temperature)
        return replace(
            self,
            unit=unit,
            kT=self.kT if given is None else given,
            cv_units=self.cv_units if cv_units is None else self._named_cv_units(cv_units),
        )

    def _named_cv_units(self, units: Sequence[str]) -> tuple[str, ...]:
        units = self._checked_cv_units(units)
        for name, (low, high), unit in zip(self.names, self.bounds(), units):
            if unit in ("deg", "°") and "pi" in (low + high).lower():
                raise InputError(
                    f"{name}: found the unit {unit} for a CV from {low} to {high}, expected rad; "
                    "to(cv_units=…) converts"
                )
        return units

    def _checked_cv_units(self, units: Sequence[str]) -> tuple[str, ...]:
        if isinstance(units, str) or len(units) != self.ndim:
            raise InputError(
                f"cv_units: found {units!r}, expected {self.ndim}, one for each of "
                f"{', '.join(self.names)}"
            )
        return tuple(units)

    def to(
        self,
        unit: EnergyUnit | None = None,
        temperature: float | None = None,
        *,
        kT: float | None = None,
        cv_units: Sequence[str] | None = None,
    ) -> FreeEnergySurface:
        """Return the surface converted to another unit of energy, or other units of the CVs.

        Parameters
        ----------
        unit : {"kJ/mol", "kcal/mol", "eV", "kT"}, optional
            The unit of energy. By default, it stays as it is.
        temperature : float, optional
            The temperature in K. It is needed if the old or the new unit is "kT" and the surface
            does not know kT.
        kT : float, optional
            kT, instead of the temperature. If one of the units is "kT", it is in the other unit.
        cv_units : sequence of D str, optional
            The units of the CVs. Angles are converted between "rad" and "deg", lengths between
            "nm", "Å", "pm" and "bohr". If the unit of a CV is not known, the CV is not converted
            and only gets this unit. A CV whose domain ends at multiples of pi is in "rad".

        Returns
        -------
        FreeEnergySurface
            A new surface.

        Raises
        ------
        InputError
            If the unit of the surface is not known, a temperature is needed and not known, or two
            units cannot be converted into each other.

        Examples
        --------
        >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
        >>> fes = cyfes.sum_hills(hills, cyfes.Grid(-2, 2, 80)).with_units("kJ/mol", 300)
        >>> print(f"{fes.values.min():.4f} kJ/mol, {fes.to('kcal/mol').values.min():.4f} kcal/mol")
        -9.0000 kJ/mol, -2.1511 kcal/mol
        """
        converted = self if cv_units is None else self._in_cv_units(cv_units)
        if unit is None:
            if kT is not None or temperature is not None:
                raise InputError("found a temperature without a unit to convert to, expected both")
            return converted
        return converted._in_energy_unit(unit, kT, temperature)

    def _in_energy_unit(
        self, unit: str, kT: float | None, temperature: float | None
    ) -> FreeEnergySurface:
        if kT is None and temperature is None and unit == "kT":
            kT = self.kT
        factor = conversion(self.unit, unit, kT, temperature)
        # In units of kT, kT is 1.
        own = 1.0 if self.unit == "kT" else self.kT
        known = None if own is None else own * factor
        return replace(self._scaled(factor), unit=unit, kT=1.0 if unit == "kT" else known)

    def _in_cv_units(self, units: Sequence[str]) -> FreeEnergySurface:
        units = self._checked_cv_units(units)
        factors = [
            1.0 if known is None else cv_conversion(name, known, unit)
            for name, known, unit in zip(self.names, self.known_cv_units(), units)
        ]
        changes = list(zip(factors, units))
        ends = [scaled_ends(pair, *change) for pair, change in zip(self.bounds(), changes)]
        domain = self.domain and tuple(
            known and scaled_ends(known, *change) for known, change in zip(self.domain, changes)
        )
        slopes = self.gradient
        if slopes is not None:
            slopes = slopes / np.array(factors).reshape([-1] + [1] * self.ndim)
        lower, upper = [low for low, _ in ends], [high for _, high in ends]
        grid = Grid(lower, upper, self.grid.bins, self.grid.periodic)
        return replace(self, grid=grid, domain=domain, gradient=slopes, cv_units=units)

    def shift_to_zero(self) -> FreeEnergySurface:
        """Return the surface moved so that its minimum is 0, as ``--mintozero`` does.

        Returns
        -------
        FreeEnergySurface
            A new surface; the gradient is the same.
        """
        return replace(self, values=self.values - self.values.min())

    def minima(self, depth: float | None = None) -> tuple[Minimum, ...]:
        """Return the local minima, the lowest first.

        Parameters
        ----------
        depth : float, optional
            Only minima that are deeper than this are returned. The depth of a minimum is how far F
            must rise on the way from it to a lower minimum. The default is kT; if kT is not known,
            it is 0, which means all minima. Noise makes many of them.

        Returns
        -------
        tuple of Minimum
            Each with its position, value and depth, and whether it is at an end of the grid that
            is not periodic.

        Raises
        ------
        InputError
            If `depth` is below zero, or if F is nan at a point or finite at no point.

        Examples
        --------
        >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
        >>> for minimum in cyfes.sum_hills(hills, cyfes.Grid(-2, 2, 80)).minima():
        ...     print(minimum)
        <Minimum at (x -1): -9, depth inf>
        <Minimum at (x 1): -6, depth 5.97091>
        """
        return self.basins(depth).minima

    def basins(self, depth: float | None = None) -> Basins:
        """Return the basin of each minimum: the points from which the way down leads to it.

        Parameters
        ----------
        depth : float, optional
            As for `minima`. The basin of a minimum that is not as deep is added to the neighbouring
            basin behind its lowest pass.

        Returns
        -------
        Basins
            The minima, and for each point of the grid the number of its minimum.

        Raises
        ------
        InputError
            As for `minima`.
        """
        found = self._landscape().basins((self.kT or 0.0) if depth is None else depth)
        named = (m._replace(names=self.names, unit=self.unit) for m in found.minima)
        return replace(found, minima=tuple(named))

    def path(self, first: Place, last: Place, *, depth: float | None = None) -> EnergyPath:
        """Return the minimum-energy path between two places, and its barrier.

        The path begins as the way over the lowest passes of the grid. Then the simplified string
        method improves it on the interpolated surface. Lengths along the path are measured in
        bins: one bin counts as the same length on every axis.

        Parameters
        ----------
        first, last : Minimum, int, or array_like, shape (D,)
            The ends: minima, numbers of minima (1 is the lowest one), or points in the CVs' units.
            With one CV, a point is a float: ``1.0`` is a point, and ``1`` is a minimum.
        depth : float, optional
            How deep a minimum must be to have a number: see `minima`.

        Returns
        -------
        EnergyPath
            Its points, the values of F there, and the barriers in both directions.

        Raises
        ------
        InputError
            If an end is outside of the grid, if F is infinite there or on every way between the
            ends, or if no minimum has this number.

        Examples
        --------
        >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
        >>> path = cyfes.sum_hills(hills, cyfes.Grid(-2, 2, 80)).path(1, 2)
        >>> print(f"{path.barrier:.2f}, back {path.barrier_back:.2f}")
        8.97, back 5.97

        References
        ----------
        W. E, W. Ren, E. Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007).
        """
        from cyfes.landscape.basins import Basins, is_number
        from cyfes.landscape.minimum_path import EnergyPath, minimum_path

        if is_number(first) or is_number(last):
            basins = self.basins(depth)
        else:
            # Points need no numbers.
            basins = Basins((), np.array([]), self.grid)
        start, end = basins.point(first), basins.point(last)
        points, values = minimum_path(self.values, self.grid, start, end, self._landscape())
        return EnergyPath(points, values, self.names, self.unit)

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return F at points between those of the grid, by cubic interpolation.

        Parameters
        ----------
        points : array_like, shape (M, D), or (D,) for one point
            The points, in the CVs' units.

        Returns
        -------
        ndarray of float64, shape (M,)
            F at each point.

        Raises
        ------
        InputError
            If a point is outside of the grid.

        Examples
        --------
        >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
        >>> fes = cyfes.sum_hills(hills, cyfes.Grid(-2, 2, 80))
        >>> fes.at([[-1.0], [0.99]]).round(3)
        array([-9.   , -5.997])
        """
        from cyfes.landscape.interpolation import Interpolant, places_in_bins

        return Interpolant(self.values, self.grid)(places_in_bins(points, self.grid))

    def difference(
        self,
        first: Region,
        last: Region,
        *,
        kT: float | None = None,
        depth: float | None = None,
    ) -> float:
        """Return the free energy of the second region minus that of the first one.

        ΔF = -kT ln(∫_last exp(-F / kT) / ∫_first exp(-F / kT)).

        Parameters
        ----------
        first, last : Minimum, int, array_like, shape (D,), or ndarray of bool, shape grid.shape
            Two places as for `path`: each stands for the basin that it lies in. Or two regions: see
            `cyfes.box`.
        kT : float, optional
            kT in the unit of F. By default, it is that of the surface.
        depth : float, optional
            How deep a minimum must be to have a basin: see `minima`.

        Returns
        -------
        float
            ΔF, in the unit of F. Its error cannot be computed from a surface alone; see
            `cyfes.reweight_blocks`.

        Raises
        ------
        InputError
            If kT is not known, or the regions are the same, overlap or are empty.

        Examples
        --------
        >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0]], 0.3, [9.0, 6.0])
        >>> grid = cyfes.Grid(-2, 2, 80)
        >>> fes = cyfes.sum_hills(hills, grid).with_units("kJ/mol", temperature=300)
        >>> left, right = cyfes.box(grid, [(-2, 0)]), cyfes.box(grid, [(0, 2)])
        >>> print(f"{fes.difference(1, 2):.2f} kJ/mol, {fes.difference(left, right):.2f} kJ/mol")
        2.24 kJ/mol, 2.21 kJ/mol
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

    def integrate_out(
        self, names: str | Sequence[str], kT: float | None = None
    ) -> FreeEnergySurface:
        """Return the free energy over the other variables.

        F(a) = -kT ln Σ_b exp(-F(a, b) / kT) over the grid points b, as PLUMED's ``--idw`` does:
        without the volume of a bin.

        Parameters
        ----------
        names : str or sequence of str
            The variables to integrate out.
        kT : float, optional
            kT in the unit of F. By default, it is that of the surface.

        Returns
        -------
        FreeEnergySurface
            A surface over the remaining CVs, without a gradient and without errors.

        Raises
        ------
        InputError
            If a name is unknown, no variable is left, or kT is not known.
        """
        from cyfes.landscape.projection import projected

        given = (names,) if isinstance(names, str) else tuple(names)
        kept = [name for name in self.names if name not in given]
        if not kept or not given or not set(given) <= set(self.names):
            raise InputError(
                f"found the variables {', '.join(given) or '(none)'} to integrate out, expected "
                f"some, not all, of {', '.join(self.names)}"
            )
        return projected(self, kept, self.known_kT(kT))

    def cut(self, **at: float) -> FreeEnergySurface:
        """Return the surface over the other CVs while some are held: ``fes.cut(psi=0.5)``.

        For a CV whose name is not a valid name in Python, such as ``d.x``, use `cyfes.cut`.
        """
        from cyfes.landscape.projection import cut

        return cut(self, at)

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
        from cyfes.plotting.surfaces import plot

        return plot(self, **options)

    def to_xarray(self) -> DataArray:
        """Return the surface as an xarray.DataArray, without a copy of its values.

        Returns
        -------
        xarray.DataArray
            An array with the name "F". Its dimensions are the CVs, and its attributes have the
            units and the grid.

        Raises
        ------
        MissingDependencyError
            If xarray is not installed: ``pip install cyfes[xarray]``.
        """
        from cyfes.io.netcdf_files import data_array

        return data_array(self)

    @classmethod
    def from_xarray(cls, array: DataArray) -> FreeEnergySurface:
        """Return a surface with the values and coordinates of an xarray.DataArray.

        Parameters
        ----------
        array : xarray.DataArray
            An array that `to_xarray` has made, or any other array with evenly spaced coordinates
            along each dimension. Of such another array, no CV is periodic.

        Returns
        -------
        FreeEnergySurface
            The surface. Its values are those of the array, not a copy.

        Raises
        ------
        InputError
            If coordinates are missing or not evenly spaced, or if an attribute cannot be used.
        """
        from cyfes.io.netcdf_files import surface_of_data_array

        return _with_verbs(surface_of_data_array(array))

    def save(self, path: str | os.PathLike[str], fmt: str = "%14.9f") -> None:
        """Write the surface to a file, whose suffix chooses the format. An older file is kept.

        ======================  ==================================================================
        ``.cube``, ``.cub``     Gaussian cube file, for molecular viewers: three CVs, no gradient;
                                the lengths are in Å unless `cv_units` says nm or bohr
        ``.vtk``                VTK's structured points, for ParaView: one to three CVs, no gradient
        ``.npz``                NumPy's format, with everything that the surface has
        ``.nc``                 NetCDF, also with everything; needs ``pip install cyfes[netcdf]``
        ``.dat``, ``.txt``,     PLUMED's grid file, as ``plumed sum_hills`` writes it. The columns
        ``.grid`` or none       are the CVs, ``file.free``, the gradient (``der_`` and the CV) and
                                ``error``, the last two if they are known
        ======================  ==================================================================

        Parameters
        ----------
        path : path-like
            The file; ``-`` is the standard output. If another ``.gz`` follows the suffix, as in
            ``fes.cube.gz``, the file is compressed; this does not work for ``.npz`` and ``.nc``. If
            a file has this name already, it is renamed to ``bck.0.NAME``, ``bck.1.NAME`` and so on.
            This happens only when the new file has been written completely.
        fmt : str
            The C format of every number in PLUMED's grid file, such as ``%14.9f``.

        Raises
        ------
        InputError
            If `fmt` is not the format of one floating-point number, no format has this suffix, the
            format cannot store the surface or cannot be compressed, or there are too many backups.
        MissingDependencyError
            If a package that the format needs is not installed.
        OSError
            If the file cannot be written.
        """
        # Imported here, because a sum whose surface is not saved needs no format.
        from cyfes.io.surface_files import check_suffix, write_surface

        check_suffix(path)
        write_surface(self, path, fmt)


def _with_verbs(data: SurfaceData) -> FreeEnergySurface:
    return FreeEnergySurface(**{name: getattr(data, name) for name in data.__dataclass_fields__})


def _same_arrays(one: Any, other: Any) -> bool:
    """Whether two arrays are equal, nan being equal to nan; None is equal to None only."""
    if one is None or other is None:
        return one is other
    return bool(np.array_equal(one, other, equal_nan=True))


def _grid_text(surface: FreeEnergySurface) -> str:
    axes = zip(surface.names, surface.bounds(), surface.shape)
    return ", ".join(f"{name} {low} to {high} in {n} points" for name, (low, high), n in axes)


def load(
    path: str | os.PathLike[str],
    *,
    unit: EnergyUnit | None = None,
    temperature: float | None = None,
    kT: float | None = None,
    frame: int | None = None,
) -> FreeEnergySurface:
    """Read a surface from a file that `FreeEnergySurface.save`, or PLUMED, has written.

    Parameters
    ----------
    path : path-like
        The file. Its suffix says the format: ``.cube`` or ``.cub``, ``.vtk``, ``.npz``, ``.nc``, or
        ``.pmf`` of Colvars. A file with another suffix must be a grid file of PLUMED, written by
        sum_hills, METAD, DUMPGRID, VES or others. All files except ``.npz`` and ``.nc`` may be
        compressed with gzip, xz or Zstandard, as ``fes.dat.xz`` and ``fes.cube.gz`` are.
    unit : str, optional
        The unit of the values, if the file does not say it: "kJ/mol", "kcal/mol", "eV" or "kT".
    temperature : float, optional
        The temperature in K, if the file does not say it.
    kT : float, optional
        kT in that unit, instead of the temperature.
    frame : int, optional
        The number of the frame to read, if PLUMED has written several grids into one file: 0 is the
        first, -1 is the last. By default, the last one is read, with a warning if there are others.

    Returns
    -------
    FreeEnergySurface
        The surface. The lengths of a cube file are converted to Å. Names, periodicity and units of
        a surface that cyfes has saved are restored, except for units in PLUMED's grid file.

    Raises
    ------
    InputError
        If the file is damaged or of another kind, or has another unit than the one given.
    MissingDependencyError
        If a package that the format, or Zstandard, needs is not installed.
    OSError
        If the file cannot be read.

    Warns
    -----
    CyfesWarning
        If the file has several frames and you have not given `frame`.
    """
    # Imported here, because a sum needs no format.
    from cyfes.io.surface_files import read_surface

    return _loaded(read_surface(path, frame), path, unit, kT, temperature)


def load_series(
    path: str | os.PathLike[str],
    *,
    unit: EnergyUnit | None = None,
    temperature: float | None = None,
    kT: float | None = None,
) -> list[FreeEnergySurface]:
    """Read all frames of a grid file to which PLUMED has added a grid at every stride.

    Parameters
    ----------
    path, unit, temperature, kT
        As for `load`. You may join the files of ``sum_hills --stride`` to one file and read this.

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
    unit: EnergyUnit | None,
    kT: float | None,
    temperature: float | None,
) -> FreeEnergySurface:
    surface = _with_verbs(data)
    if unit is not None and surface.unit not in (None, unit):
        raise InputError(
            f"{path}: found values in {surface.unit}, expected {unit} as given; "
            "leave the unit out, and convert with to(unit)"
        )
    return surface.with_units(unit, kT=kT, temperature=temperature)
