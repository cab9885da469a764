"""Metadynamics of a particle on a known surface, for teaching and for tests.

Overdamped Langevin dynamics by the scheme of B. Leimkuhler and C. Matthews (Appl. Math. Res.
Express 2013, 34), whose averages are right to second order in the time step, and well-tempered
metadynamics as PLUMED does it, with the same kernel and the same files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cyfes.base.numbers import check_positive
from cyfes.io.column_files import column_blocks
from cyfes.io.hills_files import hills_blocks
from cyfes.io.plumed_header import column_header, domain_constants
from cyfes.io.text_files import write_text
from cyfes.landscape.interpolation import AFTER, BEFORE, cells_of, keys_slopes, keys_weights, padded
from cyfes.model.grid import Grid
from cyfes.model.hill_kernels import CUTOFF, SHIFT, STRETCH
from cyfes.model.hills import Hills

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Potential = Callable[[Floats], Floats]

# The bias is kept on a grid with this many points in the width of a hill.
_POINTS_PER_SIGMA = 4.0

# The step of the central differences for slopes of the potential, as a part of an axis.
_DIFFERENCE = 1e-6


@dataclass(frozen=True, eq=False)
class Run:
    """The samples and hills of independent metadynamics runs with the same settings.

    Attributes
    ----------
    names : tuple of str
        The D collective variables.
    grid : Grid
        The domain.
    times : ndarray of float64, shape (N,)
        The step of each sample.
    samples : ndarray of float64, shape (R, W, N, D)
        The samples of the W walkers of R runs.
    bias : ndarray of float64, shape (R, W, N)
        The bias V that each sample felt.
    offset : ndarray of float64, shape (R, N)
        c(t) at each sample (P. Tiwary, M. Parrinello, J. Phys. Chem. B 119, 736 (2015)): the
        amount by which the bias had grown everywhere. The weight of the sample is
        exp((V - c) / kT).
    hills : tuple of Hills
        The hills of each run, with those of all its walkers. The heights are as in PLUMED's files.
    """

    names: tuple[str, ...]
    grid: Grid
    times: Floats
    samples: Floats
    bias: Floats
    offset: Floats
    hills: tuple[Hills, ...]

    @property
    def rbias(self) -> Floats:
        """V - c(t), shape (R, W, N): the bias to reweight with."""
        return self.bias - self.offset[:, np.newaxis]

    def write(
        self,
        hills: str | os.PathLike[str] = "HILLS",
        colvar: str | os.PathLike[str] = "COLVAR",
        run: int = 0,
    ) -> None:
        """Write the files of one run in the format of PLUMED. Older files are kept.

        Parameters
        ----------
        hills, colvar : path-like
            The files. The samples of several walkers go to ``COLVAR.0``, ``COLVAR.1`` and so
            on.
        run : int
            The number of the run, from 0.

        Raises
        ------
        OSError
            If a file cannot be written.
        """
        write_text(hills, hills_blocks(self.hills[run]))
        walkers = len(self.samples[run])
        for walker in range(walkers):
            path = Path(colvar)
            name = path if walkers == 1 else path.with_name(f"{path.name}.{walker}")
            write_text(name, self._colvar_blocks(run, walker))

    def _colvar_blocks(self, run: int, walker: int) -> Iterator[str]:
        weights = (self.bias[run, walker], self.offset[run], self.rbias[run, walker])
        fields = ("time", *self.names, "metad.bias", "metad.rct", "metad.rbias")
        header = column_header(fields, domain_constants(self.names, self.hills[run].domain))
        return column_blocks(header, (self.times, self.samples[run, walker], *weights))


def metadynamics(
    potential: Potential,
    grid: Grid,
    start: ArrayLike,
    *,
    steps: int,
    kT: float,
    height: float,
    sigma: float | Sequence[float],
    bias_factor: float = 10.0,
    pace: int = 100,
    stride: int = 20,
    step: float | Sequence[float] = 0.05,
    runs: int = 1,
    walkers: int = 1,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Run:
    """Run well-tempered metadynamics on a known surface.

    Parameters
    ----------
    potential : callable
        A function that takes points, an ndarray of shape (M, D), and returns their energies, an
        ndarray of shape (M,). It must be smooth, and periodic along the periodic axes of the grid.
    grid : Grid
        The domain. The ends of an axis that is not periodic are reflecting walls.
    start : array_like, shape (D,)
        Where every walker begins.
    steps : int
        The number of time steps.
    kT : float
        kT, in the unit of the potential.
    height : float
        The height of the first hill, in that unit.
    sigma : float or sequence of D float
        The width of the hills along each CV.
    bias_factor : float
        The bias factor γ, above 1.
    pace : int
        The number of steps between hills.
    stride : int
        The number of steps between samples.
    step : float or sequence of D float
        √(2 D Δt) along each CV, with the diffusion constant D and the time step Δt: how far
        diffusion moves the particle in one step.
    runs : int
        The number of independent runs.
    walkers : int
        The number of walkers of each run, which share their hills.
    seed : int
        The seed of the random numbers. The same seed gives the same runs.
    names : sequence of D str, optional
        The names of the CVs. By default, they are "cv0", "cv1" and so on.

    Returns
    -------
    Run
        Samples, biases and hills.

    Raises
    ------
    InputError
        If a number is not above zero, or the start is outside of the grid.
    """
    _check(grid, start, kT=kT, height=height, bias_factor=bias_factor - 1.0, pace=pace, runs=runs)
    names = tuple(names or (f"cv{axis}" for axis in range(grid.ndim)))
    widths = np.broadcast_to(np.asarray(sigma, dtype=np.float64), (grid.ndim,))
    moves = np.broadcast_to(np.asarray(step, dtype=np.float64), (grid.ndim,))
    random = np.random.default_rng(seed)
    bias = _Bias(grid, widths, runs, walkers)
    x = np.tile(np.asarray(start, dtype=np.float64), (runs * walkers, 1))
    noise = random.standard_normal(x.shape)
    offset = np.zeros(runs)
    taken, hills = [], []
    for number in range(1, steps + 1):
        following = random.standard_normal(x.shape)
        slope = _slopes_of(potential, x, grid) + bias.gradient(x)
        x = _inside(x - 0.5 * moves**2 / kT * slope + moves * 0.5 * (noise + following), grid)
        noise = following
        if number % stride == 0:
            taken.append((number, x, bias(x), offset))
        if number % pace == 0:
            heights = height * np.exp(-bias(x) / (kT * (bias_factor - 1.0)))
            bias.add(x, heights)
            offset = bias.offset(kT, bias_factor)
            hills.append((number, x, heights))
    return _collected(names, grid, widths, bias_factor, (runs, walkers), taken, hills)


def _check(grid: Grid, start: ArrayLike, **positive: float) -> None:
    for name, value in positive.items():
        check_positive(name, value)
    from cyfes.landscape.interpolation import place_in_bins

    place_in_bins(start, grid)


class _Bias:
    """The bias of each run on a grid, interpolated between its points."""

    def __init__(self, grid: Grid, sigma: Floats, runs: int, walkers: int) -> None:
        bins = np.ceil((grid.upper - grid.lower) / sigma * _POINTS_PER_SIGMA).astype(int)
        self._grid = Grid(grid.lower, grid.upper, bins.tolist(), list(grid.periodic))
        self._sigma = sigma
        self._values = np.zeros((runs, *self._grid.shape))
        self._padded = padded(self._values, self._grid)
        self._run = np.repeat(np.arange(runs), walkers)

    def __call__(self, x: Floats) -> Floats:
        """Return the bias at the place of each walker."""
        block, inside = self._around(x)
        return _contracted(block, [keys_weights(t) for t in inside.T])

    def gradient(self, x: Floats) -> Floats:
        """Return its gradient there, shape (R W, D)."""
        block, inside = self._around(x)
        weights = [keys_weights(t) for t in inside.T]
        columns = []
        for axis, t in enumerate(inside.T):
            changed = [*weights[:axis], keys_slopes(t), *weights[axis + 1 :]]
            columns.append(_contracted(block, changed) / self._grid.spacing[axis])
        return np.stack(columns, axis=-1)

    def add(self, x: Floats, heights: Floats) -> None:
        """Add a hill at the position of each walker, to the bias of its run."""
        ndim = self._grid.ndim
        exponents = np.zeros((len(x), *[1] * ndim))
        for axis, points in enumerate(self._grid.axes):
            apart = points - x[:, axis, np.newaxis]
            if self._grid.periodic[axis]:
                period = self._grid.upper[axis] - self._grid.lower[axis]
                apart -= period * np.rint(apart / period)
            shape = [len(x), *(-1 if k == axis else 1 for k in range(ndim))]
            exponents = exponents + (0.5 * (apart / self._sigma[axis]) ** 2).reshape(shape)
        kernels = np.where(exponents < CUTOFF, STRETCH * np.exp(-exponents) + SHIFT, 0.0)
        kernels *= heights.reshape([-1, *[1] * ndim])
        np.add.at(self._values, self._run, kernels)
        self._padded = padded(self._values, self._grid)

    def offset(self, kT: float, bias_factor: float) -> Floats:
        """Return c(t) of each run: kT ln ∫ exp(γ V / (γ - 1) kT) - kT ln ∫ exp(V / (γ - 1) kT)."""
        exponents = self._values.reshape(len(self._values), -1) / (kT * (bias_factor - 1.0))
        return kT * (_log_sum(bias_factor * exponents) - _log_sum(exponents))

    def _around(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the values of the points around each walker, and its place between them."""
        ndim = self._grid.ndim
        cells, inside = cells_of((x - self._grid.lower) / self._grid.spacing, self._grid)
        index = [self._run.reshape([-1, *[1] * ndim])]
        for axis in range(ndim):
            shape = [len(x), *(-1 if k == axis else 1 for k in range(ndim))]
            reach = np.arange(BEFORE + 1 + AFTER)
            index.append((cells[:, axis, np.newaxis] + reach).reshape(shape))
        return self._padded[tuple(index)], inside


