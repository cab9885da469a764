"""Small jobs of ``cyfes sum-hills`` without NumPy, whose import takes longer than such a job.

A small and ordinary job is done here. `cyfes.cli.sum_hills_job` does all others, and would write
the same bytes.
"""

from __future__ import annotations

import math
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cyfes.base.numbers import check_number_format, parse_number
from cyfes.errors import InputError
from cyfes.io.hills_header import HillsHeader
from cyfes.io.plumed_header import grid_header, with_line
from cyfes.io.text_files import check_target, write_text
from cyfes.model.hill_kernels import KERNELS, SUPPORT
from cyfes.native.constants import BOXED_GAUSSIAN, CPU, STRETCHED_GAUSSIAN
from cyfes.native.extensions import text_module, wrapper

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from cyfes.io.plumed_header import Header

# For larger input, NumPy saves more time than its import takes.
_MOST_BYTES = 1 << 20
_MOST_POINTS = 1 << 15

_KERNEL_NUMBERS = dict(zip(KERNELS, (STRETCHED_GAUSSIAN, BOXED_GAUSSIAN)))

# A job with another value of one of these options is left to `cyfes.cli.sum_hills_job`.
_DEFAULTS = {
    **dict.fromkeys(("columns", "periodic", "bias_factor"), None),
    **dict.fromkeys(
        ("histo", "idw", "stride", "spacing", "merge", "kernel", "units", "plot"), None
    ),
    "negbias": False,
    "dtype": "float64",
}


class _Axes(NamedTuple):
    """The axes of a grid, in plain lists."""

    lower: list[float]
    #: The period of each axis, 0 for one that is not periodic.
    periods: list[float]
    spacing: list[float]
    shape: tuple[int, ...]
    periodic: list[bool]
    bounds: list[tuple[str, str]]


def _product(numbers: tuple[int, ...]) -> int:
    product = 1
    for factor in numbers:
        product *= factor
    return product


def sum_without_numpy(options: argparse.Namespace) -> dict[str, Any] | None:
    """Do a small and ordinary job, and return what was done; None for any other job."""
    if any(getattr(options, name) != value for name, value in _DEFAULTS.items()):
        return None
    if options.device not in ("auto", "cpu") or options.progress == "always":
        return None
    if None in (options.min, options.max, options.bin) or len(options.hills) > 1:
        return None
    text = _small_text(Path(options.hills[0]))
    found = None if text is None else _parsed(text)
    if found is None:
        return None
    layout, table, rows = found
    axes = _axes(layout, options)
    if axes is None or not _is_ordinary(layout, table, rows, axes, options.check):
        return None
    outfile = options.outfile or "fes.dat"
    check_target(outfile)
    columns, plan = _summed(layout, table, rows, axes)
    if options.mintozero:
        lowest = min(columns[0])
        columns[0] = array("d", [value - lowest for value in columns[0]])
    write_text(outfile, _blocks(layout, axes, columns, options.fmt))
    return {
        "what": "hills",
        "count": rows,
        "kernel": layout.kernel,
        "names": list(layout.names),
        "points": list(axes.shape),
        "device": "cpu",
        "plan": plan,
        "unit": None,
        "files": [outfile],
    }


def _small_text(path: Path) -> bytes | None:
    """Return the text of a file that is small, not compressed and complete, or None."""
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    text = path.read_bytes()
    return text if text.startswith(b"#! FIELDS") and text.endswith(b"\n") else None


def _parsed(text: bytes) -> tuple[HillsHeader, memoryview[float], int] | None:
    """Return the header, a table of the hills and their number, if there is only one header."""
    header: Header | None = None
    start = number = 0
    while text.startswith(b"#!", start):
        end, number = text.index(b"\n", start), number + 1
        header = with_line(header, text[start:end].decode("utf-8", "replace"), number)
        start = end + 1
    if header is None or header.line > 1:
        return None
    try:
        layout = HillsHeader.of_header(header)
    except InputError:
        return None
    rows = memoryview(text)[start:]
    native = text_module()
    width = len(layout.columns)
    capacity = native.count_lines(rows)
    if not capacity:
        return None
    table = memoryview(bytearray(8 * width * capacity)).cast("d", [capacity, width])
    places: dict[str, int] = {name: place for place, name in enumerate(layout.columns)}
    targets = array("i", [places.pop(name, -1) for name in header.fields])
    count, _, size = native.parse_rows(rows, targets, table, 1)
    return (layout, table.cast("B").cast("d"), count) if count and size == len(rows) else None


