"""Error bars of reweighted free energies, from blocks of samples.

A run is cut into blocks, each long enough to be independent of the others. What each block gives is
kept as the logarithm of its sum of weighted kernels, so that any set of blocks is a surface by one
more sum. Errors are the jackknife's (leave one block out; B. Efron, C. Stein, Ann. Statist. 9, 586
(1981)) or the bootstrap's (draw blocks with replacement).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.arrays import bandwidth_rows
from cyfes.errors import InputError
from cyfes.landscape.regions import is_mask, log_population, masks
from cyfes.native.gpu_arrays import on_device
from cyfes.sums.reweighting import reweight
from cyfes.sums.samples import named_samples, usual_grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

    from cyfes.base.choices import DeviceName, Precision
    from cyfes.landscape.regions import Region
    from cyfes.model.grid import Grid
    from cyfes.sums.samples import Bias, Samples
    from cyfes.surface import FreeEnergySurface

    Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A number and its error."""

    #: The estimate from all blocks.
    value: float
    #: Its standard error.
    error: float
    #: How many blocks the error comes from.
    blocks: int
    #: The unit of both; None if it is not known.
    unit: str | None = None

    def __repr__(self) -> str:
        """Return the number, its error and its unit."""
        unit = f" {self.unit}" if self.unit else ""
        return f"<Estimate: {self.value:.4g} ± {self.error:.2g}{unit}, {self.blocks} blocks>"


@dataclass(frozen=True, eq=False, repr=False)
class BlockedSurface:
    """A free energy from all samples, and what each block of them contributes.

    Attributes
    ----------
    surface : FreeEnergySurface
        F from all samples, as `cyfes.reweight` gives it, with its standard error.
    log_sums : ndarray of float64, shape (B, *grid.shape)
        For each block, the logarithm of the sum of its weighted kernels.
    """

    surface: FreeEnergySurface
    log_sums: Floats

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.log_sums)

    def __repr__(self) -> str:
        """Return a line that says how many blocks of what."""
        return f"<BlockedSurface: {len(self)} blocks of {self.surface!r}>"

    def error(self) -> Floats:
        """Return the standard error of F at each point.

        F is known only up to a constant. The error is that of F with the constant for which
        ∫ exp(-F / kT) = 1.

        Returns
        -------
        ndarray of float64, shape grid.shape
            The standard error in the unit of F, computed by the jackknife.
        """
        kT = self.surface.known_kT()
        grid = self.surface.grid
        left_out = _without_each(self.log_sums)
        norms = np.array([log_population(one, grid) for one in left_out])
        left_out -= norms.reshape([-1] + [1] * grid.ndim)
        error: Floats = kT * _jackknife(left_out)
        return error

    def difference(
        self,
        first: Region,
        last: Region,
        *,
        method: Literal["block", "bootstrap"] = "block",
        depth: float | None = None,
        draws: int = 1000,
        seed: int = 0,
    ) -> Estimate:
        """Return the free energy of the second region minus that of the first one, with its error.

        Parameters
        ----------
        first, last : Minimum, int, array_like, shape (D,), or ndarray of bool, shape grid.shape
            Two minima, numbers of minima, or points, which stand for the basins around them in the
            surface of all samples. Or two regions: see `cyfes.box`.
        method : {"block", "bootstrap"}
            How the error is computed: "block" leaves out each block in turn (the jackknife), and
            "bootstrap" draws blocks with replacement.
        depth : float, optional
            How deep a minimum must be to have a basin. The default is kT.
        draws : int
            The number of bootstrap samples.
        seed : int
            The seed of the random numbers.

        Returns
        -------
        Estimate
            ΔF, its standard error and the number of blocks, in the unit of F. With B blocks, the
            true value lies within t standard errors. t comes from Student's distribution with
            B - 1 degrees of freedom.

        Raises
        ------
        InputError
            If the method is unknown, or as `FreeEnergySurface.difference` does.
        """
        populations = self._populations((first, last), depth)
        kT = self.surface.known_kT()
        value = kT * _log_ratio(np.logaddexp.reduce(populations, axis=0))
        if method == "block":
            error = float(_jackknife(_log_ratio(_without_each(populations))))
        elif method == "bootstrap":
            drawn = np.random.default_rng(seed).integers(len(self), size=(draws, len(self)))
            sums = np.logaddexp.reduce(populations[drawn], axis=1)
            error = float(np.std(_log_ratio(sums), ddof=1))
        else:
            raise InputError(f'method: found {method!r}, expected "block" or "bootstrap"')
        return Estimate(float(value), kT * error, len(self), self.surface.unit)

    def merged(self, size: int) -> BlockedSurface:
        """Return the same surface with longer blocks: every `size` blocks become one.

        Parameters
        ----------
        size : int
            How many neighbouring blocks become one. Blocks that are left over at the end are added
            to the last one.

        Returns
        -------
        BlockedSurface
            The same surface, with fewer blocks.

        Raises
        ------
        InputError
            If fewer than two blocks would be left.
        """
        count = len(self) // size if size > 0 else 0
        if count < 2:
            raise InputError(f"found {len(self)} blocks, expected at least {2 * size} to merge")
        starts = np.arange(count) * size
        return replace(self, log_sums=np.logaddexp.reduceat(self.log_sums, starts, axis=0))

    def _populations(self, regions: Sequence[Region], depth: float | None) -> Floats:
        """Return the logarithm of each block's population of each region, shape (B, regions)."""
        grid = self.surface.grid
        places = not all(map(is_mask, regions))
        chosen = masks(grid, regions, self.surface.basins(depth) if places else None)
        rows = [[log_population(block, grid, mask) for mask in chosen] for block in self.log_sums]
        return np.array(rows)


