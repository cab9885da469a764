"""The free energy that OPES has estimated: the sum of a state's kernels, each within its cut-off.

A state has few kernels, because OPES merges those that are close, and each ends at the cut-off of
the run. So each is added, on the CPU, only to the box of grid points that it reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.errors import InputError
from cyfes.model.hills import Hills
from cyfes.sums.hill_arrays import grid_periods
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Union

    from numpy.typing import NDArray

    from cyfes.model.grid import Grid
    from cyfes.model.opes_kernels import Kernels

    Floats = NDArray[np.float64]
    AxisIndex = Union[slice, NDArray[np.int64]]

# The setting that the sum is divided by, besides zed, for each action.
_NORMS = {"OPES_METAD_state": "sum_weights", "OPES_METAD_EXPLORE_state": "counter"}

# How often `progress` is called during a sum.
_REPORTS = 100


def sum_kernels(
    kernels: Kernels,
    grid: Grid,
    *,
    kT: float,
    gradient: bool = False,
    progress: Callable[[float], object] | None = None,
) -> FreeEnergySurface:
    """Return the free energy that an OPES run has estimated, on a grid.

    F(x) = -kT ln[P(x) / Z + ε] with P(x) = Σ_k h_k max(exp(-d_k) - exp(-½ c²), 0) / S and
    d_k = ½ Σ_i ((x_i - center_ki) / sigma_ki)². Along a periodic axis, the nearest image counts.
    The cut-off c, Z, ε and S, the sum of the weights, are those of the state. In
    OPES_METAD_EXPLORE, P is the broadened distribution: F is γ times as large, and S is the number
    of deposited kernels.

    Parameters
    ----------
    kernels : Kernels
        N kernels of D variables, those of a STATE file.
    grid : Grid
        A grid over the same D variables. A periodic axis must be one period long.
    kT : float
        Boltzmann's constant times the temperature. F gets the same unit.
    gradient : bool
        Whether to compute dF/dCV too.
    progress : callable, optional
        Called from time to time with the part of the sum that is done, from 0 to 1. An exception
        that it raises stops the sum.

    Returns
    -------
    FreeEnergySurface
        In the unit of kT; its minimum is not shifted.

    Raises
    ------
    InputError
        If kernels and grid do not fit together, the kernels are not those of a STATE file of
        OPES_METAD or OPES_METAD_EXPLORE, a setting is missing, or kT is not above zero.

    References
    ----------
    M. Invernizzi, M. Parrinello, J. Phys. Chem. Lett. 11, 2731 (2020); for OPES_METAD_EXPLORE
    M. Invernizzi, M. Parrinello, J. Chem. Theory Comput. 18, 3988 (2022). The cut-off is that of
    PLUMED's OPES_METAD.
    """
    check_positive("kT", kT)
    norm, factor, epsilon, edge = _terms(kernels)
    grid_periods(_as_hills(kernels), grid)
    planes = _sum(kernels, grid, edge, gradient, progress)
    planes /= norm
    density = planes[0] + epsilon
    scale = -factor * kT
    # F is infinite where no kernel reaches, unless epsilon is above zero.
    with np.errstate(divide="ignore", invalid="ignore"):
        values = scale * np.log(density)
        slopes = scale * planes[1:] / density if gradient else None
    plan = f"{len(kernels)} kernels, each in its box"
    return FreeEnergySurface(
        values, grid, kernels.names, slopes, kernels.domain, "cpu", plan, kT=float(kT)
    )


def check_state(kernels: Kernels) -> None:
    """Refuse kernels whose free energy cannot be had; see `sum_kernels`."""
    _terms(kernels)


def _terms(kernels: Kernels) -> tuple[float, float, float, float]:
    """Return the norm of the sum, the factor of kT, epsilon, and exp(-d) at the cut-off."""
    if kernels.log_weights is not None:
        raise InputError(
            "found the kernels of a KERNELS file, which does not hold their norm; expected those "
            "of a STATE file, which OPES writes with STATE_WFILE"
        )
    if kernels.action not in _NORMS:
        raise InputError(
            f"found a state of the action {kernels.action or '(not named)'}, expected "
            f"{' or '.join(_NORMS)}"
        )
    exploring = kernels.action == "OPES_METAD_EXPLORE_state"
    factor = _setting(kernels, "biasfactor") if exploring else 1.0
    norm = _setting(kernels, "zed") * _setting(kernels, _NORMS[kernels.action])
    epsilon = kernels.settings.get("epsilon", np.nan)
    if not 0.0 <= epsilon < np.inf:
        raise InputError(f"epsilon: found {epsilon:g} in the state, expected 0 or more")
    return norm, factor, epsilon, float(np.exp(-0.5 * _setting(kernels, "kernel_cutoff") ** 2))


def _setting(kernels: Kernels, name: str) -> float:
    if name not in kernels.settings:
        raise InputError(f"found a state without '#! SET {name}', expected it in the header")
    return check_positive(name, kernels.settings[name])


def _as_hills(kernels: Kernels) -> Hills:
    return Hills(
        kernels.names, kernels.centers, kernels.sigmas, kernels.heights, domain=kernels.domain
    )


class _Boxes(NamedTuple):
    """For each kernel, the grid points that it reaches along one axis."""

    #: The first point, counted from the lower end; may lie outside of a periodic domain.
    first: NDArray[np.int64]
    size: NDArray[np.int64]
    lower: float
    spacing: float
    #: The number of points along the axis.
    points: int

    @classmethod
    def of(cls, kernels: Kernels, grid: Grid, axis: int) -> _Boxes:
        lower, spacing = float(grid.lower[axis]), float(grid.spacing[axis])
        points = grid.shape[axis]
        middle = (kernels.centers[:, axis] - lower) / spacing
        reach = kernels.settings["kernel_cutoff"] * kernels.sigmas[:, axis] / spacing
        first, last = np.ceil(middle - reach), np.floor(middle + reach)
        if grid.periodic[axis]:
            # A kernel that reaches around the axis takes each point once, at its nearest image.
            around = last - first >= points
            first = np.where(around, np.ceil(middle - points / 2.0), first)
            last = np.where(around, first + points - 1, last)
        else:
            first, last = np.maximum(first, 0), np.minimum(last, points - 1)
        size = np.maximum(last - first + 1, 0)
        return cls(first.astype(np.int64), size.astype(np.int64), lower, spacing, points)

    def distances(self, kernel: int, center: float) -> Floats:
        """Return the distance of each point of a box from the centre."""
        places = self.first[kernel] + np.arange(self.size[kernel])
        distances: Floats = self.lower + self.spacing * places - center
        return distances

    def axis_index(self, kernel: int) -> AxisIndex:
        """Return the index of the points of a box on the axis."""
        first, size = int(self.first[kernel]), int(self.size[kernel])
        start = first % self.points
        if start + size <= self.points:
            return slice(start, start + size)
        return np.arange(first, first + size) % self.points


def _sum(
    kernels: Kernels,
    grid: Grid,
    edge: float,
    gradient: bool,
    progress: Callable[[float], object] | None,
) -> Floats:
    """Return the sum of the kernels and, with the gradient, the derivative along each axis."""
    planes = np.zeros((1 + grid.ndim if gradient else 1, *grid.shape))
    boxes = [_Boxes.of(kernels, grid, axis) for axis in range(grid.ndim)]
    centers, sigmas = kernels.centers.tolist(), kernels.sigmas.tolist()
    step = max(1, len(kernels) // _REPORTS)
    for k, height in enumerate(kernels.heights.tolist()):
        where = tuple(box.axis_index(k) for box in boxes)
        distances = [
            box.distances(k, center) / s for box, center, s in zip(boxes, centers[k], sigmas[k])
        ]
        _add(planes, where, _box_values(distances, sigmas[k], height, edge, gradient))
        if progress is not None and (k + 1) % step == 0:
            progress((k + 1) / len(kernels))
    return planes


def _box_values(
    distances: list[Floats], sigma: list[float], height: float, edge: float, gradient: bool
) -> list[Floats]:
    """Return a kernel in its box, and its derivatives; `distances` are in widths."""
    gaussian = np.ones([1] * len(distances))
    shapes = [
        [-1 if i == axis else 1 for i in range(len(distances))] for axis in range(len(distances))
    ]
    for distance, shape in zip(distances, shapes):
        gaussian = gaussian * np.exp(-0.5 * distance * distance).reshape(shape)
    values = [height * np.maximum(gaussian - edge, 0.0)]
    if gradient:
        kept = height * np.where(gaussian > edge, gaussian, 0.0)
        rates = [
            distance.reshape(shape) / -s for distance, shape, s in zip(distances, shapes, sigma)
        ]
        values += [kept * rate for rate in rates]
    return values


def _add(planes: Floats, where: tuple[AxisIndex, ...], values: list[Floats]) -> None:
    """Add to the box of each plane."""
    if not all(isinstance(index, slice) for index in where):
        points = planes.shape[1:]
        where = np.ix_(
            *(np.arange(n)[p] if isinstance(p, slice) else p for n, p in zip(points, where))
        )
    for plane, value in zip(planes, values):
        plane[where] += value
