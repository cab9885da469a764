"""Arrays on a CUDA device: which library and device they belong to, and arrays for results.

CuPy's and PyTorch's arrays are used where they are. Those of other libraries that offer
``__cuda_array_interface__`` or DLPack are taken over, without a copy, by whichever of the two is
installed; that library also makes the arrays of results.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import name_of
from cyfes.base.once import computed_once
from cyfes.errors import InputError, MissingDependencyError
from cyfes.native import device_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

# The number of CUDA devices in DLPack.
_DLPACK_CUDA = 2


def on_device(array: object) -> bool:
    """Whether an array lies in the memory of a CUDA device."""
    if isinstance(array, (np.ndarray, float, int, list, tuple)) or array is None:
        return False
    # Checked first, because a tensor that requires a gradient raises for __cuda_array_interface__.
    if _is_torch(array):
        return bool(array.is_cuda)  # type: ignore[attr-defined]
    if hasattr(array, "__cuda_array_interface__"):
        return True
    device = getattr(array, "__dlpack_device__", None)
    return device is not None and int(device()[0]) == _DLPACK_CUDA


def _is_torch(array: object) -> bool:
    # There is no tensor if PyTorch has not been imported.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


class ArrayLibrary:
    """The functions of CuPy or PyTorch that are needed, for one device and its current stream."""

    def __init__(self, module: Any, ordinal: int) -> None:
        self.module = module
        self.ordinal = ordinal

    @classmethod
    def of(cls, arrays: Sequence[object], device: str) -> ArrayLibrary:
        """Return the library of the first array that lies on a device.

        Parameters
        ----------
        arrays : sequence of object
            The arrays of a call; at least one lies on a device.
        device : str
            The ``device=`` argument of the call, which must allow for that device.
        """
        first = next(array for array in arrays if on_device(array))
        if _is_torch(first):
            library: ArrayLibrary = _Torch(sys.modules["torch"], first.device.index)  # type: ignore[attr-defined]
        else:
            library = _library_for(first)
        if device not in ("auto", "cuda", f"cuda:{library.ordinal}"):
            raise InputError(
                f"found arrays on cuda:{library.ordinal}, but the device {device!r}; expected "
                '"auto", or arrays of that one device; only arrays on the host are divided among '
                "several devices"
            )
        return library

    def number(self) -> int:
        """Return the device's number; refuse a device that cyfes cannot use."""
        return device_choice.choose(f"cuda:{self.ordinal}")

    def checked(self, name: str, array: Any, real: np.dtype[Any], ndim: int) -> Any:
        """Return an array on the device in C order and one precision; refuse wrong dimensions."""
        found = self.contiguous(array, real)
        if found.ndim != ndim:
            raise InputError(f"{name}: found {found.ndim} axes, expected {ndim}")
        return found

    def contiguous(self, array: Any, real: np.dtype[Any]) -> Any:
        """Return any array as a C-contiguous one of this library on this device."""
        raise NotImplementedError

    def converted(self, array: Any) -> Any:
        """Return any array as one of this library on this device; a copy only from the host."""
        raise NotImplementedError

    def checked_output(
        self, name: str, array: Any, shape: tuple[int, ...], real: np.dtype[Any]
    ) -> Any:
        """Return an array of the caller to write results to; refuse one that does not fit."""
        if not on_device(array):
            raise InputError(
                f"{name}: found a {type(array).__name__}, expected an array on cuda:{self.ordinal}"
            )
        there = self.converted(array)
        if tuple(there.shape) != shape or str(there.dtype).rpartition(".")[2] != real.name:
            raise InputError(
                f"{name}: found shape {tuple(there.shape)} of {there.dtype}, expected {shape} of "
                f"{real}"
            )
        if self.address(self.contiguous(there, real)) != self.address(there):
            raise InputError(f"{name}: found an array that is not C-contiguous, expected one")
        return there

    def check_device(self, array: Any) -> None:
        """Refuse an array of another device, which would be copied."""
        if on_device(array) and hasattr(array, "__dlpack_device__"):
            ordinal = int(array.__dlpack_device__()[1])
            if ordinal != self.ordinal:
                raise InputError(
                    f"found arrays on cuda:{self.ordinal} and cuda:{ordinal}, expected all of them "
                    "on one device"
                )

    def empty(self, shape: tuple[int, ...], real: np.dtype[Any]) -> Any:
        """Return a new array on the device."""
        raise NotImplementedError

    def address(self, array: Any) -> int:
        """Return the address of an array."""
        raise NotImplementedError

    @computed_once
    def stream(self) -> int:
        """The handle of the stream that is the current one when a call begins; 0: the default."""
        return self.current_stream()

    def current_stream(self) -> int:
        """Return the handle of the current stream."""
        raise NotImplementedError