def _log_sum(exponents: Floats) -> Floats:
    largest = exponents.max(axis=1)
    sums: Floats = np.log(np.exp(exponents - largest[:, np.newaxis]).sum(axis=1)) + largest
    return sums


def _contracted(block: Floats, weights: Sequence[Floats]) -> Floats:
    for axis in reversed(range(len(weights))):
        block = np.einsum("m...k,mk->m...", block, weights[axis])
    return block


def _slopes_of(potential: Potential, x: Floats, grid: Grid) -> Floats:
    shifts = np.diag(_DIFFERENCE * (grid.upper - grid.lower))
    sides = np.concatenate([x + sign * shift for sign in (1.0, -1.0) for shift in shifts])
    ahead, behind = potential(sides).reshape(2, grid.ndim, len(x))
    slopes: Floats = ((ahead - behind) / (2.0 * np.diag(shifts)[:, np.newaxis])).T
    return slopes


def _inside(x: Floats, grid: Grid) -> Floats:
    """Return positions moved back into the domain: by a period, or reflected at a wall."""
    length = grid.upper - grid.lower
    beyond = np.mod(x - grid.lower, 2.0 * length)
    reflected = np.where(beyond > length, 2.0 * length - beyond, beyond)
    result: Floats = grid.lower + np.where(grid.periodic, np.mod(x - grid.lower, length), reflected)
    return result


