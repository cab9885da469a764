"""Regular grids over collective variables."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import format_number, parse_number
from cyfes.base.once import computed_once
from cyfes.errors import InputError
from cyfes.model.extent import Extent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar, Union

    from numpy.typing import NDArray

    from cyfes.model.hills import Hills

    _T = TypeVar("_T")
    Bound = Union[float, str]

# As many as PLUMED allows; a grid of more would not fit any memory.
MAX_DIMENSIONS = 16

# PLUMED's sum_hills covers METAD's INTERVAL with as many bins.
INTERVAL_BINS = 200

# What a signed 64-bit size can count, in bytes of one double per point.
_MAX_BYTES = 2**63


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Grid:
    """A regular grid of any dimension up to 16; immutable.

    A periodic axis has ``bins`` points, because its upper end is the same place as its lower end.
    Any other axis has ``bins + 1`` points.

    Parameters
    ----------
    lower, upper : float, str, or sequence of D of them
        The ends of each axis. A string such as ``"-pi"`` is a literal: it stays as it is, and
        files have it in their header. A single value is used for all axes.
    bins : int or sequence of D int
        The number of bins of each axis.
    periodic : bool or sequence of D bool
        Whether each axis is periodic with period ``upper - lower``.

    Attributes
    ----------
    lower, upper : ndarray of float64, shape (D,)
        The ends of each axis.
    bins : tuple of int
        The number of bins of each axis.
    periodic : tuple of bool
        Whether each axis is periodic.
    bounds : tuple of (str, str)
        The ends of each axis as literals.

    Raises
    ------
    InputError
        If the lengths disagree, an end is not finite, an upper end is not above the lower end, an
        axis has no bin, or the grid has more points than any memory can hold.

    Examples
    --------
    >>> cyfes.Grid("-pi", "pi", [100, 60], periodic=True).shape
    (100, 60)
    >>> cyfes.Grid([0.0, -1.0], [3.0, 1.0], [300, 20]).shape
    (301, 21)
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    bins: tuple[int, ...]
    periodic: tuple[bool, ...]
    bounds: tuple[tuple[str, str], ...]

    def __init__(
        self,
        lower: Bound | Sequence[Bound] | NDArray[Any],
        upper: Bound | Sequence[Bound] | NDArray[Any],
        bins: int | Sequence[int] | NDArray[Any],
        periodic: bool | Sequence[bool] | NDArray[Any] = False,
    ) -> None:
        lists = {"lower": lower, "upper": upper, "bins": bins, "periodic": periodic}
        lows, highs, counts, flags = _equally_long(lists)
        low_ends = _each("lower", lows, _end)
        high_ends = _each("upper", highs, _end)
        set_field = object.__setattr__
        set_field(self, "lower", _read_only([value for value, _ in low_ends]))
        set_field(self, "upper", _read_only([value for value, _ in high_ends]))
        set_field(self, "bins", tuple(_each("bins", counts, _bin_count)))
        set_field(self, "periodic", tuple(_each("periodic", flags, _flag)))
        literals = zip(low_ends, high_ends)
        set_field(self, "bounds", tuple((low, high) for (_, low), (_, high) in literals))
        self._check_extent()

    def _check_extent(self) -> None:
        for axis, (low, high) in enumerate(zip(self.lower.tolist(), self.upper.tolist())):
            if high <= low:
                raise InputError(
                    f"axis {axis}: found the upper end {high:g} and the lower end {low:g}, "
                    "expected the upper end to be larger"
                )
        if 8 * self.size > _MAX_BYTES:
            raise InputError(f"found {self.size} grid points, expected at most {_MAX_BYTES // 8}")

    @classmethod
    def covering(
        cls,
        hills: Hills | Extent,
        bins: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> Grid:
        """Return the grid that ``plumed sum_hills`` chooses for hills if no bounds are given.

        A periodic axis covers the domain. Any other axis covers all hills up to the ends of their
        kernels; its ends are rounded to six digits, as PLUMED does. For hills with METAD's
        INTERVAL, `cyfes.sum_hills` uses a grid that covers the INTERVAL instead.

        Parameters
        ----------
        hills : Hills or Extent
            The hills, at least one, or how far they reach.
        bins : sequence of D int, optional
            The number of bins. By default, the narrowest hill extends over ten bins.
        spacing : sequence of D float, optional
            The largest spacing, in the CVs' units. If `bins` is given too, the finer grid is taken.

        Returns
        -------
        Grid
            The grid.

        Raises
        ------
        InputError
            If there are no hills.
        """
        extent = hills if isinstance(hills, Extent) else Extent.of_hills(hills)
        if bins is None and spacing is None:
            bins = extent.bins
        periodic = [domain is not None for domain in extent.domain]
        return cls._between(extent.bounds, periodic, bins, spacing)

    @classmethod
    def spanning(
        cls,
        hills: Hills,
        bounds: Sequence[tuple[Bound, Bound]],
        bins: Sequence[int] | None = None,
        spacing: Sequence[float] | None = None,
    ) -> Grid:
        """Return a grid with the given ends. Its axes are periodic if the CVs of the hills are.

        Parameters
        ----------
        hills : Hills
            Hills over D collective variables. They say which of these are periodic.
        bounds : sequence of D (float or str, float or str)
            The ends of each axis.
        bins : sequence of D int, optional
            The number of bins.
        spacing : sequence of D float, optional
            The largest spacing, in the CVs' units. If `bins` is given too, the finer grid is taken.

        Returns
        -------
        Grid
            The grid.

        Raises
        ------
        InputError
            If neither `bins` nor `spacing` is given, or as `Grid` does.
        """
        if bins is None and spacing is None:
            raise InputError("found neither bins nor spacing, expected one of them")
        periodic = [period > 0.0 for period in hills.periods.tolist()]
        return cls._between(bounds, periodic, bins, spacing)

    @classmethod
    def _between(
        cls,
        bounds: Sequence[tuple[Bound, Bound]],
        periodic: Sequence[bool],
        bins: Sequence[int] | None,
        spacing: Sequence[float] | None,
    ) -> Grid:
        counts = list(bins) if bins is not None else [1] * len(bounds)
        if spacing is not None:
            needed = [
                math.ceil((_end(b)[0] - _end(a)[0]) / step) for (a, b), step in zip(bounds, spacing)
            ]
            counts = [max(pair) for pair in zip(counts, needed)]
        lower, upper = [low for low, _ in bounds], [high for _, high in bounds]
        return cls(lower, upper, counts, list(periodic))

    @computed_once
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.bins)

    @computed_once
    def shape(self) -> tuple[int, ...]:
        """The number of points on each axis."""
        return tuple(n if wraps else n + 1 for n, wraps in zip(self.bins, self.periodic))

    @computed_once
    def size(self) -> int:
        """The number of points."""
        size = 1
        for points in self.shape:
            size *= points
        return size

    @computed_once
    def spacing(self) -> NDArray[np.float64]:
        """The distance of neighbouring points on each axis, shape (D,)."""
        steps = (self.upper - self.lower) / np.array(self.bins, dtype=np.float64)
        steps.flags.writeable = False
        return steps

    @computed_once
    def periods(self) -> NDArray[np.float64]:
        """The period of each axis, 0 where it has none, shape (D,)."""
        periods = np.where(self.periodic, self.upper - self.lower, 0.0)
        periods.flags.writeable = False
        return periods

    @property
    def axes(self) -> tuple[NDArray[np.float64], ...]:
        """The coordinates of the points on each axis."""
        steps = zip(self.lower, self.spacing, self.shape)
        return tuple(low + np.arange(points) * step for low, step, points in steps)

    def subgrid(self, axes: Sequence[int]) -> Grid:
        """Return the grid of some of the axes, in the order given."""
        lower, upper = ([self.bounds[axis][end] for axis in axes] for end in (0, 1))
        bins = [self.bins[axis] for axis in axes]
        return Grid(lower, upper, bins, [self.periodic[axis] for axis in axes])

    def point(self, number: int) -> tuple[float, ...]:
        """Return the coordinates of one point, by its number in C order."""
        index = np.unravel_index(number, self.shape)
        return tuple(float(axis[k]) for axis, k in zip(self.axes, index))

    def points(self) -> NDArray[np.float64]:
        """Return the coordinates of all points.

        Returns
        -------
        ndarray of float64, shape (size, D)
            The points in C order: the last coordinate changes fastest.
        """
        mesh = np.meshgrid(*self.axes, indexing="ij")
        return np.stack([axis.ravel() for axis in mesh], axis=-1)

    def __repr__(self) -> str:
        """Return the call that makes the grid, with the literals of its ends."""
        lower, upper = [low for low, _ in self.bounds], [high for _, high in self.bounds]
        return f"Grid({lower}, {upper}, {list(self.bins)}, {list(self.periodic)})"

    def __eq__(self, other: object) -> bool:
        """Whether both grids have the same points."""
        if not isinstance(other, Grid):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        """Return the same number for equal grids."""
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return tuple(self.lower.tolist()), tuple(self.upper.tolist()), self.bins, self.periodic


