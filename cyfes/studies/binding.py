"""From a free-energy surface to a standard free energy of binding.

A run has one pair of molecules in the volume that they can reach. The equilibrium constant is
K_b = C° V_u P_b / P_u. Here P_b and P_u are the populations of the bound and of the unbound region,
V_u is the volume of the unbound region, and C° is the standard concentration of 1 mol/L.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.base.units import cv_conversion
from cyfes.errors import InputError
from cyfes.landscape.regions import box, log_population

if TYPE_CHECKING:
    from cyfes.surface import FreeEnergySurface

# Exact since 2019.
_AVOGADRO = 6.02214076e23


def standard_volume(unit: str = "nm") -> float:
    """Return the volume of one molecule at 1 mol/L: 1.66054 nm³, or 1660.54 Å³.

    Parameters
    ----------
    unit : {"nm", "Å", "pm", "bohr"}
        The unit of length, whose cube the volume is in.

    Returns
    -------
    float
        V° = 1 / (C° N_A), where C° is 1 mol/L.

    Raises
    ------
    InputError
        If the unit is unknown.

    Examples
    --------
    >>> print(f"{cyfes.standard_volume('nm'):.4f} nm³")
    1.6605 nm³
    """
    # A litre is 1e24 nm³.
    return 1e24 / _AVOGADRO * cv_conversion("unit", "nm", unit) ** 3


def standard_state_correction(volume: float, kT: float, *, unit: str = "nm") -> float:
    """Return the correction to a standard free energy of binding: -kT ln(V_u / V°).

    ΔG° = ΔG + correction, where ΔG = F_bound - F_unbound is a difference between two regions of a
    surface, as `cyfes.FreeEnergySurface.difference` returns it, and V_u is the volume in which the
    ligand counts as unbound.

    Parameters
    ----------
    volume : float
        V_u, in the cube of the unit of length.
    kT : float
        kT, in the unit that the correction is to have.
    unit : {"nm", "Å", "pm", "bohr"}
        The unit of length.

    Returns
    -------
    float
        The correction, in the unit of kT. Add it to ΔG.

    Raises
    ------
    InputError
        If a number is not above zero, or the unit is unknown.

    References
    ----------
    M. K. Gilson, J. A. Given, B. L. Bush, J. A. McCammon, Biophys. J. 72, 1047 (1997).
    S. Doudou, N. A. Burton, R. H. Henchman, J. Chem. Theory Comput. 5, 909 (2009).
    """
    check_positive("volume", volume)
    check_positive("kT", kT)
    return -kT * math.log(volume / standard_volume(unit))


def funnel_binding_energy(
    profile: FreeEnergySurface,
    bound: tuple[float, float],
    unbound: tuple[float, float],
    radius: float,
    *,
    kT: float | None = None,
    unit: str | None = None,
) -> float:
    """Return the standard free energy of binding of a funnel metadynamics run.

    ΔG° = -kT ln[C° π R² ∫_bound exp(-(F(z) - F_u) / kT) dz]. Here z is the place along the axis of
    the funnel, R is the radius of its cylinder, and F_u is the free energy of the unbound state:
    exp(-F_u / kT) is the mean of exp(-F / kT) over the unbound range, where F should be flat.

    Parameters
    ----------
    profile : FreeEnergySurface
        F along the axis of the funnel alone: integrate other variables out first.
    bound, unbound : (float, float)
        The ranges of z where the ligand is bound, and where it is unbound within the cylinder; see
        `cyfes.box`.
    radius : float
        The radius of the cylinder, in the unit of z.
    kT : float, optional
        kT in the unit of F. By default, it is that of the surface.
    unit : {"nm", "Å", "pm", "bohr"}, optional
        The unit of z and of the radius. By default, it is that of the surface.

    Returns
    -------
    float
        ΔG°, in the unit of F.

    Raises
    ------
    InputError
        If the surface has more than one CV, the unit or kT is not known, a range is empty, or the
        ranges share a point.

    References
    ----------
    V. Limongelli, M. Bonomi, M. Parrinello, Proc. Natl. Acad. Sci. USA 110, 6358 (2013).
    """
    if profile.ndim != 1:
        raise InputError(
            f"found a surface over {', '.join(profile.names)}, expected one over the axis of the "
            "funnel alone; integrate_out(…) removes the others"
        )
    known = unit or (profile.cv_units[0] if profile.cv_units else "")
    if not known:
        raise InputError(
            f'found no unit of {profile.names[0]}, expected one: give unit="nm" or with_units('
            "cv_units=…)"
        )
    energy = profile.known_kT(kT)
    check_positive("radius", radius)
    regions = [box(profile.grid, [ends]) for ends in (bound, unbound)]
    if (regions[0] & regions[1]).any():
        raise InputError(f"found the ranges {bound} and {unbound}, expected separate ones")
    density = np.asarray(profile.values, dtype=np.float64) / -energy
    populations = [log_population(density, profile.grid, region) for region in regions]
    length = math.exp(log_population(np.zeros(profile.grid.shape), profile.grid, regions[1]))
    difference = energy * (populations[1] - populations[0])
    volume = math.pi * radius**2 * length
    return difference + standard_state_correction(volume, energy, unit=known)
