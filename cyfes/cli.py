"""The command line: ``cyfes sum-hills`` and ``cyfes info``."""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes._command import (
    ENVIRONMENT_LACKS,
    OK,
    Parser,
    UsageError,
    count,
    list_of,
    number,
    positive_number,
    run,
    say,
    with_signed_values,
)
from cyfes._version import __version__
from cyfes.errors import CyfesWarning, DeviceError, InputError, LibraryError
from cyfes.grid import Grid
from cyfes.hills import Hills, read_hills
from cyfes.plumed_format import check_number_format, check_target, parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

# Options whose value may begin with a minus sign, which argparse would take for an option.
_SIGNED_OPTIONS = ("--min", "--max")

_DESCRIPTION = """\
Free-energy surfaces of metadynamics runs, on the CPU and on CUDA GPUs.
'python -m cyfes' takes the options of CyFES 4.5 too: see 'python -m cyfes -h'.

exit status: 0 done, 1 the input is at fault, 2 wrong usage, 3 the environment
lacks something (a GPU, the compiled library), 70 an internal error
"""

_SUM_HILLS_DESCRIPTION = """\
Sum the hills of a metadynamics run to its free-energy surface F = -sum of hills, and write it
as PLUMED's sum_hills does, with its options under the same names. A periodic CV takes its
domain from the header of the HILLS file; other bounds may be given with --min and --max, or
are derived from the hills.
"""

_SUM_HILLS_EXAMPLE = """\
example:
  cyfes sum-hills --hills HILLS --bin 100,100 --min -pi,-pi --max pi,pi --mintozero
"""

_INFO_EXAMPLE = """\
example:
  cyfes info --json
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status: 0 done, 1 the input is at fault, 2 wrong usage, 3 the environment lacks
        something, 70 an internal error, 130 interrupted, 141 the reader of the output has gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def command() -> int:
        options = _parser().parse_args(with_signed_values(arguments, _SIGNED_OPTIONS))
        status: int = options.run(options)
        return status

    return run(command)


def _parser() -> argparse.ArgumentParser:
    layout: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = Parser(prog="cyfes", description=_DESCRIPTION, **layout)
    parser.add_argument("--version", action="version", version=f"cyfes {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    # Not left to argparse: its message on CPython 3.7 does not say what is expected.
    parser.set_defaults(run=_no_command)
    summing = commands.add_parser(
        "sum-hills",
        help="sum hills to a free-energy surface",
        description=_SUM_HILLS_DESCRIPTION,
        epilog=_SUM_HILLS_EXAMPLE,
        **layout,
    )
    _add_sum_hills_options(summing)
    info = commands.add_parser(
        "info",
        help="show versions, the library and the devices",
        description="Show versions, the compiled library and the devices that can compute.",
        epilog=_INFO_EXAMPLE,
        **layout,
    )
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.set_defaults(run=_info)
    return parser


def _add_sum_hills_options(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(run=_sum_hills)


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


def _no_command(_: argparse.Namespace) -> int:
    raise UsageError("found no command, expected sum-hills or info (see 'cyfes --help')")


def _sum_hills(options: argparse.Namespace) -> int:
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


def _info(options: argparse.Namespace) -> int:
    facts = _facts()
    if options.json:
        # Not needed by anything else.
        import json

        print(json.dumps(facts, indent=2))
    else:
        print("\n".join(_fact_lines(facts)))
    return ENVIRONMENT_LACKS if facts["error"] else OK


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = {
        "cyfes": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "libcufes": None,
        "cuda": {"runtime": None, "driver": None},
        "devices": [],
        "error": None,
    }
    try:
        # Here, so that the rest can be told where the compiled library is missing.
        from cyfes import _device, _library

        facts["libcufes"] = _library.library_path()
        facts["cuda"] = _device.cuda_versions()
        facts["devices"] = [device._asdict() for device in _device.devices()]
    except (DeviceError, LibraryError) as error:
        facts["error"] = str(error)
    return facts


def _fact_lines(facts: dict[str, Any]) -> list[str]:
    cuda = facts["cuda"]
    rows = [
        ("cyfes", facts["cyfes"]),
        ("Python", facts["python"]),
        ("NumPy", facts["numpy"]),
        ("libcufes", facts["libcufes"] or "not found"),
        ("CUDA runtime", cuda["runtime"] or "none"),
        ("CUDA driver", cuda["driver"] or "none"),
    ]
    lines = [f"{title:<13} {value}" for title, value in rows]
    if facts["error"]:
        lines.append(f"{'error':<13} {facts['error']}")
    return lines + _aligned([_device_row(device) for device in facts["devices"]])


def _device_row(device: dict[str, Any]) -> list[str]:
    capability, memory = device["compute_capability"], device["memory"]
    return [
        device["id"],
        device["name"],
        "compute capability " + ".".join(map(str, capability)) if capability else "",
        f"{memory / 2**30:.1f} GiB" if memory else "",
        device["image"] or "",
        "usable" if device["usable"] else f"not usable: {device['reason']}",
    ]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return [line.rstrip() for line in lines]