def _axes(layout: HillsHeader, options: argparse.Namespace) -> _Axes | None:
    """Return the grid that was typed, or None where it needs a warning or an error."""
    ndim = len(layout.names)
    if not len(options.min) == len(options.max) == len(options.bin) == ndim:
        return None
    ends = [(parse_number(low), parse_number(high)) for low, high in zip(options.min, options.max)]
    for (low, high), domain in zip(ends, layout.domain):
        if high <= low or (domain and (low, high) != tuple(map(parse_number, domain))):
            return None
    periodic = [domain is not None for domain in layout.domain]
    axes = _Axes(
        lower=[low for low, _ in ends],
        periods=[high - low if wraps else 0.0 for (low, high), wraps in zip(ends, periodic)],
        spacing=[(high - low) / bins for (low, high), bins in zip(ends, options.bin)],
        shape=tuple(n if wraps else n + 1 for n, wraps in zip(options.bin, periodic)),
        periodic=periodic,
        bounds=[
            domain or typed for domain, typed in zip(layout.domain, zip(options.min, options.max))
        ],
    )
    return axes if _product(axes.shape) <= _MOST_POINTS else None


def _is_ordinary(
    layout: HillsHeader, table: memoryview[float], rows: int, axes: _Axes, check: bool
) -> bool:
    """Whether all numbers are right and no hill reaches around a periodic axis."""
    if layout.multivariate or layout.interval is not None or layout.named_kernel is None:
        return False
    width, ndim = len(layout.columns), len(layout.names)
    end = width * rows
    # Columns that the file does not have hold zeros.
    if not all(map(math.isfinite, table[:end])):
        return False
    for axis in range(ndim):
        widths = table[1 + ndim + axis : end : width]
        reach = math.ceil(SUPPORT * max(widths) / axes.spacing[axis])
        if min(widths) <= 0.0 or (axes.periodic[axis] and 2 * reach + 1 > axes.shape[axis]):
            return False
        if check and max(widths) > 2.0 * min(widths):
            return False
    times, heights = table[:end:width].tolist(), table[1 + 2 * ndim : end : width].tolist()
    return not check or _are_in_order(times, heights)


def _are_in_order(times: Sequence[float], heights: Sequence[float]) -> bool:
    """Whether the checks of hills, which need NumPy, would certainly find nothing."""
    steps = [after - before for before, after in zip(times, times[1:])]
    if steps and not 0.0 < max(steps) <= 2.0 * min(steps):
        return False
    return min(heights) > 0.0 and max(heights) <= heights[0]


def _summed(
    layout: HillsHeader, table: memoryview[float], rows: int, axes: _Axes
) -> tuple[list[array[float]], str]:
    """Return F and its derivatives, and the plan."""
    ndim, width = len(layout.names), len(layout.columns)
    end = width * rows

    def matrix(first: int) -> memoryview[float]:
        numbers = array("d", bytes(8 * rows * ndim))
        for axis in range(ndim):
            numbers[axis::ndim] = array("d", table[first + axis : end : width])
        return memoryview(numbers).cast("B").cast("d", [rows, ndim])

    size = _product(axes.shape)
    values = array("d", bytes(8 * size))
    gradient = memoryview(bytearray(8 * size * ndim)).cast("d", [ndim, size])
    _, plan = wrapper("float64").sum_grid(
        CPU,
        _KERNEL_NUMBERS[layout.kernel],
        matrix(1),
        matrix(1 + ndim),
        array("d", table[1 + 2 * ndim : end : width]),
        array("d", axes.periods),
        array("d", axes.lower),
        array("d", axes.spacing),
        array("q", axes.shape),
        values,
        gradient,
    )
    flat = gradient.cast("B").cast("d")
    planes = [values, *(flat[axis * size : (axis + 1) * size] for axis in range(ndim))]
    return [array("d", [-value for value in plane]) for plane in planes], str(plan)


def _blocks(
    layout: HillsHeader, axes: _Axes, columns: list[array[float]], fmt: str
) -> Iterator[bytes]:
    names = ["file.free", *(f"der_{name}" for name in layout.names)]
    header = grid_header(layout.names, axes.bounds, axes.shape, axes.periodic, names)
    yield header.encode()
    steps = zip(axes.lower, axes.spacing, axes.shape)
    places = [[low + k * step for k in range(points)] for low, step, points in steps]
    number = " " + check_number_format(fmt)
    text = text_module().GridText(places, columns, number.encode())
    yield from text.format(0, text.rows, 1)
