"""What ``cyfes sum-hills`` does: read, sum, project, convert, write, in portions of hills."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.numbers import parse_number
from cyfes.base.progress import Progress
from cyfes.cli.common import UsageError, file_format, print_message
from cyfes.cli.surface_options import typed_axes
from cyfes.errors import InputError
from cyfes.io.colvar_files import colvar_names, iter_colvar
from cyfes.io.hills_files import iter_hills
from cyfes.io.paths import expanded
from cyfes.io.plumed_grid import grid_blocks
from cyfes.io.text_files import check_target, replacing, write_text
from cyfes.model.domains import same_domain
from cyfes.model.extent import Extent
from cyfes.model.grid import INTERVAL_BINS, Grid
from cyfes.model.hills import Hills

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from cyfes.surface import FreeEnergySurface

# The input is read once to find its range, and a second time to sum it. Up to this many hills are
# kept in memory, and not read again.
_KEPT = 1 << 20


def run_job(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Do what the options of the command ask for, and return what was done."""
    inputs = _inputs(options)
    if options.stride and not options.merge and len(expanded(options.hills or ())) > 1:
        print_message(
            "took the hills of one file after the other, as PLUMED does. If the files are those "
            "of walkers, --merge clock or --merge time puts the hills in the order of time"
        )
    for input_ in inputs:
        check_target(input_.target(0))
    grid = _grid(inputs[0], options)
    for input_ in inputs:
        input_.sum_up(grid)
    if options.plot:
        _draw(inputs[0].last, options.plot)
    return [input_.facts() for input_ in inputs]


def _draw(surface: FreeEnergySurface, target: str) -> None:
    figure = surface.plot()
    suffix = Path(target).suffix[1:]
    supported = figure.canvas.get_supported_filetypes()
    if suffix not in supported:
        raise InputError(
            f"--plot {target}: found the format {suffix or 'none'}, expected one of "
            f"{', '.join(sorted(supported))}"
        )
    with replacing(Path(target)) as file:
        figure.savefig(file, format=suffix)
    print_message(f"drew {', '.join(surface.names)}, wrote {target}")


def _inputs(options: argparse.Namespace) -> list[_Input]:
    inputs: list[_Input] = []
    if options.hills:
        inputs.append(_HillsInput(options))
    if options.histo:
        inputs.append(_SamplesInput(options))
    if len(inputs) == 2:
        _check_agreement(*inputs)
    return inputs


def _check_agreement(hills: _Input, samples: _Input) -> None:
    if hills.all_names != samples.all_names:
        found, expected = ", ".join(samples.all_names), ", ".join(hills.all_names)
        raise InputError(f"--histo: found the CVs {found}, expected {expected} as in --hills")
    domains = dict(zip(hills.first.names, hills.first.domain))
    for name, domain in zip(samples.first.names, samples.first.domain):
        if not same_domain(domain, domains[name]):
            raise InputError(
                f"--histo: found the domain {domain} of {name}, expected {domains[name]} as in "
                "--hills"
            )


def _grid(input_: _Input, options: argparse.Namespace) -> Grid:
    low, high = (
        _values_for_cvs(input_, option, getattr(options, option)) for option in ("min", "max")
    )
    bins, spacing = (_values_for_cvs(input_, o, getattr(options, o)) for o in ("bin", "spacing"))
    hills = input_.first
    if hills.interval is not None:
        ends = tuple(f"{end:g}" for end in hills.interval)
        low, high = low or [ends[0]], high or [ends[1]]
        bins = bins or ([INTERVAL_BINS] if spacing is None else None)
    if low is None or high is None:
        return Grid.covering(input_.extent(), bins, spacing)
    if bins is None and spacing is None:
        raise UsageError("found --min and --max alone, expected --bin or --spacing with them")
    bounds = typed_axes(hills.names, hills.domain, low, high)
    return Grid.spanning(hills, bounds, _bins(hills, low, high, bins, spacing))


def _values_for_cvs(input_: _Input, option: str, values: list[Any] | None) -> list[Any] | None:
    """Return the values of an option for the CVs that are summed."""
    if values is None:
        return None
    if len(values) == len(input_.first.names):
        return values
    if len(values) != len(input_.all_names):
        named = ", ".join(input_.first.names)
        others = [name for name in input_.all_names if name not in input_.first.names]
        more = f"; or one for each column, {', '.join(input_.all_names)}" if others else ""
        raise UsageError(
            f"--{option}: found {len(values)} values, expected {len(input_.first.names)}, one for "
            f"each of {named}{more}"
        )
    return [values[input_.all_names.index(name)] for name in input_.first.names]


def _bins(
    hills: Hills,
    lows: list[str],
    highs: list[str],
    bins: list[int] | None,
    spacing: list[float] | None,
) -> list[int]:
    """Return the bins of each axis; PLUMED fits the spacing between the ends that were typed."""
    counts = bins or [1] * hills.ndim
    if spacing is None:
        return counts
    lengths = [parse_number(high) - parse_number(low) for low, high in zip(lows, highs)]
    # For a periodic CV, PLUMED takes ends in any order.
    periods = hills.periods.tolist()
    lengths = [length if length > 0.0 else period for length, period in zip(lengths, periods)]
    return [max(n, math.ceil(x / step)) for n, x, step in zip(counts, lengths, spacing)]


