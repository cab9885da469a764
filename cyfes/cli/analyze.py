"""The command ``cyfes analyze``: minima, barriers, paths, differences and their errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.cli import surface_options
from cyfes.cli.common import (
    DEVICES,
    OK,
    UsageError,
    count,
    device_name,
    list_of,
    number,
    positive_number,
    print_message,
)
from cyfes.cli.surface_options import check_places, is_region, point_of, region_of, with_units
from cyfes.io.text_files import check_target, write_text
from cyfes.landscape.basins import Landscape
from cyfes.landscape.regions import log_population
from cyfes.model.grid import Grid
from cyfes.surface import load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from cyfes.landscape.basins import Basins
    from cyfes.landscape.minimum_path import EnergyPath
    from cyfes.studies.blocks import BlockedSurface
    from cyfes.studies.convergence import Convergence
    from cyfes.surface import FreeEnergySurface

    Facts = dict[str, Any]

SIGNED_OPTIONS = surface_options.SIGNED_OPTIONS

# What a method does with the blocks.
_METHODS = {"block": "each left out once", "bootstrap": "drawn with replacement"}

# With more minima than this, the barriers of all pairs would fill the screen.
_MOST_PAIRED = 6

# With fewer blocks the error itself is too uncertain to compare.
_FEWEST_BLOCKS = 4

# If longer blocks give errors that are larger by this factor, the blocks are too short.
_GROWTH = 1.5

DESCRIPTION = f"""\
List the minima of a free-energy surface and the barriers between them. --from
and --to name two places: then the minimum-energy path between them and their
difference of free energy are listed, too. The surface is one of these: a file;
the sum of --hills, whose convergence is shown, too; or the free energy of
weighted --samples, which has error bars.
{surface_options.PLACES}"""

EXAMPLE = """\
examples:
  cyfes analyze fes.dat --unit kJ/mol --temperature 300 --from 1 --to 2
  cyfes analyze --hills HILLS --bin 100,100 --kt 2.494 --from 1 --to 2
  cyfes analyze --samples COLVAR --cvs phi,psi --bias metad.rbias --bandwidth 0.1,0.1 \\
    --kt 2.494 --from -pi:0,: --to 0:pi,: --blocks 10
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("surface", nargs="?", metavar="FES", help=surface_options.FILES)
    surface_options.add_frame_option(parser)
    option = parser.add_argument_group("input").add_argument
    option(
        "--hills",
        type=list_of(str),
        metavar="F[,F2]",
        help="sum these HILLS files instead of reading FES",
    )
    option(
        "--samples",
        type=list_of(str),
        metavar="F[,F2]",
        help="reweight the samples in these COLVAR files instead of reading FES",
    )
    option("--cvs", type=list_of(str), metavar="CV[,CV2]", help="the CVs in the COLVAR file(s)")
    option(
        "--bias",
        type=list_of(str),
        metavar="COLUMN[,..]",
        help="the columns of the bias; they are added. Use metad.rbias if the bias grew during the "
        "run, and metad.bias if it did not change",
    )
    option(
        "--bandwidth",
        type=list_of(positive_number),
        metavar="S[,S2]",
        help="the width of the Gaussian around each sample, for each CV",
    )
    surface_options.add_integrate_out_option(option)
    option(
        "--skip",
        type=number,
        default=0.0,
        metavar="PART",
        help="the part of the run that is left out at its beginning, 0 to 1",
    )
    surface_options.add_hills_options(option)
    _add_grid_options(parser)
    option = parser.add_argument_group("what to show").add_argument
    option(
        "--blocks",
        type=count,
        default=10,
        metavar="N",
        help="the number of blocks for the error bars (default: 10)",
    )
    option(
        "--error",
        choices=("block", "bootstrap"),
        default="block",
        help="how error bars are computed: by leaving out each block, or by the bootstrap "
        "(default: block)",
    )
    option(
        "--stride",
        type=count,
        metavar="N",
        help="show the convergence after every N hills (default: a 20th of all)",
    )
    option(
        "--path-file",
        metavar="FILE",
        help="write the points of the path, and F along it, to this file",
    )
    option("--json", action="store_true", help="print one JSON object")
    surface_options.add_place_options(
        parser, "The default is kT; if kT is not known, all are listed."
    )
    surface_options.add_unit_options(parser)


def _add_grid_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("grid of hills and samples").add_argument
    surface_options.add_grid_options(option, str, "as needed")
    option(
        "--device",
        type=device_name,
        default="auto",
        metavar=DEVICES,
        help="the device that computes",
    )


