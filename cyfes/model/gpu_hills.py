"""Hills whose centres, widths or heights lie on a CUDA device: checked, not copied."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import checked_array
from cyfes.errors import InputError
from cyfes.native.gpu_arrays import ArrayLibrary, on_device

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The fields of hills that may be arrays on a device.
PLACED = ("centers", "sigmas", "heights")


def placed_fields(fields: Mapping[str, Any], ndim: int, multivariate: bool) -> dict[str, Any]:
    """Return the centres, widths and heights of D-dimensional hills, where they are.

    An array on the host of one row is broadcast, not copied.

    Raises
    ------
    InputError
        If the centres are not on the device where others are, or shapes or types do not fit.
    """
    centers = fields["centers"]
    if not on_device(centers):
        name = next(name for name in PLACED if on_device(fields[name]))
        raise InputError(
            f"centers: found an array on the host, but {name} on a GPU; expected the centers there"
        )
    if multivariate:
        raise InputError("found cholesky with centers on a GPU, expected all of them on the host")
    if fields["sigmas"] is None:
        raise InputError("sigmas: found none, expected the widths of the hills")
    library = ArrayLibrary.of([centers], "auto")
    given = _taken(library, "centers", centers)
    if len(given.shape) == 1 and ndim == 1:
        given = given.reshape((-1, 1))
    shape = tuple(given.shape)
    if len(shape) != 2 or shape[1] != ndim:
        raise InputError(f"centers: found shape {shape}, expected (N, {ndim})")
    sigmas = _stretched(library, "sigmas", fields["sigmas"], shape)
    if isinstance(sigmas, np.ndarray) and not (sigmas > 0.0).all():
        raise InputError(f"sigmas: found {np.min(sigmas):g}, expected widths above zero")
    heights = _stretched(library, "heights", fields["heights"], shape[:1])
    return {"centers": given, "sigmas": sigmas, "heights": heights}


def _taken(library: ArrayLibrary, name: str, array: Any) -> Any:
    taken = library.converted(array)
    # CuPy's int64 is torch.int64 in PyTorch.
    if not re.match(r"(torch\.)?(u?int|b?float)", str(taken.dtype)):
        raise InputError(f"{name}: found numbers of type {taken.dtype}, expected real numbers")
    return taken


def _stretched(library: ArrayLibrary, name: str, array: Any, shape: tuple[int, ...]) -> Any:
    if not on_device(array):
        return np.broadcast_to(np.array(checked_array(name, array, shape)), shape)
    taken = _taken(library, name, array)
    found = tuple(taken.shape)
    # As on the host, a column may not be stretched into a matrix.
    if found and found != shape[-len(found) :]:
        raise InputError(f"{name}: found shape {found}, expected {shape}")
    return taken if found == shape else library.module.broadcast_to(taken, shape)
