"""Plain NumPy sums, written for reading rather than speed, to hold the compiled ones against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.grid import Grid
    from cyfes.hills import Hills

    Floats = NDArray[np.float64]

# The stretched Gaussian h (A exp(-d) + B) is h in the centre and 0 at the cut-off d = 6.25.
CUTOFF = 6.25
STRETCH_A = 1.0 / (1.0 - np.exp(-CUTOFF))
STRETCH_B = -1.0 / np.expm1(CUTOFF)

# kcal/mol; CyFES 4.5 knows no other temperature.
PATH_FES_KT = 0.596128107


def differences(points: Floats, centers: Floats, periods: Floats) -> Floats:
    """Return points minus centres by the nearest image, shape (M, N, D)."""
    difference = points[:, None, :] - centers[None, :, :]
    for axis, period in enumerate(periods):
        if period > 0.0:
            difference[..., axis] -= period * np.round(difference[..., axis] / period)
    return difference


def bias(points: Floats, hills: Hills, within: NDArray[np.bool_] | None = None) -> Any:
    """Return the sum of the hills at M points and its gradient, shapes (M,) and (D, M).

    `within`, of shape (M, N), says which hills count at which points; by default all do.
    """
    scaled = differences(points, hills.centers, hills.periods) / hills.sigmas
    exponent = 0.5 * (scaled**2).sum(axis=2)
    exponential = hills.heights * np.exp(-exponent)
    if hills.kernel == "stretched-gaussian":
        inside = exponent < CUTOFF
        value = np.where(inside, STRETCH_A * exponential + STRETCH_B * hills.heights, 0.0)
        slope = np.where(inside, -STRETCH_A * exponential, 0.0)
    else:
        value, slope = exponential, -exponential
    if within is not None:
        value, slope = np.where(within, value, 0.0), np.where(within, slope, 0.0)
    return value.sum(axis=1), np.einsum("mn,mnd->dm", slope, scaled / hills.sigmas)


def box(grid: Grid, hills: Hills) -> NDArray[np.bool_]:
    """Return which points, of shape (M, N), PLUMED takes a hill to on a grid.

    Those are the points within ceil(support / spacing) bins of the grid point at or below the
    hill's centre; for the stretched kernel nothing but zeros lies outside.
    """
    inside = np.ones((grid.size, len(hills)), dtype=bool)
    indices = np.stack([i.ravel() for i in np.indices(grid.shape)], axis=-1)
    for axis, step in enumerate(grid.spacing):
        center = np.floor((hills.centers[:, axis] - grid.lower[axis]) / step)
        reach = np.ceil(np.sqrt(2.0 * CUTOFF) * hills.sigmas[:, axis] / step)
        offset = indices[:, axis, None] - center[None, :]
        if grid.periodic[axis]:
            half = grid.bins[axis] / 2.0
            offset = (offset + half) % grid.bins[axis] - half
        inside &= np.abs(offset) <= reach
    return inside


def free_energy(grid: Grid, hills: Hills) -> Any:
    """Return F = -Σ hills on a grid as PLUMED sums it, and dF/dCV: shapes (…) and (D, …)."""
    within = box(grid, hills) if hills.kernel == "gaussian" else None
    value, gradient = bias(grid.points(), hills, within)
    return -value.reshape(grid.shape), -gradient.reshape(grid.ndim, *grid.shape)


def multivariate_free_energy(grid: Grid, hills: Hills) -> Any:
    """Return F = -Σ multivariate hills as PLUMED sums it, hill by hill: only near its longest axis.

    Each hill counts within ceil(√12.5 s |v_i| / spacing_i) bins of its own, where s² is the largest
    variance and v its direction.
    """
    assert hills.cholesky is not None
    points = grid.points()
    places = np.stack([i.ravel() for i in np.indices(grid.shape)], axis=-1)
    energy = np.zeros(grid.size)
    slopes = np.zeros((grid.ndim, grid.size))
    for number, factor in enumerate(hills.cholesky):
        lower = np.zeros((grid.ndim, grid.ndim))
        lower[np.tril_indices(grid.ndim)] = factor
        variances, directions = np.linalg.eigh(lower @ lower.T)
        reach = np.sqrt(2.0 * CUTOFF * variances[-1]) * np.abs(directions[:, -1])
        center = hills.centers[number]
        apart = places - np.floor((center - grid.lower) / grid.spacing)
        way = differences(points, center[np.newaxis], hills.periods)[:, 0]
        for axis in np.flatnonzero(grid.periodic):
            apart[:, axis] = np.abs((apart[:, axis] + 0.5) % grid.bins[axis] - 0.5)
            apart[:, axis] = np.minimum(apart[:, axis], grid.bins[axis] - apart[:, axis])
        inside = (np.abs(apart) <= np.ceil(reach / grid.spacing)).all(axis=1)
        pull = way @ np.linalg.inv(lower @ lower.T)
        half = 0.5 * (way * pull).sum(axis=1)
        exponential = hills.heights[number] * np.exp(-half)
        value, slope = exponential, exponential
        if hills.kernel == "stretched-gaussian":
            inside &= half < CUTOFF
            value, slope = STRETCH_A * value + STRETCH_B * hills.heights[number], STRETCH_A * slope
        energy -= np.where(inside, value, 0.0)
        slopes += np.where(inside, slope, 0.0) * pull.T
    return energy.reshape(grid.shape), slopes.reshape(grid.ndim, *grid.shape)


def path_fes(points: Floats, centers: Floats, widths: Floats, bias_energy: Floats) -> Floats:
    """Return what CyFES 4.5 means by ``PathFES(crd, cv, bw, bias)``; without its overflow."""
    difference = points[:, None, :] - centers[None, :, :]
    exponent = bias_energy / PATH_FES_KT - 0.5 * (difference**2).sum(axis=2)
    largest = np.max(exponent)
    density = np.exp(exponent - largest).mean(axis=1)
    normalisation = np.log((2.0 * np.pi) ** 1.5 * np.prod(widths))
    energy = -PATH_FES_KT * (np.log(density) + largest - normalisation)
    shifted: Floats = energy - np.min(energy)
    return shifted
