"""A particle in a double well, and a short metadynamics run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cyfes.model.grid import Grid
from cyfes.studies.langevin import Run, metadynamics

if TYPE_CHECKING:
    from numpy.typing import NDArray

KT = 2.5


def double_well(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 8 (x² - 1)² + 2 x."""
    energies: NDArray[np.float64] = 8.0 * (x[:, 0] ** 2 - 1.0) ** 2 + 2.0 * x[:, 0]
    return energies


def short_run(**changes: Any) -> Run:
    given: dict[str, Any] = {
        "potential": double_well,
        "grid": Grid(-2.0, 2.0, 80),
        "start": [-1.0],
        "steps": 2000,
        "kT": KT,
        "height": 1.0,
        "sigma": 0.15,
        "bias_factor": 6.0,
        "step": 0.08,
        "names": ["d"],
    }
    return metadynamics(**{**given, **changes})
