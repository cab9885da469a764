"""KERNELS and STATE files of OPES, as PLUMED writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cyfes.model.opes_kernels import Kernels

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

# Written by PLUMED 2.11.0-dev (OPES_METAD with ARG=phi TEMP=300 BARRIER=20 PACE=5 SIGMA=0.2 over a
# random walk, and OPES_METAD_EXPLORE likewise), and the bias that it has at ten points, from
# phi = -pi on, once it has restarted from the state.
PLUMED_KT = 0.0083144621 * 300.0
PLUMED_METAD = """\
#! FIELDS time phi sigma_phi height
#! SET action OPES_METAD_state
#! SET biasfactor 8.01815750e+00
#! SET epsilon 1.05095085e-04
#! SET kernel_cutoff 4.28033761e+00
#! SET compression_threshold 1.00000000e+00
#! SET zed 1.35214548e-01
#! SET sum_weights 2.50604765e+01
#! SET sum_weights2 4.07014506e+01
#! SET counter 41
#! SET min_phi -pi
#! SET max_phi pi
2.00000000e+02 2.30473466e+00 1.67855571e-01 1.68296986e+01
2.00000000e+02 1.67719717e+00 1.39651247e-01 7.16852418e+00
2.00000000e+02 1.86220642e+00 1.61288608e-01 1.59795733e+00
2.00000000e+02 2.88344234e+00 1.32777080e-01 6.67761399e+00
2.00000000e+02 -2.80414015e+00 1.74988343e-01 1.07125709e-03
2.00000000e+02 2.69237733e+00 1.43721497e-01 1.79821871e+00
2.00000000e+02 6.09890955e-01 1.58605282e-01 4.56472705e-02
2.00000000e+02 4.26082401e-01 1.51898430e-01 8.13603337e-04
2.00000000e+02 9.70553707e-01 1.51888995e-01 1.70644632e-03
2.00000000e+02 1.22292662e+00 1.51873803e-01 2.74951890e-03
2.00000000e+02 1.37779818e+00 1.43071541e-01 4.65183073e-01
2.00000000e+02 3.12985408e+00 1.30007997e-01 1.47859195e+00
2.00000000e+02 -2.45216441e+00 1.28844202e-01 2.43835825e-03
2.00000000e+02 -1.88492599e+00 1.24372798e-01 1.78787176e-03
"""
PLUMED_METAD_BIAS = [
    *(-0.668825911376, -15.494913575441, -16.080905701482, -20.000000000000, -20.000000000000),
    *(-19.772435598982, -9.379227878870, -4.634104053925, 0.709157293915, 2.068911380383),
]
PLUMED_EXPLORE = """\
#! FIELDS time phi sigma_phi height
#! SET action OPES_METAD_EXPLORE_state
#! SET biasfactor 8.01815750e+00
#! SET epsilon 3.19024448e-01
#! SET kernel_cutoff 4.00453680e+00
#! SET compression_threshold 1.00000000e+00
#! SET zed 3.40810008e-01
#! SET sum_weights 3.94965052e+02
#! SET sum_weights2 9.97209301e+03
#! SET counter 41
#! SET min_phi -pi
#! SET max_phi pi
2.00000000e+02 2.29744158e+00 3.87846383e-01 1.07638521e+01
2.00000000e+02 1.70192820e+00 3.77187968e-01 1.28262165e+01
2.00000000e+02 2.84361250e+00 3.43271774e-01 1.37833665e+01
2.00000000e+02 -3.05045777e+00 3.41952890e-01 7.23083673e+00
2.00000000e+02 6.91127486e-01 3.77209412e-01 1.16862883e+01
2.00000000e+02 1.30258947e+00 3.36006112e-01 3.46553518e+00
2.00000000e+02 -2.46353703e+00 2.94429318e-01 3.87652062e+00
2.00000000e+02 -1.88201958e+00 2.92237771e-01 3.87698661e+00
"""
PLUMED_EXPLORE_BIAS = [
    *(8.077943673069, -4.002497574062, -7.869953911870, -18.526648825469, -19.914205220044),
    *(-13.035328774411, 3.078685037679, 4.779766408907, 8.789462620953, 9.759236956931),
]


def state_text(rows: int, seed: int, header: str = STATE) -> str:
    """Return the text of a STATE file with random kernels."""
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
    """Return F at M points, and its gradient: shapes (M,) and (D, M)."""
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
