"""Labels and ticks of axes: symbols, units, multiples of pi."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import MultipleLocator

if TYPE_CHECKING:
    from cyfes.model.surface_data import SurfaceData

_GREEK = ("alpha", "beta", "gamma", "delta", "theta", "phi", "psi", "chi", "omega", "rho")


def symbol(name: str) -> str:
    """Return the name of a CV as it is shown."""
    return rf"$\{name}$" if name in _GREEK else name.replace("$", r"\$")


def with_unit(text: str, unit: str | None) -> str:
    """Return a label with its unit, if that is known."""
    return f"{text} ({unit})" if unit else text


def energy_label(surface: SurfaceData, what: str = "Free energy") -> str:
    """Return the label of an axis of energy."""
    return with_unit(what, surface.unit)


def place_text(surface: SurfaceData, place: dict[str, float]) -> str:
    """Return where a surface was cut."""
    units = dict(zip(surface.names, surface.known_cv_units()))
    parts = []
    for name, value in place.items():
        # The grid point at 0 is not exactly 0, because of rounding.
        number = f"{round(value, 12) + 0.0:.4g}".replace("-", "−")
        parts.append(" ".join(filter(None, (f"{symbol(name)} = {number}", units[name]))))
    return ", ".join(parts)


def label_axis(axis: Any, surface: SurfaceData, number: int) -> None:
    """Label the axis of one CV; angles get ticks at parts of a turn."""
    unit = surface.known_cv_units()[number]
    axis.set_label_text(with_unit(symbol(surface.names[number]), unit))
    low, high = surface.bounds()[number]
    if unit == "rad" and "pi" in (low + high).lower():
        axis.set_major_locator(MultipleLocator(math.pi / 2.0))
        axis.set_major_formatter(lambda x, _: in_pi(x))
    elif unit in ("deg", "°") and surface.grid.periodic[number]:
        axis.set_major_locator(MultipleLocator(90.0))


def in_pi(x: float) -> str:
    """Return a multiple of half a pi as text."""
    halves = round(2.0 * x / math.pi)
    if halves % 2:
        factor = "" if abs(halves) == 1 else abs(halves)
        return f"{'−' if halves < 0 else ''}{factor}π/2"
    return {0: "0", 2: "π", -2: "−π"}.get(halves, f"{halves // 2}π".replace("-", "−"))
