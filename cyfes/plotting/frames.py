"""Free energy over time: small pictures side by side, or a movie."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.io.text_files import replacing
from cyfes.landscape.sampled import not_sampled
from cyfes.plotting.scale import one_of, scale_of
from cyfes.plotting.surfaces import closed, colour_bar, draw_map, refuse_unused

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from cyfes.model.surface_data import SurfaceData
    from cyfes.plotting.scale import Scale

#: The formats of movies, each by its suffix, that Pillow writes.
MOVIES = {".gif": "GIF", ".webp": "WEBP"}


class _Frames(NamedTuple):
    """Surfaces as they are drawn, all on one scale, and their titles."""

    surfaces: list[SurfaceData]
    labels: Sequence[str]
    scale: Scale


def plot_frames(
    surfaces: Sequence[SurfaceData],
    labels: Sequence[str] | None = None,
    *,
    columns: int = 3,
    maximum: float | None = None,
    vmax: float | None = None,
    step: float | None = None,
    levels: int | Sequence[float] | None = None,
    cmap: Any = None,
    aspect: str | float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw surfaces side by side on one scale, such as F after each portion of a run.

    Two CVs give a map for each surface; one CV gives all curves in one pair of axes, from light to
    dark. The lowest value of each surface is zero.

    Parameters
    ----------
    surfaces : sequence of SurfaceData
        The surfaces, over the same one or two CVs and in the same unit, such as the attribute
        `surfaces` of `cyfes.Convergence`.
    labels : sequence of str, optional
        The title of each map, or the name of each curve in the legend. By default, these are
        numbers.
    columns : int
        The number of maps in a row.
    maximum, vmax, step, levels, cmap, aspect, title
        As for `cyfes.plot`. The colours of curves are taken from the colour map `cmap`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    InputError
        If there are no surfaces, or they are not over the same one or two CVs on one grid.
    MissingDependencyError
        If matplotlib is not installed: ``pip install cyfes[plot]``.
    """
    need("matplotlib", "plot_frames()")
    from cyfes.plotting.picture import WIDTH, new_figure, style

    if columns < 1:
        raise InputError(f"columns: found {columns}, expected a whole number above zero")
    limit = one_of(maximum=maximum, vmax=vmax)
    frames = _frames(surfaces, labels, limit, step, levels)
    _check_curves(frames, {"step": step, "levels": levels, "aspect": aspect})
    with style():
        if frames.surfaces[0].grid.ndim == 1:
            figure = new_figure()
            _curves(figure.add_subplot(), frames, cmap)
        else:
            count = len(frames.surfaces)
            columns = min(columns, count)
            rows = math.ceil(count / columns)
            size = 0.62
            figure = new_figure(size * WIDTH * columns + 0.7, size * WIDTH * rows)
            _maps(figure, frames, (rows, columns), {"cmap": cmap, "aspect": aspect})
        if title:
            figure.suptitle(title, fontsize=8)
    return figure


def save_movie(
    surfaces: Sequence[SurfaceData],
    path: str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    *,
    seconds: float = 0.4,
    dpi: int = 150,
    maximum: float | None = None,
    vmax: float | None = None,
    step: float | None = None,
    levels: int | Sequence[float] | None = None,
    cmap: Any = None,
    aspect: str | float | None = None,
) -> None:
    """Write a movie of surfaces on one scale, such as F as a run goes on.

    Parameters
    ----------
    surfaces, labels, maximum, vmax, step, levels, cmap, aspect
        As for `cyfes.plot_frames`.
    path : path-like
        The file: ``.gif`` or ``.webp``. A file of that name is renamed to ``bck.0.NAME``.
    seconds : float
        The time for which each surface is shown.
    dpi : int
        The number of pixels per inch. A frame is 3.4 × 2.8 inches.

    Raises
    ------
    InputError
        If the suffix is not that of a movie, or as `cyfes.plot_frames` does.
    MissingDependencyError
        If matplotlib is not installed: ``pip install cyfes[plot]``.
    OSError
        If the file cannot be written.
    """
    need("matplotlib", "save_movie()")
    target = Path(path)
    kind = MOVIES.get(target.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: found the suffix {target.suffix or 'none'}, expected one of "
            f"{', '.join(MOVIES)}; ffmpeg makes any other from a .gif"
        )
    check_positive("seconds", seconds)
    limit = one_of(maximum=maximum, vmax=vmax)
    frames = _frames(surfaces, labels, limit, step, levels)
    _check_curves(frames, {"step": step, "levels": levels, "aspect": aspect})
    look = {"cmap": cmap, "aspect": aspect}
    images = [_image(frames, k, look, dpi) for k in range(len(frames.surfaces))]
    with replacing(target) as file:
        images[0].save(
            file,
            format=kind,
            save_all=True,
            append_images=images[1:],
            duration=round(1000 * seconds),
            loop=0,
        )


