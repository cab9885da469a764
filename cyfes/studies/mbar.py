"""The free energy of several biased runs together: umbrella windows, or runs with static biases.

MBAR (M. R. Shirts, J. D. Chodera, J. Chem. Phys. 129, 124105 (2008)) gives each sample its weight
in the unbiased ensemble, and `cyfes.reweight` makes a surface of the weighted samples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.base.arrays import checked_array
from cyfes.base.numbers import check_positive
from cyfes.base.optional_packages import need
from cyfes.errors import InputError
from cyfes.landscape.regions import log_population
from cyfes.model.domains import checked_ends, end_values
from cyfes.model.hills import Hills
from cyfes.sums.hills_at_points import bias as bias_of_hills
from cyfes.sums.reweighting import reweight
from cyfes.sums.samples import NamedSamples, named_samples, usual_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Union

    from numpy.typing import ArrayLike, NDArray

    from cyfes.base.choices import DeviceName, Precision
    from cyfes.model.grid import Grid
    from cyfes.sums.samples import Samples
    from cyfes.surface import FreeEnergySurface

    Floats = NDArray[np.float64]
    RunBias = Union[Hills, Callable[[Floats], ArrayLike]]


class HarmonicBias:
    """The bias of an umbrella window: V(x) = Σ_i ½ κ_i (x_i - c_i)², as PLUMED's RESTRAINT.

    Parameters
    ----------
    center : array_like, shape (D,) or ()
        The point where the bias is zero, in the CVs' units.
    kappa : array_like, shape (D,) or ()
        The force constants, zero or more, in the unit of energy over the square of that of the CV.
    domain : sequence of D (None or pair of str or float), optional
        The ends of the domain of each periodic CV, such as ``("-pi", "pi")``. For a CV that is not
        periodic, write None.

    Raises
    ------
    InputError
        If shapes disagree or a number cannot be used.

    Examples
    --------
    >>> window = cyfes.HarmonicBias(1.0, kappa=100.0)
    >>> window(np.array([[1.0], [1.1]])).round(6)
    array([0. , 0.5])
    """

    def __init__(
        self,
        center: ArrayLike,
        kappa: ArrayLike,
        domain: Sequence[tuple[str | float, str | float] | None] | None = None,
    ) -> None:
        self.center = np.atleast_1d(np.asarray(center, dtype=np.float64))
        ndim = len(self.center)
        if self.center.ndim != 1 or np.shape(kappa) not in ((), (ndim,)):
            raise InputError(
                f"found a center of shape {np.shape(center)} and kappa of {np.shape(kappa)}, "
                "expected a number for each CV"
            )
        self.kappa: Floats = np.broadcast_to(np.asarray(kappa, dtype=np.float64), (ndim,))
        if not (np.isfinite(self.center).all() and (self.kappa >= 0.0).all()):
            raise InputError("found a center that is not finite or a kappa below zero")
        if domain is not None and len(domain) != ndim:
            raise InputError(f"domain: found {len(domain)} entries, expected {ndim}")
        checked = [checked_ends(f"CV {k}", ends) for k, ends in enumerate(domain or ())]
        lengths = [0.0 if ends is None else np.ptp(end_values(ends)) for ends in checked]
        self.periods: Floats = np.array(lengths or [0.0] * ndim, dtype=np.float64)

    def __call__(self, points: Floats) -> Floats:
        """Return V at points, shape (M, D)."""
        apart = np.asarray(points, dtype=np.float64) - self.center
        turns = np.divide(apart, self.periods, out=np.zeros_like(apart), where=self.periods > 0.0)
        apart = apart - self.periods * np.rint(turns)
        energy: Floats = 0.5 * (apart * apart) @ self.kappa
        return energy

    def __repr__(self) -> str:
        """Return a line with center and force constants."""
        return f"<HarmonicBias at {self.center.tolist()}, kappa {self.kappa.tolist()}>"


def mbar(
    samples: Sequence[Samples],
    biases: Sequence[RunBias] | ArrayLike,
    grid: Grid | None = None,
    bandwidth: ArrayLike | None = None,
    *,
    kT: float,
    names: Sequence[str] | None = None,
    blocks: int = 10,
    draws: int = 50,
    seed: int = 0,
    device: DeviceName = "auto",
    dtype: Precision = "float64",
) -> FreeEnergySurface:
    """Return the free energy of several biased runs at one temperature, with its standard error.

    Each run k has a bias V_k that does not change: an umbrella potential, the final bias of a
    metadynamics run that was continued without new hills, or none.

    Parameters
    ----------
    samples : sequence of K (Colvar, or array_like, shape (N_k, D))
        The samples of each run, in the order of time.
    biases : sequence of K callables or Hills, or array_like, shape (K, N)
        The bias of each run: hills, or a function of points of shape (M, D), such as
        `cyfes.HarmonicBias`. For a run without a bias, write ``lambda x: np.zeros(len(x))``. Or an
        array: row k is the energy of all N samples, run after run, in the bias of run k, in the
        unit of kT.
    grid : Grid, optional
        A grid over the D variables. By default, it is that of `cyfes.reweight`.
    bandwidth : array_like, shape () or (D,)
        The standard deviation of each sample's Gaussian, as for `cyfes.reweight`.
    kT : float
        Boltzmann's constant times the temperature. F gets the same unit.
    names : sequence of D str, optional
        The names of the variables. For a Colvar, they say which columns are the variables.
    blocks : int
        The number of blocks of each run for the bootstrap. Each must be longer than the
        correlation time.
    draws : int
        The number of bootstrap samples for the error. With 0, no error is computed.
    seed : int
        The seed of the random numbers.
    device, dtype
        As for `cyfes.reweight`.

    Returns
    -------
    FreeEnergySurface
        F, normalised so that ∫ exp(-F / kT) = 1, and its standard error. The error is the standard
        deviation of F over the bootstrap samples. Each of them draws blocks of every run with
        replacement, and MBAR's equations are solved again.

    Raises
    ------
    InputError
        If shapes or numbers disagree or cannot be used, or as `cyfes.reweight` does.
    MissingDependencyError
        If pymbar is not installed: ``pip install cyfes[mbar]``.
    DeviceError
        If the device is missing, not supported, or fails.
    LibraryError
        If the compiled part of cyfes is missing.

    References
    ----------
    M. R. Shirts, J. D. Chodera, J. Chem. Phys. 129, 124105 (2008).
    """
    need("pymbar", "mbar()")
    check_positive("kT", kT)
    if bandwidth is None:
        raise InputError("bandwidth: found none, expected the width of each sample's Gaussian")
    runs = [named_samples(run, None, names) for run in samples]
    all_samples, counts = _joined(runs)
    checked_array("bandwidth", bandwidth, all_samples.values.shape[1:])
    reduced = _energies(biases, all_samples.values, counts) / kT
    if draws and (blocks < 2 or counts.min() < blocks):
        raise InputError(
            f"blocks: found {blocks} for runs of {counts.min()} samples and more, expected from 2 "
            "to the number of samples"
        )
    grid = grid or usual_grid(all_samples, bandwidth)

    def normalised(rows: Any, sizes: NDArray[np.intp], start: Floats | None) -> Any:
        free_energies = _solved(reduced[:, rows], sizes, start)
        surface = reweight(
            all_samples.values[rows],
            grid,
            bandwidth,
            kT=kT,
            bias=kT * _log_weights(reduced[:, rows], sizes, free_energies),
            names=all_samples.names,
            device=device,
            dtype=dtype,
        )
        shift = kT * log_population(surface.values / -kT, grid)
        return replace(surface, values=surface.values + shift), free_energies

    surface, free_energies = normalised(slice(None), counts, None)
    random = np.random.default_rng(seed)
    drawn = [
        normalised(*_bootstrap(counts, blocks, random), free_energies)[0].values
        for _ in range(draws)
    ]
    error = np.std(drawn, axis=0, ddof=1) if draws > 1 else None
    found: FreeEnergySurface = replace(surface, domain=all_samples.domain, error=error)
    return found


def _joined(runs: Sequence[NamedSamples]) -> tuple[NamedSamples, NDArray[np.intp]]:
    """Return the samples of all runs in one array, and how many each run has."""
    if not runs:
        raise InputError("samples: found no runs, expected at least one")
    arrays = [np.asarray(run.values, dtype=np.float64) for run in runs]
    arrays = [array[:, np.newaxis] if array.ndim == 1 else array for array in arrays]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1 or len(shapes.pop()) != 1 or not all(map(len, arrays)):
        found = ", ".join(str(array.shape) for array in arrays[:5])
        raise InputError(
            f"samples: found shapes {found}, expected (N, D) with one D, and N above 0"
        )
    return runs[0]._replace(values=np.concatenate(arrays)), np.array([len(a) for a in arrays])


def _energies(
    biases: Sequence[RunBias] | ArrayLike, samples: Floats, counts: NDArray[np.intp]
) -> Floats:
    """Return the energy of each sample in the bias of each run, shape (K, N)."""
    if isinstance(biases, (list, tuple)) and any(
        callable(one) or isinstance(one, Hills) for one in biases
    ):
        rows = [
            bias_of_hills(samples, one) if isinstance(one, Hills) else one(samples)
            for one in biases
        ]
        energies = np.array([np.asarray(row, dtype=np.float64) for row in rows])
    else:
        energies = np.asarray(biases, dtype=np.float64)
    expected = (len(counts), len(samples))
    if energies.shape != expected:
        raise InputError(
            f"biases: found shape {energies.shape}, expected {expected}: the bias of each of the "
            f"{len(counts)} runs at all samples"
        )
    if not np.isfinite(energies).all():
        raise InputError("biases: found energies that are not finite, expected finite ones")
    return energies


def _solved(reduced: Floats, counts: NDArray[np.intp], start: Floats | None) -> Floats:
    """Return the reduced free energy of each run."""
    if len(counts) == 1:
        return np.zeros(1)
    pymbar = need("pymbar", "mbar()")
    options = {} if start is None else {"initial_f_k": start}
    # pymbar's own choice tries a solver of SciPy first, with options that SciPy warns of.
    solver = ({"method": "adaptive"},)
    found = pymbar.MBAR(reduced, counts, solver_protocol=solver, **options)
    return np.asarray(found.f_k, dtype=np.float64)


def _log_weights(reduced: Floats, counts: NDArray[np.intp], free_energies: Floats) -> Floats:
    """Return the logarithm of each sample's weight without a bias, the largest being 0."""
    terms = np.log(counts)[:, np.newaxis] + free_energies[:, np.newaxis] - reduced
    logs: Floats = -np.logaddexp.reduce(terms, axis=0)
    logs -= logs.max()
    return logs


def _bootstrap(
    counts: NDArray[np.intp], blocks: int, random: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the samples of blocks drawn with replacement, and how many each run then has."""
    rows, sizes = [], []
    for first, count in zip(np.cumsum(counts) - counts, counts.tolist()):
        parts = np.array_split(first + np.arange(count), blocks)
        chosen = np.concatenate([parts[k] for k in random.integers(blocks, size=blocks)])
        rows.append(chosen)
        sizes.append(len(chosen))
    return np.concatenate(rows), np.array(sizes)
