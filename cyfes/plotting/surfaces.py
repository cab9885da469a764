"""Pictures of one surface, or of the difference of two."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.landscape.projection import cut, cut_place
from cyfes.landscape.sampled import not_sampled
from cyfes.plotting.scale import HIGHEST_KT, one_of, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cyfes.base.choices import Zero
    from cyfes.landscape.basins import Minimum
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.model.surface_data import SurfaceData
    from cyfes.plotting.marks import Marks
    from cyfes.plotting.scale import Scale

    Floats = NDArray[np.floating[Any]]

_ZEROS = ("surface", "picture", "none")


def plot(
    surface: SurfaceData,
    *,
    ax: Axes | None = None,
    at: Mapping[str, float] | None = None,
    zero: Zero = "surface",
    maximum: float | None = None,
    vmax: float | None = None,
    step: float | None = None,
    levels: int | Sequence[float] | None = None,
    contour_labels: bool = False,
    minima: Sequence[Minimum] = (),
    path: EnergyPath | None = None,
    error: ArrayLike | None = None,
    label: str | None = None,
    cmap: Any = None,
    aspect: str | float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a surface.

    One CV gives a curve. If errors are known, it has a band of one standard error. Two CVs give a
    map with contour lines. Three or more CVs give a map of each two CVs through the lowest point.
    Points that no hill or sample has reached are grey in maps, and gaps in curves.

    A notebook shows the figure if it is the value of a cell. No window is opened, and the current
    figure of pyplot does not change. To draw in a window, write ``ax=plt.gca()``.

    Parameters
    ----------
    surface : SurfaceData
        The surface.
    ax : matplotlib.axes.Axes, optional
        The axes in which one or two CVs are drawn. By default, a new figure is made.
    at : mapping of str to float, optional
        CVs that are held at a value, or rather at the nearest point of the grid. The title says
        which point that is. The other CVs are drawn.
    zero : {"surface", "picture", "none"}
        What is shown as zero.

        - "surface": the lowest value of the whole surface, even if a cut does not contain it.
        - "picture": the lowest value that is drawn.
        - "none": F is shown as it is.
    maximum, vmax : float, optional
        Two names of one option. F is drawn up to this height above zero, or with "none" above the
        lowest value. The default is 30 kT; if kT is not known, all of F is drawn.
    step : float, optional
        The distance between contour lines, in the unit of F. The default is a round multiple of kT;
        if kT is not known, it is a round number.
    levels : int or sequence of float, optional
        Instead of `step`: the largest number of contour lines, or their values.
    contour_labels : bool
        Whether to write the value on each contour line.
    minima : sequence of Minimum, optional
        Minima, which are marked with their numbers. If the picture shows fewer CVs than the surface
        has, the minima are projected. A dashed ring then means that the minimum is outside of the
        plane that is drawn.
    path : EnergyPath, optional
        A path to draw. It is dashed if it is projected.
    error : array_like, shape of the values, optional
        The standard error of each value, for one CV. The default is the error of the surface.
    label : str, optional
        The name of a curve, for a legend.
    cmap : str or matplotlib.colors.Colormap, optional
        The colour map of maps. The default is "viridis".
    aspect : {"auto", "equal"} or float, optional
        The aspect of maps, as in matplotlib. The default is "equal" if both CVs have the same
        period, otherwise "auto".
    title : str, optional
        The title. By default, the title of a cut says where the surface was cut.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; ``plot(…).savefig("fes.pdf")`` writes it.

    Raises
    ------
    InputError
        If an option is unknown or cannot be used for this number of CVs, if a CV of `at` is unknown
        or its value is outside of the grid, or if more than two CVs remain for one `ax`.
    MissingDependencyError
        If matplotlib is not installed: ``pip install cyfes[plot]``.
    """
    need("matplotlib", "plot()")
    from cyfes.plotting.labels import place_text
    from cyfes.plotting.marks import Marks, mark_map
    from cyfes.plotting.picture import figure_and_axes, style

    marks = Marks(surface.names, minima, path)
    marks.check()
    limit = one_of(maximum=maximum, vmax=vmax)
    flat, place = _shown(surface, at, zero)
    text = place_text(surface, place) if title is None else title
    refuse_unused(
        flat.grid.ndim,
        {"step": step, "levels": levels, "contour_labels": contour_labels or None, "cmap": cmap}
        if flat.grid.ndim == 1
        else {"error": error, "label": label},
    )
    if flat.grid.ndim > 2 and ax is not None:
        raise InputError(
            f"found {flat.grid.ndim} CVs for one ax, expected one or two; hold the others "
            "with at={name: value}"
        )
    scale = scale_of(flat, np.nanmin(flat.values) if zero == "none" else 0.0, limit, step, levels)
    look = {"cmap": cmap, "aspect": aspect, "contour_labels": contour_labels}
    with style():
        if flat.grid.ndim > 2:
            return _slices(flat, marks, place, scale, look, text)
        figure, axes = figure_and_axes(ax)
        if flat.grid.ndim == 1:
            _curve(axes, flat, scale, error, label, marks)
            if aspect is not None:
                axes.set_aspect(aspect)
        else:
            mesh = draw_map(axes, flat, scale, **look)
            colour_bar(mesh, [axes], flat, scale)
            mark_map(axes, flat, marks, place)
        if text:
            axes.set_title(text, fontsize=8)
    return figure


