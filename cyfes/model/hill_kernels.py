"""The kernels of hills, as PLUMED deposits and sums them.

With d = ½ Σ ((x - center) / sigma)², a stretched Gaussian of height 1 is STRETCH exp(-d) + SHIFT
where d < CUTOFF, and 0 elsewhere; a plain Gaussian is exp(-d).
"""

import math

KERNELS = ("stretched-gaussian", "gaussian")

CUTOFF = 6.25
STRETCH = 1.00193418799744762399
SHIFT = -0.00193418799744762399

# How far a hill reaches along an axis, in units of sigma: d is CUTOFF there.
SUPPORT = math.sqrt(2.0 * CUTOFF)
