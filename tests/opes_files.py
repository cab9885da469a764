"""KERNELS and STATE files of OPES, as PLUMED writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cyfes.opes import Kernels

KERNELS = """\
#! FIELDS time phi d sigma_phi sigma_d height logweight
#! SET action OPES_METAD_kernels
#! SET biasfactor 10
#! SET epsilon 4.2e-08
#! SET kernel_cutoff 5.8
#! SET compression_threshold 1
#! SET min_phi -pi
#! SET max_phi pi
"""
STATE = KERNELS.replace(" logweight", "").replace("_kernels", "_state") + (
    "#! SET zed 0.25\n#! SET sum_weights 12.5\n#! SET sum_weights2 3\n#! SET counter 40\n"
)


def state_text(rows: int, seed: int, header: str = STATE) -> str:
    """Return a state of some kernels."""
    rng = np.random.default_rng(seed)
    table = np.column_stack(
        [
            np.full(rows, 10.0 * seed),
            rng.uniform(-np.pi, np.pi, rows),
            rng.uniform(-1.0, 1.0, rows),
            rng.uniform(0.1, 0.3, (rows, 2)),
            rng.uniform(0.5, 4.0, rows),
        ]
    )
    return header + "".join(" ".join(f"{x:.9f}" for x in row) + "\n" for row in table)


def plain_sum(kernels: Kernels, points: Any, periods: Any, kT: float) -> Any:
    """Return F at points, and its gradient, shapes (M,) and (D, M)."""
    settings = kernels.settings
    exploring = "EXPLORE" in kernels.action
    norm = settings["zed"] * settings["counter" if exploring else "sum_weights"]
    ways = points[:, None, :] - kernels.centers[None, :, :]
    for axis, period in enumerate(periods):
        if period:
            ways[..., axis] -= period * np.round(ways[..., axis] / period)
    scaled = ways / kernels.sigmas
    squares = (scaled**2).sum(axis=2)
    inside = squares < settings["kernel_cutoff"] ** 2
    gaussians = kernels.heights * np.exp(-0.5 * squares)
    edge = kernels.heights * np.exp(-0.5 * settings["kernel_cutoff"] ** 2)
    density = np.where(inside, gaussians - edge, 0.0).sum(axis=1) / norm + settings["epsilon"]
    slopes = np.where(inside, gaussians, 0.0)[..., None] * -scaled / kernels.sigmas
    factor = -kT * (settings["biasfactor"] if exploring else 1.0)
    return factor * np.log(density), factor * slopes.sum(axis=1).T / norm / density
