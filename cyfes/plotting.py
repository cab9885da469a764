"""Pictures of surfaces, paths and time series, ready to be printed in one column of a journal."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.landscape.projection import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cyfes.landscape.basins import Minimum
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.model.surface_data import SurfaceData

# A perceptually uniform colour map; its colours and those of lines differ for any colour vision.
COLOUR_MAP = "viridis"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.35"

# A column of most journals is 85 to 90 mm wide.
_WIDTH, _HEIGHT = 3.4, 2.8

_STYLE = {
    "font.size": 8.0,
    "axes.linewidth": 0.7,
    "xtick.direction": "out",
    "lines.linewidth": 1.3,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    # Text stays text in vector files, so that it can be searched and edited.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "axes.formatter.use_mathtext": True,
}

# Without a limit, most colours would be used for the high values around the sampled region.
_HIGHEST_KT = 30.0

_MOST_LEVELS = 15

_GREEK = ("alpha", "beta", "gamma", "delta", "theta", "phi", "psi", "chi", "omega", "rho")


def plot(
    surface: SurfaceData,
    *,
    ax: Axes | None = None,
    at: Mapping[str, float] | None = None,
    maximum: float | None = None,
    step: float | None = None,
    minima: Sequence[Minimum] = (),
    path: EnergyPath | None = None,
    error: NDArray[np.floating[Any]] | None = None,
    label: str | None = None,
) -> Figure:
    """Draw a surface, its minimum at zero.

    One CV gives a curve; two a map with contour lines; three or more the maps of each two CVs
    through the lowest point.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    ax : matplotlib.axes.Axes, optional
        Where to draw one or two CVs; by default in a figure of its own.
    at : mapping of str to float, optional
        CVs to hold at a value; the others are drawn.
    maximum : float, optional
        The highest value that is coloured, in the unit of F; by default 30 kT where kT is known,
        otherwise the highest value.
    step : float, optional
        The distance of contour lines, in the unit of F; by default a round multiple of kT where it
        is known, otherwise a round number.
    minima : sequence of Minimum, optional
        Minima to mark by their numbers.
    path : EnergyPath, optional
        A path to draw.
    error : ndarray, shape of the values, optional
        The standard error of each value, for one CV: drawn as a band.
    label : str, optional
        The name of a curve, for a legend.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; ``plot(…).savefig("fes.pdf")`` writes it.

    Raises
    ------
    InputError
        If a CV of `at` is unknown or its value outside of the grid, or more than two CVs are left
        for one `ax`.
    MissingDependencyError
        If matplotlib is not installed: ``pip install cyfes[plot]``.
    """
    need("matplotlib", "plot()")
    if at:
        surface = cut(surface, at)
    lowest = float(np.min(surface.values))
    if surface.grid.ndim > 2:
        if ax is not None:
            raise InputError(
                f"found {surface.grid.ndim} CVs for one ax, expected one or two; hold the others "
                "with at={name: value}"
            )
        return _slices(surface, maximum, step)
    with _style():
        figure, axes = _figure_and_axes(ax)
        # Zero is the lowest value of all, also where a slice does not contain it.
        flat = replace(surface, values=surface.values - lowest)
        if surface.grid.ndim == 1:
            _curve(axes, flat, maximum, error, label)
        else:
            _map(axes, flat, maximum, step)
            _mark(axes, flat, minima, path)
    return figure


def plot_path(path: EnergyPath, *, ax: Axes | None = None) -> Figure:
    """Draw the free energy along a path, with its barrier.

    Parameters
    ----------
    path : EnergyPath
        The path.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    need("matplotlib", "plot_path()")
    with _style():
        figure, axes = _figure_and_axes(ax)
        along = np.linspace(0.0, 1.0, len(path.values))
        values = path.values - path.values[0]
        axes.plot(along, values, color=BLUE)
        axes.plot(along[path.top], values[path.top], "o", color=ORANGE, markersize=4)
        unit = f" {path.unit}" if path.unit else ""
        axes.annotate(
            f"{path.barrier:.3g}{unit}",
            (along[path.top], values[path.top]),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
        )
        axes.margins(x=0.02, y=0.12)
        axes.set_xlabel("Progress along the path")
        axes.set_ylabel(_with_unit("Free energy", path.unit))
    return figure


