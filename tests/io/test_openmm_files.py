"""The biases of OpenMM's Metadynamics, laid by its formula (_addGaussian in metadynamics.py)."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cyfes.errors import InputError
from cyfes.model.grid import Grid
from cyfes.sums.bias_files import load_bias

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LIMITS = [(-1.0, 1.2), (-1.5, 1.0)]
POINTS = [41, 26]
WIDTHS = [0.1, 0.2]


def _laid(centers: NDArray[np.float64], periodic: bool) -> NDArray[np.float64]:
    """Return the table of hills of 1 kJ/mol as OpenMM keeps it: the last variable first."""
    bias = np.zeros(tuple(reversed(POINTS)))
    for center in centers:
        axes = []
        for (low, high), points, width, value in zip(LIMITS, POINTS, WIDTHS, center):
            x = (value - low) / (high - low)
            distance = np.abs(np.linspace(0, 1.0, num=points) - x)
            if periodic:
                distance = np.minimum(distance, np.abs(distance - 1))
                distance[-1] = distance[0]
            axes.append(np.exp(-0.5 * distance**2 / (width / (high - low)) ** 2))
        bias += reduce(np.multiply.outer, reversed(axes))
    return bias


def _grid(periodic: bool) -> Grid:
    return Grid([-1.0, -1.5], [1.2, 1.0], [40, 25], periodic)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_biases_of_all_processes_give_f(periodic: bool, tmp_path: Path) -> None:
    centers = np.random.default_rng(3).uniform([-0.9, -1.4], [1.1, 0.9], (12, 2))
    np.save(tmp_path / "bias_77_3.npy", _laid(centers[:7], periodic))
    np.save(tmp_path / "bias_123_12.npy", _laid(centers[7:], periodic))
    # An older file of a process, which was not removed yet, does not count.
    np.save(tmp_path / "bias_123_9.npy", _laid(centers[7:9], periodic))
    how = {"names": ["x", "y"], "bias_factor": 6.0, "temperature": 300.0}
    fes = load_bias(tmp_path / "bias_*.npy", grid=_grid(periodic), **how)  # type: ignore[arg-type]
    x, y = (axis[:, np.newaxis] for axis in fes.grid.axes)
    kernels = []
    for axis, (low, high), width, values in zip((x, y), LIMITS, WIDTHS, centers.T):
        way = axis - values
        if periodic:
            way -= (high - low) * np.round(way / (high - low))
        kernels.append(np.exp(-0.5 * (way / width) ** 2))
    # getFreeEnergy: -(T + ΔT) / ΔT times the bias, with T + ΔT = 6 T.
    expected = -1.2 * kernels[0] @ kernels[1].T
    assert fes.names == ("x", "y")
    assert fes.values.shape == ((40, 25) if periodic else (41, 26))
    assert np.abs(fes.values - expected).max() < 1e-12
    assert fes.unit == "kJ/mol"
    assert fes.kT == pytest.approx(2.494339, abs=1e-6)


def test_biases_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bias_1_1.npy"
    np.save(path, np.zeros((26, 41)))
    with pytest.raises(InputError, match=r"bias_\*.npy of OpenMM without grid, expected it"):
        load_bias(path, bias_factor=6.0)
    with pytest.raises(InputError, match="OpenMM without bias_factor"):
        load_bias(path, grid=_grid(False))
    with pytest.raises(InputError, match=r"found an array of shape \(26, 41\), expected \(6, 4\)"):
        load_bias(path, grid=Grid(0.0, 1.0, [3, 5]), bias_factor=6.0)
    path.write_bytes(b"no array")
    with pytest.raises(InputError, match="found no array of NumPy"):
        load_bias(path, grid=_grid(False), bias_factor=6.0)
    with pytest.raises(InputError, match="found no file name"):
        load_bias()
