"""The command ``cyfes plot``: pictures of surfaces and paths."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyfes.base.optional_packages import need
from cyfes.cli import surface_options
from cyfes.cli.common import (
    OK,
    UsageError,
    count,
    list_of,
    number,
    positive_number,
    print_message,
)
from cyfes.cli.surface_options import check_places, point_of, with_units
from cyfes.errors import InputError
from cyfes.io.text_files import check_target, replacing
from cyfes.surface import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyfes.surface import FreeEnergySurface

SIGNED_OPTIONS = surface_options.SIGNED_OPTIONS

DESCRIPTION = f"""\
Draw a free-energy surface. One CV gives a curve, with a band if the file has errors. Two CVs give a
map with contour lines. Three or more CVs give a map of each two CVs through the lowest point, or
with --at a slice. --from and --to add the minimum-energy path; with --profile, only the free energy
along the path is drawn. Several surfaces, such as those of sum-hills --stride, are drawn side by
side, or one after the other in a movie.
{surface_options.PLACES}"""

EXAMPLE = """\
examples:
  cyfes plot fes.dat --unit kJ/mol --temperature 300 --depth 5 --output fes.pdf
  cyfes plot fes.dat --from 1 --to 3 --profile --output path.png
  cyfes plot fes.dat --minus other.dat --output difference.pdf
  cyfes plot fes_0.dat fes_1.dat fes_2.dat --output movie.gif
