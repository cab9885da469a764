"""Pictures of paths and of time series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.optional_packages import need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cyfes.landscape.minimum_path import EnergyPath


def plot_path(path: EnergyPath, *, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Draw the free energy along a path, with its barrier.

    Parameters
    ----------
    path : EnergyPath
        The path.
    ax : matplotlib.axes.Axes, optional
        The axes to draw in. By default, a new figure is made.
    title : str, optional
        The title.

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
    from cyfes.plotting.labels import with_unit
    from cyfes.plotting.picture import BLUE, ORANGE, figure_and_axes, style

    with style():
        figure, axes = figure_and_axes(ax)
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
        axes.set_ylabel(with_unit("Free energy", path.unit))
        if title:
            axes.set_title(title, fontsize=8)
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
        The values of each curve. The key is the name of the curve in the legend.
    xlabel, ylabel : str
        The labels of the axes.
    ax : matplotlib.axes.Axes, optional
        The axes to draw in. By default, a new figure is made.

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
    from cyfes.plotting.picture import BLUE, GREY, ORANGE, figure_and_axes, style

    with style():
        figure, axes = figure_and_axes(ax)
        styles = [(colour, line) for line in ("-", "--", ":") for colour in (BLUE, ORANGE, GREY)]
        for (name, values), (colour, line) in zip(curves.items(), styles * len(curves)):
            axes.plot(x, values, line, color=colour, label=name)
        if len(curves) > 1:
            axes.legend(frameon=False)
        axes.margins(x=0.0)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
    return figure
