"""Surfaces whose minima and passes are known, for the tests of the analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.model.grid import Grid
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# K. Müller, L. D. Brown, Theor. Chim. Acta 53, 75 (1979): height, a, b, c and the position of each
# term.
_MUELLER_BROWN = (
    (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
    (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
    (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
    (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
)

#: The position and the value of its minima and saddle points, as published.
MB_MINIMA = [((-0.558, 1.442), -146.70), ((0.623, 0.028), -108.17), ((-0.050, 0.467), -80.77)]
MB_SADDLES = [((-0.822, 0.624), -40.66), ((0.212, 0.293), -72.25)]


def mueller_brown(bins: int = 100) -> FreeEnergySurface:
    """Return Müller and Brown's surface."""

    def energy(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros(np.broadcast(x, y).shape)
        for height, a, b, c, x0, y0 in _MUELLER_BROWN:
            dx, dy = x - x0, y - y0
            total += height * np.exp(a * dx * dx + b * dx * dy + c * dy * dy)
        return total

    return surface_of(energy, Grid([-1.7, -0.5], [1.2, 2.1], [bins, bins]))


def two_wells_across_the_boundary(bins: int = 60) -> FreeEnergySurface:
    """Return a periodic surface with two wells, whose lowest path crosses the boundary ±pi.

    It is cos(2 phi) + 2 cos(phi) along phi, with minima at phi = ±acos(-1/2). The saddle points are
    at psi = 1 too: a high one at phi = 0 and a low one at phi = pi.
    """
    grid = Grid(["-pi", "-pi"], ["pi", "pi"], [bins, bins], periodic=True)
    return surface_of(
        lambda phi, psi: np.cos(2.0 * phi) + 2.0 * np.cos(phi) + 3.0 - 2.0 * np.cos(psi - 1.0), grid
    )


def surface_of(
    energy: Callable[..., NDArray[np.float64]], grid: Grid, names: tuple[str, ...] | None = None
) -> FreeEnergySurface:
    """Return a function of the CVs as a surface."""
    values = energy(*np.meshgrid(*grid.axes, indexing="ij"))
    return FreeEnergySurface(values, grid, names or tuple("xyz"[: grid.ndim]))


def basins_of_depth(kT: float) -> tuple[float, FreeEnergySurface]:
    """Return a line of points, and ΔF from the basin around 1 to that around 5 at depth 1.5.

    The minima at 3 and 7, which are less deep, count as parts of the basins that they overflow
    into: the points from 0 to 3 are one basin, and those from 4 to 8 are the other.
    """
    values = np.array([5.0, 1.0, 3.0, 2.0, 6.0, 0.0, 4.0, 3.5, 9.0])
    # By the trapezoidal rule, the ends count half.
    weights = np.array([0.5] + [1.0] * 7 + [0.5]) * np.exp(-values / kT)
    expected = -kT * np.log(weights[4:].sum() / weights[:4].sum())
    return float(expected), FreeEnergySurface(values, Grid(0.0, 8.0, 8), ("x",), kT=kT)