def _read_only(values: list[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _equally_long(lists: dict[str, Any]) -> list[list[Any]]:
    """Return lists of one length D, single values being repeated."""
    single = {k for k, v in lists.items() if isinstance(v, str) or np.ndim(v) == 0}
    lengths = {k: len(v) for k, v in lists.items() if k not in single}
    ndim = max(lengths.values(), default=1)
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{k} {n}" for k, n in lengths.items())
        raise InputError(f"found lengths {found}, expected one length for all")
    if not 1 <= ndim <= MAX_DIMENSIONS:
        raise InputError(f"found {ndim} axes, expected 1 to {MAX_DIMENSIONS}")
    return [[v] * ndim if k in single else list(v) for k, v in lists.items()]


def _each(name: str, values: list[Any], convert: Callable[[Any], _T]) -> list[_T]:
    """Convert each value, and name the one that cannot be."""
    try:
        return [convert(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: {error}") from error


def _end(value: Any) -> tuple[float, str]:
    """Return one end of an axis as a number and as the literal that stands for it."""
    if isinstance(value, str):
        return parse_number(value), value.strip()
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"found {number}, expected a finite number")
    return number, format_number(number)


def _bin_count(value: Any) -> int:
    count = operator.index(value)
    if count < 1:
        raise InputError(f"found {count}, expected at least 1")
    return count


def _flag(value: Any) -> bool:
    # Only True and False are taken, because bool("False") is true.
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"found {value!r}, expected True or False")
    return bool(value)
