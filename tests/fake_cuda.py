"""Replaces CuPy and the CUDA calls of libcufes; host memory takes the place of device memory.

The fake calls read the memory at the addresses that they get. So tests without a GPU check the
addresses, the shapes and the stream that the package passes to libcufes.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

STREAM = 4711
ORDINAL = 1


class Array:
    """An array of the fake CuPy."""

    def __init__(self, host: Any) -> None:
        self.host = np.asarray(host)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.host.__array_interface__, "version": 3, "stream": STREAM}

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, ORDINAL

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit copies to the host are not allowed")

    def __len__(self) -> int:
        return len(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.host[key] = _host(value)

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.host.ctypes.data)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.host.shape)

    @property
    def ndim(self) -> int:
        return int(self.host.ndim)

    def get(self) -> Any:
        return self.host.copy()

    def max(self) -> Array:
        return Array(self.host.max())

    def min(self) -> Array:
        return Array(self.host.min())

    @property
    def dtype(self) -> Any:
        return self.host.dtype

    def reshape(self, shape: tuple[int, ...]) -> Array:
        return Array(self.host.reshape(shape))

    def sum(self, axis: int) -> Array:
        return Array(self.host.sum(axis=axis))

    def clip(self, low: float, high: float) -> Array:
        return Array(self.host.clip(low, high))

    def __getitem__(self, key: Any) -> Array:
        return Array(self.host[key])

    def __mul__(self, other: Any) -> Array:
        return Array(self.host * _host(other))

    def __sub__(self, other: Any) -> Array:
        return Array(self.host - _host(other))

    def __truediv__(self, other: Any) -> Array:
        return Array(self.host / _host(other))

    def __imul__(self, other: Any) -> Array:
        self.host *= _host(other)
        return self

    def __iadd__(self, other: Any) -> Array:
        self.host += _host(other)
        return self

    def __isub__(self, other: Any) -> Array:
        self.host -= _host(other)
        return self


class Foreign:
    """An array of a library that offers DLPack only."""

    def __init__(self, host: Any) -> None:
        self.host = np.asarray(host)
        self.ordinal = ORDINAL

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.ordinal


def _host(value: Any) -> Any:
    return value.host if isinstance(value, (Array, Foreign)) else value


class _Device:
    def __init__(self, ordinal: int) -> None:
        assert ordinal == ORDINAL

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _ascontiguous(array: Array, dtype: Any) -> Array:
    same = array.host.dtype == dtype and array.host.flags.c_contiguous
    return array if same else Array(np.ascontiguousarray(array.host, dtype=dtype))


#: The functions of CuPy that the package uses.
cupy = SimpleNamespace(
    cuda=SimpleNamespace(Device=_Device, get_current_stream=lambda: SimpleNamespace(ptr=STREAM)),
    asarray=lambda array: array if isinstance(array, Array) else Array(array),
    from_dlpack=lambda array: Array(array.host),
    ascontiguousarray=_ascontiguous,
    empty=lambda shape, dtype: Array(np.empty(shape, dtype)),
    broadcast_to=lambda array, shape: Array(np.broadcast_to(array.host, shape)),
    log=lambda array: Array(np.log(array.host)),
)


class Calls:
    """The calls that take addresses; the CPU computes them with the data at these addresses."""

    def __init__(self, real_wrapper: Any, dtype: Any) -> None:
        self._wrapper, self._dtype = real_wrapper, np.dtype(dtype)
        #: The addresses of each call, its device and its stream.
        self.seen: list[tuple[tuple[int, ...], int, int]] = []

    def _at(self, address: int, shape: tuple[int, ...]) -> Any:
        size = int(np.prod(shape)) * self._dtype.itemsize
        memory = (ctypes.c_char * size).from_address(address)
        return np.frombuffer(memory, dtype=self._dtype).reshape(shape)

    def sum_points_at(
        self,
        device: int,
        kernel: int,
        counts: Any,
        addresses: Any,
        periods: Any,
        stream: int,
        multivariate: bool,
        progress: Any = None,
    ) -> tuple[int, str]:
        self.seen.append((addresses, device, stream))
        # The real call reports no progress for so small a sum; this one does.
        if progress is not None:
            progress(0.5)
        n, rows, m = counts
        d = len(periods)
        width = d * (d + 1) // 2 if multivariate else d
        shapes = ((n, d), (rows, width), (n,), (m, d), (m,))
        centers, sigmas, heights, points, values = map(self._at, addresses, shapes)
        result: tuple[int, str] = self._wrapper.sum_points(
            *(-1, kernel, centers, sigmas, heights, periods, points, values),
            multivariate=multivariate,
            progress=progress,
        )
        return result

    def sum_grid_at(
        self,
        device: int,
        kernel: int,
        counts: Any,
        addresses: Any,
        periods: Any,
        lower: Any,
        spacing: Any,
        points: Any,
        stream: int,
        path: int,
        multivariate: bool,
        progress: Any = None,
    ) -> tuple[int, str]:
        self.seen.append((addresses, device, stream))
        # The real call reports no progress for so small a sum; this one does.
        if progress is not None:
            progress(0.5)
        n, rows = counts
        d, size = len(periods), int(np.prod(points))
        shapes = ((n, d), (rows, d), (n,), (size,))
        centers, sigmas, heights, values = map(self._at, addresses, shapes)
        slopes = self._at(addresses[4], (d, size)) if addresses[4] else None
        result: tuple[int, str] = self._wrapper.sum_grid(
            *(-1, kernel, centers, sigmas, heights, periods, lower, spacing, points, values),
            slopes,
            path=path,
            multivariate=multivariate,
            progress=progress,
        )
        return result
