"""The offset of a growing metadynamics bias, by which early samples get their right weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.sums import hills_on_grid

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

    from cyfes.base.choices import DeviceName
    from cyfes.model.hills import Hills

    Floats = NDArray[np.float64]

METHODS = ("ct", "balanced")

# The number of values over a run; the offset changes slowly, so more are not needed.
_VALUES = 500


class BiasOffset(NamedTuple):
    """The offset after some of the hills.

    Attributes
    ----------
    times : ndarray of float64, shape (K,)
        For each value, the time of the last hill that it contains.
    values : ndarray of float64, shape (K,)
        The offset, in the unit of the heights.
    """

    times: Floats
    values: Floats

    def at(self, times: ArrayLike) -> Floats:
        """Return the offset at N times. It is 0 before the first hill.

        A hill counts only after its own time. METAD also computes the bias of a step before it adds
        the hill of this step.
        """
        known = np.concatenate([[0.0], self.values])
        return np.asarray(known[np.searchsorted(self.times, times, side="left")])


def bias_offset(
    hills: Hills,
    kT: float,
    *,
    method: Literal["ct", "balanced"] = "ct",
    grid: Grid | None = None,
    stride: int | None = None,
    device: DeviceName = "auto",
) -> BiasOffset:
    """Return the offset by which the bias of a metadynamics run has grown, over time.

    The weight of a sample at time t is exp((V(s, t) - offset(t)) / kT); see `cyfes.reweight`.

    Parameters
    ----------
    hills : Hills
        The hills in the order of time, with their times.
    kT : float
        kT, in the unit of the heights.
    method : {"ct", "balanced"}
        "ct": c(t) = kT ln[∫ exp(γ V / ((γ - 1) kT)) ds / ∫ exp(V / ((γ - 1) kT)) ds], of Tiwary and
        Parrinello, which METAD computes with CALC_RCT (component ``rct``; ``rbias`` is V - c(t)).
        Without tempering (biasf -1 or 1 in the file), γ is infinite. "balanced": the mean of V over
        the grid, the balanced exponential of Schäfer and Settanni.
    grid : Grid, optional
        The points over which V is integrated. METAD uses its own grid (GRID_MIN, GRID_MAX,
        GRID_BIN). The default is the grid that ``plumed sum_hills`` would choose for all hills. The
        offset depends on where the grid ends.
    stride : int, optional
        The number of hills between two values. The default is a 500th of all hills.
    device : str
        As for `cyfes.sum_hills`.

    Returns
    -------
    BiasOffset
        The offset after every `stride` hills and after the last.

    Raises
    ------
    InputError
        If the hills have no times or their times fall, if their bias factors are not all the same,
        or if an argument cannot be used.
    DeviceError, LibraryError
        As `cyfes.sum_hills` does.

    References
    ----------
    P. Tiwary, M. Parrinello, J. Phys. Chem. B 119, 736 (2015).
    T. M. Schäfer, G. Settanni, J. Chem. Theory Comput. 16, 2042 (2020).
    """
    if method not in METHODS:
        raise InputError(f'method is {method!r}, expected "ct" or "balanced"')
    check_positive("kT", kT)
    hills.check_on_host("bias_offset")
    if hills.times is None:
        raise InputError("hills: found no times, expected the column time")
    if (np.diff(hills.times) < 0.0).any():
        raise InputError('hills: found times that decrease; read the files with merge="time"')
    factor = _bias_factor(hills)
    grid = grid or Grid.covering(hills)
    step = stride or max(1, len(hills) // _VALUES)
    bias = np.zeros(grid.shape)
    times, values = [], []
    for start in range(0, len(hills), step):
        part = hills[start : start + step]
        # The heights of a file are those of -F; this factor makes them those of V.
        bias -= (1.0 - 1.0 / factor) * hills_on_grid.sum_hills(part, grid, device).values
        assert part.times is not None  # noqa: S101  checked above
        times.append(part.times[-1])
        values.append(_offset(bias, kT, factor, method))
    return BiasOffset(np.array(times), np.array(values))


def _bias_factor(hills: Hills) -> float:
    """Return γ, or infinity without tempering, where PLUMED writes 1 or -1."""
    factors = np.unique(hills.bias_factors)
    if len(factors) > 1:
        found = ", ".join(f"{factor:g}" for factor in factors[:5])
        raise InputError(f"hills: found the bias factors {found}, expected one for all")
    return float(factors[0]) if factors[0] > 1.0 else np.inf


def _offset(bias: Floats, kT: float, factor: float, method: str) -> float:
    if method == "balanced":
        return float(bias.mean())
    flattened = bias / (kT * (factor - 1.0))
    return kT * (_log_sum(flattened + bias / kT) - _log_sum(flattened))


def _log_sum(exponents: Floats) -> float:
    largest = exponents.max()
    return float(largest + np.log(np.exp(exponents - largest).sum()))