def reweight_blocks(
    samples: Samples,
    grid: Grid | None = None,
    bandwidth: ArrayLike | None = None,
    *,
    kT: float,
    bias: Bias = None,
    blocks: int | ArrayLike = 10,
    names: Sequence[str] | None = None,
    device: DeviceName = "auto",
    dtype: Precision = "float64",
) -> BlockedSurface:
    """Return the free energy of weighted samples as `cyfes.reweight` does, with error bars.

    Each sample is added only once, to the sum of its block.

    Parameters
    ----------
    samples : Colvar, or array_like, shape (N, D)
        The samples, in the order of time. For one variable, the shape may be (N,).
    grid, bandwidth, kT, bias, names, device, dtype
        As for `cyfes.reweight`.
    blocks : int or array_like of int, shape (N,)
        The number of blocks of equal length, at least 2. Or the number of the block of each sample,
        for example that of its walker. A block should be several times as long as the run takes to
        go from one basin to the other and back. It is too short if the error is larger with
        `merged` blocks.

    Returns
    -------
    BlockedSurface
        The surface of all samples, and its errors.

    Raises
    ------
    InputError
        If there are fewer samples than blocks, or fewer than two blocks, or as `cyfes.reweight`
        does.
    DeviceError
        If the device is missing, not supported, or fails.
    LibraryError
        If the compiled part of cyfes is missing.
    """
    if any(map(on_device, (samples, bandwidth, bias))):
        raise InputError("reweight_blocks: found arrays on a GPU, expected NumPy's")
    if bandwidth is None:
        raise InputError("bandwidth: found none, expected the width of each sample's Gaussian")
    named = named_samples(samples, bias, names)
    grid = grid or usual_grid(named, bandwidth)
    points, bias = np.asarray(named.values), named.bias
    count = len(np.atleast_1d(points))
    widths = bandwidth_rows(bandwidth, (count, grid.ndim))
    biases = None if bias is None else np.asarray(bias)
    if biases is not None and biases.shape != (count,):
        raise InputError(f"bias: found shape {biases.shape}, expected ({count},)")
    log_sums: list[Floats] = []
    surface: Any = None
    for chosen in _chosen(blocks, count):
        surface = reweight(
            points[chosen],
            grid,
            widths[chosen] if len(widths) == count else widths[0],
            kT=kT,
            bias=None if biases is None else biases[chosen],
            names=named.names,
            device=device,
            dtype=dtype,
        )
        # `reweight` gives the mean over the block's samples, and the sum is kept.
        density = np.asarray(surface.values, dtype=np.float64) / -kT
        log_sums.append(density + np.log(len(points[chosen])))
    total = np.logaddexp.reduce(log_sums, axis=0) - np.log(count)
    values = (-kT * total).astype(surface.values.dtype)
    surface = replace(surface, values=values, domain=named.domain)
    error = BlockedSurface(surface, np.stack(log_sums)).error()
    return BlockedSurface(replace(surface, error=error), np.stack(log_sums))


def _chosen(blocks: int | ArrayLike, count: int) -> Iterator[slice | NDArray[np.intp]]:
    """Yield the samples of each block."""
    if np.ndim(blocks) == 0:
        number = int(blocks)  # type: ignore[arg-type]
        if number < 2 or number != blocks or count < number:
            raise InputError(
                f"blocks: found {blocks!r} for {count} samples, expected a whole number from 2 to "
                "the number of samples"
            )
        ends = np.linspace(0, count, number + 1).astype(int)
        yield from map(slice, ends[:-1].tolist(), ends[1:].tolist())
        return
    labels = np.asarray(blocks)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(f"blocks: found shape {labels.shape}, expected ({count},) whole numbers")
    different = np.unique(labels)
    if len(different) < 2:
        raise InputError(f"blocks: found {len(different)} different, expected at least 2")
    for label in different:
        yield np.flatnonzero(labels == label)


def _without_each(logs: Floats) -> Floats:
    """Return ln Σ exp over all blocks but one, for each; subtracting would lose digits."""
    empty = np.full((1, *logs.shape[1:]), -np.inf)
    before = np.logaddexp.accumulate(np.concatenate([empty, logs[:-1]]), axis=0)
    after = np.logaddexp.accumulate(np.concatenate([empty, logs[:0:-1]]), axis=0)[::-1]
    return np.logaddexp(before, after)


def _log_ratio(populations: Floats) -> Any:
    """Return ln(first / last) of the populations in the last axis."""
    return populations[..., 0] - populations[..., 1]


def _jackknife(left_out: Any) -> Any:
    """Return the standard error from estimates with each block left out."""
    count = len(left_out)
    return np.sqrt((count - 1.0) * np.var(left_out, axis=0))