def run(options: argparse.Namespace) -> int:
    """Analyze, print, and return the exit status."""
    _check(options)
    surface, series, blocked = _read(options)
    depth = options.depth or surface.kT or 0.0
    basins = surface.basins(depth)
    facts = _surface_facts(surface, basins, depth)
    path = None
    if options.first:
        regions = [region_of(p, surface, basins.minima) for p in (options.first, options.last)]
        if not (is_region(options.first) or is_region(options.last)):
            ends = [point_of(p, surface, basins.minima) for p in (options.first, options.last)]
            path = surface.path(*ends)
            facts["path"] = _path_facts(path, surface)
            _take_pass_of_path(facts, ends)
        facts.update(_difference_facts(surface, blocked, regions, depth, options))
        if series is not None and surface.kT:
            facts["convergence"] = _series_facts(series, regions, surface, depth)
    elif series is not None:
        facts["convergence"] = _series_facts(series, None, surface, depth)
    if options.path_file and path is not None:
        write_text(options.path_file, _path_rows(path))
    _print(facts, options.json)
    return OK


def _check(options: argparse.Namespace) -> None:
    check_places(options)
    if sum(map(bool, (options.surface, options.hills, options.samples))) != 1:
        raise UsageError("expected one of: a file of a surface, --hills, --samples")
    if options.frame is not None and not options.surface:
        raise UsageError("found --frame without a file of a surface, expected one with it")
    if options.samples:
        missing = [name for name in ("--cvs", "--bandwidth") if not getattr(options, name[2:])]
        if missing:
            raise UsageError(f"found --samples without {', '.join(missing)}, expected them with it")
        surface_options.kT_of_run(options)
    if options.integrate_out and not options.surface:
        raise UsageError("found --integrate-out without FES, expected the file of a surface")
    if (options.min is None) != (options.max is None):
        raise UsageError("found one of --min and --max, expected both or neither")
    if not 0.0 <= options.skip < 1.0:
        raise UsageError(f"--skip: found {options.skip:g}, expected a part from 0 up to 1")
    if options.path_file:
        if not options.first or is_region(options.first) or is_region(options.last):
            raise UsageError("found --path-file without a path, expected points for --from, --to")
        check_target(options.path_file)


def _read(
    options: argparse.Namespace,
) -> tuple[FreeEnergySurface, Convergence | None, BlockedSurface | None]:
    """Return the surface, and its convergence or its blocks where the input gives them."""
    if options.hills:
        return _read_hills(options)
    if options.samples:
        return _read_samples(options)
    surface = surface_options.integrated(load(options.surface, frame=options.frame), options)
    return with_units(surface, options), None, None


def _read_hills(options: argparse.Namespace) -> tuple[FreeEnergySurface, Convergence, None]:
    from dataclasses import replace

    from cyfes.model.extent import Extent
    from cyfes.studies.convergence import convergence

    hills = surface_options.hills_of_options(options)
    hills = hills[int(options.skip * len(hills)) :]
    needed = tuple(zip(*Extent.of_hills(hills).bounds))
    grid = _grid(options, hills.names, hills.domain, needed)
    series = convergence(hills, grid, stride=options.stride, device=options.device)
    surfaces = tuple(with_units(surface, options) for surface in series.surfaces)
    return surfaces[-1], replace(series, surfaces=surfaces), None


def _read_samples(options: argparse.Namespace) -> tuple[FreeEnergySurface, None, BlockedSurface]:
    from dataclasses import replace

    from cyfes.io.colvar_files import read_colvar
    from cyfes.studies.blocks import reweight_blocks

    table = read_colvar(options.samples, columns=[*options.cvs, *(options.bias or ())])
    ndim = len(options.cvs)
    if len(options.bandwidth) != ndim:
        raise UsageError(f"--bandwidth: found {len(options.bandwidth)} values, expected {ndim}")
    # In the order of time over all walkers, so that a block is a period of time, and --skip leaves
    # out the beginning of each walker.
    order = slice(None) if table.times is None else np.argsort(table.times, kind="stable")
    values = table.values[order][int(options.skip * len(table)) :]
    samples, bias = values[:, :ndim], values[:, ndim:].sum(axis=1)
    low, high = surface_options.range_of_samples(samples, options.bandwidth)
    grid = _grid(options, tuple(options.cvs), table.domain[:ndim], (low, high))
    blocked = reweight_blocks(
        samples,
        grid,
        options.bandwidth,
        kT=surface_options.kT_of_run(options),
        bias=bias,
        blocks=options.blocks,
        names=options.cvs,
        device=options.device,
    )
    surface = replace(blocked.surface, domain=tuple(table.domain[:ndim]))
    # Places are in the units that are shown, those of the energies are converted afterwards.
    blocked = replace(blocked, surface=surface.to(cv_units=options.cv_units))
    return with_units(surface, options), None, blocked


