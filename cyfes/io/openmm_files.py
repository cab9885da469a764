"""The biases that OpenMM's Metadynamics writes: ``bias_ID_INDEX.npy``, one for each process.

The first variable is the last axis. There is a point at both ends of each axis, also of a periodic
one; see metadynamics.py in openmm.app.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cyfes.model.grid import Grid

_NAME = re.compile(r"bias_(?P<process>.*)_(?P<index>[0-9]+)\.npy")


def newest(paths: Sequence[Path]) -> list[Path]:
    """Return the newest file of each process: a file holds the whole bias of its process."""
    chosen: dict[str, tuple[int, Path]] = {}
    for path in paths:
        match = _NAME.fullmatch(path.name)
        process, index = (match["process"], int(match["index"])) if match else (str(path), 0)
        if process not in chosen or index > chosen[process][0]:
            chosen[process] = (index, path)
    return [path for _, path in chosen.values()]


def read_bias(path: Path, grid: Grid) -> NDArray[np.float64]:
    """Read the bias of one process.

    Parameters
    ----------
    path : Path
        The file.
    grid : Grid
        The grid, which the file does not describe.

    Returns
    -------
    ndarray of float64, shape grid.shape
        The bias in kJ/mol.

    Raises
    ------
    InputError
        If the file is none of NumPy, or of another shape.
    OSError
        If it cannot be read.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: found no array of NumPy ({error}), expected one") from None
    expected = tuple(n + 1 for n in reversed(grid.bins))
    if getattr(array, "shape", None) != expected or array.dtype.kind != "f":
        found = getattr(array, "shape", None)
        raise InputError(
            f"{path}: found an array of shape {found}, expected {expected}: the gridWidth of each "
            "variable, which is its number of bins plus one. The last variable comes first"
        )
    whole = np.asarray(array, dtype=np.float64).T
    # On a periodic axis the last point is the first one again.
    once = tuple(slice(n) for n in grid.shape)
    return np.ascontiguousarray(whole[once])