def png(surface: SurfaceData) -> bytes:
    """Return a small picture of a surface, for notebooks."""
    figure: Any = plot(surface)
    data: bytes = figure._repr_png_()
    return data


def plot_difference(
    first: SurfaceData,
    second: SurfaceData,
    *,
    ax: Axes | None = None,
    at: Mapping[str, float] | None = None,
    zero: Zero = "surface",
    vmax: float | None = None,
    cmap: Any = None,
    aspect: str | float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the first surface minus the second one: a curve for one CV, a map for two.

    A free energy is known only up to a constant. Therefore the lowest value of each surface is set
    to zero first. Points that only one run has sampled are not drawn. White means no difference.

    Parameters
    ----------
    first, second : SurfaceData
        Two surfaces on the same grid, in the same unit.
    ax : matplotlib.axes.Axes, optional
        The axes to draw in. By default, a new figure is made.
    at : mapping of str to float, optional
        CVs to hold at a value.
    zero : {"surface", "picture", "none"}
        As for `plot`. With "none", the values are subtracted as they are.
    vmax : float, optional
        The largest difference that is shown. By default, it is the largest one at the points where
        both surfaces are below 30 kT; if kT is not known, all points count.
    cmap : str or matplotlib.colors.Colormap, optional
        The diverging colour map of a map. The default is "RdBu_r".
    aspect : {"auto", "equal"} or float, optional
        The aspect of a map, as for `plot`.
    title : str, optional
        As for `plot`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    InputError
        If the surfaces have different grids or units, or more than two CVs remain.
    MissingDependencyError
        If matplotlib is not installed.
    """
    need("matplotlib", "plot_difference()")
    from cyfes.plotting.labels import place_text
    from cyfes.plotting.picture import figure_and_axes, style

    if first.names != second.names or first.grid != second.grid or first.unit != second.unit:
        raise InputError(
            "found two surfaces that differ in their CVs, grids or units, expected the same"
        )
    (flat, place), (other, _) = (_shown(surface, at, zero) for surface in (first, second))
    if flat.grid.ndim > 2:
        raise InputError(
            f"found {flat.grid.ndim} CVs, expected one or two; hold the others with "
            "at={name: value}"
        )
    change = replace(flat, values=flat.values - other.values, error=None)
    if change.grid.ndim == 1:
        refuse_unused(1, {"cmap": cmap, "aspect": aspect})
    text = place_text(first, place) if title is None else title
    limit = one_of(vmax=vmax) or _largest_change(
        change.values, (flat.values, other.values), first.kT
    )
    with style():
        figure, axes = figure_and_axes(ax)
        if change.grid.ndim == 1:
            _difference_curve(axes, change)
            if vmax is not None:
                axes.set_ylim(-limit, limit)
        else:
            _difference_map(axes, change, limit, cmap, aspect)
        if text:
            axes.set_title(text, fontsize=8)
    return figure


def _largest_change(change: Floats, flat: Sequence[Floats], kT: float | None) -> float:
    counted = np.isfinite(change)
    if kT is not None:
        for values in flat:
            counted &= np.nan_to_num(values, nan=np.inf) <= np.nanmin(values) + HIGHEST_KT * kT
    if not counted.any():
        raise InputError("found no point that both surfaces have sampled, expected some")
    return float(np.abs(change[counted]).max()) or 1.0


def _difference_curve(axes: Any, change: SurfaceData) -> None:
    from cyfes.plotting.labels import energy_label, label_axis
    from cyfes.plotting.picture import BLUE, GREY

    x, values = closed(change)
    axes.axhline(0.0, color=GREY, linewidth=0.7)
    axes.plot(x[0], values, color=BLUE)
    axes.set_xlim(x[0][0], x[0][-1])
    axes.set_ylabel(energy_label(change, "Difference of free energy"))
    label_axis(axes.xaxis, change, 0)


def _difference_map(axes: Any, change: SurfaceData, limit: float, cmap: Any, aspect: Any) -> None:
    from cyfes.plotting.labels import energy_label
    from cyfes.plotting.picture import DIFFERENCE_MAP

    mesh = _mesh(axes, change, (-limit, limit), cmap or DIFFERENCE_MAP)
    _finish_map(axes, change, aspect)
    size = np.abs(change.values[np.isfinite(change.values)]).max(initial=0.0)
    words = energy_label(change, "Difference of free energy")
    if np.isnan(change.values).any():
        words += "\ngrey: not sampled"
    _bar(mesh, [axes], words, "both" if size > limit * (1.0 + 1e-9) else "neither")


def _shown(
    surface: SurfaceData, at: Mapping[str, float] | None, zero: Zero
) -> tuple[SurfaceData, dict[str, float]]:
    """Return what is drawn of a surface, nan where it was not sampled, and where it was cut."""
    if zero not in _ZEROS:
        raise InputError(f"zero: found {zero!r}, expected one of {', '.join(_ZEROS)}")
    values = np.where(not_sampled(surface.values, surface.grid), np.nan, surface.values)
    if np.isnan(values).all():
        raise InputError("found a surface that is nowhere finite, expected values to draw")
    known = replace(surface, values=values, gradient=None)
    shown, place = (cut(known, at), cut_place(known, at)) if at else (known, {})
    if np.isnan(shown.values).all():
        raise InputError(f"at: found no sampled point at {place}, expected another place")
    shift = {"surface": known, "picture": shown}.get(zero)
    lowest = 0.0 if shift is None else np.nanmin(shift.values)
    return replace(shown, values=shown.values - lowest), place


def refuse_unused(ndim: int, options: dict[str, Any]) -> None:
    """Refuse options that were given, but that a picture of so many CVs cannot show."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        what = "a curve of one CV" if ndim == 1 else f"maps of {ndim} CVs"
        raise InputError(f"found {', '.join(given)} for {what}, which cannot show it")


def _curve(
    axes: Any,
    surface: SurfaceData,
    scale: Scale,
    error: ArrayLike | None,
    label: str | None,
    marks: Marks,
) -> None:
    from cyfes.plotting.labels import energy_label, label_axis
    from cyfes.plotting.marks import mark_curve
    from cyfes.plotting.picture import BLUE

    x, values = closed(surface)
    with np.errstate(invalid="ignore"):
        drawn = np.where(values <= scale.high, values, np.nan)
    (line,) = axes.plot(x[0], drawn, label=label, color=BLUE if label is None else None)
    errors = surface.error if error is None else np.asarray(error, dtype=np.float64)
    if errors is not None:
        # Replacing the values checks the shape.
        band = closed(replace(surface, values=errors, error=None))[1]
        lower, upper = drawn - band, drawn + band
        axes.fill_between(x[0], lower, upper, color=line.get_color(), alpha=0.25, lw=0)
    # A second curve in the same axes keeps the range of both.
    axes.set_ylim(min(scale.low, axes.get_ylim()[0]), None)
    axes.set_xlim(x[0][0], x[0][-1])
    axes.set_ylabel(energy_label(surface))
    label_axis(axes.xaxis, surface, 0)
    mark_curve(axes, x[0], values, surface, marks)
    if marks.minima:
        # Room for the numbers below the minima.
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.08 * (high - low), high)


