"""Free-energy surfaces of metadynamics runs, on the CPU and on CUDA GPUs.

Importing this package loads no compiled code and calls no CUDA function; the first sum does. Each
name is imported from its module when it is first used, because the command line needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from cyfes._version import __version__

if TYPE_CHECKING:
    from cyfes.cyfes45.files import read_out, save_cube, save_dat, save_fes
    from cyfes.cyfes45.path_fes import (
        DevicePathFES,
        DevicePathFES_f32,
        FastBias,
        FastBias_f32,
        FastPathFES,
        FastPathFES_f32,
        PathFES,
        PathFES_f32,
        StreamPathFES,
        StreamPathFES_f32,
    )
    from cyfes.errors import (
        CyfesError,
        CyfesWarning,
        DeviceError,
        DeviceMemoryError,
        HillsFileError,
        InputError,
        LibraryError,
        MissingDependencyError,
    )
    from cyfes.io.colvar_files import iter_colvar, read_colvar
    from cyfes.io.hills_files import iter_hills, read_hills
    from cyfes.io.opes_files import read_kernels, read_states
    from cyfes.landscape.basins import Basins, Minimum
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.landscape.projection import cut
    from cyfes.landscape.regions import box
    from cyfes.model.colvar import Colvar
    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hill, Hills
    from cyfes.model.opes_kernels import Kernels
    from cyfes.native.device_choice import Device, devices
    from cyfes.plotting.frames import plot_frames, save_movie
    from cyfes.plotting.series import plot_path, plot_series
    from cyfes.plotting.surfaces import plot, plot_difference
    from cyfes.studies.bias_offset import BiasOffset, bias_offset
    from cyfes.studies.binding import (
        funnel_binding_energy,
        standard_state_correction,
        standard_volume,
    )
    from cyfes.studies.blocks import BlockedSurface, Estimate, reweight_blocks
    from cyfes.studies.convergence import Convergence, convergence
    from cyfes.studies.langevin import Run, metadynamics
    from cyfes.studies.mbar import HarmonicBias, mbar
    from cyfes.sums.bias_files import load_bias
    from cyfes.sums.dask_cluster import sum_hills_dask
    from cyfes.sums.hills_at_points import bias
    from cyfes.sums.hills_on_grid import sum_hills
    from cyfes.sums.opes_restart import state_of_kernels
    from cyfes.sums.opes_sum import sum_kernels
    from cyfes.sums.reweighting import reweight
    from cyfes.surface import FreeEnergySurface, load, load_series

# Where each public name is defined; a test compares this with the imports above and __all__.
_MODULES = {
    "Basins": "cyfes.landscape.basins",
    "BiasOffset": "cyfes.studies.bias_offset",
    "BlockedSurface": "cyfes.studies.blocks",
    "Colvar": "cyfes.model.colvar",
    "Convergence": "cyfes.studies.convergence",
    "CyfesError": "cyfes.errors",
    "CyfesWarning": "cyfes.errors",
    "Device": "cyfes.native.device_choice",
    "DeviceError": "cyfes.errors",
    "DeviceMemoryError": "cyfes.errors",
    "DevicePathFES": "cyfes.cyfes45.path_fes",
    "DevicePathFES_f32": "cyfes.cyfes45.path_fes",
    "EnergyPath": "cyfes.landscape.minimum_path",
    "Estimate": "cyfes.studies.blocks",
    "FastBias": "cyfes.cyfes45.path_fes",
    "FastBias_f32": "cyfes.cyfes45.path_fes",
    "FastPathFES": "cyfes.cyfes45.path_fes",
    "FastPathFES_f32": "cyfes.cyfes45.path_fes",
    "FreeEnergySurface": "cyfes.surface",
    "Grid": "cyfes.model.grid",
    "HarmonicBias": "cyfes.studies.mbar",
    "Hill": "cyfes.model.hills",
    "Hills": "cyfes.model.hills",
    "HillsFileError": "cyfes.errors",
    "InputError": "cyfes.errors",
    "Kernels": "cyfes.model.opes_kernels",
    "LibraryError": "cyfes.errors",
    "Minimum": "cyfes.landscape.basins",
    "MissingDependencyError": "cyfes.errors",
    "PathFES": "cyfes.cyfes45.path_fes",
    "PathFES_f32": "cyfes.cyfes45.path_fes",
    "Run": "cyfes.studies.langevin",
    "StreamPathFES": "cyfes.cyfes45.path_fes",
    "StreamPathFES_f32": "cyfes.cyfes45.path_fes",
    "bias": "cyfes.sums.hills_at_points",
    "bias_offset": "cyfes.studies.bias_offset",
    "box": "cyfes.landscape.regions",
    "convergence": "cyfes.studies.convergence",
    "cut": "cyfes.landscape.projection",
    "devices": "cyfes.native.device_choice",
    "funnel_binding_energy": "cyfes.studies.binding",
    "iter_colvar": "cyfes.io.colvar_files",
    "iter_hills": "cyfes.io.hills_files",
    "load": "cyfes.surface",
    "load_bias": "cyfes.sums.bias_files",
    "load_series": "cyfes.surface",
    "mbar": "cyfes.studies.mbar",
    "metadynamics": "cyfes.studies.langevin",
    "plot": "cyfes.plotting.surfaces",
    "plot_difference": "cyfes.plotting.surfaces",
    "plot_frames": "cyfes.plotting.frames",
    "plot_path": "cyfes.plotting.series",
    "plot_series": "cyfes.plotting.series",
    "read_colvar": "cyfes.io.colvar_files",
    "read_hills": "cyfes.io.hills_files",
    "read_kernels": "cyfes.io.opes_files",
    "read_out": "cyfes.cyfes45.files",
    "read_states": "cyfes.io.opes_files",
    "reweight": "cyfes.sums.reweighting",
    "reweight_blocks": "cyfes.studies.blocks",
    "save_cube": "cyfes.cyfes45.files",
    "save_dat": "cyfes.cyfes45.files",
    "save_fes": "cyfes.cyfes45.files",
    "save_movie": "cyfes.plotting.frames",
    "standard_state_correction": "cyfes.studies.binding",
    "standard_volume": "cyfes.studies.binding",
    "state_of_kernels": "cyfes.sums.opes_restart",
    "sum_hills": "cyfes.sums.hills_on_grid",
    "sum_hills_dask": "cyfes.sums.dask_cluster",
    "sum_kernels": "cyfes.sums.opes_sum",
}

__all__ = [
    "Basins",
    "BiasOffset",
    "BlockedSurface",
    "Colvar",
    "Convergence",
    "CyfesError",
    "CyfesWarning",
    "Device",
    "DeviceError",
    "DeviceMemoryError",
    "DevicePathFES",
    "DevicePathFES_f32",
    "EnergyPath",
    "Estimate",
    "FastBias",
    "FastBias_f32",
    "FastPathFES",
    "FastPathFES_f32",
    "FreeEnergySurface",
    "Grid",
    "HarmonicBias",
    "Hill",
    "Hills",
    "HillsFileError",
    "InputError",
    "Kernels",
    "LibraryError",
    "Minimum",
    "MissingDependencyError",
    "PathFES",
    "PathFES_f32",
    "Run",
    "StreamPathFES",
    "StreamPathFES_f32",
    "__version__",
    "bias",
    "bias_offset",
    "box",
    "convergence",
    "cut",
    "devices",
    "funnel_binding_energy",
    "iter_colvar",
    "iter_hills",
    "load",
    "load_bias",
    "load_series",
    "mbar",
    "metadynamics",
    "plot",
    "plot_difference",
    "plot_frames",
    "plot_path",
    "plot_series",
    "read_colvar",
    "read_hills",
    "read_kernels",
    "read_out",
    "read_states",
    "reweight",
    "reweight_blocks",
    "save_cube",
    "save_dat",
    "save_fes",
    "save_movie",
    "standard_state_correction",
    "standard_volume",
    "state_of_kernels",
    "sum_hills",
    "sum_hills_dask",
    "sum_kernels",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of this package, when it is first used."""
    if name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value
    # Imported here, because it is seldom needed and its import takes time.
    from importlib.util import find_spec

    if not name.startswith("__") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    # Without what this file imports for itself.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
