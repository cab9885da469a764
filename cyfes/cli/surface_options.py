"""Options that several commands share: units, grids, and points or regions of a surface."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import parse_number
from cyfes.base.units import ENERGY_UNITS
from cyfes.cli.common import UsageError, list_of, positive_number
from cyfes.errors import InputError
from cyfes.landscape.regions import box
from cyfes.model.domains import end_values
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cyfes.landscape.basins import Minimum
    from cyfes.model.domains import Domain
    from cyfes.surface import FreeEnergySurface

# Options whose value may begin with a minus sign.
SIGNED_OPTIONS = ("--from", "--to", "--at", "--min", "--max")

# A grid reaches so many bandwidths beyond the samples, unless its ends are typed.
_MARGIN = 3.0

PLACES = """\
A place is the number of a minimum (1 is the lowest), a point such as -1.2,2.6 or, for a
difference of free energy, ranges such as -pi:0,pi/2:pi, where : alone is the whole axis.
"""


def add_unit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name units."""
    option = parser.add_argument_group("units").add_argument
    option(
        "--unit",
        choices=ENERGY_UNITS,
        help="the unit of the energies that are read, where the file does not say",
    )
    option("--kt", type=positive_number, metavar="KT", help="kT in that unit")
    option(
        "--temperature",
        type=positive_number,
        metavar="T",
        help="the temperature in K instead of kT; needs --unit",
    )
    option("--convert", choices=ENERGY_UNITS, help="the unit of the energies that are shown")
    option(
        "--cv-units",
        type=list_of(str),
        metavar="U[,U2]",
        help="the units of the CVs that are shown: a CV of known unit, such as one from -pi to pi, "
        "is converted (rad and deg; nm, Å, pm and bohr), of any other the unit is named",
    )


def add_integrate_out_option(option: Callable[..., Any]) -> None:
    """Add the option that integrates CVs out."""
    option(
        "--integrate-out",
        type=list_of(str),
        metavar="CV[,CV2]",
        help="integrate CVs out; needs --kt, or --unit and --temperature",
    )


def integrated(surface: FreeEnergySurface, options: argparse.Namespace) -> FreeEnergySurface:
    """Return a surface with the CVs of --integrate-out integrated out."""
    if options.integrate_out is None:
        return surface
    known = surface.with_units(options.unit, options.temperature, kT=options.kt)
    return known.integrate_out(options.integrate_out)


def range_of_samples(
    samples: NDArray[np.float64], bandwidth: Sequence[float]
) -> tuple[list[str], list[str]]:
    """Return the literals of the ends of a grid that holds samples and their Gaussians.

    Parameters
    ----------
    samples : ndarray of float64, shape (N, D)
        The samples.
    bandwidth : sequence of D float
        The width of each sample's Gaussian.

    Returns
    -------
    low, high : list of D str
        The ends.
    """
    margin = _MARGIN * np.array(bandwidth)
    low = [f"{x:g}" for x in samples.min(axis=0) - margin]
    return low, [f"{x:g}" for x in samples.max(axis=0) + margin]


def grid_of_options(
    names: Sequence[str],
    domain: Sequence[Domain],
    needed: tuple[list[str], list[str]],
    options: argparse.Namespace,
) -> Grid:
    """Return the grid of --bin, --min and --max: over a periodic domain, otherwise as needed.

    Raises
    ------
    InputError
        If other ends than its domain were typed for a periodic CV.
    """
    low, high = options.min or needed[0], options.max or needed[1]
    for name, known, typed in zip(names, domain, zip(low, high)):
        if known and options.min and end_values(known) != end_values(typed):
            raise InputError(
                f"found --min {typed[0]} and --max {typed[1]} for {name}, expected its domain, "
                f"{known[0]} to {known[1]}: a periodic axis covers it once"
            )
    ends = [known or typed for known, typed in zip(domain, zip(low, high))]
    bins = options.bin or [100] * len(names)
    return Grid(
        [a for a, _ in ends], [b for _, b in ends], bins, [known is not None for known in domain]
    )


def add_place_options(parser: argparse.ArgumentParser, minima: str) -> None:
    """Add the options that name minima and places."""
    option = parser.add_argument_group("minima and places").add_argument
    option(
        "--depth",
        type=positive_number,
        metavar="E",
        help="minima count from which F must rise by more than this to reach a lower one, in the "
        f"unit that is shown (default: {minima})",
    )
    option("--from", dest="first", metavar="PLACE", help="where a path begins")
    option("--to", dest="last", metavar="PLACE", help="where it ends")


def with_units(surface: FreeEnergySurface, options: argparse.Namespace) -> FreeEnergySurface:
    """Return a surface in the units that the options ask for."""
    if options.cv_units is not None and len(options.cv_units) != surface.grid.ndim:
        raise UsageError(
            f"--cv-units: found {len(options.cv_units)}, expected {surface.grid.ndim}, one for "
            f"each of {', '.join(surface.names)}"
        )
    named = surface.with_units(options.unit, options.temperature, kT=options.kt)
    named = named.to(cv_units=options.cv_units)
    if options.convert is None:
        return named
    given = options.temperature if "kT" in (named.unit, options.convert) else None
    return named.to(options.convert, temperature=given)


def check_places(options: argparse.Namespace) -> None:
    """Refuse --from without --to, and --to without --from."""
    if (options.first is None) != (options.last is None):
        raise UsageError("found one of --from and --to, expected both or neither")


def point_of(text: str, surface: FreeEnergySurface, minima: Sequence[Minimum]) -> NDArray[Any]:
    """Return the point that a place stands for."""
    if text.isdigit() and (surface.grid.ndim > 1 or int(text) in range(1, len(minima) + 1)):
        if not 1 <= int(text) <= len(minima):
            raise UsageError(f"found minimum {text}, expected 1 to {len(minima)}")
        return np.array(minima[int(text) - 1].position)
    words = text.split(",")
    if len(words) != surface.grid.ndim:
        raise UsageError(
            f"found the place {text!r}, expected the number of a minimum, or a value for each of "
            f"{', '.join(surface.names)}"
        )
    return np.array([_value(word) for word in words])


def region_of(text: str, surface: FreeEnergySurface, minima: Sequence[Minimum]) -> NDArray[Any]:
    """Return the mask or the point that a place stands for."""
    if not is_region(text):
        return point_of(text, surface, minima)
    words = text.split(",")
    if len(words) != surface.grid.ndim or any(":" not in word for word in words):
        raise UsageError(
            f"found the region {text!r}, expected a range LOW:HIGH for each of "
            f"{', '.join(surface.names)}"
        )
    return box(surface.grid, [_range(word) for word in words])


def is_region(text: str) -> bool:
    """Whether a place is given by ranges."""
    return ":" in text


def _range(text: str) -> tuple[float, float] | None:
    low, _, high = text.partition(":")
    return None if not low and not high else (_value(low), _value(high))


def _value(text: str) -> float:
    try:
        return parse_number(text)
    except InputError as error:
        raise UsageError(str(error)) from error
