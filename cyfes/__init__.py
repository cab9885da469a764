"""Free-energy surfaces of metadynamics runs, on the CPU and on CUDA GPUs.

Importing this package loads no compiled code and calls no CUDA function; the first sum does.
"""

from cyfes._device import Device, devices
from cyfes._version import __version__
from cyfes.colvar import Colvar, iter_colvar, read_colvar
from cyfes.cube import save_cube
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
from cyfes.grid import Grid
from cyfes.hills import Hills, iter_hills, read_hills
from cyfes.path_fes import (
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
from cyfes.regions import box
from cyfes.reweighting import reweight
from cyfes.sums import bias, sum_hills
from cyfes.surface import FreeEnergySurface
from cyfes.surface_files import load
from cyfes.tables import read_out, save_dat, save_fes

__all__ = [
    "Colvar",
    "CyfesError",
    "CyfesWarning",
    "Device",
    "DeviceError",
    "DeviceMemoryError",
    "DevicePathFES",
    "DevicePathFES_f32",
    "FastBias",
    "FastBias_f32",
    "FastPathFES",
    "FastPathFES_f32",
    "FreeEnergySurface",
    "Grid",
    "Hills",
    "HillsFileError",
    "InputError",
    "LibraryError",
    "MissingDependencyError",
    "PathFES",
    "PathFES_f32",
    "StreamPathFES",
    "StreamPathFES_f32",
    "__version__",
    "bias",
    "box",
    "devices",
    "iter_colvar",
    "iter_hills",
    "load",
    "read_colvar",
    "read_hills",
    "read_out",
    "reweight",
    "save_cube",
    "save_dat",
    "save_fes",
    "sum_hills",
]
