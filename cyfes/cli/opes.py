"""The command ``cyfes opes``: the free energy that an OPES run has estimated, from its states."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cyfes.base.numbers import check_number_format, format_number
from cyfes.base.progress import Progress
from cyfes.cli import surface_options
from cyfes.cli.common import (
    DEVICES,
    OK,
    UsageError,
    device_name,
    number,
    positive_number,
    print_message,
)
from cyfes.cli.surface_options import with_units
from cyfes.errors import InputError
from cyfes.io.opes_files import read_kernels, read_states
from cyfes.io.plumed_grid import surface_blocks
from cyfes.io.text_files import check_target, write_text
from cyfes.model.grid import Grid
from cyfes.sums.opes_restart import state_of_kernels
from cyfes.sums.opes_sum import check_state, sum_kernels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cyfes.model.opes_kernels import Kernels
    from cyfes.surface import FreeEnergySurface

SIGNED_OPTIONS = (*surface_options.SIGNED_OPTIONS, "--deltaFat")

DESCRIPTION = """\
Compute the free energy that OPES_METAD or OPES_METAD_EXPLORE has estimated,
from the kernels of a STATE file (STATE_WFILE). The options have the names that
they have in the script FES_from_State.py. If the file has several states, the
last one is taken. With --all_stored, every state is written to a file of its
own.
"""

EXAMPLE = """\
examples:
  cyfes opes --state STATE --temp 300 --bin 100,100
  cyfes opes --state STATE --kt 2.494 --min -pi,-pi --max pi,pi --deltaFat 0
  cyfes opes --state STATE --temp 300 --all_stored --outfile fes.dat
  cyfes opes --kernels KERNELS --temp 300 --bin 100,100
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--state", "-f", default="STATE", metavar="FILE", help="the STATE file (default: STATE)"
    )
    parser.add_argument(
        "--kernels",
        metavar="FILE",
        help="a KERNELS file instead of a STATE file. The state is computed from it in the same "
        "way as OPES computes it when it restarts from this file",
    )
    parser.add_argument(
        "--all_stored",
        action="store_true",
        help="write all states of the file: fes_1.dat, fes_2.dat, …",
    )
    option = parser.add_argument_group("grid").add_argument
    lowest = "the domain of a periodic CV, otherwise the lowest centre of a kernel"
    surface_options.add_grid_options(option, _literal, lowest)
    option = parser.add_argument_group("output").add_argument
    option(
        "--outfile",
        "-o",
        default="fes.dat",
        metavar="FILE",
        help="the file to write; - is standard output",
    )
    option(
        "--nomintozero",
        dest="mintozero",
        action="store_false",
        help="do not shift the minimum to zero",
    )
    option(
        "--mintozero", action="store_true", default=True, help="shift the minimum to zero (default)"
    )
    option("--der", action="store_true", help="write the derivatives, too")
    option(
        "--deltaFat",
        type=number,
        metavar="X",
        help="print the difference of free energy between the region where the first CV is above X "
        "and the region where it is below X",
    )
    option("--fmt", default="%14.9f", help="the format of the numbers (default: %%14.9f)")
    option(
        "--device",
        type=device_name,
        default="auto",
        metavar=DEVICES,
        help="the device; a state is always summed on the CPU, so only auto and cpu are accepted",
    )
    option(
        "--progress",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to show how much is done (default: auto)",
    )
    surface_options.add_unit_options(parser)
    parser.add_argument(
        "--temp",
        dest="temperature",
        type=positive_number,
        metavar="T",
        help="the same as --temperature",
    )


def _literal(text: str) -> str:
    number(text)
    return text


def run(options: argparse.Namespace) -> int:
    """Sum the kernels of each state, write, and return the exit status."""
    _check(options)
    states = _states(options)
    if not options.all_stored:
        if len(states) > 1:
            print_message(
                f"{options.state}: found {len(states)} states, took the last (see --all_stored)"
            )
        states = states[-1:]
    targets = list(_targets(options, len(states)))
    # All are checked before the first file is written.
    for state, target in zip(states, targets):
        check_state(state)
        check_target(target)
    grid = _grid(states, options)
    for state, target in zip(states, targets):
        _write(state, grid, target, options)
    return OK


