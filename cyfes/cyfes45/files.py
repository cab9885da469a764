"""The files of CyFES 4.5: `read_out`, `save_fes`, `save_dat` and `save_cube`."""

from __future__ import annotations

import io
import math
import operator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import as_matrix
from cyfes.errors import InputError
from cyfes.io.cube_files import BOHR, cube_blocks
from cyfes.io.text_files import write_text

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cyfes.io.paths import AnyPath

# Rows are formatted in blocks, so that memory holds numbers, not text.
_ROWS_PER_BLOCK = 1 << 14


def read_out(
    file_name: AnyPath,
    idx: int | Sequence[int] = 0,
    hat_lines: int = 1,
    max_size: int | None = None,
    dlm: str | None = None,
) -> NDArray[np.float64]:
    """Return one or more columns of a text table.

    Blank lines are skipped, and so is everything after a ``#``, including ``#!`` headers.

    Parameters
    ----------
    file_name : path-like
        The file.
    idx : int or sequence of int
        The number of the column, or of each column. 0 is the first column, -1 is the last.
    hat_lines : int
        The number of lines to skip at the top of the file.
    max_size : int, optional
        The largest number of rows to read. By default, all rows are read.
    dlm : str, optional
        The separator of columns. By default, it is one or several blanks.

    Returns
    -------
    ndarray of float64
        Shape (N,) for one column given as a number, (N, K) for a sequence of K.

    Raises
    ------
    InputError
        If a row does not have the column or has no finite number there (the message says
        ``file:line``), if there is no row, or if an argument cannot be used.
    OSError
        If the file cannot be read.
    """
    columns = _columns(idx)
    _check_count("hat_lines", hat_lines, 0)
    if max_size is not None:
        _check_count("max_size", max_size, 1)
    if dlm is not None and not dlm:
        raise InputError("dlm: found an empty string, expected a separator such as ','")
    rows = []
    # Not every interpreter closes the file as soon as the loop ends before the last row.
    with closing(_rows(Path(file_name), hat_lines)) as lines:
        for number, text in islice(lines, max_size):
            try:
                rows.append(_numbers(text.split(dlm), columns))
            except InputError as error:
                raise InputError(f"{file_name}:{number}: {error}") from None
    if not rows:
        raise InputError(f"{file_name}: found no row of numbers, expected at least one")
    table = np.array(rows, dtype=np.float64)
    return table[:, 0] if np.ndim(idx) == 0 else table


def _columns(idx: int | Sequence[int]) -> list[int]:
    try:
        columns = [operator.index(column) for column in np.atleast_1d(np.asarray(idx))]
    except TypeError:
        columns = []
    if not columns:
        raise InputError(f"idx: found {idx!r}, expected a column number or a list of them")
    return columns


def _check_count(name: str, value: int, least: int) -> None:
    try:
        count = operator.index(value)
    except TypeError:
        count = least - 1
    if count < least:
        raise InputError(f"{name}: found {value!r}, expected a whole number from {least}")


def _rows(path: Path, skipped: int) -> Generator[tuple[int, str], None, None]:
    """Yield the lines that hold something, with their numbers."""
    # Spreadsheets put a byte-order mark before the first number.
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if text and number > skipped:
                yield number, text


def _numbers(words: Sequence[str], columns: Sequence[int]) -> list[float]:
    try:
        values = [float(words[column]) for column in columns]
    except (IndexError, ValueError):
        values = [math.nan]
    if math.isfinite(sum(values)) and not any("_" in words[column] for column in columns):
        return values
    return [_checked_number(words, column) for column in columns]


def _checked_number(words: Sequence[str], column: int) -> float:
    """Return the number in a column, or say what is wrong with it."""
    count = len(words)
    if not -count <= column < count:
        raise InputError(f"found {count} columns, expected column {column}, counted from 0")
    word = words[column]
    try:
        # Python would read 1_000 as a number.
        value = float(word.replace("_", "?"))
    except ValueError:
        raise InputError(f"found {word!r}, expected a number") from None
    if not math.isfinite(value):
        raise InputError(f"found {word}, expected a finite number")
    return value


def save_fes(
    file_name: AnyPath,
    Z: ArrayLike,  # noqa: N803 - CyFES's name
) -> None:
    """Write numbers as text: one number in a line, or a row of a matrix with commas.

    Parameters
    ----------
    file_name : path-like
        The file, gzipped if it ends with ``.gz``; an older one is replaced.
    Z : array_like, shape (M,) or (M, K)
        The numbers.

    Raises
    ------
    InputError
        If `Z` has another shape, or a number is not finite.
    OSError
        If the file cannot be written.
    """
    array = np.asarray(Z)
    columns = array.shape[1] if array.ndim == 2 else 1
    text = io.StringIO()
    np.savetxt(text, as_matrix("Z", array, columns, np.float64), delimiter=",")
    write_text(file_name, [text.getvalue()], keep_older=False)