class _CuPy(ArrayLibrary):
    def contiguous(self, array: Any, real: np.dtype[Any]) -> Any:
        there = self.converted(array)
        with self.module.cuda.Device(self.ordinal):
            return self.module.ascontiguousarray(there, dtype=real)

    def converted(self, array: Any) -> Any:
        self.check_device(array)
        with self.module.cuda.Device(self.ordinal):
            if not hasattr(array, "__cuda_array_interface__") and on_device(array):
                array = self.module.from_dlpack(array)
            return self.module.asarray(_plain(array))

    def empty(self, shape: tuple[int, ...], real: np.dtype[Any]) -> Any:
        with self.module.cuda.Device(self.ordinal):
            return self.module.empty(shape, dtype=real)

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def current_stream(self) -> int:
        with self.module.cuda.Device(self.ordinal):
            return int(self.module.cuda.get_current_stream().ptr)


class _Torch(ArrayLibrary):
    def contiguous(self, array: Any, real: np.dtype[Any]) -> Any:
        return self.converted(array).to(getattr(self.module, name_of(real))).contiguous()

    def converted(self, array: Any) -> Any:
        self.check_device(array)
        if not _is_torch(array) and on_device(array) and hasattr(array, "__dlpack__"):
            array = self.module.from_dlpack(array)
        return self.module.as_tensor(_plain(array), device=f"cuda:{self.ordinal}").detach()

    def empty(self, shape: tuple[int, ...], real: np.dtype[Any]) -> Any:
        kind = getattr(self.module, name_of(real))
        return self.module.empty(shape, dtype=kind, device=self.ordinal)

    def address(self, array: Any) -> int:
        return int(array.data_ptr())

    def current_stream(self) -> int:
        return int(self.module.cuda.current_stream(self.ordinal).cuda_stream)


def _plain(array: Any) -> Any:
    """Return lists and read-only NumPy arrays as arrays that each library accepts."""
    if on_device(array) or _is_torch(array):
        return array.detach() if _is_torch(array) else array
    return np.array(array, dtype=np.float64)


def _library_for(array: Any) -> ArrayLibrary:
    """Return the library to use for an array that is not PyTorch's."""
    for name, kind in (("cupy", _CuPy), ("torch", _Torch)):
        try:
            module = import_module(name)
        except ImportError:
            continue
        return kind(module, _ordinal(array, module, name))
    raise MissingDependencyError(
        f"found a {type(array).__name__} on a CUDA device, which needs CuPy or PyTorch; install "
        "one of them, or copy the array to the host"
    )


def _ordinal(array: Any, module: Any, name: str) -> int:
    """Return the number of the CUDA device that an array lies on."""
    if hasattr(array, "__dlpack_device__"):
        return int(array.__dlpack_device__()[1])
    if name == "cupy":
        return int(module.asarray(array).device.id)
    return int(module.as_tensor(array, device="cuda").device.index)


def to_numpy(array: Any) -> np.ndarray[Any, Any]:
    """Return an array of any library as NumPy's, copied from the device if need be."""
    if _is_torch(array):
        return np.asarray(array.detach().cpu())
    return np.asarray(array.get() if hasattr(array, "get") else array)