"""

_ZEROS = ("surface", "picture", "none")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "surfaces",
        metavar="FES",
        nargs="+",
        help=f"{surface_options.FILES}. Several are drawn in the order in which they are given",
    )
    surface_options.add_frame_option(parser)
    option = parser.add_argument_group("picture").add_argument
    option(
        "--output",
        metavar="FILE",
        help="the file to write. Its suffix chooses the format: .pdf, .svg, .png and others, or "
        "for several FES also .gif and .webp, which are movies (default: the name of FES with "
        ".pdf). A file that exists already is kept as bck.0.NAME",
    )
    option("--minus", metavar="FES", help="draw the difference: FES minus this surface")
    option(
        "--at",
        type=list_of(_held),
        metavar="CV=X[,CV2=X2]",
        help="hold these CVs at the grid point that is nearest to a value, and draw the others. "
        "The title says which point that is",
    )
    surface_options.add_integrate_out_option(option)
    option(
        "--zero",
        choices=_ZEROS,
        default="surface",
        help="what is shown as zero. surface: the lowest value of the whole surface; picture: the "
        "lowest value that is drawn; none: F is shown as it is (default: surface)",
    )
    option(
        "--profile",
        action="store_true",
        help="draw the free energy along the path instead of the map",
    )
    _add_look_options(parser)
    surface_options.add_place_options(
        parser,
        "The default is kT; if kT is not known, all are listed. Minima are drawn if --depth is "
        "given.",
    )
    surface_options.add_unit_options(parser)


def _add_look_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("look").add_argument
    option(
        "--maximum",
        "--vmax",
        type=positive_number,
        metavar="E",
        help="draw F up to this height above zero. With --minus, it is the largest difference",
    )
    option("--step", type=positive_number, metavar="E", help="the distance between contour lines")
    option("--levels", type=list_of(number), metavar="E[,E2]", help="contour lines at these values")
    option("--contour-labels", action="store_true", help="write the value on each contour line")
    option("--cmap", metavar="NAME", help="matplotlib's name of a colour map (default: viridis)")
    option(
        "--aspect",
        choices=("auto", "equal"),
        help="the shape of a map. equal: one unit is as long on both axes (default: equal if both "
        "CVs have the same period, otherwise auto)",
    )
    option("--title", metavar="TEXT", help="the title")
    option("--dpi", type=count, metavar="N", help="pixels per inch (default: 300; for movies 150)")


def _held(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected CV=VALUE")
    return name, number(value)


def run(options: argparse.Namespace) -> int:
    """Draw, and return the exit status."""
    _check(options)
    target = Path(options.output or Path(options.surfaces[0]).with_suffix(".pdf").name)
    check_target(target)
    need("matplotlib", "cyfes plot")
    _check_colour_map(options.cmap)
    surfaces = [_read(path, options) for path in options.surfaces]
    names = ", ".join(surfaces[0].names)
    if len(surfaces) > 1 and target.suffix.lower() in _movies():
        _save_movie(surfaces, target, options)
        print_message(f"drew {names} in {len(surfaces)} pictures, wrote {target}")
        return OK
    figure = _figure(surfaces, options)
    supported = figure.canvas.get_supported_filetypes()
    if target.suffix[1:] not in supported:
        raise InputError(
            f"{target}: found the format {target.suffix or 'none'}, expected one of "
            f"{', '.join(sorted(supported))}"
        )
    with replacing(target) as file:
        figure.savefig(file, format=target.suffix[1:], **_given(dpi=options.dpi))
    where = _where(surfaces[0], options)
    print_message(f"drew {names}{where}, wrote {target}")
    return OK


def _check(options: argparse.Namespace) -> None:
    check_places(options)
    if options.profile and not options.first:
        raise UsageError("found --profile without a path, expected --from and --to with it")
    if options.step and options.levels:
        raise UsageError("found both --step and --levels, expected one of them")
    several = len(options.surfaces) > 1
    marks, lines = ("depth", "from", "profile"), ("step", "levels", "contour-labels")
    _refuse_with(several, "several FES", (*marks, "minus", "contour-labels"), options)
    _refuse_with(options.minus, "--minus", (*marks, *lines), options)
    _refuse_with(options.profile, "--profile", ("at", "minus", "cmap", "aspect", *lines), options)
    if several and options.zero != "surface":
        raise UsageError(f"found --zero {options.zero} with several FES, each of which has its own")
    if options.title and several and options.output and Path(options.output).suffix in _movies():
        raise UsageError("found --title for a movie, whose titles are the names of the files")


def _refuse_with(given: object, what: str, names: Iterable[str], options: Any) -> None:
    """Refuse options that a kind of picture cannot show."""
    attributes = {"from": "first", "contour-labels": "contour_labels"}
    found = [name for name in names if given and getattr(options, attributes.get(name, name))]
    if found:
        raise UsageError(f"found --{', --'.join(found)} with {what}, which cannot show it")


def _check_colour_map(name: str | None) -> None:
    import matplotlib as mpl

    if name is not None and name not in mpl.colormaps:
        raise InputError(
            f"--cmap: found {name!r}, expected a colour map of matplotlib, such as viridis, "
            "cividis, plasma, jet or RdBu_r"
        )


def _movies() -> Iterable[str]:
    from cyfes.plotting.frames import MOVIES

    return MOVIES


def _read(path: str, options: argparse.Namespace) -> FreeEnergySurface:
    surface = surface_options.integrated(load(path, frame=options.frame), options)
    return with_units(surface, options)


def _where(surface: FreeEnergySurface, options: argparse.Namespace) -> str:
    """Return where the surface was cut, in words."""
    if not options.at:
        return ""
    from cyfes.landscape.projection import cut_place

    place = cut_place(surface, dict(options.at))
    units = dict(zip(surface.names, surface.known_cv_units()))
    found = (f"{name} = {x + 0.0:.6g} {units[name] or ''}".strip() for name, x in place.items())
    return f" at the grid point {', '.join(found)}"


def _cut(surfaces: list[FreeEnergySurface], options: argparse.Namespace) -> Any:
    from cyfes.landscape.projection import cut

    at = dict(options.at or ())
    return [cut(surface, at) for surface in surfaces] if at else surfaces


def _save_movie(
    surfaces: list[FreeEnergySurface], target: Path, options: argparse.Namespace
) -> None:
    from cyfes.plotting.frames import save_movie

    labels = [Path(path).name for path in options.surfaces]
    save_movie(_cut(surfaces, options), target, labels, **_look(options), **_given(dpi=options.dpi))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _look(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "maximum": options.maximum,
        "step": options.step,
        "levels": options.levels,
        "cmap": options.cmap,
        "aspect": options.aspect,
    }


def _figure(surfaces: list[FreeEnergySurface], options: argparse.Namespace) -> Any:
    from cyfes.plotting.frames import plot_frames
    from cyfes.plotting.series import plot_path
    from cyfes.plotting.surfaces import plot, plot_difference

    at = dict(options.at or ())
    look = {**_look(options), "title": options.title}
    if len(surfaces) > 1:
        labels = [Path(path).name for path in options.surfaces]
        return plot_frames(_cut(surfaces, options), labels, **look)
    (surface,) = surfaces
    if options.minus:
        look = {"vmax": options.maximum, "cmap": options.cmap, "aspect": options.aspect}
        other = _read(options.minus, options)
        return plot_difference(
            surface, other, at=at, zero=options.zero, title=options.title, **look
        )
    minima = surface.minima(options.depth) if options.depth or options.first else ()
    path = None
    if options.first:
        ends = [point_of(place, surface, minima) for place in (options.first, options.last)]
        path = surface.path(*ends)
        if options.profile:
            return plot_path(path, title=options.title)
    return plot(
        surface,
        at=at,
        zero=options.zero,
        minima=minima if options.depth else (),
        path=path,
        contour_labels=options.contour_labels,
        **look,
    )
