"""Estimates before a sum: how long the CPU takes, and whether the surface fits in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cyfes.errors import InputError
from cyfes.model.hill_kernels import SUPPORT
from cyfes.native.constants import PATHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyfes.model.grid import Grid

# Terms of a sum that one core adds in a second, measured on an AMD EPYC with AVX-512; half as many
# with AVX2. The order of magnitude is enough to choose between CPU and GPU.
_RATES = {"direct": 6e8, "separable": 1.2e10, "truncated": 2e9}

# Bytes of a surface for which the system is not asked: its answer takes longer than a small sum.
_ALWAYS_FREE = 1 << 26


class Work(NamedTuple):
    """The sizes that a sum's time depends on: hills, points, and the kind of kernel."""

    hills: int
    shape: Sequence[int]
    #: The width over the spacing along each axis, which counts with a cut-off only; None at points
    #: that are on no grid.
    widths: Sequence[float] | None
    cut_off: bool
    planes: int = 1

    @property
    def seconds(self) -> float:
        """About how long the CPU takes."""
        cores = len(os.sched_getaffinity(0))
        return self.terms / (_RATES[self.path] * cores)

    @property
    def path(self) -> str:
        """The path that the CPU takes."""
        if self.widths is None:
            return "direct"
        return "truncated" if self.cut_off else "separable"

    @property
    def terms(self) -> float:
        """How many terms are summed."""
        points = 1.0
        for axis, size in enumerate(self.shape):
            reached = float(size)
            if self.widths and self.cut_off:
                reached = min(reached, 2.0 * SUPPORT * self.widths[axis] + 1.0)
            points *= reached
        # The rate of the truncated path was measured with a gradient, so its planes do not count.
        return self.hills * points * (1 if self.path == "truncated" else self.planes)


def path_number(plan: str) -> int:
    """Return the number of a path; refuse an unknown one."""
    if plan not in PATHS:
        raise InputError(f"plan is {plan!r}, expected one of {', '.join(PATHS)}")
    return PATHS[plan]


def check_memory(grid: Grid, planes: int, itemsize: int) -> None:
    """Refuse a surface that the memory of this machine cannot hold.

    Raises
    ------
    InputError
        With the size found, and what would fit.
    """
    needed = grid.size * planes * itemsize
    if needed <= _ALWAYS_FREE:
        return
    free = _available_memory()
    if needed <= free:
        return
    fits = free // (planes * itemsize)
    what = "" if planes == 1 else " with its gradient"
    along = int(fits ** (1 / grid.ndim))
    raise InputError(
        f"found a grid of {' x '.join(map(str, grid.shape))} = {grid.size} points. Its "
        f"surface{what} needs {_amount(needed)}, but only {_amount(free)} of memory are free, "
        f"enough for {fits} points (about {along} along each axis); expected fewer bins or fewer "
        "CVs. From samples, cyfes.reweight or cyfes reweight computes a surface over fewer CVs"
    )


def _available_memory() -> int:
    """Return the bytes that can be had without swapping."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _amount(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024.0 or unit == "TiB":
            break
        size /= 1024.0
    return f"{size:.3g} {unit}"
