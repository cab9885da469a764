"""The command ``cyfes plot``: pictures of surfaces and paths."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyfes.base.optional_packages import need
from cyfes.cli import surface_options
from cyfes.cli.common import OK, list_of, number, positive_number, print_message
from cyfes.cli.surface_options import check_places, point_of, with_units
from cyfes.errors import InputError
from cyfes.io.text_files import check_target, replacing
from cyfes.surface import load

if TYPE_CHECKING:
    from cyfes.surface import FreeEnergySurface

SIGNED_OPTIONS = surface_options.SIGNED_OPTIONS

DESCRIPTION = f"""\
Draw a free-energy surface: one CV as a curve, two as a map with contour lines, three or more as
maps of each two CVs through the lowest point, or with --at as a slice. With --from and --to the
minimum-energy path is drawn too, or its profile alone.
{surface_options.PLACES}"""

EXAMPLE = """\
examples:
  cyfes plot fes.dat --unit kJ/mol --temperature 300 --depth 5 --output fes.pdf
  cyfes plot fes.dat --from 1 --to 3 --profile --output path.png
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    surface_options.add_surface_options(parser)
    option = parser.add_argument_group("picture").add_argument
    option(
        "--output",
        metavar="FILE",
        help="its suffix names the format: .pdf, .svg, .png and others (default: FES's name with "
        ".pdf); an older file is kept as bck.0.NAME",
    )
    option("--maximum", type=positive_number, metavar="E", help="the highest value shown")
    option("--step", type=positive_number, metavar="E", help="the distance of contour lines")
    option(
        "--at",
        type=list_of(_held),
        metavar="CV=X[,CV2=X2]",
        help="hold CVs at a value, and draw the others",
    )
    option("--profile", action="store_true", help="draw F along the path, not the map")
    surface_options.add_place_options(
        parser, "kT where it is known, otherwise all; given, they are marked"
    )
    surface_options.add_unit_options(parser)


def _held(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected CV=VALUE")
    return name, number(value)


def run(options: argparse.Namespace) -> int:
    """Draw, and return the exit status."""
    check_places(options)
    target = Path(options.output or Path(options.surface).with_suffix(".pdf").name)
    check_target(target)
    # A backend that needs no screen, before any other is chosen.
    need("matplotlib", "cyfes plot").use("Agg")
    surface = with_units(load(options.surface, frame=options.frame), options)
    figure = _figure(surface, options)
    supported = figure.canvas.get_supported_filetypes()
    if target.suffix[1:] not in supported:
        raise InputError(
            f"{target}: found the format {target.suffix or 'none'}, expected one of "
            f"{', '.join(sorted(supported))}"
        )
    with replacing(target) as file:
        figure.savefig(file, format=target.suffix[1:])
    print_message(f"drew {', '.join(surface.names)}, wrote {target}")
    return OK


def _figure(surface: FreeEnergySurface, options: argparse.Namespace) -> Any:
    from cyfes.plotting import plot, plot_path

    minima = surface.minima(options.depth or surface.kT or 0.0)
    path = None
    if options.first:
        ends = [point_of(place, surface, minima) for place in (options.first, options.last)]
        path = surface.path(*ends)
        if options.profile:
            return plot_path(path)
    elif options.profile:
        raise InputError("found --profile without a path, expected --from and --to with it")
    flat = surface.grid.ndim == 2
    return plot(
        surface,
        at=dict(options.at or ()),
        maximum=options.maximum,
        step=options.step,
        minima=minima if flat and options.depth else (),
        path=path if flat else None,
    )
