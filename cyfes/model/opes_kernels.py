"""The kernels of an OPES run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cyfes.model.domains import Domain


@dataclass(frozen=True, eq=False, repr=False)
class Kernels:
    """N Gaussian kernels of OPES along D collective variables (CVs); immutable.

    A kernel is height (exp(-½ Σ ((x - center) / sigma)²) - exp(-½ kernel_cutoff²)) within the
    cut-off. Over ``sum_weights`` (OPES_METAD_EXPLORE: over ``counter``) their sum estimates the
    probability density.

    Attributes
    ----------
    names : tuple of str
        The CVs.
    centers, sigmas : ndarray of float64, shape (N, D)
        Centres and widths, in the CVs' units.
    heights : ndarray of float64, shape (N,)
        The heights.
    domain : tuple of (None or (str, str))
        The literals of the ends of each periodic CV's domain.
    log_weights : ndarray of float64, shape (N,), or None
        V / kT at the time when each kernel was deposited. It is None for a STATE file, whose
        kernels are merged ones.
    times : ndarray of float64, shape (N,)
        The time at which each kernel was deposited, or the state was written.
    settings : mapping of str to float
        What the header says of ``biasfactor``, ``epsilon``, ``kernel_cutoff``,
        ``compression_threshold``, and in a STATE file of ``zed``, ``sum_weights``, ``sum_weights2``
        and ``counter``.
    action : str
        What wrote the file, such as "OPES_METAD_state"; empty if the file does not say.
    """

    names: tuple[str, ...]
    centers: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    heights: NDArray[np.float64]
    domain: tuple[Domain, ...]
    log_weights: NDArray[np.float64] | None
    times: NDArray[np.float64]
    settings: Mapping[str, float]
    action: str

    def __len__(self) -> int:
        """Return the number of kernels."""
        return len(self.heights)

    def __repr__(self) -> str:
        """Return a line that says how many kernels over which CVs."""
        return f"<Kernels: {len(self)} over {', '.join(self.names)}>"
