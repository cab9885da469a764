"""The command line of CyFES 4.5: ``python -m cyfes -i samples.txt -o z.cub``.

Options, defaults and meaning are CyFES's. One system of units: CVs are lengths in Å, energies are
in kcal/mol, kT is that of 300 K.
"""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cyfes.cli import common
from cyfes.cli.common import UsageError, print_message
from cyfes.cyfes45.files import dat_blocks, read_out
from cyfes.cyfes45.path_fes import KT
from cyfes.errors import CyfesWarning, InputError
from cyfes.io.cube_files import BOHR, cube_blocks
from cyfes.io.text_files import check_target, write_text
from cyfes.model.grid import Grid
from cyfes.model.hills import Hills
from cyfes.sums.hills_on_grid import sum_hills
from cyfes.sums.reweighting import reweight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cyfes.base.choices import Precision

    Floats = NDArray[np.float64]

# CyFES 4.5 clipped values to this, because its free energy was infinite wherever an exponential in
# single precision was 0. It is kept, because colour scales and scripts of users depend on it.
CLIP = 450.0

_NAMES = ("x", "y", "z")

# The separator of columns, by the suffix of the file.
_SEPARATORS = {".txt": None, ".xyz": None, ".csv": ","}

_OUTPUTS = ("o", "odat", "oV", "oF")

_SIGNED_OPTIONS = ("-ic", "-ib", "-ir", "-e", "-a", "-b", "-cmin", "-cmax")

_DESCRIPTION = f"""\
Free energy of samples of three CVs on a grid, with the options of CyFES 4.5.
'python -m cyfes --help' shows the other commands.

Units: CVs are lengths in angstrom, energies are in kcal/mol, kT is {KT} (300 K).
Columns are counted from 0; lines that begin with # are skipped.
"""

_EXAMPLE = """\
example:
  python -m cyfes -i xyz_bias.txt -sigma 0.3 -e 1.0 -g 20,20,20 -o z.cub
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command line of CyFES 4.5.

    Parameters
    ----------
    arguments : sequence of str
        The arguments.

    Returns
    -------
    int
        The exit status, as that of `cyfes.cli.main.main`.
    """

    def command() -> int:
        signed = common.with_signed_values(arguments, _SIGNED_OPTIONS)
        return _compute(_parser().parse_args(signed))

    return common.run(command)


