"""Reads Gaussian cube files strictly, by the columns that Fortran programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Cube(NamedTuple):
    """The content of a cube file; lengths are in bohr."""

    comments: list[str]
    origin: NDArray[np.float64]
    steps: NDArray[np.float64]
    #: The atomic number, the charge and the position of each atom.
    atoms: list[tuple[int, float, NDArray[np.float64]]]
    values: NDArray[np.float64]


def read_cube(path: Path) -> Cube:
    """Return the content of a cube file; raise ValueError if its layout is not the standard one."""
    lines = path.read_text(encoding="ascii").splitlines()
    count, origin = _header_row(lines[2], 3)
    axes = [_header_row(line, 3) for line in lines[3:6]]
    shape = [points for points, _ in axes]
    steps = np.array([vector for _, vector in axes])
    if (steps != np.diag(np.diag(steps))).any():
        raise ValueError(f"found the axes {steps}, expected right angles")
    atoms = []
    for line in lines[6 : 6 + count]:
        number, (charge, *place) = _header_row(line, 4)
        atoms.append((number, charge, np.array(place)))
    values = _values(lines[6 + count :], shape)
    return Cube(lines[:2], np.array(origin), np.diag(steps), atoms, values)


def _header_row(line: str, numbers: int) -> tuple[int, list[float]]:
    """Read Fortran's I5 and `numbers` times F12.6; a written decimal point overrides the 6."""
    fields = [line[5 + 12 * i : 17 + 12 * i] for i in range(numbers)]
    if len(line) != 5 + 12 * numbers or any("." not in field for field in fields):
        raise ValueError(f"found {line!r}, expected I5 and {numbers} of F12.6")
    return int(line[:5]), [float(field) for field in fields]


def _values(lines: list[str], shape: list[int]) -> NDArray[np.float64]:
    """Read Fortran's 6E13.5; a new line begins where the index of the last axis is 0 again."""
    runs: list[list[float]] = []
    rest = iter(lines)
    for _ in range(shape[0] * shape[1]):
        run: list[float] = []
        while len(run) < shape[2]:
            expected = min(6, shape[2] - len(run))
            run += _value_row(next(rest, ""), expected)
        runs.append(run)
    if list(rest):
        raise ValueError("found more lines than the grid has values")
    values: NDArray[np.float64] = np.array(runs).reshape(shape)
    return values


def _value_row(line: str, expected: int) -> list[float]:
    if len(line) != 13 * expected:
        raise ValueError(f"found {line!r}, expected {expected} of E13.5")
    return [float(line[13 * i : 13 * i + 13]) for i in range(expected)]
