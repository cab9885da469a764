"""What `_nufft` computes with on a CUDA device: CuPy's arrays, and the transforms of cufinufft.

Needs optional packages: ``pip install cyfes[nufft-cuda]``.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cyfes.base.optional_packages import need
from cyfes.errors import DeviceError, DeviceMemoryError
from cyfes.native import device_choice
from cyfes.sums.nufft import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

_WHAT = "the nufft plan on a GPU"

# What cufinufft's library is linked to but does not find by itself, and the packages that bring it.
_LIBRARIES = {"nvidia.cuda_runtime": "libcudart.so.12", "nvidia.cufft": "libcufft.so.11"}


@contextmanager
def engine(device: int) -> Iterator[Engine]:
    """Give what computes on a device, which is CuPy's current one within.

    Raises
    ------
    MissingDependencyError
        If CuPy or cufinufft is not installed, or a library that it needs.
    DeviceError
        If a transform fails; `DeviceMemoryError` if the memory of the device is too small.
    """
    cupy = need("cupy", _WHAT)
    _load_libraries()
    cufinufft = need("cufinufft", _WHAT)
    where = device_choice.name([device])
    try:
        # cufinufft works on the default stream, and its plans belong to the current device.
        with cupy.cuda.Device(device), cupy.cuda.Stream.null:
            yield Engine(cupy, cufinufft, {"gpu_device_id": device}, cupy.asnumpy)
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"{where} has too little free memory for the nufft plan: {error}; use another plan, a "
            'coarser grid, or device="cpu"'
        ) from error
    except RuntimeError as error:
        # All that cufinufft says is which of its steps failed.
        raise DeviceError(
            f"the nufft plan failed on {where}: {error}; its memory may be too small for the "
            'transform; use another plan, or device="cpu"'
        ) from error


def _load_libraries() -> None:
    """Load the libraries of CUDA that are installed as packages, so that cufinufft finds them."""
    for package, library in _LIBRARIES.items():
        for folder in _folders(package):
            path = Path(folder) / "lib" / library
            if path.is_file():
                ctypes.CDLL(str(path))
                break


def _folders(package: str) -> list[str]:
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        # Not even the package that it is a part of.
        return []
    return [] if spec is None else list(spec.submodule_search_locations or ())