def _parser() -> argparse.ArgumentParser:
    parser = common.Parser(
        prog="python -m cyfes",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    # Without --help, which shows the help of the newer command line.
    parser.help_option = "-h"
    parser.add_argument("-h", action="help", help="show this help and exit")
    _add_input_options(parser)
    _add_grid_options(parser)
    _add_output_options(parser)
    return parser


def _add_input_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("-i", metavar="FILE", help="samples: .txt, .xyz (columns between blanks) or .csv")
    option("-ic", type=_three(_column), default=[0, 1, 2], metavar="X,Y,Z", help="CV columns")
    option("-ib", type=_column, default=3, metavar="COLUMN", help="bias column (3)")
    option("-ir", type=_column, default=4, metavar="COLUMN", help="rbias column (4)")
    option("-s", type=common.count, metavar="N", help="read N samples at most")
    option("-no_bias", type=_flag, default=False, metavar="BOOL", help="use no bias (false)")
    option(
        "-no_rbias",
        type=_flag,
        default=True,
        metavar="BOOL",
        help="if false, use the rbias column, not the bias column (true)",
    )


def _add_grid_options(parser: argparse.ArgumentParser) -> None:
    option, numbers = parser.add_argument, _three(common.number)
    option(
        "-e",
        type=common.number,
        default=0.0,
        metavar="L",
        help="how far the grid reaches beyond the CVs (0.0)",
    )
    option(
        "-g",
        type=_three(common.count),
        default=[10, 10, 10],
        metavar="X,Y,Z",
        help="number of bins along each axis; there is one point more than bins (10,10,10)",
    )
    option("-cmin", type=numbers, metavar="X,Y,Z", help="lower ends (the lowest values of the CVs)")
    option(
        "-cmax", type=numbers, metavar="X,Y,Z", help="upper ends (the highest values of the CVs)"
    )
    option(
        "-intg",
        type=_flag,
        default=False,
        metavar="BOOL",
        help="round the ends outwards to whole numbers (false)",
    )
    option("-sigma", type=common.positive_number, default=1.0, help="bandwidth (1.0)")
    option("-f32", type=_flag, default=False, metavar="BOOL", help="single precision (false)")
    option(
        "-device",
        type=_device,
        default="auto",
        metavar="ID",
        help="the CUDA device 0, 1, ..., several such as 0,1, or cpu (default: a GPU if one can be "
        "used, otherwise the CPU)",
    )
    option("-sink", type=_flag, default=False, metavar="BOOL", help="has no effect (false)")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("-o", metavar="FILE", help="free energy as a Gaussian cube file, lengths in bohr")
    option("-odat", metavar="FILE", help="free energy as a table")
    option("-oV", metavar="FILE", help="V = kT sum of Gaussians at the samples, as a table")
    option("-oF", metavar="FILE", help="F = -V - min(-V), as a table")
    option("-a", type=common.number, default=1.0, help="multiply the free energy by this (1)")
    option("-b", type=common.number, default=0.0, help="then add this (0)")


def _three(convert: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    read = common.list_of(convert)

    def read_three(text: str) -> list[Any]:
        values = read(text)
        if len(values) != 3:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected 3 values, one for each CV")
        return values

    return read_three


def _column(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a column, counted from 0")
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected true or false")
    return text.lower() == "true"


def _device(text: str) -> str:
    if text in ("auto", "cpu"):
        return text
    if not re.fullmatch("[0-9]+(,[0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a CUDA device such as 0")
    return f"cuda:{text}"


def _compute(options: argparse.Namespace) -> int:
    _check(options)
    samples, biases = _samples(options)
    grid = _grid(samples, options)
    if options.o or options.odat:
        _write_free_energy(samples, biases, grid, options)
    if options.oV or options.oF:
        _write_sum_of_hills(samples, grid, options)
    return common.OK


def _check(options: argparse.Namespace) -> None:
    """Refuse wrong options before any file is read."""
    if not options.i:
        raise UsageError("found no input file, expected -i FILE (see 'python -m cyfes -h')")
    if Path(options.i).suffix.lower() not in _SEPARATORS:
        raise UsageError(f"-i {options.i}: expected a name that ends with .txt, .xyz or .csv")
    targets = [getattr(options, name) for name in _OUTPUTS if getattr(options, name)]
    if not targets:
        raise UsageError("found no output file, expected -o, -odat, -oV or -oF")
    if len(set(targets)) < len(targets):
        raise UsageError(f"found the output files {', '.join(targets)}, expected different ones")
    for target in targets:
        check_target(target)
    if options.sink:
        message = "-sink had no effect in CyFES 4.5, and has none here"
        warnings.warn(CyfesWarning(message), stacklevel=2)


def _samples(options: argparse.Namespace) -> tuple[Floats, Floats | None]:
    """Return the CVs, shape (N, 3), and the biases, shape (N,), or None for none."""
    bias_columns = [options.ib] * (not options.no_bias)
    if not options.no_rbias:
        bias_columns = [options.ir]
    separator = _SEPARATORS[Path(options.i).suffix.lower()]
    table = read_out(options.i, [*options.ic, *bias_columns], 0, options.s, separator)
    weighted = f"bias in column {bias_columns[0]}" if bias_columns else "no bias"
    print_message(f"read {len(table)} samples from {options.i}, {weighted}")
    return table[:, :3], table[:, 3] if bias_columns else None


def _grid(samples: Floats, options: argparse.Namespace) -> Grid:
    lower = samples.min(axis=0) if options.cmin is None else np.array(options.cmin)
    upper = samples.max(axis=0) if options.cmax is None else np.array(options.cmax)
    lower, upper = lower - options.e, upper + options.e
    if options.intg:
        lower, upper = np.floor(lower), np.ceil(upper)
    for name, low, high in zip(_NAMES, lower.tolist(), upper.tolist()):
        if not low < high:
            raise InputError(
                f"the grid along {name} would go from {low:g} to {high:g}, expected a larger upper "
                "end: give -e, or -cmin and -cmax"
            )
    return Grid(lower, upper, options.g)


def _write_free_energy(
    samples: Floats, biases: Floats | None, grid: Grid, options: argparse.Namespace
) -> None:
    surface = reweight(
        samples,
        grid,
        options.sigma,
        kT=KT,
        bias=biases,
        device=options.device,
        dtype=_dtype(options),
    )
    energies = np.asarray(surface.shift_to_zero(), dtype=np.float64)
    scaled = options.a * energies + options.b
    clipped = np.clip(scaled, -CLIP, CLIP)
    label = _label(options)
    _print_summary(label, surface.device, clipped)
    changed = np.count_nonzero(clipped != scaled)
    if changed:
        print_message(f"clipped {changed} of {scaled.size} values to +-{CLIP:g}")
    if options.o:
        comment = f"{label}, clipped to +-{CLIP:g}; lengths are angstrom converted to bohr"
        write_text(options.o, cube_blocks(grid.lower / BOHR, grid.spacing / BOHR, clipped, comment))
    if options.odat:
        write_text(options.odat, dat_blocks(grid.points(), clipped, label))


def _label(options: argparse.Namespace) -> str:
    """Return what the values are, as one word."""
    energy = "fes(kcal/mol)"
    if options.a == 1.0 and options.b == 0.0:
        return energy
    return f"{options.a:g}*{energy}{options.b:+g}"


def _write_sum_of_hills(samples: Floats, grid: Grid, options: argparse.Namespace) -> None:
    hills = Hills(_NAMES, samples, options.sigma, KT, kernel="gaussian")
    surface = sum_hills(hills, grid, options.device, _dtype(options), truncation="none")
    energies = np.asarray(surface, dtype=np.float64)
    _print_summary("V(kcal/mol)", surface.device, -energies)
    if options.oV:
        write_text(options.oV, dat_blocks(grid.points(), -energies, "V(kcal/mol)"))
    if options.oF:
        write_text(options.oF, dat_blocks(grid.points(), energies - energies.min(), "F(kcal/mol)"))


def _dtype(options: argparse.Namespace) -> Precision:
    return "float32" if options.f32 else "float64"


def _print_summary(label: str, device: str, values: Floats) -> None:
    points = " x ".join(map(str, values.shape))
    low, high = np.min(values), np.max(values)
    print_message(f"computed {label} on {points} points on {device}: {low:g} to {high:g}")