def draw_map(
    axes: Any,
    surface: SurfaceData,
    scale: Scale,
    cmap: Any = None,
    aspect: Any = None,
    contour_labels: bool = False,
) -> Any:
    """Draw a map of two CVs without a colour bar, and return what one belongs to."""
    from cyfes.plotting.picture import COLOUR_MAP

    mesh = _mesh(axes, surface, (scale.low, scale.high), cmap or COLOUR_MAP, over="white")
    if len(scale.levels):
        (x, y), shown = closed(surface)
        masked = np.ma.masked_invalid(shown.T)
        inside = [v for v in scale.levels if masked.min() < v < masked.max()]
        if inside:
            lines = axes.contour(
                x, y, masked, levels=inside, colors="white", linewidths=0.4, alpha=0.8
            )
            if contour_labels:
                axes.clabel(lines, fontsize=5.5, fmt="%g", inline_spacing=2)
    _finish_map(axes, surface, aspect)
    return mesh


def _mesh(
    axes: Any,
    surface: SurfaceData,
    limits: tuple[float, float],
    cmap: Any,
    over: str | None = None,
) -> Any:
    import matplotlib as mpl

    from cyfes.plotting.picture import NOT_SAMPLED

    colours = mpl.colormaps[cmap] if isinstance(cmap, str) else cmap
    # A copy, so that a colour map of the user's is not changed.
    colours = colours.with_extremes(bad=NOT_SAMPLED, over=over)
    (x, y), values = closed(surface)
    # As pixels in vector files, too: a path for each point would make them very large.
    return axes.pcolormesh(
        x,
        y,
        np.ma.masked_invalid(values.T),
        shading="nearest" if np.isnan(values).any() else "gouraud",
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        rasterized=True,
    )