def _frames(
    surfaces: Sequence[SurfaceData],
    labels: Sequence[str] | None,
    limit: float | None,
    step: float | None,
    levels: int | Sequence[float] | None,
) -> _Frames:
    """Return surfaces with zero as the lowest value of each, on one scale."""
    found = list(surfaces)
    if not found:
        raise InputError("found no surfaces, expected at least one")
    first = found[0]
    if first.grid.ndim > 2:
        raise InputError(
            f"found {first.grid.ndim} CVs, expected one or two; hold the others with cut(…)"
        )
    if any((s.names, s.unit, s.grid) != (first.names, first.unit, first.grid) for s in found):
        raise InputError(
            "found surfaces that differ in their CVs, grids or units, expected the same"
        )
    if labels is not None and len(labels) != len(found):
        raise InputError(
            f"labels: found {len(labels)}, expected {len(found)}, one for each surface"
        )
    flat = []
    for surface in found:
        values = np.where(not_sampled(surface.values, surface.grid), np.nan, surface.values)
        if np.isnan(values).all():
            raise InputError("found a surface that is nowhere finite, expected values to draw")
        flat.append(replace(surface, values=values - np.nanmin(values), gradient=None))
    # Of the surface that reaches highest.
    highest = max(flat, key=lambda surface: float(np.nanmax(surface.values)))
    numbers = [str(k) for k in range(1, len(found) + 1)]
    return _Frames(flat, labels or numbers, scale_of(highest, 0.0, limit, step, levels))


def _check_curves(frames: _Frames, of_maps: dict[str, Any]) -> None:
    if frames.surfaces[0].grid.ndim == 1:
        refuse_unused(1, of_maps)


def _maps(figure: Any, frames: _Frames, shape: tuple[int, int], look: dict[str, Any]) -> None:
    grid = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for axes, surface, label in zip(grid.flat, frames.surfaces, frames.labels):
        mesh = draw_map(axes, surface, frames.scale, **look)
        axes.set_title(label, fontsize=7)
        axes.label_outer()
    for axes in grid.flat[len(frames.surfaces) :]:
        axes.set_visible(False)
    values = [surface.values for surface in frames.surfaces]
    # One surface that holds what all of them show, for the words of the colour bar.
    ends = replace(frames.surfaces[0], values=np.maximum.reduce(values))
    colour_bar(mesh, list(grid.flat), ends, frames.scale)


def _curves(axes: Any, frames: _Frames, cmap: Any) -> None:
    import matplotlib as mpl

    from cyfes.plotting.labels import energy_label, label_axis

    name = cmap or "viridis_r"
    colours = mpl.colormaps[name] if isinstance(name, str) else name
    count = len(frames.surfaces)
    for k, (surface, label) in enumerate(zip(frames.surfaces, frames.labels)):
        x, values = closed(surface)
        shown = np.where(np.nan_to_num(values, nan=np.inf) <= frames.scale.high, values, np.nan)
        # The lightest colours of a map cannot be seen on white.
        axes.plot(x[0], shown, color=colours(0.15 + 0.85 * (k + 1) / count), label=label)
    axes.set_ylim(0.0, None)
    axes.set_xlim(x[0][0], x[0][-1])
    axes.set_ylabel(energy_label(surface))
    label_axis(axes.xaxis, surface, 0)
    axes.legend(frameon=False, fontsize=6)


def _image(frames: _Frames, number: int, look: dict[str, Any], dpi: int) -> Any:
    """Return one frame of a movie as an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    from cyfes.plotting.picture import new_figure, style

    one = _Frames([frames.surfaces[number]], [frames.labels[number]], frames.scale)
    with style():
        figure = new_figure()
        figure.set_dpi(dpi)
        if one.surfaces[0].grid.ndim == 1:
            axes = figure.add_subplot()
            _curves(axes, one, "Greys" if look["cmap"] is None else look["cmap"])
            axes.set_ylim(0.0, frames.scale.high)
        else:
            _maps(figure, one, (1, 1), look)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Image.fromarray(np.array(canvas.buffer_rgba())).convert("RGB")
