"""The convergence of a free energy during a run: the surface after each portion of its hills.

Every hill is summed once, in its portion; the surface after each portion is the running sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.errors import InputError
from cyfes.landscape.regions import log_population, masks
from cyfes.sums.hills_on_grid import sum_hills, usual_grid

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cyfes.base.choices import EnergyUnit
    from cyfes.landscape.regions import Region
    from cyfes.model.grid import Grid
    from cyfes.model.hills import Hills
    from cyfes.surface import FreeEnergySurface

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Convergence:
    """The surface after each of T portions of a run's hills.

    Attributes
    ----------
    counts : ndarray of int64, shape (T,)
        The number of hills so far.
    times : ndarray of float64, shape (T,), or None
        The time of the last of these hills; None if the hills have no times.
    surfaces : tuple of T FreeEnergySurface
        The surface of the hills so far. The last surface is that of all hills.
    """

    counts: NDArray[np.int64]
    times: Floats | None
    surfaces: tuple[FreeEnergySurface, ...]

    def __len__(self) -> int:
        """Return the number of portions."""
        return len(self.surfaces)

    def __repr__(self) -> str:
        """Return a line that says how many portions of what."""
        return f"<Convergence: {len(self)} portions, {self.surfaces[-1]!r}>"

    def changes(self, limit: float | None = None) -> Floats:
        """Return how far each surface is from the last one.

        Parameters
        ----------
        limit : float, optional
            Only points count whose free energy in the last surface is at most this far above its
            minimum, in the unit of F. By default, all points count.

        Returns
        -------
        ndarray of float64, shape (T,)
            The root mean square of the difference at these points. A constant difference does not
            count.
        """
        last = np.asarray(self.surfaces[-1].values, dtype=np.float64)
        inside = last <= np.min(last) + (np.inf if limit is None else limit)
        return np.array([np.std((s.values - last)[inside]) for s in self.surfaces])

    def differences(
        self,
        first: Region,
        last: Region,
        *,
        kT: float | None = None,
        depth: float | None = None,
    ) -> Floats:
        """Return ΔF between two regions after each portion.

        Parameters
        ----------
        first, last, kT, depth
            As for `FreeEnergySurface.difference`. A place stands for its basin in the last surface.

        Returns
        -------
        ndarray of float64, shape (T,)
            ΔF, in the unit of F. How much it varies is not an error bar; for error bars, see
            `cyfes.reweight_blocks`.

        Raises
        ------
        InputError
            As `FreeEnergySurface.difference` does.
        """
        final = self.surfaces[-1]
        energy = final.known_kT(kT)
        regions = masks(final.grid, (first, last), final.basins(depth))
        rows = [
            [log_population(surface.values / -energy, final.grid, region) for region in regions]
            for surface in self.surfaces
        ]
        populations = np.array(rows)
        result: Floats = energy * (populations[:, 0] - populations[:, 1])
        return result

    def with_units(
        self,
        unit: EnergyUnit | None = None,
        temperature: float | None = None,
        *,
        kT: float | None = None,
    ) -> Convergence:
        """Return the same surfaces with the unit of their energies; no number changes.

        Parameters
        ----------
        unit, temperature, kT
            As for `FreeEnergySurface.with_units`.

        Returns
        -------
        Convergence
            The surfaces. Pictures of them show the unit, and `differences` needs no kT.
        """
        surfaces = tuple(surface.with_units(unit, temperature, kT=kT) for surface in self.surfaces)
        return replace(self, surfaces=surfaces)

    def plot(self, count: int = 9, **options: Any) -> Figure:
        """Draw some of the surfaces side by side; see `cyfes.plot_frames` for the options.

        Parameters
        ----------
        count : int
            How many surfaces, with equally many hills between them. The last one is that of all
            hills.
        **options
            The options of `cyfes.plot_frames`.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed: ``pip install cyfes[plot]``.
        """
        from cyfes.plotting.frames import plot_frames

        if count < 1:
            raise InputError(f"count: found {count}, expected a whole number above zero")
        count = min(count, len(self))
        chosen = [round(len(self) * (k + 1) / count) - 1 for k in range(count)]
        labels = self._labels()
        return plot_frames(
            [self.surfaces[k] for k in chosen], [labels[k] for k in chosen], **options
        )

    def save_movie(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a movie of the surfaces; see `cyfes.save_movie` for the options.

        Parameters
        ----------
        path : path-like
            The file: ``.gif`` or ``.webp``.
        **options
            The options of `cyfes.save_movie`.

        Raises
        ------
        MissingDependencyError
            If matplotlib is not installed: ``pip install cyfes[plot]``.
        """
        from cyfes.plotting.frames import save_movie

        save_movie(self.surfaces, path, self._labels(), **options)

    def _labels(self) -> list[str]:
        if self.times is None:
            return [f"{count} hills" for count in self.counts.tolist()]
        return [f"time {time:g}" for time in self.times.tolist()]


def convergence(
    hills: Hills,
    grid: Grid | None = None,
    *,
    stride: int | None = None,
    portions: int = 20,
    **how: Any,
) -> Convergence:
    """Return the surface after each portion of some hills.

    Parameters
    ----------
    hills : Hills
        The hills, in the order of time.
    grid : Grid, optional
        The grid. By default, it is that of `cyfes.sum_hills` for all hills.
    stride : int, optional
        The number of hills in a portion. The hills that are left over are one more portion.
    portions : int
        The number of portions, if `stride` is not given.
    **how
        Further arguments of `cyfes.sum_hills`: device, dtype, truncation.

    Returns
    -------
    Convergence
        All surfaces. Each of them needs as much memory as one surface.

    Raises
    ------
    InputError
        If there are no hills, or a number is not above zero.

    Examples
    --------
    >>> hills = cyfes.Hills(["x"], [[-1.0], [1.0], [-1.0], [1.0]], 0.3, [4.0, 4.0, 2.0, 3.0])
    >>> series = cyfes.convergence(hills, cyfes.Grid(-2, 2, 80), portions=2)
    >>> series.with_units("kJ/mol", temperature=300)
    <Convergence: 2 portions, <FreeEnergySurface over x: ...>>
    >>> series.differences(-1.0, 1.0, kT=2.494).round(2)
    array([-0.03, -0.72])
    """
    hills.check_on_host("convergence")
    if not len(hills):
        raise InputError("found no hills, expected at least one")
    for name, value in (("stride", stride), ("portions", portions)):
        if value is not None and value < 1:
            raise InputError(f"{name}: found {value}, expected a whole number above zero")
    grid = grid or usual_grid(hills)
    size = stride or -(-len(hills) // portions)
    ends = [*range(size, len(hills), size), len(hills)]
    surfaces = tuple(_running_sums(hills, grid, ends, how))
    times = None if hills.times is None else hills.times[np.array(ends) - 1]
    return Convergence(np.array(ends), times, surfaces)


def _running_sums(
    hills: Hills, grid: Grid, ends: list[int], how: dict[str, Any]
) -> Iterator[FreeEnergySurface]:
    total: Any = 0.0
    for start, end in zip([0, *ends], ends):
        portion = sum_hills(hills[start:end], grid, **how)
        total = total + portion.values
        yield replace(portion, values=total)
