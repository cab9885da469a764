"""Samples as arrays, columns of a `cyfes.Colvar`, and the grid that fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cyfes.base.arrays import as_matrix, bandwidth_rows
from cyfes.errors import InputError
from cyfes.model.colvar import Colvar
from cyfes.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Union

    from numpy.typing import ArrayLike

    from cyfes.model.domains import Domain

    Samples = Union[Colvar, ArrayLike]
    Bias = Union[str, Sequence[str], ArrayLike, None]

# A grid reaches so many bandwidths beyond the samples.
MARGIN = 3.0

# The bins of each axis, unless a grid is given; fewer from three CVs on, as in `cyfes analyze`.
BINS, BINS_FROM_3D = 100, 50


class NamedSamples(NamedTuple):
    """Samples, the bias at each, and what is known of the CVs."""

    values: Any
    bias: Any
    names: tuple[str, ...] | None
    domain: tuple[Domain, ...] | None


def named_samples(samples: Samples, bias: Bias, names: Sequence[str] | None) -> NamedSamples:
    """Return samples and their bias as arrays, taken from the columns of a Colvar if it is one.

    Parameters
    ----------
    samples : Colvar or array_like
        The samples.
    bias : str, sequence of str, or array_like, optional
        The bias at each sample; of a Colvar, also columns of it, which are added.
    names : sequence of str, optional
        The CVs; of a Colvar the columns that are CVs, by default all that are not the bias.

    Returns
    -------
    NamedSamples
        The arrays.

    Raises
    ------
    InputError
        If a column is not there, is taken twice, or none is left.
    """
    columns = _column_names(bias)
    if not isinstance(samples, Colvar):
        if columns:
            raise InputError(
                f"bias: found the name {columns[0]!r} for samples in an array, expected the bias "
                "of each, or samples of read_colvar"
            )
        return NamedSamples(samples, bias, None if names is None else tuple(names), None)
    if isinstance(names, str):
        names = (names,)
    chosen = tuple(n for n in samples.names if n not in columns) if names is None else tuple(names)
    if not chosen or len(set(chosen)) < len(chosen) or set(chosen) & set(columns):
        raise InputError(
            f"names: found {', '.join(chosen) or 'none'}, expected different columns of "
            f"{', '.join(samples.names)} that are not the bias"
        )
    domain = dict(zip(samples.names, samples.domain))
    return NamedSamples(
        np.stack([samples[name] for name in chosen], axis=1),
        np.sum([samples[name] for name in columns], axis=0) if columns else bias,
        chosen,
        tuple(domain[name] for name in chosen),
    )


def _column_names(bias: Bias) -> tuple[str, ...]:
    if isinstance(bias, str):
        return (bias,)
    is_list = isinstance(bias, (list, tuple)) and len(bias) > 0
    return tuple(bias) if is_list and all(isinstance(n, str) for n in bias) else ()  # type: ignore[union-attr, arg-type]


def usual_grid(samples: NamedSamples, bandwidth: ArrayLike) -> Grid:
    """Return the grid over the domain of each periodic CV, and over the samples of any other.

    It ends three bandwidths beyond the samples, rounded to six digits, as that of
    ``cyfes reweight`` does.

    Parameters
    ----------
    samples : NamedSamples
        The samples.
    bandwidth : array_like
        The width of each sample's Gaussian.

    Returns
    -------
    Grid
        The grid, of 100 bins along each axis, or 50 from three CVs on.
    """
    values = np.asarray(samples.values)
    values = as_matrix("samples", values, values.shape[1] if values.ndim == 2 else 1, np.float64)
    if not len(values):
        raise InputError("samples: found none, expected at least one")
    reach = MARGIN * bandwidth_rows(bandwidth, values.shape)
    low, high = (values - reach).min(axis=0), (values + reach).max(axis=0)
    domain = samples.domain or (None,) * values.shape[1]
    ends = [known or (f"{a:g}", f"{b:g}") for known, a, b in zip(domain, low, high)]
    bins = BINS if len(ends) < 3 else BINS_FROM_3D
    periodic = [known is not None for known in domain]
    return Grid([a for a, _ in ends], [b for _, b in ends], [bins] * len(ends), periodic)