def plot_series(
    x: ArrayLike,
    curves: Mapping[str, NDArray[np.floating[Any]]],
    *,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Figure:
    """Draw time series, such as a difference of free energy as a run goes on.

    Parameters
    ----------
    x : array_like, shape (N,)
        The times.
    curves : mapping of str to ndarray, shape (N,)
        The values of each, by its name in the legend.
    xlabel, ylabel : str
        The labels of the axes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    need("matplotlib", "plot_series()")
    with _style():
        figure, axes = _figure_and_axes(ax)
        styles = [(colour, line) for line in ("-", "--", ":") for colour in (BLUE, ORANGE, GREY)]
        for (name, values), (colour, line) in zip(curves.items(), styles * len(curves)):
            axes.plot(x, values, line, color=colour, label=name)
        if len(curves) > 1:
            axes.legend(frameon=False)
        axes.margins(x=0.0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
    return figure


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def _figure_and_axes(ax: Axes | None) -> tuple[Figure, Axes]:
    if ax is not None:
        return ax.figure, ax
    # Made by pyplot, so that plt.show() and notebooks show it.
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(_WIDTH, _HEIGHT), constrained_layout=True)
    return figure, axes


def _curve(
    axes: Axes,
    surface: SurfaceData,
    maximum: float | None,
    error: NDArray[np.floating[Any]] | None,
    label: str | None,
) -> None:
    x, values = _closed(surface)
    top = _top(surface, maximum)
    (line,) = axes.plot(
        x[0],
        np.where(values <= top, values, np.nan),
        label=label,
        color=BLUE if label is None else None,
    )
    if error is not None:
        band = _closed(replace(surface, values=np.asarray(error), gradient=None))[1]
        axes.fill_between(
            x[0], values - band, values + band, color=line.get_color(), alpha=0.25, lw=0
        )
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), None)
    axes.set_xlim(x[0][0], x[0][-1])
    axes.set_ylabel(_with_unit("Free energy", surface.unit))
    _label_axis(axes.xaxis, surface, 0)


def _map(axes: Axes, surface: SurfaceData, maximum: float | None, step: float | None) -> None:
    (x, y), values = _closed(surface)
    top = _top(surface, maximum)
    shown = np.ma.masked_greater(values.T, top)
    # As pixels in vector files, too: a path for each point would make them very large.
    mesh = axes.pcolormesh(
        x,
        y,
        shown,
        shading="gouraud" if not np.ma.is_masked(shown) else "nearest",
        cmap=COLOUR_MAP,
        vmin=0.0,
        vmax=top,
        rasterized=True,
    )
    distance, words = _step(surface, top, step)
    levels = np.arange(distance, top, distance)
    if len(levels):
        axes.contour(x, y, shown, levels=levels, colors="white", linewidths=0.4, alpha=0.8)
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label(f"{_with_unit('Free energy', surface.unit)}\ncontour lines every {words}")
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    _label_axis(axes.xaxis, surface, 0)
    _label_axis(axes.yaxis, surface, 1)


def _mark(
    axes: Axes, surface: SurfaceData, minima: Sequence[Minimum], path: EnergyPath | None
) -> None:
    if path is not None:
        points = _broken_at_ends(surface, path.points)
        axes.plot(*points.T, color="white", linewidth=2.4)
        axes.plot(*points.T, color=ORANGE, linewidth=1.4)
    for number, minimum in enumerate(minima, 1):
        axes.annotate(
            str(number),
            minimum.position,
            ha="center",
            va="center",
            fontsize=6.5,
            bbox={"boxstyle": "circle,pad=0.2", "fc": "white", "ec": "black", "lw": 0.5},
        )


def _slices(surface: SurfaceData, maximum: float | None, step: float | None) -> Figure:
    """Draw the maps of each two CVs through the lowest point."""
    from matplotlib import pyplot as plt

    lowest = np.unravel_index(int(np.argmin(surface.values)), surface.grid.shape)
    place = {n: float(a[i]) for n, a, i in zip(surface.names, surface.grid.axes, lowest)}
    pairs = list(combinations(surface.names, 2))
    columns = min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    with _style():
        size = (_WIDTH * columns, _HEIGHT * rows)
        figure, grid = plt.subplots(
            rows, columns, figsize=size, squeeze=False, constrained_layout=True
        )
        for axes, pair in zip(grid.flat, pairs):
            at = {name: value for name, value in place.items() if name not in pair}
            plot(surface, ax=axes, at=at, maximum=maximum, step=step)
            axes.set_title(", ".join(f"{_symbol(n)} = {v:.3g}" for n, v in at.items()), fontsize=8)
        for axes in grid.flat[len(pairs) :]:
            axes.set_visible(False)
    return figure


def _closed(surface: SurfaceData) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Return axes and values with the first point of a periodic axis again at its end."""
    axes, values = [], np.asarray(surface.values, dtype=np.float64)
    for k, (axis, wraps) in enumerate(zip(surface.grid.axes, surface.grid.periodic)):
        if wraps:
            axis = np.append(axis, surface.grid.upper[k])  # noqa: PLW2901 - the same axis, closed
            values = np.concatenate([values, np.take(values, [0], axis=k)], axis=k)
        axes.append(axis)
    return axes, values


def _broken_at_ends(surface: SurfaceData, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a path within the domain, with a gap where it goes on at the other end."""
    grid = surface.grid
    length = grid.upper - grid.lower
    wrapped = np.where(grid.periodic, grid.lower + np.mod(points - grid.lower, length), points)
    jumps = (np.abs(np.diff(wrapped, axis=0)) > length / 2.0).any(axis=1)
    return np.insert(wrapped, np.flatnonzero(jumps) + 1, np.nan, axis=0)


def _top(surface: SurfaceData, maximum: float | None) -> float:
    if maximum is not None:
        return check_positive("maximum", maximum)
    highest = float(np.max(surface.values[np.isfinite(surface.values)]))
    if surface.kT is not None:
        highest = min(highest, _HIGHEST_KT * surface.kT)
    return highest or 1.0


def _step(surface: SurfaceData, top: float, step: float | None) -> tuple[float, str]:
    """Return the distance of contour lines as a number and as text."""
    if step is not None:
        step = check_positive("step", step)
        return step, " ".join(filter(None, (f"{step:g}", surface.unit)))
    if surface.kT is not None:
        multiple = _round_number(top / surface.kT / _MOST_LEVELS, least=1.0)
        return multiple * surface.kT, f"{multiple:g} kT"
    least = 1.0 if surface.unit == "kcal/mol" else 0.0
    distance = _round_number(top / _MOST_LEVELS, least)
    return distance, " ".join(filter(None, (f"{distance:g}", surface.unit)))


def _round_number(value: float, least: float) -> float:
    """Return the next of … 0.5, 1, 2, 5, 10 … from a number."""
    value = max(value, least)
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= value * (1.0 - 1e-9))


def _label_axis(axis: Any, surface: SurfaceData, number: int) -> None:
    low, high = surface.bounds()[number]
    angular = "pi" in (low + high).lower()
    unit = surface.cv_units[number] if surface.cv_units else "rad" if angular else None
    axis.set_label_text(_with_unit(_symbol(surface.names[number]), unit))
    if angular and unit == "rad":
        axis.set_major_locator(_multiples_of_half_pi())
        axis.set_major_formatter(lambda x, _: _in_pi(x))


def _multiples_of_half_pi() -> Any:
    from matplotlib.ticker import MultipleLocator

    return MultipleLocator(math.pi / 2.0)


def _in_pi(x: float) -> str:
    halves = round(2.0 * x / math.pi)
    if halves % 2:
        factor = "" if abs(halves) == 1 else abs(halves)
        return f"{'−' if halves < 0 else ''}{factor}π/2"
    return {0: "0", 2: "π", -2: "−π"}.get(halves, f"{halves // 2}π".replace("-", "−"))


def _symbol(name: str) -> str:
    return rf"$\{name}$" if name in _GREEK else name.replace("$", r"\$")


def _with_unit(text: str, unit: str | None) -> str:
    return f"{text} ({unit})" if unit else text