def _grid(options: argparse.Namespace, names: Any, domain: Any, needed: Any) -> Grid:
    """Return the grid of --bin, --min and --max; by default three or more CVs have fewer bins."""
    for option in ("bin", "min", "max"):
        values = getattr(options, option)
        if values is not None and len(values) != len(names):
            raise UsageError(f"--{option}: found {len(values)} values, expected {len(names)}")
    options.bin = options.bin or [100 if len(names) < 3 else 50] * len(names)
    return surface_options.grid_of_options(names, domain, needed, options)


def _surface_facts(surface: FreeEnergySurface, basins: Basins, depth: float) -> Facts:
    lowest = basins.minima[0].value
    populations = _populations(surface, basins)
    minima = [
        {
            "number": k + 1,
            "position": dict(zip(surface.names, minimum.position)),
            "free_energy": minimum.value - lowest,
            "depth": minimum.depth if math.isfinite(minimum.depth) else None,
            "at_edge": minimum.at_edge,
            "population": None if populations is None else populations[k],
        }
        for k, minimum in enumerate(basins.minima)
    ]
    return {
        "cvs": list(surface.names),
        "points": list(surface.grid.shape),
        "unit": surface.unit,
        "kT": surface.kT,
        "depth": depth,
        "minima": minima,
        "barriers": _barriers(surface, basins),
    }


def _populations(surface: FreeEnergySurface, basins: Basins) -> list[float] | None:
    if surface.kT is None:
        return None
    density = surface.values / -surface.kT
    logs = [log_population(density, surface.grid, basins.labels == k) for k in range(len(basins))]
    total = np.logaddexp.reduce(logs)
    return [float(np.exp(value - total)) for value in logs]


def _barriers(surface: FreeEnergySurface, basins: Basins) -> list[Facts]:
    """Return the lowest pass between each two minima, to the resolution of the grid."""
    landscape = Landscape.of(surface.values, surface.grid)
    last = min(len(basins), _MOST_PAIRED)
    pairs = [(a, b) for a in range(last) for b in range(a + 1, last)]
    pairs += [(0, b) for b in range(last, len(basins))]
    barriers = []
    for a, b in pairs:
        chain = landscape.between(basins.minima[a].position, basins.minima[b].position)
        if not chain:
            continue
        top = max(chain, key=lambda crossing: crossing.value)
        place = surface.grid.point(max(top.points, key=lambda k: float(landscape.values[k])))
        barriers.append(
            {
                "from": a + 1,
                "to": b + 1,
                "barrier": top.value - basins.minima[a].value,
                "back": top.value - basins.minima[b].value,
                "position": dict(zip(surface.names, place)),
            }
        )
    return barriers


def _path_facts(path: EnergyPath, surface: FreeEnergySurface) -> Facts:
    names = surface.names
    return {
        "from": dict(zip(names, path.points[0].tolist())),
        "to": dict(zip(names, path.points[-1].tolist())),
        "barrier": path.barrier,
        "back": path.barrier_back,
        "transition_state": dict(zip(names, path.points[path.top].tolist())),
    }


def _take_pass_of_path(facts: Facts, ends: list[Any]) -> None:
    """Give the pass between two minima the numbers of the path between them.

    The path is interpolated between the points of the grid, so its barrier is the better one of
    two; both would confuse.
    """
    path = facts["path"]
    positions = [tuple(minimum["position"].values()) for minimum in facts["minima"]]
    numbers = [positions.index(end) + 1 for end in map(tuple, ends) if end in positions]
    for row in facts["barriers"]:
        if sorted(numbers) == [row["from"], row["to"]]:
            order = ("barrier", "back") if numbers[0] == row["from"] else ("back", "barrier")
            row["barrier"], row["back"] = (path[height] for height in order)
            row["position"] = path["transition_state"]


