"""The range of energies that a picture shows, and its contour lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cyfes.model.surface_data import SurfaceData

    Floats = NDArray[np.floating[Any]]

# Without a limit, most colours would be used for the high values around the sampled region.
HIGHEST_KT = 30.0

_MOST_LEVELS = 15


class Scale(NamedTuple):
    """What a picture shows: the lowest and the highest value, and its contour lines."""

    low: float
    high: float
    levels: Floats
    #: What the label of the colour bar says of the lines.
    words: str


def one_of(**limits: float | None) -> float | None:
    """Return the one of two names of an option that was given."""
    given = {name: value for name, value in limits.items() if value is not None}
    if len(given) > 1:
        raise InputError(f"found both {' and '.join(given)}, expected one of them")
    return next((check_positive(name, value) for name, value in given.items()), None)


def scale_of(
    surface: SurfaceData,
    low: float,
    maximum: float | None,
    step: float | None = None,
    levels: int | Sequence[float] | None = None,
) -> Scale:
    """Return the scale of a surface.

    Parameters
    ----------
    surface : SurfaceData
        The surface as it is shown, nan where it was not sampled.
    low : float
        The lowest value shown.
    maximum : float or None
        The highest, above the lowest; by default 30 kT where kT is known, otherwise the highest
        value.
    step : float, optional
        The distance of contour lines.
    levels : int or sequence of float, optional
        Otherwise how many there are at most, or their values.

    Returns
    -------
    Scale
        The scale.
    """
    if step is not None and levels is not None:
        raise InputError("found both step and levels, expected one of them")
    high = low + maximum if maximum is not None else _highest(surface, low)
    if levels is not None and np.ndim(levels):
        chosen = np.unique(np.asarray(levels, dtype=np.float64))
        if not len(chosen) or not np.isfinite(chosen).all():
            raise InputError(f"levels: found {levels!r}, expected numbers")
        return Scale(low, high, chosen, "")
    count = _MOST_LEVELS if levels is None else levels
    if not isinstance(count, (int, np.integer)) or count < 1:
        raise InputError(f"levels: found {levels!r}, expected a number from 1, or values")
    distance, words = _distance(surface, high - low, step, int(count))
    first = math.floor(low / distance) + 1
    values = distance * np.arange(first, math.ceil(high / distance - 1e-9))
    return Scale(low, high, values, f"contour lines every {words}")


def _highest(surface: SurfaceData, low: float) -> float:
    highest = float(np.nanmax(surface.values))
    if surface.kT is not None:
        highest = min(highest, low + HIGHEST_KT * surface.kT)
    return highest if highest > low else low + 1.0


def _distance(
    surface: SurfaceData, span: float, step: float | None, count: int
) -> tuple[float, str]:
    """Return the distance of contour lines as a number and as text."""
    if step is not None:
        step = check_positive("step", step)
        return step, " ".join(filter(None, (f"{step:g}", surface.unit)))
    if surface.kT is not None:
        multiple = round_number(span / surface.kT / count, least=1.0)
        return multiple * surface.kT, f"{multiple:g} kT"
    least = 1.0 if surface.unit == "kcal/mol" else 0.0
    distance = round_number(span / count, least)
    return distance, " ".join(filter(None, (f"{distance:g}", surface.unit)))


def round_number(value: float, least: float = 0.0) -> float:
    """Return the next of … 0.5, 1, 2, 5, 10 … from a number."""
    value = max(value, least)
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= value * (1.0 - 1e-9))
