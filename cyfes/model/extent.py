"""The range of hills and samples, from which PLUMED derives a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cyfes.base.numbers import parse_number
from cyfes.errors import InputError
from cyfes.model.hill_kernels import SUPPORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cyfes.model.domains import Domain
    from cyfes.model.hills import Hills

# PLUMED's automatic grid has this many bins in the distance that the narrowest hill reaches.
_BINS_PERSUPPORT = 10.0


def support(hills: Hills) -> NDArray[np.float64]:
    """Return how far PLUMED takes each hill to reach along each axis.

    For a multivariate hill PLUMED takes, along each CV, the length of the longest principal axis
    times one component of the principal axis that has the CV's number; in two dimensions that is
    the longest axis's own extent.

    Parameters
    ----------
    hills : Hills
        N hills of D collective variables.

    Returns
    -------
    ndarray of float64, shape (N, D)
        The distances, in the CVs' units.
    """
    hills.check_on_host("the range of hills")
    if hills.cholesky is None:
        return SUPPORT * hills.sigmas
    rows, columns = np.tril_indices(hills.ndim)
    lower = np.zeros((len(hills), hills.ndim, hills.ndim))
    lower[:, rows, columns] = hills.cholesky
    variances, directions = np.linalg.eigh(lower @ lower.transpose(0, 2, 1))
    largest = np.argmax(variances, axis=1)
    hill = np.arange(len(hills))
    components = np.abs(directions[hill, largest, :])
    return np.asarray(SUPPORT * np.sqrt(variances[hill, largest])[:, np.newaxis] * components)


@dataclass(frozen=True)
class Extent:
    """The range of some hills or samples of D collective variables.

    Parameters
    ----------
    low, high : ndarray of float64, shape (D,)
        The ends.
    step : ndarray of float64, shape (D,)
        The size of PLUMED's automatic bins.
    domain : sequence of D (None or (str, str))
        The domains of the periodic variables.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    step: NDArray[np.float64]
    domain: Sequence[Domain]

    @classmethod
    def of_hills(cls, hills: Hills) -> Extent:
        """Return the extent of hills, each out to where its kernel ends."""
        return cls._around(hills.centers, support(hills), hills.domain)

    @classmethod
    def of_samples(
        cls, samples: NDArray[np.float64], sigma: Sequence[float], domain: Sequence[Domain]
    ) -> Extent:
        """Return the extent of samples, shape (N, D), each out to one bandwidth."""
        return cls._around(samples, np.array(sigma, dtype=np.float64)[np.newaxis], domain)

    @classmethod
    def _around(
        cls, centers: NDArray[np.float64], reach: NDArray[np.float64], domain: Sequence[Domain]
    ) -> Extent:
        if not len(centers):
            raise InputError("found no hills, expected at least one to derive a grid from")
        low, high = (centers - reach).min(axis=0), (centers + reach).max(axis=0)
        return cls(low, high, (reach / _BINS_PERSUPPORT).min(axis=0), domain)

    def joined(self, other: Extent) -> Extent:
        """Return the extent of both."""
        return Extent(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            np.minimum(self.step, other.step),
            self.domain,
        )

    @property
    def bounds(self) -> list[tuple[str, str]]:
        """The ends as literals: the domain of a periodic variable, or else six digits."""
        free = [(f"{low:g}", f"{high:g}") for low, high in zip(self.low, self.high)]
        return [domain or ends for domain, ends in zip(self.domain, free)]

    @property
    def bins(self) -> list[int]:
        """The number of bins that PLUMED puts between the ends, within a periodic domain."""
        low, high = self.low.copy(), self.high.copy()
        for axis, domain in enumerate(self.domain):
            if domain is not None:
                low[axis] = max(low[axis], parse_number(domain[0]))
                high[axis] = min(high[axis], parse_number(domain[1]))
        # A multivariate hill may reach 0 along an axis, where one bin is enough.
        with np.errstate(divide="ignore"):
            counts = np.where(self.step > 0.0, np.ceil((high - low) / self.step), 1.0)
        return [int(count) for count in counts]
