"""The minima of a surface, their basins, and the passes between them.

From every point of the grid a path leads downhill to the lowest of the 3^D - 1 neighbours, and on
to a minimum; what ends in one minimum is its basin. The lowest pass between two basins is the pair
of neighbouring points, one in each, whose higher value is smallest. The lowest of all passes that
join all basins make a tree, and on it lies the path between any two points that climbs least.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.errors import InputError
from cyfes.landscape.interpolation import place_in_bins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Union

    from numpy.typing import ArrayLike, NDArray

    from cyfes.model.grid import Grid

    Integers = NDArray[np.int64]
    Place = Union[int, "Minimum", ArrayLike]


class Minimum(NamedTuple):
    """A local minimum of a surface, to the resolution of its grid."""

    #: The place of each CV.
    position: tuple[float, ...]
    #: F there, in the unit of the surface.
    value: float
    #: How far F must rise before a lower minimum is reached; inf for the lowest.
    depth: float
    #: Whether it is at an end of an axis that is not periodic, so that the true one may be beyond.
    at_edge: bool
    #: The CVs; empty if they are not known.
    names: tuple[str, ...] = ()
    #: The unit of F; None if it is not known.
    unit: str | None = None

    def __repr__(self) -> str:
        """Return place, value and depth, without the digits that come from rounding."""
        numbers = [f"{round(x, 12) + 0.0:.6g}" for x in self.position]
        named = [f"{name} {number}" for name, number in zip(self.names, numbers)]
        unit = f" {self.unit}" if self.unit else ""
        edge = ", at the edge of the grid" if self.at_edge else ""
        return (
            f"<Minimum at ({', '.join(named or numbers)}): {self.value:.6g}{unit}, "
            f"depth {self.depth:.6g}{unit}{edge}>"
        )


class Pass(NamedTuple):
    """The lowest way from one basin to another: two neighbouring points, one in each."""

    basins: tuple[int, int]
    points: tuple[int, int]
    value: float


@dataclass(frozen=True, eq=False)
class Basins:
    """The basins of a surface.

    Attributes
    ----------
    minima : tuple of Minimum
        The minima, the lowest first.
    labels : ndarray of int64, shape grid.shape
        For each point, the number of the minimum to which the way down leads. It is -1 where F is
        infinite.
    grid : Grid
        The grid.
    """

    minima: tuple[Minimum, ...]
    labels: Integers
    grid: Grid

    def __len__(self) -> int:
        """Return the number of basins."""
        return len(self.minima)

    def point(self, place: Place) -> ArrayLike:
        """Return the point that a place stands for.

        Parameters
        ----------
        place : int, Minimum or array_like, shape (D,)
            The number of a minimum (1 is the lowest one), a minimum, or the point itself. With one
            CV, a point is a float: ``1.0`` is a point, and ``1`` is a minimum.

        Returns
        -------
        array_like, shape (D,)
            The point, in the CVs' units.

        Raises
        ------
        InputError
            If no minimum has this number.
        """
        if isinstance(place, Minimum):
            return place.position
        if not is_number(place):
            return place
        number = int(place)  # type: ignore[arg-type]
        if not 1 <= number <= len(self.minima):
            raise InputError(
                f"found the minimum {number}, expected 1 to {len(self.minima)}; "
                "a point of one CV is a float, such as 1.0"
            )
        return self.minima[number - 1].position

    def containing(self, point: ArrayLike) -> int:
        """Return the number of the basin that a point lies in.

        Parameters
        ----------
        point : array_like, shape (D,)
            The point, in the CVs' units.

        Returns
        -------
        int
            The number of its minimum.

        Raises
        ------
        InputError
            If the point is outside of the grid, or F is infinite there.
        """
        label = int(self.labels.flat[nearest_point(point, self.grid)])
        if label < 0:
            raise InputError(
                f"found the point {point!r}, where F is infinite; expected one where it is finite"
            )
        return label


@dataclass(frozen=True, eq=False)
class Landscape:
    """All minima of a surface, however shallow, and the tree of passes between their basins."""

    grid: Grid
    values: NDArray[np.float64]
    #: The flat index of each point's lowest neighbour, or its own.
    downhill: Integers
    #: The flat index of each minimum, the lowest first.
    minima: Integers
    #: The number of each point's minimum, flat.
    labels: Integers
    #: The lowest passes that join the basins, the lowest first.
    tree: list[Pass]

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]], grid: Grid) -> Landscape:
        """Find minima, basins and passes."""
        flat = np.ascontiguousarray(values, dtype=np.float64).ravel()
        if np.isnan(flat).any() or not (flat < np.inf).any() or (flat == -np.inf).any():
            raise InputError("found a surface with nan or -inf, or nowhere finite")
        # Ranks are values without ties: on a plateau, the lower index counts as lower.
        order = np.argsort(flat, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        downhill = order[_lowest_neighbour(rank.reshape(grid.shape), grid).ravel()]
        roots = _roots(downhill)
        minima = order[np.unique(rank[roots])]
        number = np.empty_like(order)
        number[minima] = np.arange(len(minima))
        labels = number[roots]
        passes = _passes(flat, rank, labels, grid)
        return cls(grid, flat, downhill, minima, labels, _spanning_tree(passes, len(minima)))

    def descent(self, point: int) -> list[int]:
        """Return the points from one down to its minimum."""
        points = [point]
        while self.downhill[points[-1]] != points[-1]:
            points.append(int(self.downhill[points[-1]]))
        return points

    def depths(self) -> NDArray[np.float64]:
        """Return how far F must rise from each minimum before a lower one is reached."""
        depths = np.full(len(self.minima), np.inf)
        for _, higher, crossing in self._mergers():
            depths[higher] = crossing.value - self.values[self.minima[higher]]
        return depths

    def basins(self, depth: float) -> Basins:
        """Return the basins of minima deeper than `depth`; shallower ones join a neighbour."""
        if not depth >= 0.0:
            raise InputError(f"depth: found {depth}, expected a number from 0")
        depths = self.depths()
        into = np.arange(len(self.minima))
        for _, higher, crossing in self._mergers():
            if depths[higher] <= depth:
                # The shallow basin joins the other one of the two basins at the pass.
                first, second = (_resolved(into, basin) for basin in crossing.basins)
                into[higher] = first if second == higher else second
        resolved = np.array([_resolved(into, basin) for basin in range(len(into))], dtype=np.int64)
        kept = np.unique(resolved[np.isfinite(self.values[self.minima])])
        number = np.full(len(into), -1, dtype=np.int64)
        number[kept] = np.arange(len(kept))
        labels = np.where(np.isfinite(self.values), number[resolved[self.labels]], -1)
        minima = tuple(self._minimum(int(self.minima[k]), float(depths[k])) for k in kept)
        return Basins(minima, labels.reshape(self.grid.shape), self.grid)

    def chain(self, first: int, last: int) -> list[Pass]:
        """Return the passes from one basin to another, each in the direction of travel."""
        links: dict[int, list[Pass]] = {}
        for crossing in self.tree:
            for one in (crossing, _reversed(crossing)):
                links.setdefault(one.basins[0], []).append(one)
        came: dict[int, Pass] = {}
        waiting = [first]
        while waiting:
            for crossing in links.get(waiting.pop(), []):
                if crossing.basins[1] != first and crossing.basins[1] not in came:
                    came[crossing.basins[1]] = crossing
                    waiting.append(crossing.basins[1])
        if last != first and last not in came:
            raise InputError("found no path between the points, expected one on which F is finite")
        chain: list[Pass] = []
        while last != first:
            chain.append(came[last])
            last = came[last].basins[0]
        return chain[::-1]

    def between(self, first: ArrayLike, last: ArrayLike) -> list[Pass]:
        """Return the passes from one point's basin to another's; none if there is no way."""
        ends = (int(self.labels[nearest_point(point, self.grid)]) for point in (first, last))
        try:
            return self.chain(*ends)
        except InputError:
            return []

    def _mergers(self) -> Iterator[tuple[int, int, Pass]]:
        """Yield what each pass joins: the lowest minimum on either side, the lower one first."""
        lowest = np.arange(len(self.minima))
        for crossing in self.tree:
            lower, higher = sorted(_resolved(lowest, basin) for basin in crossing.basins)
            lowest[higher] = lower
            yield lower, higher, crossing

    def _minimum(self, point: int, depth: float) -> Minimum:
        index = np.unravel_index(point, self.grid.shape)
        ends = zip(index, self.grid.shape, self.grid.periodic)
        return Minimum(
            tuple(float(axis[i]) for axis, i in zip(self.grid.axes, index)),
            float(self.values[point]),
            depth,
            any(not wraps and i in (0, count - 1) for i, count, wraps in ends),
        )


def is_number(place: object) -> bool:
    """Whether a place is the number of a minimum."""
    return isinstance(place, (int, np.integer)) and not isinstance(place, bool)


def nearest_point(point: ArrayLike, grid: Grid) -> int:
    """Return the flat index of the grid point nearest to a point."""
    index = np.rint(place_in_bins(point, grid)[0]).astype(np.int64) % np.array(grid.shape)
    return int(np.ravel_multi_index(tuple(index), grid.shape))


def _lowest_neighbour(rank: Integers, grid: Grid) -> Integers:
    """Return the lowest rank in the box of 3^D points around each."""
    for axis, wraps in enumerate(grid.periodic):
        lowest = rank.copy()
        ahead, behind = _slices(grid.ndim, axis)
        np.minimum(lowest[behind], rank[ahead], out=lowest[behind])
        np.minimum(lowest[ahead], rank[behind], out=lowest[ahead])
        if wraps:
            first, last = (_at(grid.ndim, axis, end) for end in (0, -1))
            lowest[first] = np.minimum(lowest[first], rank[last])
            lowest[last] = np.minimum(lowest[last], rank[first])
        rank = lowest
    return rank


def _at(ndim: int, axis: int, chosen: int | slice) -> tuple[int | slice, ...]:
    return tuple(chosen if k == axis else slice(None) for k in range(ndim))


def _slices(ndim: int, axis: int) -> tuple[Any, Any]:
    """Return all points but the first along an axis, and all but the last."""
    return _at(ndim, axis, slice(1, None)), _at(ndim, axis, slice(None, -1))


def _roots(downhill: Integers) -> Integers:
    """Return where the way down from each point ends."""
    roots = downhill
    while True:
        further = roots[roots]
        if (further == roots).all():
            return roots
        roots = further


def _passes(flat: NDArray[np.float64], rank: Integers, labels: Integers, grid: Grid) -> list[Pass]:
    """Return the lowest pass between each two basins that touch, the lowest first."""
    found = [_boundary(offset, labels, grid) for offset in _half_of_offsets(grid.ndim)]
    pairs = np.concatenate(found, axis=1)
    higher = np.where(rank[pairs[0]] > rank[pairs[1]], pairs[0], pairs[1])
    pairs = pairs[:, np.argsort(rank[higher], kind="stable")]
    sides = np.sort(labels[pairs], axis=0)
    _, first = np.unique(sides[0] * (labels.max() + 1) + sides[1], return_index=True)
    passes = []
    for k in np.sort(first).tolist():
        one, other = pairs[:, k].tolist()
        value = float(max(flat[one], flat[other]))
        if value < np.inf:
            passes.append(Pass((int(labels[one]), int(labels[other])), (one, other), value))
    return passes


def _half_of_offsets(ndim: int) -> list[tuple[int, ...]]:
    """Return one of each two opposite directions to a neighbour."""
    offsets = list(itertools.product((-1, 0, 1), repeat=ndim))
    return offsets[: len(offsets) // 2]


def _boundary(offset: tuple[int, ...], labels: Integers, grid: Grid) -> Integers:
    """Return the pairs of points, shape (2, N), that lie an offset apart in different basins."""
    points = np.arange(len(labels)).reshape(grid.shape)
    moved = np.roll(points, [-step for step in offset], axis=tuple(range(grid.ndim)))
    # At an end that is not periodic, np.roll would continue at the other end.
    inner = tuple(
        slice(None) if wraps or not step else slice(None, -1) if step > 0 else slice(1, None)
        for step, wraps in zip(offset, grid.periodic)
    )
    one, other = points[inner].ravel(), moved[inner].ravel()
    different = labels[one] != labels[other]
    return np.stack([one[different], other[different]])


def _spanning_tree(passes: list[Pass], count: int) -> list[Pass]:
    """Return the lowest passes that join the basins (Kruskal's algorithm)."""
    joined = np.arange(count)
    tree = []
    for crossing in passes:
        first, second = (_resolved(joined, basin) for basin in crossing.basins)
        if first != second:
            joined[second] = first
            tree.append(crossing)
    return tree


def _resolved(into: Integers, basin: int) -> int:
    """Return where a chain of mergers ends, and shorten it on the way."""
    while into[basin] != basin:
        into[basin] = into[into[basin]]
        basin = int(into[basin])
    return basin


def _reversed(crossing: Pass) -> Pass:
    return Pass(crossing.basins[::-1], crossing.points[::-1], crossing.value)
