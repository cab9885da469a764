"""Figures that belong to no window, and the style that they keep when they are written."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

# A perceptually uniform colour map; its colours and those of lines differ for any colour vision.
COLOUR_MAP, DIFFERENCE_MAP = "viridis", "RdBu_r"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.35"

#: The colour of points that were not sampled.
NOT_SAMPLED = "0.85"

# A column of most journals is 85 to 90 mm wide.
WIDTH, HEIGHT = 3.4, 2.8

_STYLE = {
    "font.size": 8.0,
    "axes.linewidth": 0.7,
    "xtick.direction": "out",
    "lines.linewidth": 1.3,
    "figure.dpi": 150,
    "savefig.dpi": 300,
    # Text stays text in vector files, so that it can be searched and edited.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "axes.formatter.use_mathtext": True,
}


# The layout in which a colour bar is as high as a map of fixed aspect, since matplotlib 3.6.
_VERSION = tuple(map(int, mpl.__version__.split(".")[:2]))
_LAYOUT = "compressed" if _VERSION >= (3, 6) else "constrained"


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of this package, and leave the user's settings as they were."""
    with mpl.rc_context(_STYLE):
        yield


class Picture(Figure):  # type: ignore[misc]
    """A figure of its own.

    pyplot does not know it, so that ``plt.show()``, ``plt.gcf()`` and interactive mode stay what
    they were, and it is freed when it is no longer used. A notebook shows it where it is the value
    of a cell, once.
    """

    def draw(self, renderer: Any) -> None:
        """Draw in the figure's own style: ticks are made when they are drawn first."""
        with style():
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure in its own style, as `matplotlib.figure.Figure.savefig` does."""
        with style():
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=self.dpi)
        return stream.getvalue()


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Picture:
    """Return an empty figure of a size in inches; within `style`."""
    return Picture(figsize=(width, height), layout=_LAYOUT)


def figure_and_axes(ax: Any) -> tuple[Any, Any]:
    """Return a figure and the axes to draw in: those given, or new ones; within `style`."""
    if ax is not None:
        return ax.figure, ax
    figure = new_figure()
    return figure, figure.add_subplot()