class _Input:
    """The input of a sum: hills, or samples as hills of height 1."""

    what = ""
    default_name = ""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.count = 0
        self.written: list[str] = []
        self._kernels: set[str] = set()
        #: The part of the input that has been read, 0 to 1.
        self._part_read = 0.0
        self._portions = _RepeatablePortions(self._read, expanded(self._files()))
        #: The first hills, from which the names and domains of all are known.
        self.first = self._portions.first
        #: The CVs in the order of the values of options.
        self.all_names = self.first.names
        #: The surface that was written last.
        self.last: Any = None

    def _files(self) -> list[str]:
        raise NotImplementedError

    def _read(self) -> Iterator[Hills]:
        raise NotImplementedError

    def _finished(self, total: FreeEnergySurface) -> tuple[FreeEnergySurface, str]:
        """Return the surface to write and the name of its column."""
        raise NotImplementedError

    def extent(self) -> Extent:
        """Return how far all hills reach."""
        total: Extent | None = None
        for hills in self._portions:
            extent = self._extent_of(hills)
            total = extent if total is None else total.joined(extent)
        assert total is not None  # noqa: S101  files without hills are refused
        return total

    def _extent_of(self, hills: Hills) -> Extent:
        return Extent.of_hills(hills)

    def target(self, number: int) -> str:
        """Return the name of an output file."""
        stride = self.options.stride
        given: str | None = self._given_name()
        if stride is None:
            return given or f"{self.default_name}.dat"
        # As PLUMED does: with a stride of 0 there is one file, and no number is added to its name.
        prefix = given or f"{self.default_name}_"
        return f"{prefix}{number}.dat" if stride else prefix

    def _given_name(self) -> str | None:
        raise NotImplementedError

    def sum_up(self, grid: Grid) -> None:
        """Sum all hills, and write a file after every stride and at the end."""
        # Imported here, so that --help and wrong input need no compiled library.
        from cyfes.sums.running_sum import RunningSum

        total = RunningSum(self._own_grid(grid), self.options.device, self.options.dtype)
        start = 0.0
        with Progress(self.options.progress, f"summing {self.what}") as progress:
            for hills in _split(self._portions.for_the_last_time(), self.options.stride or 0):
                if hills is None:
                    self._write(total)
                    if self.options.nohistory:
                        total.clear()
                else:
                    # For samples it is not known, and stays 0.
                    end = self._part_read or 1.0
                    total.add(self._scaled(hills), progress.part(start, end))
                    self._kernels.update(hills.kernels)
                    start = end
                # Wherever hills pass, they are let go before the next are read.
                del hills
        self.count = total.count

    def _own_grid(self, grid: Grid) -> Grid:
        return grid

    def _scaled(self, hills: Hills) -> Hills:
        return hills

    def _write(self, total: Any) -> None:
        surface, column = self._finished(total.surface())
        if self.options.units:
            old, new = self.options.units
            surface = surface.with_units(old).to(new, kT=self.options.kt)
        if self.options.mintozero:
            # A histogram of no samples is infinite everywhere: nan, as PLUMED writes it.
            with np.errstate(invalid="ignore"):
                surface = surface.shift_to_zero()
        columns = {column: surface.values}
        if surface.gradient is not None:
            columns.update((f"der_{n}", g) for n, g in zip(surface.names, surface.gradient))
        target = self.target(len(self.written))
        blocks = grid_blocks(
            surface.grid, surface.names, surface.grid.bounds, columns, self.options.fmt
        )
        write_text(target, blocks)
        self.written.append(target)
        self.last = surface

    def facts(self) -> dict[str, Any]:
        """Return what was done."""
        return {
            "what": self.what,
            "count": self.count,
            "kernel": " and ".join(sorted(self._kernels)),
            "names": list(self.first.names),
            "points": list(self.last.grid.shape),
            "device": self.last.device,
            "plan": self.last.plan,
            "unit": self.last.unit,
            "files": self.written,
        }


class _HillsInput(_Input):
    """The hills of ``--hills``."""

    what = "hills"

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.default_name = "negativebias" if options.negbias else "fes"
        _check_idw(options, self.first.names, most=len(self.first.names) - 1)

    def _files(self) -> list[str]:
        return list(self.options.hills)

    def _note(self, part: float) -> None:
        self._part_read = part

    def _read(self) -> Iterator[Hills]:
        options = self.options
        how = {name: getattr(options, name) for name in ("merge", "kernel", "check")}
        how.update(file_format(options), progress=self._note)
        for hills in iter_hills(options.hills, **how):
            # As PLUMED does: with --histo, an INTERVAL is ignored.
            ignored = self.options.histo and hills.interval is not None
            yield replace(hills, interval=None) if ignored else hills
            del hills

    def _given_name(self) -> str | None:
        name: str | None = self.options.outfile
        return name

    def _scaled(self, hills: Hills) -> Hills:
        return _bias_hills(hills) if self.options.negbias else hills

    def _finished(self, total: FreeEnergySurface) -> tuple[FreeEnergySurface, str]:
        from cyfes.landscape.projection import projected

        # As PLUMED does: with --histo, the surface is projected too, on all CVs.
        names = self.options.idw or (self.first.names if self.options.histo else None)
        if names is None:
            return total, "file.free"
        return projected(total, names, self.options.kt), "projection"