def _check(options: argparse.Namespace) -> None:
    check_number_format(options.fmt)
    if options.kernels and (options.state != "STATE" or options.all_stored):
        raise UsageError("found --kernels with --state or --all_stored, expected --kernels alone")
    surface_options.kT_of_run(options, "--temp")
    if options.all_stored and options.outfile == "-":
        raise UsageError("found - as the output file, expected a name with --all_stored")
    if options.device not in ("auto", "cpu"):
        raise UsageError(
            f"--device: found {options.device}, expected cpu: the few kernels of a state are "
            "summed there"
        )
    if (options.min is None) != (options.max is None):
        raise UsageError("found one of --min and --max, expected both or neither")


def _states(options: argparse.Namespace) -> list[Kernels]:
    if options.kernels:
        return [state_of_kernels(read_kernels(options.kernels))]
    return read_states(options.state)


def _targets(options: argparse.Namespace, states: int) -> Iterator[str]:
    """Yield the name of each state's file: with several states, a number is added to it."""
    if not options.all_stored:
        yield options.outfile
        return
    path = Path(options.outfile)
    suffixes = path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]
    ending = "".join(suffixes)
    stem = path.name[: len(path.name) - len(ending)]
    for k in range(1, states + 1):
        yield str(path.with_name(f"{stem}_{k}{ending}"))


def _grid(states: Sequence[Kernels], options: argparse.Namespace) -> Grid:
    """Return one grid for all states: over a periodic domain, otherwise as typed or as needed."""
    names, domain = states[0].names, states[0].domain
    for option in ("bin", "min", "max"):
        values = getattr(options, option)
        if values is not None and len(values) != len(names):
            raise UsageError(
                f"--{option}: found {len(values)} values, expected {len(names)}, one for each of "
                f"{', '.join(names)}"
            )
    centers = np.concatenate([state.centers for state in states])
    low = [format_number(x) for x in centers.min(axis=0).tolist()]
    high = [format_number(x) for x in centers.max(axis=0).tolist()]
    return surface_options.grid_of_options(names, domain, (low, high), options)


def _write(state: Kernels, grid: Grid, target: str, options: argparse.Namespace) -> None:
    """Write the surface of a state, and print a summary."""
    kT = surface_options.kT_of_run(options)
    with Progress(options.progress, "summing") as bar:
        report = bar.part(0.0, 1.0)
        surface = sum_kernels(state, grid, kT=kT, gradient=options.der, progress=report)
    surface = with_units(surface, options)
    if options.mintozero:
        surface = surface.shift_to_zero()
    difference = None if options.deltaFat is None else _difference(surface, options.deltaFat)
    write_text(target, _with_difference(surface_blocks(surface, options.fmt), difference))
    where = "standard output" if target == "-" else target
    points = " x ".join(map(str, grid.shape))
    print_message(
        f"summed {len(state)} kernels ({state.action}, time {state.times[-1]:g}) over "
        f"{', '.join(state.names)} onto {points} points on {surface.device}, wrote {where}"
    )
    if difference is not None:
        print_message(f"DeltaF at {state.names[0]} = {options.deltaFat:g}: {difference:g}")


def _difference(surface: FreeEnergySurface, place: float) -> float:
    """Return the free energy above a value of the first CV minus that below."""
    axis = surface.grid.axes[0].reshape([-1] + [1] * (surface.grid.ndim - 1))
    shape = surface.grid.shape
    below, above = np.broadcast_to(axis < place, shape), np.broadcast_to(axis > place, shape)
    if not below.any() or not above.any():
        raise InputError(
            f"--deltaFat: found {place:g}, expected a place on the grid of {surface.names[0]}, "
            f"{axis.min():g} to {axis.max():g}"
        )
    return surface.difference(below, above)


def _with_difference(blocks: Iterator[bytes], difference: float | None) -> Iterator[bytes]:
    """Yield a grid file, with the difference of free energy as a second line of the header."""
    header = next(blocks)
    if difference is not None:
        fields, rest = header.split(b"\n", 1)
        header = fields + f"\n#! SET DeltaF {difference:g}\n".encode() + rest
    yield header
    yield from blocks
