"""The command ``cyfes sum-hills``: PLUMED's options, PLUMED's files."""

from __future__ import annotations

import argparse
import re
import time
from typing import Any

from cyfes.base.numbers import check_number_format
from cyfes.base.units import ENERGY_UNITS
from cyfes.cli.common import (
    DEVICES,
    OK,
    UsageError,
    add_hills_file_options,
    count,
    device_name,
    list_of,
    number,
    positive_number,
    print_message,
)
from cyfes.cli.sum_hills_without_numpy import sum_without_numpy
from cyfes.errors import InputError
from cyfes.io.text_files import check_target

# Options whose value may begin with a minus sign, which argparse would take for another option. The
# last three refuse such a value, and this lets them say why.
SIGNED_OPTIONS = ("--min", "--max", "--bin", "--spacing", "--sigma")

DESCRIPTION = """\
Sum the hills of a metadynamics run. The result is the free-energy surface F = -(sum of hills).
The options have the names that they have in PLUMED's sum_hills, and the file has PLUMED's format.
The grid of a periodic CV covers its domain, which the header of the HILLS file says. The grid of
another CV covers all hills. --min and --max change the grid. With --histo, the free energy
-kT ln(histogram) of samples is computed.
"""

EXAMPLE = """\
examples:
  cyfes sum-hills --hills HILLS --bin 100,100 --min -pi,-pi --max pi,pi --mintozero
  cyfes sum-hills --hills HILLS --idw phi --kt 2.494
  cyfes sum-hills --hills HILLS --stride 1000 --outfile fes_
  cyfes sum-hills --histo COLVAR --idw phi,psi --sigma 0.2,0.2 --kt 2.494
  cyfes sum-hills --histo COLVAR --idw phi --sigma 0.1 --bin 20 --min -pi --max pi --kt 2.494
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    _add_input_options(parser)
    _add_grid_options(parser)
    _add_output_options(parser)
    _add_own_options(parser)


def _add_input_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("input").add_argument
    files = list_of(str)
    option("--hills", type=files, metavar="F[,F2]", help="the HILLS file(s), or a pattern of names")
    option(
        "--histo",
        type=files,
        metavar="F[,F2]",
        help="the files of samples (COLVAR or HILLS) of which a histogram is made",
    )
    option(
        "--sigma",
        type=list_of(positive_number),
        metavar="S[,S2]",
        help="with --histo: the width of the Gaussian around each sample, for each CV",
    )
    option("--kt", type=positive_number, metavar="KT", help="kT; needed for --idw and --histo")
    option(
        "--stride",
        type=_stride,
        metavar="N",
        help="write a file after every N hills and one at the end: fes_0.dat, fes_1.dat and so on",
    )
    option(
        "--nohistory",
        action="store_true",
        help="with --stride: each file is the sum of only those hills that follow the previous "
        "file",
    )


def _add_grid_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("grid").add_argument
    bounds = list_of(_literal)
    option("--bin", type=list_of(count), metavar="N[,N2]", help="the number of bins of each CV")
    option(
        "--spacing",
        type=list_of(positive_number),
        metavar="S[,S2]",
        help="the distance of grid points of each CV. If --bin is given too, the finer grid is "
        "taken",
    )
    option(
        "--min",
        type=bounds,
        metavar="X[,X2]",
        help="the lower ends of the grid: numbers, or words such as -pi and pi/2",
    )
    option("--max", type=bounds, metavar="X[,X2]", help="the upper ends of the grid")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("output").add_argument
    option(
        "--idw",
        type=list_of(str),
        metavar="CV[,CV2]",
        help="the CVs to keep. With --hills, the others are integrated out; with --histo, they are "
        "ignored",
    )
    option("--mintozero", action="store_true", help="shift the minimum to zero")
    option(
        "--negbias",
        action="store_true",
        help="write the negative bias of a well-tempered run instead of its free energy",
    )
    option(
        "--outfile",
        metavar="FILE",
        help="the file to write; - is standard output (default: fes.dat, or negativebias.dat with "
        "--negbias). With --stride, it is the beginning of the names (default: fes_, or "
        "negativebias_). A file that exists already is kept as bck.0.NAME",
    )
    option(
        "--outhisto",
        metavar="FILE",
        help="the file to write for --histo (default: histo.dat, or histo_ with --stride)",
    )
    option(
        "--fmt", type=_format, default="%14.9f", help="the format of the numbers (default: %%14.9f)"
    )


def _add_own_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("options that PLUMED does not have").add_argument
    option(
        "--merge",
        choices=("time", "clock"),
        help="the column that orders the hills of several walkers. Without it, one file is taken "
        "after the other",
    )
    add_hills_file_options(option)
    option(
        "--device",
        type=device_name,
        default="auto",
        metavar=DEVICES,
        help="the device that computes. auto is one GPU for large sums, otherwise the CPU. Several "
        "GPUs share the grid (default: auto)",
    )
    option(
        "--dtype",
        choices=("float64", "float32"),
        default="float64",
        help="the precision (default: float64)",
    )
    option(
        "--units",
        type=_units,
        metavar="[FROM:]TO",
        help=f"convert the energies from one unit to another one: {', '.join(ENERGY_UNITS)}. FROM "
        "is the unit of the heights (default: kJ/mol, as in PLUMED)",
    )
    option(
        "--plot",
        metavar="FILE",
        help="draw the surface too; the suffix chooses the format: .pdf, .png, .svg and others",
    )
    option(
        "--progress",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to show how much of the sum is done. auto shows it on a terminal, after a "
        "second (default: auto)",
    )
    option("--explain", action="store_true", help="say how the sum was computed")
    option("--json", action="store_true", help="print what was done as one JSON object")


def _literal(text: str) -> str:
    number(text)
    return text


def _stride(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number, 0 or more")
    return int(text)


def _format(text: str) -> str:
    try:
        check_number_format(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _units(text: str) -> tuple[str, str]:
    old, _, new = text.rpartition(":")
    pair = (old or "kJ/mol", new)
    if not set(pair) <= set(ENERGY_UNITS):
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected TO or FROM:TO of {', '.join(ENERGY_UNITS)}"
        )
    return pair


def run(options: argparse.Namespace) -> int:
    """Sum the hills, make the histogram, or both; return the exit status."""
    _check_options(options)
    start = time.perf_counter()
    fact = sum_without_numpy(options)
    if fact is None:
        # Imported here, because the import of NumPy alone takes longer than a small job.
        from cyfes.cli.sum_hills_job import run_job

        facts = run_job(options)
    else:
        facts = [fact]
    if options.json:
        # Imported here, because nothing else needs it.
        import json

        seconds = round(time.perf_counter() - start, 3)
        print(json.dumps({"seconds": seconds, "sums": facts}, indent=2))
        return OK
    seconds = time.perf_counter() - start
    for fact in facts:
        _print_summary(fact, seconds, options)
    return OK


def _print_summary(fact: dict[str, Any], seconds: float, options: argparse.Namespace) -> None:
    files = fact["files"]
    names = {1: files[0], 2: " and ".join(files)}.get(len(files), f"{files[0]} to {files[-1]}")
    print_message(
        f"summed {fact['count']} {fact['what']} ({fact['kernel']}) over "
        f"{', '.join(fact['names'])} onto {' x '.join(map(str, fact['points']))} points on "
        f"{fact['device']} in {seconds:.2f} s, "
        f"wrote {'standard output' if files == ['-'] else names}"
    )
    if options.explain:
        print_message(f"plan: {fact['plan'] or 'not known'}")


def _check_options(options: argparse.Namespace) -> None:
    """Refuse wrong options before any file is read."""
    if not options.hills and not options.histo:
        raise UsageError("found neither --hills nor --histo, expected at least one of them")
    if (options.min is None) != (options.max is None):
        raise UsageError("found one of --min and --max, expected both or neither")
    if options.histo and not options.sigma:
        raise UsageError("found --histo without --sigma, expected a width for each CV")
    if (options.histo or options.idw) and options.kt is None:
        needing = "--histo" if options.histo else "--idw"
        raise UsageError(f"found {needing} without --kt, expected kT in the unit of the heights")
    if options.idw and len(set(options.idw)) < len(options.idw):
        raise UsageError(f"--idw: found {','.join(options.idw)}, expected each CV once")
    if options.units and "kT" in options.units and options.kt is None:
        raise UsageError(f"found --units {':'.join(options.units)} without --kt, expected kT")
    _check_outputs(options)


def _check_outputs(options: argparse.Namespace) -> None:
    if options.plot:
        check_target(options.plot)
        # A backend that needs no screen, before any other is chosen.
        from cyfes.base.optional_packages import need

        need("matplotlib", "--plot").use("Agg")
    targets = [s for s in (options.outfile, options.outhisto) if s]
    if "-" in targets and (options.json or options.stride is not None):
        raise UsageError("found - as the output file, expected a name with --json or --stride")
    if options.hills and options.histo and len(set(targets)) == 1 < len(targets):
        raise UsageError(f"found {targets[0]} as --outfile and --outhisto, expected two files")