def _difference_facts(
    surface: FreeEnergySurface,
    blocked: BlockedSurface | None,
    regions: list[Any],
    depth: float,
    options: argparse.Namespace,
) -> Facts:
    if surface.kT is None:
        print_message(
            "the difference of free energy needs kT: give --kt, or --temperature and --unit"
        )
        return {}
    if blocked is None:
        value = surface.difference(*regions, depth=depth)
        return {"difference": {"value": value, "error": None}}
    assert blocked.surface.kT is not None  # noqa: S101  `reweight` sets it
    scale = surface.kT / blocked.surface.kT
    found = blocked.difference(*regions, method=options.error, depth=depth / scale)
    sizes = [size for size in (2, 4, 8) if len(blocked) // size >= _FEWEST_BLOCKS]
    coarser = {
        len(merged): scale * merged.difference(*regions, depth=depth / scale).error
        for merged in map(blocked.merged, sizes)
    }
    if any(error > _GROWTH * scale * found.error for error in coarser.values()):
        print_message(
            "warning: the error grows with longer blocks, so the blocks are too short; "
            "use fewer --blocks"
        )
    return {
        "difference": {
            "value": scale * found.value,
            "error": scale * found.error,
            "blocks": found.blocks,
            "method": options.error,
            "errors_with_fewer_blocks": coarser,
        }
    }


def _series_facts(
    series: Convergence, regions: list[Any] | None, surface: FreeEnergySurface, depth: float
) -> list[Facts]:
    limit = None if surface.kT is None else 10.0 * surface.kT
    changes = series.changes(limit)
    differences = None if regions is None else series.differences(*regions, depth=depth)
    return [
        {
            "hills": int(series.counts[k]),
            "time": None if series.times is None else float(series.times[k]),
            "rms_change": float(changes[k]),
            "difference": None if differences is None else float(differences[k]),
        }
        for k in range(len(series))
    ]


def _path_rows(path: EnergyPath) -> Iterator[str]:
    yield f"#! FIELDS s {' '.join(path.names)} file.free\n"
    along = np.linspace(0.0, 1.0, len(path.values))
    for row in np.column_stack([along, path.points, path.values]).tolist():
        yield " ".join(f"{value:.9g}" for value in row) + "\n"


def _print(facts: Facts, as_json: bool) -> None:
    if as_json:
        # Imported here, because nothing else needs it.
        import json

        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(_lines(facts)))


def _lines(facts: Facts) -> Iterator[str]:
    unit = f" {facts['unit']}" if facts["unit"] else ""
    points = " x ".join(map(str, facts["points"]))
    kT = f", kT {facts['kT']:g}{unit}" if facts["kT"] else ""
    yield f"{', '.join(facts['cvs'])}: {points} points{kT}"
    where = f", in{unit}" if unit else ", in the unit of the input"
    yield f"\nMinima deeper than {facts['depth']:g}{unit}; free energies{where}"
    yield from _table([_minimum_row(m) for m in facts["minima"]])
    if facts["barriers"]:
        yield "\nLowest passes between them"
        yield from _table([_barrier_row(b) for b in facts["barriers"]])
    if "path" in facts:
        path = facts["path"]
        yield "\nMinimum-energy path"
        yield f"  from             {_place(path['from'])}"
        yield f"  to               {_place(path['to'])}"
        yield f"  transition state {_place(path['transition_state'])}"
        yield f"  barrier          {path['barrier']:.4g}{unit}, back {path['back']:.4g}{unit}"
    if "difference" in facts:
        yield "\nDifference of free energy: the second place minus the first place"
        yield from _difference_lines(facts["difference"], unit)
    if "convergence" in facts:
        yield f"\nConvergence: distance from the last surface, and difference{where}"
        yield from _table([_series_row(row) for row in facts["convergence"]])


def _minimum_row(minimum: Facts) -> Facts:
    row = {"#": str(minimum["number"])}
    row.update((name, _short(x)) for name, x in minimum["position"].items())
    row["F"] = f"{minimum['free_energy']:.3f}"
    row["depth"] = "-" if minimum["depth"] is None else f"{minimum['depth']:.3f}"
    if minimum["population"] is not None:
        row["population"] = f"{100.0 * minimum['population']:.2f} %"
    row[""] = "at the edge of the grid" if minimum["at_edge"] else ""
    return row


def _barrier_row(barrier: Facts) -> Facts:
    row = {"from": str(barrier["from"]), "to": str(barrier["to"])}
    row["barrier"], row["back"] = f"{barrier['barrier']:.3f}", f"{barrier['back']:.3f}"
    row.update((name, _short(x)) for name, x in barrier["position"].items())
    return row


def _series_row(entry: Facts) -> Facts:
    row = {"hills": str(entry["hills"])}
    if entry["time"] is not None:
        row["time"] = f"{entry['time']:g}"
    row["distance"] = f"{entry['rms_change']:.3f}"
    if entry["difference"] is not None:
        row["difference"] = f"{entry['difference']:.3f}"
    return row


def _difference_lines(difference: Facts, unit: str) -> Iterator[str]:
    if difference["error"] is None:
        yield f"  difference       {difference['value']:.4g}{unit}"
        return
    value, error = difference["value"], difference["error"]
    yield f"  difference       {value:.4g} ± {error:.2g}{unit} (standard error)"
    yield f"  blocks           {difference['blocks']}, {_METHODS[difference['method']]}"
    for blocks, other in difference["errors_with_fewer_blocks"].items():
        yield f"  longer blocks    standard error {other:.2g}{unit} with {blocks} blocks"


def _place(position: dict[str, float]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in position.items())


def _short(value: float) -> str:
    # The grid point at 0 is not exactly 0, because of rounding.
    return f"{round(value, 12) + 0.0:.4g}"


def _table(rows: list[dict[str, str]]) -> Iterator[str]:
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        yield ("  " + "  ".join(c.rjust(w) for c, w in zip(row, widths))).rstrip()