class _SamplesInput(_Input):
    """The samples of ``--histo``, each as a hill of height 1."""

    what = "samples"
    default_name = "histo"

    def __init__(self, options: argparse.Namespace) -> None:
        # In the order of the file, not of --idw, as PLUMED does.
        self._columns: list[str] | None = None
        names = colvar_names(options.histo) if options.idw else None
        if names is not None:
            _check_idw(options, names, most=len(names))
            self._columns = [name for name in names if name in options.idw]
        super().__init__(options)
        self.all_names = names or self.first.names

    def _files(self) -> list[str]:
        return list(self.options.histo)

    def _read(self) -> Iterator[Hills]:
        sigma = self.options.sigma
        for samples in iter_colvar(self.options.histo, columns=self._columns):
            if len(sigma) != len(samples.names):
                raise UsageError(
                    f"--sigma: found {len(sigma)} values, expected {len(samples.names)}, one for "
                    f"each of {', '.join(samples.names)}"
                )
            yield Hills(samples.names, samples.values, sigma, 1.0, domain=samples.domain)

    def _own_grid(self, grid: Grid) -> Grid:
        if grid.ndim == self.first.ndim:
            return grid
        return grid.subgrid([self.all_names.index(name) for name in self.first.names])

    def _given_name(self) -> str | None:
        name: str | None = self.options.outhisto
        return name

    def _extent_of(self, hills: Hills) -> Extent:
        return Extent.of_samples(hills.centers, self.options.sigma, hills.domain)

    def _finished(self, total: FreeEnergySurface) -> tuple[FreeEnergySurface, str]:
        kT = self.options.kt
        with np.errstate(divide="ignore"):
            values = -kT * np.log(np.maximum(-total.values, 0.0))
            # As PLUMED does: -kT over the slope of the histogram, which is not the slope of F.
            assert total.gradient is not None  # noqa: S101  a running sum always has one
            slopes = -kT / (0.0 - total.gradient)
        return replace(total, values=values, gradient=slopes), "file.free"


def _check_idw(options: argparse.Namespace, names: tuple[str, ...], most: int) -> None:
    for name in options.idw or ():
        if name not in names:
            raise UsageError(f"--idw: found the CV {name}, expected one of {', '.join(names)}")
    if options.idw and len(options.idw) > most:
        raise UsageError(
            f"--idw: found all CVs ({', '.join(options.idw)}), expected fewer; leave out --idw"
        )


class _RepeatablePortions:
    """Portions of hills that can be iterated more than once: kept if few, otherwise read again."""

    def __init__(self, read: Callable[[], Iterator[Hills]], files: Iterable[Path]) -> None:
        self._read = read
        # A pipe cannot be read a second time.
        self._most = _KEPT if all(file.is_file() for file in files) else sys.maxsize
        self._live = read()
        #: The first portion.
        self.first = next(self._live)
        self._fresh = True
        self._kept: list[Hills] | None = None

    def __iter__(self) -> Iterator[Hills]:
        if self._kept is not None:
            yield from self._kept
            return
        portions = chain([self.first], self._live) if self._fresh else self._read()
        self._fresh = False
        kept: list[Hills] = []
        number = 0
        for hills in portions:
            number += len(hills)
            if number <= self._most:
                kept.append(hills)
            else:
                kept.clear()
            yield hills
        if kept:
            self._kept = kept

    def for_the_last_time(self) -> Iterator[Hills]:
        """Yield the portions, and keep none of them in memory."""
        if self._kept is None and self._fresh:
            return chain([self.first], self._live)
        return self._read() if self._kept is None else iter(self._kept)


def _split(portions: Iterable[Hills], stride: int) -> Iterator[Hills | None]:
    """Yield the hills, and None after every `stride` of them and at the end."""
    missing = stride
    for hills in portions:
        rest = hills
        while stride and len(rest) >= missing:
            yield rest[:missing]
            yield None
            rest, missing = rest[missing:], stride
        if len(rest):
            missing -= len(rest)
            yield rest
        del hills, rest
    yield None


def _bias_hills(hills: Hills) -> Hills:
    """Return the hills with the heights that they were added with, whose sum is the bias.

    PLUMED rescales with any bias factor. For 1, which also stands for a missing column, it gets
    zeros, and for -1, an untempered run, twice the bias. Neither is the bias.
    """
    factors = hills.bias_factors
    if not (factors > 1.0).all():
        raise InputError(
            f"--negbias: found the bias factor {factors[factors <= 1.0][0]:g}, expected more than "
            "1 as in a well-tempered run; leave out --negbias: the hills of an untempered run "
            "are the bias itself"
        )
    return replace(hills, heights=hills.heights * (factors - 1.0) / factors)
