"""Sums in plain NumPy, with which tests compare the compiled ones; clear rather than fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hills

    Floats = NDArray[np.float64]

# The stretched Gaussian h (A exp(-d) + B) is h in the centre and 0 at the cut-off d = 6.25.
CUTOFF = 6.25
STRETCH_A = 1.0 / (1.0 - np.exp(-CUTOFF))
STRETCH_B = -1.0 / np.expm1(CUTOFF)

# In kcal/mol. CyFES 4.5 has this fixed value.
PATH_FES_KT = 0.596128107


def differences(points: Floats, centers: Floats, periods: Floats) -> Floats:
    """Return points minus centres, to the nearest periodic image: shape (M, N, D)."""
    difference = points[:, None, :] - centers[None, :, :]
    for axis, period in enumerate(periods):
        if period > 0.0:
            difference[..., axis] -= period * np.round(difference[..., axis] / period)
    return difference


def bias(points: Floats, hills: Hills, within: NDArray[np.bool_] | None = None) -> Any:
    """Return the sum of the hills at M points and its gradient, shapes (M,) and (D, M).

    `within`, of shape (M, N), says which hills are added at which points; by default all are.
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
    """Return at which grid points PLUMED adds each hill: shape (M, N).

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


def times_counted(grid: Grid, center: Floats, reach: Floats) -> Floats:
    """Return how often PLUMED adds a hill at each grid point, shape (size,).

    PLUMED visits ceil(reach / spacing) bins on both sides of the bin of the hill. On a periodic
    axis this may visit a grid point more than once.
    """
    counts = np.ones(1)
    for axis, step in enumerate(grid.spacing):
        bins = int(np.ceil(reach[axis] / step))
        own = int(np.floor((center[axis] - grid.lower[axis]) / step))
        places = np.arange(own - bins, own + bins + 1)
        if grid.periodic[axis]:
            places %= grid.bins[axis]
        places = places[(places >= 0) & (places < grid.shape[axis])]
        counts = np.outer(counts, np.bincount(places, minlength=grid.shape[axis])).ravel()
    return counts


def plumed_free_energy(grid: Grid, hills: Hills) -> Any:
    """Return F and dF/dCV as PLUMED sums them: each hill as often as PLUMED adds it."""
    values, slopes = np.zeros(grid.size), np.zeros((grid.ndim, grid.size))
    points = grid.points() if hills.interval is None else np.clip(grid.points(), *hills.interval)
    for number in range(len(hills)):
        center, height = hills.centers[number], hills.heights[number]
        covariance, reach = _covariance(hills, number)
        if hills.interval is not None and not _within(hills.interval, center, reach):
            reach = grid.upper - grid.lower + 0.5 * grid.spacing
        way = differences(points, center[np.newaxis], hills.periods)[:, 0]
        pull = way @ np.linalg.inv(covariance)
        half = 0.5 * (way * pull).sum(axis=1)
        counts = times_counted(grid, center, reach)
        value = slope = height * np.exp(-half)
        if hills.kernel == "stretched-gaussian":
            counts = np.where(half < CUTOFF, counts, 0.0)
            value, slope = STRETCH_A * value + STRETCH_B * height, STRETCH_A * slope
        values -= counts * value
        slopes += counts * slope * pull.T
    if hills.interval is not None:
        low, high = hills.interval
        slopes[:, (points[:, 0] <= low) | (points[:, 0] >= high)] = 0.0
    return values.reshape(grid.shape), slopes.reshape(grid.ndim, *grid.shape)


def _within(interval: tuple[float, float], center: Floats, reach: Floats) -> bool:
    low, high = interval
    return bool(center[0] - reach[0] >= low and center[0] + reach[0] <= high)


def _covariance(hills: Hills, number: int) -> tuple[Floats, Floats]:
    """Return the covariance of a hill, and its extent along each axis in PLUMED.

    The extent is √12.5 s |v_i| for a multivariate hill, where s² is the largest variance and v_i
    the last component of the direction of the i-th variance.
    """
    if hills.cholesky is None:
        return np.diag(hills.sigmas[number] ** 2), np.sqrt(2.0 * CUTOFF) * hills.sigmas[number]
    lower = np.zeros((hills.ndim, hills.ndim))
    lower[np.tril_indices(hills.ndim)] = hills.cholesky[number]
    covariance = lower @ lower.T
    variances, directions = np.linalg.eigh(covariance)
    return covariance, np.sqrt(2.0 * CUTOFF * variances[-1]) * np.abs(directions[-1, :])


def path_fes(points: Floats, centers: Floats, widths: Floats, bias_energy: Floats) -> Floats:
    """Return what ``PathFES(crd, cv, bw, bias)`` of CyFES 4.5 computes, but without overflow."""
    difference = points[:, None, :] - centers[None, :, :]
    exponent = bias_energy / PATH_FES_KT - 0.5 * (difference**2).sum(axis=2)
    largest = np.max(exponent)
    density = np.exp(exponent - largest).mean(axis=1)
    normalisation = np.log((2.0 * np.pi) ** 1.5 * np.prod(widths))
    energy = -PATH_FES_KT * (np.log(density) + largest - normalisation)
    shifted: Floats = energy - np.min(energy)
    return shifted