def save_dat(
    dat_name: AnyPath,
    path: ArrayLike,
    Z: ArrayLike,  # noqa: N803 - CyFES's name
    *,
    unit: str = "kcal/mol",
) -> int:
    """Write points and their free energies as a table with a ``#!`` header.

    Parameters
    ----------
    dat_name : path-like
        The file, gzipped if it ends with ``.gz``; an older one is replaced.
    path : array_like, shape (M, 3)
        The points, in Å.
    Z : array_like, shape (M,)
        The free energies.
    unit : str
        The unit of `Z`, for the header. The default is that of `PathFES` with its default kT.

    Returns
    -------
    int
        1, as in CyFES 4.5.

    Raises
    ------
    InputError
        If a shape is wrong, a number is not finite, or the unit is not one word.
    OSError
        If the file cannot be written.
    """
    points = as_matrix("path", path, 3, np.float64)
    values = as_matrix("Z", Z, 1, np.float64)
    if len(values) != len(points):
        raise InputError(f"Z: found {len(values)} numbers for {len(points)} points of path")
    if len(unit.split()) != 1:
        raise InputError(f"unit: found {unit!r}, expected one word such as kcal/mol")
    write_text(dat_name, dat_blocks(points, values, f"fes({unit})"), keep_older=False)
    return 1


def dat_blocks(
    points: NDArray[np.float64], values: NDArray[np.float64], label: str
) -> Iterator[str]:
    """Yield the text of a table of points in Å, shape (M, 3), and values, M in any shape."""
    yield f"#! FIELDS x(Å) y(Å) z(Å) {label}\n"
    rows = np.column_stack([points, values.reshape(len(points))])
    for start in range(0, len(rows), _ROWS_PER_BLOCK):
        block: NDArray[Any] = rows[start : start + _ROWS_PER_BLOCK]
        yield "%.9g\t%.9g\t%.9g\t%.9g\n" * len(block) % tuple(block.ravel().tolist())


def save_cube(
    file_name: str | os.PathLike[str],
    ovec: ArrayLike,
    x_grids: int,
    x_shift: float,
    y_grids: int,
    y_shift: float,
    z_grids: int,
    z_shift: float,
    Z: ArrayLike,  # noqa: N803 - CyFES's name
    use_bohr: bool = True,
    *,
    comment: str = "free energy in kcal/mol",
) -> int:
    """Write values on a regular three-dimensional grid as a Gaussian cube file.

    The lengths in the file are in bohr. The values are not converted. The format requires an atom,
    so the file has a hydrogen atom in the middle of the grid.

    Parameters
    ----------
    file_name : path-like
        The file, gzipped if it ends with ``.gz``; an older one is replaced.
    ovec : array_like, shape (3,)
        The first point of the grid.
    x_grids, y_grids, z_grids : int
        The numbers of points along the axes.
    x_shift, y_shift, z_shift : float
        The distances between neighbouring points.
    Z : array_like, shape (x_grids, y_grids, z_grids), or flat
        The values. The index of z changes fastest.
    use_bohr : bool
        Whether to convert the lengths from Å to bohr. If false, they are in bohr already.
    comment : str
        The second line of the file, which says what the values are. It must be ASCII.

    Returns
    -------
    int
        1, as in CyFES 4.5.

    Raises
    ------
    InputError
        If a shape is wrong, a number is not finite, a distance or a number of points is not above
        zero, or the comment is not one line.
    OSError
        If the file cannot be written.
    """
    origin = _three_numbers("ovec", ovec)
    shape = [_point_count(axis, n) for axis, n in zip("xyz", (x_grids, y_grids, z_grids))]
    steps = _three_numbers("x_shift, y_shift, z_shift", (x_shift, y_shift, z_shift))
    if not (steps > 0.0).all():
        raise InputError(f"x_shift, y_shift, z_shift: found {steps}, expected more than zero")
    if not comment.isascii() or not comment.isprintable():
        raise InputError(f"comment: found {comment!r}, expected one line of ASCII text")
    unit = BOHR if use_bohr else 1.0
    values = _cube_values(Z, shape)
    write_text(
        file_name, cube_blocks(origin / unit, steps / unit, values, comment), keep_older=False
    )
    return 1


def _three_numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    if np.shape(values) != (3,):
        raise InputError(f"{name}: found shape {np.shape(values)}, expected (3,)")
    numbers: NDArray[np.float64] = as_matrix(name, values, 1, np.float64)[:, 0]
    return numbers


def _point_count(axis: str, value: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise InputError(f"{axis}_grids: found {value!r}, expected a whole number above zero")
    return count


def _cube_values(values: ArrayLike, shape: Sequence[int]) -> NDArray[np.float64]:
    array = np.asarray(values)
    size = shape[0] * shape[1] * shape[2]
    if array.shape not in ((size,), tuple(shape)):
        raise InputError(f"Z: found shape {array.shape}, expected {tuple(shape)} or ({size},)")
    numbers: NDArray[np.float64] = as_matrix("Z", array.reshape(size), 1, np.float64)
    return numbers.reshape(shape)
