"""What the smoke test computes with the installed cyfes, and a reference in plain NumPy.

The reference is written from the formulas: the stretched Gaussian of PLUMED (version 2.8 and later)
and CyFES's path free energy. It uses nothing from the package under test.
"""

from __future__ import annotations

import itertools
from typing import Any, Callable, Iterator, NamedTuple, Tuple

import numpy as np

# PLUMED's stretched kernel is A exp(-d) + B for d < CUT_OFF, with A + B = 1 and 0 at the cut-off.
CUT_OFF = 6.25
STRETCH_A = 1.00193418799744762399
STRETCH_B = -0.00193418799744762399
# CyFES's fixed kT in kcal/mol, at 300 K.
KT = 0.596128107

# Largest deviation, relative to the largest reference value.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
# No hill is used whose distance to a point differs from the cut-off by less than this: rounding
# would decide whether it counts.
CUT_OFF_MARGIN = 1e-4

DOMAIN = (-np.pi, np.pi)
# The bins of the grids for one, two and three CVs; the kernels divide the second grid into several
# tiles.
BINS = ((61,), (64, 51), (9, 12, 10))
HILLS = (40, 200, 60)

Array = Any
Axes = Tuple[bool, ...]


class Kernel(NamedTuple):
    """A case: its name, its precision, and the functions whose results are compared."""

    name: str
    dtype: str
    compute: Callable[[Any, str], list[Array]]
    reference: Callable[[], list[Array]]


