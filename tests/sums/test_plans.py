"""Every path, of the CPU and of a GPU where there is one, against plain sums of any sizes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import cyfes

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
# Without a database: examples that are kept from other versions of the tests fail health checks.
EXAMPLES = settings(max_examples=25, deadline=None, database=None)
POINTS = {1: 70, 2: 23, 3: 9, 4: 5}


@st.composite
def problems(draw: Any, kernel: str) -> tuple[cyfes.Hills, cyfes.Grid]:
    """Return hills and a grid: 1 to 4 axes, sigma over domain from 0.005 to 1."""
    ndim = draw(st.integers(1, 4))
    periodic = draw(st.lists(st.booleans(), min_size=ndim, max_size=ndim))
    ratios = draw(st.lists(st.floats(0.005, 0.999), min_size=ndim, max_size=ndim))
    # From 512 on, the CPU divides the hills of a small grid into parts.
    count = draw(st.sampled_from([1, 2, 63, 64, 65, 90, 600]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = rng.uniform(1.0 if draw(st.booleans()) else 0.5, 1.0, (count, ndim))
    bins = draw(st.lists(st.integers(1, POINTS[ndim]), min_size=ndim, max_size=ndim))
    hills = cyfes.Hills(
        [f"x{i}" for i in range(ndim)],
        rng.uniform(-1.2 * math.pi, 1.2 * math.pi, (count, ndim)),
        2.0 * math.pi * np.array(ratios) * spread,
        rng.uniform(-1.0, 2.0, count),
        kernel=kernel,
        domain=[("-pi", "pi") if wraps else None for wraps in periodic],
    )
    return hills, cyfes.Grid([-math.pi] * ndim, [math.pi] * ndim, bins, periodic)


def largest(grid: cyfes.Grid, hills: cyfes.Hills) -> float:
    """Return the largest sum of the terms' absolute values, at any centre or grid point."""
    positive = cyfes.Hills(
        hills.names,
        hills.centers,
        hills.sigmas,
        np.abs(hills.heights),
        kernel=hills.kernel,
        domain=hills.domain,
    )
    value, _ = reference.bias(np.concatenate([grid.points(), hills.centers]), positive)
    return float(value.max())


def tolerance(hills: cyfes.Hills, dtype: Any) -> float:
    """Return the part of the largest value that a sum may be off by.

    A coordinate of up to 4 is rounded by 4e-16, in single precision by 2e-7, and counts in sigmas.
    """
    exact, rounded = (1e-14, 5e-16) if dtype == "float64" else (2e-6, 1e-6)
    return exact + rounded / float(hills.sigmas.min())


def check(
    problem: tuple[cyfes.Hills, cyfes.Grid], plan: Any, dtype: Any, device: str, truncation: Any
) -> None:
    hills, grid = problem
    surface = cyfes.sum_hills(
        hills, grid, device, dtype, gradient=True, truncation=truncation, plan=plan
    )
    assert plan in ("auto", surface.plan.partition(",")[0])
    if truncation == "plumed":
        values, gradient = reference.free_energy(grid, hills)
    else:
        value, slope = reference.bias(grid.points(), hills)
        values, gradient = -value.reshape(grid.shape), -slope.reshape(grid.ndim, *grid.shape)
    room = tolerance(hills, dtype) * largest(grid, hills)
    # Where a point lies within round-off of a cut-off, or of two images, either side is right.
    decided = away_from_edges(grid, hills, truncation)
    off = np.abs(surface.values - values)[decided]
    assert off.size == 0 or off.max() <= room
    off = np.abs(np.asarray(surface.gradient) - gradient)[:, decided]
    assert off.size == 0 or off.max() <= 2.0 * room / hills.sigmas.min()


def away_from_edges(grid: cyfes.Grid, hills: cyfes.Hills, truncation: Any) -> Any:
    """Return at which grid points round-off decides nothing."""
    points = grid.points()
    difference = reference.differences(points, hills.centers, hills.periods)
    half = 0.5 * hills.periods
    near = ((hills.periods > 0) & (np.abs(np.abs(difference) - half) < 1e-5)).any(axis=(1, 2))
    if hills.kernel == "stretched-gaussian":
        exponent = 0.5 * ((difference / hills.sigmas) ** 2).sum(axis=2)
        near |= (np.abs(exponent - reference.CUTOFF) < 1e-4).any(axis=1)
    if truncation == "plumed" and hills.kernel == "gaussian":
        at = (hills.centers - grid.lower) / grid.spacing
        reach = np.sqrt(2.0 * reference.CUTOFF) * hills.sigmas / grid.spacing
        edges = np.abs(np.stack([at, reach]) - np.round(np.stack([at, reach]))) < 1e-5
        near |= bool(edges.any())
    return ~near.reshape(grid.shape)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("plan", ["direct", "truncated"])