def _finish_map(axes: Any, surface: SurfaceData, aspect: Any) -> None:
    from cyfes.plotting.labels import label_axis

    grid = surface.grid
    width, height = (grid.upper - grid.lower).tolist()
    if aspect is None and all(grid.periodic) and math.isclose(width, height, rel_tol=1e-6):
        aspect = "equal"
    axes.set_xlim(grid.lower[0], grid.upper[0])
    axes.set_ylim(grid.lower[1], grid.upper[1])
    axes.set_aspect(aspect or "auto")
    label_axis(axes.xaxis, surface, 0)
    label_axis(axes.yaxis, surface, 1)


def colour_bar(mesh: Any, axes: Sequence[Any], surface: SurfaceData, scale: Scale) -> None:
    """Draw the colour bar of one or several maps; `surface` holds what all of them show."""
    from cyfes.plotting.labels import energy_label

    unknown = np.isnan(surface.values)
    above = (surface.values[~unknown] > scale.high + 1e-9 * (scale.high - scale.low)).any()
    words = [energy_label(surface), scale.words if len(scale.levels) else ""]
    words.append("grey: not sampled" if unknown.any() else "")
    _bar(mesh, axes, "\n".join(filter(None, words)), "max" if above else "neither")


def _bar(mesh: Any, axes: Sequence[Any], words: str, extend: str) -> None:
    bar = axes[0].figure.colorbar(mesh, ax=list(axes), pad=0.02, extend=extend)
    bar.set_label(words)


def _slices(
    surface: SurfaceData,
    marks: Marks,
    place: dict[str, float],
    scale: Scale,
    look: dict[str, Any],
    title: str,
) -> Figure:
    """Draw the maps of each two CVs through the lowest point, on one scale."""
    from cyfes.plotting.labels import place_text
    from cyfes.plotting.marks import mark_map
    from cyfes.plotting.picture import HEIGHT, WIDTH, new_figure

    lowest = surface.grid.point(int(np.nanargmin(surface.values)))
    here = dict(zip(surface.names, lowest))
    pairs = list(combinations(surface.names, 2))
    columns = min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure = new_figure(0.8 * WIDTH * columns + 0.6, HEIGHT * rows)
    drawn = []
    for number, pair in enumerate(pairs, 1):
        axes = figure.add_subplot(rows, columns, number)
        held = {name: value for name, value in here.items() if name not in pair}
        plane = cut(surface, held)
        mesh = draw_map(axes, plane, scale, **look)
        mark_map(axes, plane, marks, {**place, **held})
        axes.set_title(place_text(surface, held), fontsize=8)
        drawn.append(axes)
    colour_bar(mesh, drawn, surface, scale)
    if title:
        figure.suptitle(title, fontsize=8)
    return figure


def closed(surface: SurfaceData) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Return axes and values with the first point of a periodic axis again at its end."""
    axes, values = [], np.asarray(surface.values, dtype=np.float64)
    for k, (axis, wraps) in enumerate(zip(surface.grid.axes, surface.grid.periodic)):
        if wraps:
            axis = np.append(axis, surface.grid.upper[k])  # noqa: PLW2901 - the same axis, closed
            values = np.concatenate([values, np.take(values, [0], axis=k)], axis=k)
        axes.append(axis)
    return axes, values