def _collected(
    names: tuple[str, ...],
    grid: Grid,
    sigma: Floats,
    bias_factor: float,
    shape: tuple[int, int],
    taken: list[tuple[int, Floats, Floats, Floats]],
    hills: list[tuple[int, Floats, Floats]],
) -> Run:
    samples = np.array([x for _, x, _, _ in taken]).reshape(-1, *shape, grid.ndim)
    bias = np.array([v for _, _, v, _ in taken]).reshape(-1, *shape)
    offsets = np.array([c for _, _, _, c in taken]).reshape(-1, shape[0])
    centers = np.array([x for _, x, _ in hills]).reshape(-1, *shape, grid.ndim)
    heights = np.array([h for _, _, h in hills]).reshape(-1, *shape)
    domain = [ends if wraps else None for ends, wraps in zip(grid.bounds, grid.periodic)]
    times = np.repeat([float(number) for number, _, _ in hills], shape[1])
    laid = tuple(
        Hills(
            names,
            centers[:, run].reshape(-1, grid.ndim),
            sigma,
            # The heights of F, not those of the bias, as in PLUMED's files.
            heights[:, run].ravel() * (bias_factor / (bias_factor - 1.0)),
            domain=domain,
            times=times,
            bias_factors=bias_factor,
        )
        for run in range(shape[0])
    )
    return Run(
        names,
        grid,
        np.array([float(number) for number, _, _, _ in taken]),
        np.moveaxis(samples, 0, 2),
        np.moveaxis(bias, 0, 2),
        offsets.T,
        laid,
    )