@EXAMPLES
@given(problem=problems("stretched-gaussian"))
def test_stretched_hills(problem: Any, plan: Any, dtype: Any, device: str) -> None:
    check(problem, plan, dtype, device, "plumed")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@EXAMPLES
@given(problem=problems("gaussian"))
def test_boxed_hills(problem: Any, dtype: Any, device: str) -> None:
    check(problem, "truncated", dtype, device, "plumed")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("plan", ["direct", "separable"])
@EXAMPLES
@given(problem=problems("gaussian"))
def test_plain_gaussians(problem: Any, plan: Any, dtype: Any, device: str) -> None:
    check(problem, plan, dtype, device, "none")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("plan", ["direct", "separable"])
@EXAMPLES
@given(problem=problems("gaussian"))
def test_logarithms_of_densities_keep_their_digits(problem: Any, plan: Any, device: str) -> None:
    hills, grid = problem
    bias = 300.0 * hills.heights
    surface = cyfes.reweight(
        hills.centers, grid, hills.sigmas, kT=1.0, bias=bias, device=device, plan=plan
    )
    scaled = reference.differences(grid.points(), hills.centers, hills.periods) / hills.sigmas
    norms = np.log(len(hills)) + np.log(math.sqrt(2 * math.pi) * hills.sigmas).sum(axis=1)
    exponents = bias - norms - 0.5 * (scaled**2).sum(axis=2)
    most = exponents.max(axis=1)
    logarithms = most + np.log(np.exp(exponents - most[:, None]).sum(axis=1))
    # The relative error of p is the absolute one of ln p; exponents are rounded, too.
    room = 1e-12 + 1e-15 * np.abs(exponents).max()
    decided = away_from_edges(grid, hills, "none")
    off = np.abs(-surface.values - logarithms.reshape(grid.shape))[decided]
    assert off.size == 0 or off.max() <= room


def test_parts_of_the_hills_may_differ_by_any_factor() -> None:
    rng = np.random.default_rng(3)
    samples = rng.uniform(-1.0, 1.0, (1100, 2))
    grid = cyfes.Grid([-1.0, -1.0], [1.0, 1.0], [30, 17])
    # The weights of the first part are e^900 times those of the last.
    bias = np.linspace(1200.0, 0.0, 1100)
    found, exact = (
        cyfes.reweight(samples, grid, 0.1, kT=1.0, bias=bias, device="cpu", plan=plan)
        for plan in ("separable", "direct")
    )
    assert "hills in 4 parts" in found.plan
    np.testing.assert_allclose(found.values, exact.values, rtol=0, atol=1e-11)


def test_the_bits_of_a_sum_in_parts_do_not_depend_on_the_threads() -> None:
    code = (
        "import cyfes, numpy as np; rng = np.random.default_rng(0);"
        "hills = cyfes.Hills(['a', 'b'], rng.uniform(-1, 1, (3000, 2)), 0.2, 1.0,"
        " kernel='gaussian');"
        "fes = cyfes.sum_hills(hills, cyfes.Grid([-1, -1], [1, 1], [40, 33]), 'cpu',"
        " gradient=True, truncation='none');"
        "print(fes.plan); print(fes.values.tobytes().hex() + fes.gradient.tobytes().hex())"
    )
    plans, values = [], []
    for threads in ("1", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        plan, value = done.stdout.split("\n", 1)
        plans.append(plan)
        values.append(value)
    assert "parts, 1 threads" in plans[0]
    assert "parts, 3 threads" in plans[1]
    assert values[0] == values[1]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@EXAMPLES
@given(problem=problems("stretched-gaussian"))
def test_points(problem: Any, dtype: Any, device: str) -> None:
    hills, grid = problem
    expected, _ = reference.bias(grid.points(), hills)
    found = cyfes.bias(grid.points(), hills, device, dtype)
    decided = away_from_edges(grid, hills, "plumed").ravel()
    off = np.abs(found - expected)[decided]
    assert off.size == 0 or off.max() <= tolerance(hills, dtype) * largest(grid, hills)
