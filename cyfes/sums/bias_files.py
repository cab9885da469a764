"""Free energies from the biases that other programs keep on a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import InputError
from cyfes.io import colvars_files, openmm_files
from cyfes.io.paths import expanded, flattened
from cyfes.surface import FreeEnergySurface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyfes.base.choices import EnergyUnit
    from cyfes.io.paths import AnyPath
    from cyfes.model.grid import Grid
    from cyfes.model.surface_data import SurfaceData


def load_bias(
    *paths: AnyPath | Sequence[AnyPath],
    grid: Grid | None = None,
    names: Sequence[str] | None = None,
    periodic: bool | Sequence[bool] = False,
    bias_factor: float | None = None,
    temperature: float | None = None,
    unit: EnergyUnit | None = None,
) -> FreeEnergySurface:
    """Return the free energy of a metadynamics run of OpenMM or Colvars, from its bias on a grid.

    F = -V γ / (γ - 1), or -V without tempering.

    Parameters
    ----------
    *paths : path-like, or sequence of them
        The files ``bias_*.npy`` of OpenMM: the bias is the sum of the newest file of each process.
        Or the state file of a run of Colvars.
    grid : Grid, optional
        For OpenMM: from minValue to maxValue of each variable, with gridWidth - 1 bins.
    names : sequence of D str, optional
        The names of the variables. By default, they are "cv0", "cv1" and so on.
    periodic : bool, or sequence of D bool
        For Colvars: whether each variable is periodic. The state file does not say it.
    bias_factor : float, optional
        The bias factor γ of a well-tempered run. In OpenMM, it is biasFactor, which every run has.
        In Colvars, it is (temperature + biasTemperature) / temperature.
    temperature : float, optional
        The temperature in K, for kT.
    unit : str, optional
        The unit of Colvars's energies; OpenMM's are in kJ/mol.

    Returns
    -------
    FreeEnergySurface
        F; its minimum is not shifted.

    Raises
    ------
    InputError
        If no file is named, a file is damaged or does not fit the grid, or an argument is missing.
    OSError
        If a file cannot be read.
    """
    files = expanded(flattened(paths))
    if not files:
        raise InputError("found no file name, expected bias_*.npy of OpenMM, or Colvars's state")
    if bias_factor is not None and not bias_factor > 1.0:
        raise InputError(f"bias_factor: found {bias_factor:g}, expected a number above 1")
    scale = -1.0 if bias_factor is None else -bias_factor / (bias_factor - 1.0)
    if all(file.suffix == ".npy" for file in files):
        if grid is None or bias_factor is None:
            missing = "grid" if grid is None else "bias_factor"
            raise InputError(f"found bias_*.npy of OpenMM without {missing}, expected it with them")
        newest = openmm_files.newest(files)
        bias = np.sum([openmm_files.read_bias(file, grid) for file in newest], axis=0)
        named = tuple(names or (f"cv{k}" for k in range(grid.ndim)))
        surface = FreeEnergySurface(scale * bias, grid, named, device="unknown")
        return surface.with_units("kJ/mol", temperature=temperature)
    if len(files) > 1 or grid is not None:
        raise InputError(
            f"found {len(files)} files{' and a grid' if grid else ''}, expected one state file of "
            "Colvars, which has its grid, or bias_*.npy of OpenMM"
        )
    flags = [periodic] if isinstance(periodic, bool) else list(periodic)
    data: SurfaceData = colvars_files.read_bias(files[0], names, flags)
    surface = FreeEnergySurface(scale * data.values, data.grid, data.names, device="unknown")
    return surface.with_units(unit, temperature=temperature)
