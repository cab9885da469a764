"""Options that several commands share: units, grids, and points or regions of a surface."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import parse_number
from cyfes.base.units import ENERGY_UNITS, thermal_energy
from cyfes.cli.common import (
    UsageError,
    add_hills_file_options,
    count,
    file_format,
    list_of,
    positive_number,
    print_message,
)
from cyfes.errors import InputError
from cyfes.io.hill_tables import checked_format
from cyfes.io.hills_files import read_and_merge
from cyfes.io.paths import expanded
from cyfes.landscape.regions import box
from cyfes.model.domains import axis_ends
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cyfes.landscape.basins import Minimum
    from cyfes.model.domains import Domain
    from cyfes.model.hills import Hills
    from cyfes.surface import FreeEnergySurface

# Options whose value may begin with a minus sign.
SIGNED_OPTIONS = ("--from", "--to", "--at", "--min", "--max", "--frame")

#: What `cyfes.load` reads, for the help.
FILES = "a file of a surface: .dat of PLUMED, .npz, .nc, .vtk, .cube, or .pmf of Colvars"

# A grid reaches so many bandwidths beyond the samples, unless its ends are typed.
_MARGIN = 3.0

PLACES = """\

A place is one of these:
  1              the number of a minimum; 1 is the lowest one
  -1.2,2.6       a point: a value for each CV
  -pi:0,pi/2:pi  a region: a range for each CV, to compare free energies;
                 : alone is the whole axis
"""


def add_frame_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names one of several frames in the file of a surface."""
    parser.add_argument(
        "--frame",
        type=_whole_number,
        metavar="N",
        help="the frame to read if the file has several: 0 is the first, -1 the last (default: -1)",
    )


def _whole_number(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number")
    return int(text)


def add_unit_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name units."""
    option = parser.add_argument_group("units").add_argument
    option(
        "--unit",
        choices=ENERGY_UNITS,
        help="the unit of the energies in the file, if the file does not say it",
    )
    option("--kt", type=positive_number, metavar="KT", help="kT in the unit of --unit")
    option(
        "--temperature",
        type=positive_number,
        metavar="T",
        help="the temperature in K; it takes the place of --kt. It needs --unit, except for "
        "samples and states of PLUMED: their energies are in kJ/mol if --unit is not given",
    )
    option("--convert", choices=ENERGY_UNITS, help="the unit in which energies are shown")
    option(
        "--cv-units",
        type=list_of(str),
        metavar="U[,U2]",
        help="the units in which CVs are shown. If the unit of a CV is known, the CV is converted "
        "(rad and deg; nm, Å, pm and bohr); a CV from -pi to pi is in rad. Otherwise this says "
        "which unit the CV has",
    )


def add_grid_options(
    option: Callable[..., object], end: Callable[[str], object], lowest: str
) -> None:
    """Add the options that choose a grid.

    `end` reads one end of an axis; `lowest` is the default of the lower ends, in words.
    """
    option(
        "--bin",
        type=list_of(count),
        metavar="N[,N2]",
        help="the number of bins of each CV (default: 100)",
    )
    option(
        "--min",
        type=list_of(end),
        metavar="X[,X2]",
        help=f"the lower ends of the grid (default: {lowest})",
    )
    option("--max", type=list_of(end), metavar="X[,X2]", help="the upper ends of the grid")


def add_integrate_out_option(option: Callable[..., Any]) -> None:
    """Add the option that integrates CVs out."""
    option(
        "--integrate-out",
        type=list_of(str),
        metavar="CV[,CV2]",
        help="integrate over these CVs. This needs --kt, or --unit and --temperature",
    )


def integrated(surface: FreeEnergySurface, options: argparse.Namespace) -> FreeEnergySurface:
    """Return a surface with the CVs of --integrate-out integrated out."""
    if options.integrate_out is None:
        return surface
    known = surface.with_units(options.unit, options.temperature, kT=options.kt)
    return known.integrate_out(options.integrate_out)


def add_hills_options(option: Callable[..., object]) -> None:
    """Add the options of how hills are read."""
    add_hills_file_options(option)
    option(
        "--merge",
        choices=("auto", "time", "clock", "none"),
        default="auto",
        help="the column that orders the hills of several files. auto takes the clock if all files "
        "have it, otherwise the time; none takes one file after the other (default: auto)",
    )


def hills_of_options(options: argparse.Namespace) -> Hills:
    """Return the hills of --hills, and say in which order those of several files were put."""
    merge = None if options.merge == "none" else options.merge
    table = checked_format(**file_format(options))
    hills, column = read_and_merge([options.hills], merge, options.kernel, options.check, table)
    if column is not None:
        print_message(f"put the hills of all files in the order of their {column} (see --merge)")
    elif options.merge == "auto" and len(expanded(options.hills)) > 1:
        print_message(
            "took the hills of one file after the other, because neither clock nor time rises in "
            "each of them"
        )
    return hills


def kT_of_run(options: argparse.Namespace, temperature: str = "--temperature") -> float:  # noqa: N802 - the symbol of the field
    """Return kT in the unit of a run's energies: PLUMED's kJ/mol, unless --unit names another.

    Parameters
    ----------
    options : argparse.Namespace
        The options; a temperature without a unit sets the unit.
    temperature : str
        The name of the option of the temperature.

    Raises
    ------
    UsageError
        If neither or both of kT and the temperature are given.
    """
    if (options.kt is None) == (options.temperature is None):
        found = "neither" if options.kt is None else "both"
        raise UsageError(
            f"found {found} of --kt and {temperature}, expected one of them: kT in the unit of "
            "the energies, or the temperature in K"
        )
    if options.kt is not None:
        return float(options.kt)
    if options.unit is None:
        options.unit = "kJ/mol"
    return thermal_energy(options.temperature, options.unit)


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
    UsageError
        If the ends that were typed do not fit a CV, see `axis_ends`.
    """
    if options.min is None:
        ends = [known or free for known, free in zip(domain, zip(*needed))]
    else:
        ends = typed_axes(names, domain, options.min, options.max)
    bins = options.bin or [100] * len(names)
    periodic = [known is not None for known in domain]
    return Grid([low for low, _ in ends], [high for _, high in ends], bins, periodic)


def typed_axes(
    names: Sequence[str], domain: Sequence[Domain], low: Sequence[str], high: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the ends of each axis by the values of --min and --max, as `axis_ends` says.

    Raises
    ------
    UsageError
        If the ends do not fit a CV.
    """
    try:
        return [
            axis_ends(name, known, typed, print_message)
            for name, known, typed in zip(names, domain, zip(low, high))
        ]
    except InputError as error:
        raise UsageError(str(error)) from error


def add_place_options(parser: argparse.ArgumentParser, minima: str) -> None:
    """Add the options that name minima and places."""
    option = parser.add_argument_group("minima and places").add_argument
    option(
        "--depth",
        type=positive_number,
        metavar="E",
        help="list only minima that are deeper than E. The depth of a minimum is how far F must "
        f"rise on the way from it to a lower minimum. The unit is the one that is shown. {minima}",
    )
    option(
        "--from", dest="first", metavar="PLACE", help="where the path begins, or the first region"
    )
    option("--to", dest="last", metavar="PLACE", help="where the path ends, or the second region")


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
