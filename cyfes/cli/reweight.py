"""The command ``cyfes reweight``: a free energy of weighted samples."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import check_number_format
from cyfes.cli import surface_options
from cyfes.cli.common import (
    DEVICES,
    OK,
    UsageError,
    count,
    device_name,
    list_of,
    positive_number,
    print_message,
)
from cyfes.cli.surface_options import with_units
from cyfes.errors import InputError
from cyfes.io.colvar_files import read_colvar
from cyfes.io.plumed_grid import surface_blocks
from cyfes.io.text_files import check_target, write_text
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills
from cyfes.studies.bias_offset import METHODS, bias_offset
from cyfes.sums.reweighting import reweight

if TYPE_CHECKING:
    from cyfes.model.colvar import Colvar
    from cyfes.surface import FreeEnergySurface

SIGNED_OPTIONS = (*surface_options.SIGNED_OPTIONS, "--grid-min", "--grid-max")

DESCRIPTION = """\
Compute the free energy -kT ln p over any CVs from the samples of a biased run.
The density p is estimated with kernels: each sample becomes a Gaussian with
the weight exp(V / kT). V is the sum of the --bias columns. If the bias grew
during the run, an offset c(t) must be subtracted from V. There are two ways to
do this: use PLUMED's column metad.rbias (CALC_RCT), which is V - c(t) already;
or give --offset, which computes c(t) from --hills. --blocks adds error bars.
"""

EXAMPLE = """\
examples:
  cyfes reweight --samples COLVAR --cvs phi,psi --bandwidth 0.1,0.1 --bias metad.rbias --kt 2.494
  cyfes reweight --samples COLVAR --cvs d --bandwidth 0.05 --bias metad.bias,walls.bias \\
    --hills HILLS --offset ct --grid-min 0 --grid-max 3 --grid-bin 300 --temperature 300 \\
    --blocks 10
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    _add_sample_options(parser)
    option = parser.add_argument_group("grid").add_argument
    surface_options.add_grid_options(option, str, "as needed")
    option = parser.add_argument_group("output").add_argument
    option(
        "--outfile",
        default="fes.dat",
        metavar="FILE",
        help="the file to write; - is standard output",
    )
    option("--mintozero", action="store_true", help="shift the minimum to zero")
    option("--fmt", default="%14.9f", help="the format of the numbers (default: %%14.9f)")
    option(
        "--device",
        type=device_name,
        default="auto",
        metavar=DEVICES,
        help="the device that computes",
    )
    option(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="the precision (default: float64)",
    )
    option("--explain", action="store_true", help="say how the sum was computed")
    surface_options.add_unit_options(parser)


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("samples and weights").add_argument
    files, numbers = list_of(str), list_of(positive_number)
    option("--samples", type=files, required=True, metavar="F[,F2]", help="the COLVAR file(s)")
    option("--cvs", type=files, required=True, metavar="CV[,CV2]", help="the CVs of the surface")
    option(
        "--bandwidth",
        type=numbers,
        required=True,
        metavar="S[,S2]",
        help="the width of the Gaussian around each sample, for each CV",
    )
    option(
        "--bias", type=files, metavar="COLUMN[,..]", help="the columns of the bias; they are added"
    )
    option(
        "--offset",
        choices=METHODS,
        help="subtract an offset from the bias: c(t), or that of the balanced exponential. It "
        "needs --hills",
    )
    option("--hills", type=files, metavar="F[,F2]", help="the HILLS file(s) of the run")
    grid = "of METAD: the lower ends of the grid for the offset (default: all hills)"
    option("--grid-min", type=files, metavar="X[,X2]", help=f"GRID_MIN {grid}")
    option("--grid-max", type=files, metavar="X[,X2]", help="GRID_MAX of METAD: the upper ends")
    option(
        "--grid-bin",
        type=list_of(count),
        metavar="N[,N2]",
        help="GRID_BIN of METAD: the numbers of bins",
    )
    surface_options.add_hills_options(option)
    option(
        "--skip",
        type=_part,
        default=0.0,
        metavar="PART",
        help="the part of the run that is left out at its beginning, 0 to 1",
    )
    option(
        "--blocks",
        type=count,
        metavar="N",
        help="divide the run into N blocks, and add a column of errors",
    )


def _part(text: str) -> float:
    try:
        part = float(text)
    except ValueError:
        part = -1.0
    if not 0.0 <= part < 1.0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a part from 0 up to 1")
    return part


def run(options: argparse.Namespace) -> int:
    """Reweight, write, and return the exit status."""
    _check(options)
    table = read_colvar(options.samples, columns=[*options.cvs, *(options.bias or ())])
    samples, bias = _weighted(table, options)
    grid = _grid(samples, table, options)
    surface = with_units(_surface(samples, bias, grid, options), options)
    if options.mintozero:
        surface = surface.shift_to_zero()
    write_text(options.outfile, surface_blocks(surface, options.fmt))
    _print_summary(surface, len(samples), options)
    return OK