class Problem(NamedTuple):
    """Hills over some CVs, and the grid and the points at which they are summed."""

    centers: Array
    sigmas: Array
    heights: Array
    kernel: str
    periodic: Axes
    bins: tuple[int, ...]
    points: Array

    @property
    def grid_points(self) -> Array:
        """Coordinates of the grid, shape (M, D), the last axis fastest."""
        axes = [
            DOMAIN[0] + (DOMAIN[1] - DOMAIN[0]) / n * np.arange(n if wraps else n + 1)
            for n, wraps in zip(self.bins, self.periodic)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def differences(points: Array, problem: Problem, axis: int) -> Array:
    """Return x - center along one axis, shape (M, N); for a periodic axis, the nearest image's."""
    delta = points[:, axis, None] - problem.centers[None, :, axis]
    period = DOMAIN[1] - DOMAIN[0]
    return delta - period * np.rint(delta / period) if problem.periodic[axis] else delta


def half_squares(points: Array, problem: Problem) -> Array:
    """Return d = 1/2 sum ((x - center) / sigma)^2, shape (M, N)."""
    axes = range(points.shape[1])
    return sum(
        0.5 * (differences(points, problem, i) / problem.sigmas[None, :, i]) ** 2 for i in axes
    )


def exponentials(points: Array, problem: Problem) -> tuple[Array, Array]:
    """Return each hill's value at each point and -dvalue/dd, both of shape (M, N)."""
    d = half_squares(points, problem)
    slope = problem.heights * np.exp(-d)
    if problem.kernel == "gaussian":
        return slope, slope
    inside = d < CUT_OFF
    value = STRETCH_A * slope + STRETCH_B * problem.heights
    return np.where(inside, value, 0.0), np.where(inside, STRETCH_A * slope, 0.0)


def reference_bias(points: Array, problem: Problem) -> list[Array]:
    """Return the bias at the points, shape (M,)."""
    return [exponentials(points, problem)[0].sum(axis=1)]


def reference_surface(problem: Problem) -> list[Array]:
    """Return F = -sum of hills and its gradient, both flat over the grid."""
    points = problem.grid_points
    value, slope = exponentials(points, problem)
    gradient = [
        (slope * differences(points, problem, i) / problem.sigmas[None, :, i] ** 2).sum(axis=1)
        for i in range(points.shape[1])
    ]
    return [-value.sum(axis=1), np.concatenate(gradient)]


def make_problem(kernel: str, periodic: Axes) -> Problem:
    """Draw random hills, and leave out those for which a point is near the cut-off."""
    ndim = len(periodic)
    random = np.random.RandomState(ndim)
    count = HILLS[ndim - 1]
    drawn = Problem(
        centers=random.uniform(*DOMAIN, size=(count, ndim)),
        sigmas=random.uniform(0.2, 0.5, size=(count, ndim)),
        heights=random.uniform(0.5, 1.5, size=count),
        kernel=kernel,
        periodic=periodic,
        bins=BINS[ndim - 1],
        points=random.uniform(-4.0, 4.0, size=(157, ndim)),
    )
    points = np.concatenate([drawn.grid_points, drawn.points])
    near = np.abs(half_squares(points, drawn) - CUT_OFF) < CUT_OFF_MARGIN
    kept = ~near.any(axis=0)
    return drawn._replace(
        centers=drawn.centers[kept], sigmas=drawn.sigmas[kept], heights=drawn.heights[kept]
    )


def make_hills(cyfes: Any, problem: Problem) -> Any:
    """Return the hills as an object of the package."""
    return cyfes.Hills(
        names=[f"cv{axis}" for axis in range(len(problem.periodic))],
        centers=problem.centers,
        sigmas=problem.sigmas,
        heights=problem.heights,
        kernel=problem.kernel,
        domain=[("-pi", "pi") if wraps else None for wraps in problem.periodic],
    )


def surface_kernel(problem: Problem, label: str, dtype: str) -> Kernel:
    """Return the case of `cyfes.sum_hills` on a grid, with the gradient."""

    def compute(cyfes: Any, device: str) -> list[Array]:
        ndim = len(problem.bins)
        grid = cyfes.Grid(["-pi"] * ndim, ["pi"] * ndim, problem.bins, problem.periodic)
        fes = cyfes.sum_hills(
            make_hills(cyfes, problem),
            grid,
            device=device,
            dtype=dtype,
            gradient=True,
            truncation="none" if problem.kernel == "gaussian" else "plumed",
        )
        return [np.ravel(fes.values), np.ravel(fes.gradient)]

    return Kernel(f"sum_hills {label} {dtype}", dtype, compute, lambda: reference_surface(problem))


def bias_kernel(problem: Problem, label: str) -> Kernel:
    """Return the case of `cyfes.bias` at points inside and outside of the domain."""

    def compute(cyfes: Any, device: str) -> list[Array]:
        hills = make_hills(cyfes, problem)
        return [np.asarray(cyfes.bias(problem.points, hills, device=device))]

    return Kernel(
        f"bias {label} float64", "float64", compute, lambda: reference_bias(problem.points, problem)
    )


def path_kernel(name: str, dtype: str) -> Kernel:
    """Return the case of a `PathFES`, with biases whose exponentials exceed a double's range."""
    random = np.random.RandomState(3)
    samples = random.normal(size=(211, 3)).astype(dtype)
    points = random.normal(size=(97, 3)).astype(dtype)
    bandwidth = np.array([0.3, 0.5, 0.7], dtype=dtype)
    bias = random.uniform(440.0, 446.0, size=211).astype(dtype)

    def compute(cyfes: Any, device: str) -> list[Array]:
        free = getattr(cyfes, name)(points, samples, bandwidth, bias, device=device)
        return [np.asarray(free)]

    def reference() -> list[Array]:
        return [reference_path(*(x.astype("f8") for x in (points, samples, bandwidth, bias)))]

    return Kernel(name, dtype, compute, reference)


def reference_path(points: Array, samples: Array, bandwidth: Array, bias: Array) -> Array:
    """Return F = -kT ln[(1/N) sum h exp(-1/2 |x - s|^2)] - min F, by log-sum-exp.

    h = exp(bias / kT) / ((2 pi)^(3/2) bw_0 bw_1 bw_2); coordinates come in units of the bandwidth.
    """
    square = ((points[:, None, :] - samples[None, :, :]) ** 2).sum(axis=2)
    exponent = bias / KT - 0.5 * square - np.log((2 * np.pi) ** 1.5 * bandwidth.prod())
    largest = exponent.max(axis=1)
    logarithm = largest + np.log(np.exp(exponent - largest[:, None]).mean(axis=1))
    free = -KT * logarithm
    return free - free.min()


def periodicities(ndim: int) -> Iterator[tuple[str, Axes]]:
    """Yield the combinations of periodic and open axes to test, each with its name."""
    yield "open", (False,) * ndim
    yield "periodic", (True,) * ndim
    if ndim > 1:
        yield "mixed", (True, False, True)[:ndim]


def all_kernels() -> Iterator[Kernel]:
    """Yield every case."""
    for ndim, shape in itertools.product((1, 2, 3), ("stretched-gaussian", "gaussian")):
        for label, periodic in periodicities(ndim):
            problem = make_problem(shape, periodic)
            title = f"{ndim}-D {shape} {label}"
            for dtype in TOLERANCE:
                yield surface_kernel(problem, title, dtype)
            yield bias_kernel(problem, title)
    yield path_kernel("PathFES", "float64")
    yield path_kernel("PathFES_f32", "float32")


def max_error(found: list[Array], expected: list[Array]) -> float:
    """Return the largest deviation, relative to each reference's largest value."""
    return max(relative_error(*pair) for pair in zip(found, expected))


def relative_error(found: Array, expected: Array) -> float:
    """Return max |found - expected| / max |expected|; infinite for a wrong shape or a nan."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.astype("f8") - expected).max() / np.abs(expected).max())
