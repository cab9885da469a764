"""The plain data of a free-energy surface, and the check that they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyfes.base.numbers import check_positive
from cyfes.base.units import check_energy_unit
from cyfes.errors import InputError
from cyfes.model.domains import end_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cyfes.model.domains import Domain
    from cyfes.model.grid import Grid


@dataclass(frozen=True, eq=False, repr=False)
class SurfaceData:
    """A free energy F, and where known its gradient, on a regular grid over D CVs.

    This is what formats and pictures take; `cyfes.FreeEnergySurface` has the same data, and methods
    to analyse, draw and write it.

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

    values: NDArray[np.floating[Any]]
    grid: Grid
    names: tuple[str, ...]
    gradient: NDArray[np.floating[Any]] | None = None
    domain: tuple[Domain, ...] | None = None
    device: str = "cpu"
    plan: str = ""
    unit: str | None = None
    kT: float | None = None
    cv_units: tuple[str, ...] | None = None
    error: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        """Check the shapes against the grid."""
        shape = self.grid.shape
        if self.values.shape != shape:
            raise InputError(f"values: found shape {self.values.shape}, expected {shape}")
        if self.gradient is not None and self.gradient.shape != (self.grid.ndim, *shape):
            expected = (self.grid.ndim, *shape)
            raise InputError(f"gradient: found shape {self.gradient.shape}, expected {expected}")
        if self.error is not None and self.error.shape != shape:
            raise InputError(f"error: found shape {self.error.shape}, expected {shape}")
        lists = {"names": self.names, "domain": self.domain, "cv_units": self.cv_units}
        for what, entries in lists.items():
            if entries is not None and len(entries) != self.grid.ndim:
                raise InputError(f"{what}: found {len(entries)}, expected {self.grid.ndim}")
        if self.unit is not None:
            check_energy_unit(self.unit)
        if self.kT is not None:
            check_positive("kT", self.kT)

    def bounds(self) -> list[tuple[str, str]]:
        """Return the literals of each axis's ends: the domain's where they stand for the ends."""
        domains = self.domain or (None,) * self.grid.ndim
        return [
            domain if domain and end_values(domain) == end_values(own) else own
            for own, domain in zip(self.grid.bounds, domains)
        ]

    def known_cv_units(self) -> list[str | None]:
        """Return the unit of each CV: as given, or rad where the ends are multiples of pi."""
        given = self.cv_units or ("",) * self.grid.ndim
        return [
            unit or ("rad" if "pi" in (low + high).lower() else None)
            for unit, (low, high) in zip(given, self.bounds())
        ]
