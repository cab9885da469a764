"""The command ``cyfes sum-hills``: PLUMED's options, PLUMED's files."""

from __future__ import annotations

import argparse
import re
import time
import warnings
from dataclasses import replace

from cyfes._command import (
    OK,
    UsageError,
    count,
    list_of,
    number,
    positive_number,
    say,
)
from cyfes.errors import CyfesWarning, InputError
from cyfes.grid import Grid
from cyfes.hills import Hills, read_hills
from cyfes.plumed_format import check_number_format, check_target, parse_number

# Options whose value may begin with a minus sign, which argparse would take for an option.
SIGNED_OPTIONS = ("--min", "--max")

DESCRIPTION = """\
Sum the hills of a metadynamics run to its free-energy surface F = -sum of hills, and write it
as PLUMED's sum_hills does, with its options under the same names. A periodic CV takes its
domain from the header of the HILLS file; other bounds may be given with --min and --max, or
are derived from the hills.
"""

EXAMPLE = """\
example:
  cyfes sum-hills --hills HILLS --bin 100,100 --min -pi,-pi --max pi,pi --mintozero
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    option = parser.add_argument
    files, bounds, counts = list_of(str), list_of(_literal), list_of(count)
    option("--hills", type=files, required=True, metavar="F[,F2]", help="the HILLS file(s)")
    option("--bin", type=counts, metavar="N[,N2]", help="number of bins of each CV")
    option(
        "--spacing",
        type=list_of(positive_number),
        metavar="S[,S2]",
        help="grid spacing of each CV; with --bin too, the finer one counts",
    )
    option("--min", type=bounds, metavar="X[,X2]", help="lower bounds: numbers, -pi, pi/2")
    option("--max", type=bounds, metavar="X[,X2]", help="upper bounds")
    option("--mintozero", action="store_true", help="shift the minimum to zero")
    option(
        "--negbias",
        action="store_true",
        help="write the negative bias of a well-tempered run instead of its free energy",
    )
    option(
        "--outfile",
        help="output file, - for standard output (default: fes.dat, or negativebias.dat with "
        "--negbias); an older file is kept as bck.0.NAME",
    )
    option("--fmt", type=_format, default="%14.9f", help="number format (default: %%14.9f)")
    option(
        "--device",
        type=_device_name,
        default="auto",
        metavar="auto|cpu|cuda|cuda:N",
        help="what computes (default: auto)",
    )
    option("--dtype", choices=("float64", "float32"), default="float64", help="precision")


def _literal(text: str) -> str:
    number(text)
    return text


def _format(text: str) -> str:
    try:
        check_number_format(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _device_name(text: str) -> str:
    if not re.fullmatch("auto|cpu|cuda(:[0-9]+)?", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected auto, cpu, cuda or cuda:N")
    return text


def run(options: argparse.Namespace) -> int:
    """Sum the hills, and return the exit status."""
    _check_options(options)
    outfile = options.outfile or ("negativebias.dat" if options.negbias else "fes.dat")
    check_target(outfile)
    hills = read_hills(options.hills)
    grid = _grid(hills, options)
    if options.negbias:
        hills = _bias_hills(hills)
    # Here, so that --help and faulty input need no compiled library.
    from cyfes.sums import sum_hills

    start = time.perf_counter()
    surface = sum_hills(hills, grid, device=options.device, dtype=options.dtype, gradient=True)
    seconds = time.perf_counter() - start
    if options.mintozero:
        surface = surface.shift_to_zero()
    surface.save(outfile, fmt=options.fmt)
    say(
        f"summed {len(hills)} hills ({hills.kernel}) over {', '.join(hills.names)} onto "
        f"{' x '.join(map(str, grid.shape))} points on {surface.device} in {seconds:.2f} s, "
        f"wrote {'standard output' if outfile == '-' else outfile}"
    )
    return OK


def _check_options(options: argparse.Namespace) -> None:
    if (options.min is None) != (options.max is None):
        raise UsageError("found one of --min and --max, expected both or neither")
    if options.min is not None and options.bin is None and options.spacing is None:
        raise UsageError("found --min and --max alone, expected --bin or --spacing with them")


def _grid(hills: Hills, options: argparse.Namespace) -> Grid:
    for option in ("bin", "spacing", "min", "max"):
        values = getattr(options, option)
        if values is not None and len(values) != hills.ndim:
            raise UsageError(
                f"--{option}: found {len(values)} values, expected {hills.ndim}, one for each of "
                f"{', '.join(hills.names)}"
            )
    if options.min is None:
        return Grid.covering(hills, options.bin, options.spacing)
    return Grid.spanning(hills, _bounds(hills, options), options.bin, options.spacing)


def _bounds(hills: Hills, options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the ends of each axis: the domain of a periodic CV, otherwise what was typed."""
    bounds = []
    for name, domain, low, high in zip(hills.names, hills.domain, options.min, options.max):
        if domain is not None:
            _compare_with_domain(name, (low, high), domain)
        elif parse_number(high) <= parse_number(low):
            raise UsageError(f"--max {high} for {name}: expected more than --min {low}")
        bounds.append(domain or (low, high))
    return bounds


def _compare_with_domain(name: str, typed: tuple[str, str], domain: tuple[str, str]) -> None:
    low, high = map(parse_number, typed)
    start, end = map(parse_number, domain)
    extent = f"{name}'s domain in the HILLS file ({domain[0]} to {domain[1]})"
    if low < start:
        raise UsageError(f"--min {typed[0]} is below {extent}")
    if high > end:
        raise UsageError(f"--max {typed[1]} is above {extent}")
    if (low, high) != (start, end):
        message = f"the grid covers all of {extent}, not only {typed[0]} to {typed[1]}"
        warnings.warn(CyfesWarning(message), stacklevel=2)


def _bias_hills(hills: Hills) -> Hills:
    """Return the hills as they were laid, whose sum is the bias.

    PLUMED rescales with the bias factor whatever it is: to zeros for 1, which also stands for a
    missing column, and to twice the bias for -1, an untempered run. Neither is the bias.
    """
    factors = hills.bias_factors
    if not (factors > 1.0).all():
        raise InputError(
            f"--negbias: found the bias factor {factors[factors <= 1.0][0]:g}, expected more than "
            "1 as in a well-tempered run; leave out --negbias: the hills of an untempered run "
            "are the bias itself"
        )
    return replace(hills, heights=hills.heights * (factors - 1.0) / factors)
