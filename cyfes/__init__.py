"""Free-energy surfaces of metadynamics runs, on the CPU and on CUDA GPUs.

Importing this package loads no compiled code and calls no CUDA function; the first sum does. Each
name is imported from its module when it is first used: the command line needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from cyfes._version import __version__

if TYPE_CHECKING:
    from cyfes._device import Device, devices
    from cyfes.blocks import reweight_blocks
    from cyfes.colvar import iter_colvar, read_colvar
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
    from cyfes.hills import Hills
    from cyfes.io.hills_files import iter_hills, read_hills
    from cyfes.model.colvar import Colvar
    from cyfes.model.opes_kernels import Kernels
    from cyfes.offsets import BiasOffset, bias_offset
    from cyfes.opes import read_kernels, read_states
    from cyfes.opes_sum import sum_kernels
    from cyfes.over_time import convergence
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
    from cyfes.surface import FreeEnergySurface, load
    from cyfes.tables import read_out, save_dat, save_fes

# Where each public name is defined; a test compares this with the imports above and __all__.
_MODULES = {
    "BiasOffset": "cyfes.offsets",
    "Colvar": "cyfes.model.colvar",
    "CyfesError": "cyfes.errors",
    "CyfesWarning": "cyfes.errors",
    "Device": "cyfes._device",
    "DeviceError": "cyfes.errors",
    "DeviceMemoryError": "cyfes.errors",
    "DevicePathFES": "cyfes.path_fes",
    "DevicePathFES_f32": "cyfes.path_fes",
    "FastBias": "cyfes.path_fes",
    "FastBias_f32": "cyfes.path_fes",
    "FastPathFES": "cyfes.path_fes",
    "FastPathFES_f32": "cyfes.path_fes",
    "FreeEnergySurface": "cyfes.surface",
    "Grid": "cyfes.grid",
    "Hills": "cyfes.hills",
    "HillsFileError": "cyfes.errors",
    "InputError": "cyfes.errors",
    "Kernels": "cyfes.model.opes_kernels",
    "LibraryError": "cyfes.errors",
    "MissingDependencyError": "cyfes.errors",
    "PathFES": "cyfes.path_fes",
    "PathFES_f32": "cyfes.path_fes",
    "StreamPathFES": "cyfes.path_fes",
    "StreamPathFES_f32": "cyfes.path_fes",
    "bias": "cyfes.sums",
    "bias_offset": "cyfes.offsets",
    "box": "cyfes.regions",
    "convergence": "cyfes.over_time",
    "devices": "cyfes._device",
    "iter_colvar": "cyfes.colvar",
    "iter_hills": "cyfes.io.hills_files",
    "load": "cyfes.surface",
    "read_colvar": "cyfes.colvar",
    "read_hills": "cyfes.io.hills_files",
    "read_kernels": "cyfes.opes",
    "read_states": "cyfes.opes",
    "read_out": "cyfes.tables",
    "reweight": "cyfes.reweighting",
    "reweight_blocks": "cyfes.blocks",
    "save_cube": "cyfes.cube",
    "save_dat": "cyfes.tables",
    "save_fes": "cyfes.tables",
    "sum_hills": "cyfes.sums",
    "sum_kernels": "cyfes.opes_sum",
}

__all__ = [
    "BiasOffset",
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
    "Kernels",
    "LibraryError",
    "MissingDependencyError",
    "PathFES",
    "PathFES_f32",
    "StreamPathFES",
    "StreamPathFES_f32",
    "__version__",
    "bias",
    "bias_offset",
    "box",
    "convergence",
    "devices",
    "iter_colvar",
    "iter_hills",
    "load",
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
    "sum_hills",
    "sum_kernels",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of this package, when it is first used."""
    if name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value
    # Seldom needed, and it takes its time to import.
    from importlib.util import find_spec

    if not name.startswith("__") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))