def _check(options: argparse.Namespace) -> None:
    check_number_format(options.fmt)
    check_target(options.outfile)
    surface_options.kT_of_run(options)
    if (options.offset is None) != (options.hills is None):
        raise UsageError("found one of --offset and --hills, expected both or neither")
    if options.offset is None and (options.grid_min or options.grid_max or options.grid_bin):
        raise UsageError("found --grid-min, --grid-max or --grid-bin without --offset")
    if options.offset and not options.bias:
        raise UsageError("found --offset without --bias, expected the column of the bias")
    if len(set(options.cvs)) < len(options.cvs):
        raise UsageError(f"--cvs: found {','.join(options.cvs)}, expected each CV once")
    if (options.min is None) != (options.max is None):
        raise UsageError("found one of --min and --max, expected both or neither")
    for option in ("bandwidth", "bin", "min", "max"):
        values = getattr(options, option)
        if values is not None and len(values) != len(options.cvs):
            raise UsageError(
                f"--{option}: found {len(values)} values, expected {len(options.cvs)}, one for "
                f"each of {', '.join(options.cvs)}"
            )


def _weighted(
    table: Colvar, options: argparse.Namespace
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the samples in the order of time, and the bias at each of them."""
    ndim = len(options.cvs)
    bias = table.values[:, ndim:].sum(axis=1)
    if options.offset:
        if table.times is None:
            raise InputError("found samples without a time, expected the column time for --offset")
        hills = _in_time(surface_options.hills_of_options(options))
        kT = surface_options.kT_of_run(options)
        how = {"method": options.offset, "device": options.device}
        how["grid"] = _grid_of_metad(hills, options)
        bias -= bias_offset(hills, kT, **how).at(table.times)
    # In the order of time over all walkers, so that a block is a period of time, and --skip leaves
    # out the beginning of each walker.
    order = slice(None) if table.times is None else np.argsort(table.times, kind="stable")
    first = int(options.skip * len(table))
    return table.values[order, :ndim][first:], bias[order][first:]


def _grid_of_metad(hills: Hills, options: argparse.Namespace) -> Grid | None:
    """Return the grid of the GRID_ keywords of METAD, if they are given."""
    given = {name: getattr(options, f"grid_{name}") for name in ("min", "max", "bin")}
    if not any(given.values()):
        return None
    for name, values in given.items():
        if values is None or len(values) != hills.ndim:
            raise UsageError(
                f"--grid-{name}: found {len(values or ())} values, expected {hills.ndim}, one for "
                f"each of {', '.join(hills.names)}, with --grid-min, --grid-max and --grid-bin"
            )
    ends = surface_options.typed_axes(hills.names, hills.domain, given["min"], given["max"])
    return Grid.spanning(hills, ends, given["bin"])


def _in_time(hills: Hills) -> Hills:
    if hills.times is None:
        raise InputError("found hills without a time, expected the column time for --offset")
    return hills[np.argsort(hills.times, kind="stable")]


def _grid(samples: Any, table: Colvar, options: argparse.Namespace) -> Grid:
    """Return the grid, which ends a few bandwidths beyond the samples unless ends were typed."""
    domain = table.domain[: len(options.cvs)]
    needed = surface_options.range_of_samples(samples, options.bandwidth)
    return surface_options.grid_of_options(options.cvs, domain, needed, options)


def _surface(samples: Any, bias: Any, grid: Grid, options: argparse.Namespace) -> FreeEnergySurface:
    """Return the surface, with its error at each point if blocks are asked for."""
    how: dict[str, Any] = {
        "kT": surface_options.kT_of_run(options),
        "bias": bias,
        "names": options.cvs,
    }
    how.update(device=options.device, dtype=options.dtype)
    if options.blocks is None:
        return reweight(samples, grid, options.bandwidth, **how)
    # Imported here, because nothing else needs it.
    from cyfes.studies.blocks import reweight_blocks

    return reweight_blocks(samples, grid, options.bandwidth, blocks=options.blocks, **how).surface


def _print_summary(surface: FreeEnergySurface, number: int, options: argparse.Namespace) -> None:
    points = " x ".join(map(str, surface.grid.shape))
    target = "standard output" if options.outfile == "-" else options.outfile
    print_message(
        f"reweighted {number} samples over {', '.join(options.cvs)} onto {points} points on "
        f"{surface.device}, wrote {target}"
    )
    if options.explain:
        print_message(f"plan: {surface.plan or 'not known'}")
