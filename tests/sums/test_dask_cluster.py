"""Sums by parts on the workers of a cluster, and by the parts alone."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import cyfes
from cyfes.sums import hills_on_grid


def problem(count: int = 200) -> tuple[cyfes.Hills, cyfes.Grid]:
    rng = np.random.default_rng(0)
    hills = cyfes.Hills(
        ["phi", "x"],
        rng.uniform(-3.0, 3.0, (count, 2)),
        [0.4, 0.3],
        rng.uniform(0.5, 1.5, count),
        domain=[("-pi", "pi"), None],
    )
    return hills, cyfes.Grid(["-pi", -4.0], ["pi", 4.0], [40, 30], [True, False])


@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
@pytest.mark.parametrize("gradient", [False, True])
def test_rows_of_a_grid_make_up_the_surface(kernel: str, gradient: bool) -> None:
    hills, grid = problem()
    fields: dict[str, Any] = {"kernel": kernel, "domain": hills.domain}
    hills = cyfes.Hills(hills.names, hills.centers, hills.sigmas, hills.heights, **fields)
    whole = cyfes.sum_hills(hills, grid, "cpu", gradient=gradient)
    ends = [0, 7, 8, 25, 40]
    parts = [
        hills_on_grid.sum_rows(hills, grid, rows, "cpu", gradient=gradient)
        for rows in zip(ends, ends[1:])
    ]
    surface = hills_on_grid.joined(parts, grid)
    room = 1e-14 * np.abs(whole.values).max()
    np.testing.assert_allclose(surface.values, whole.values, rtol=0, atol=room)
    assert (surface.gradient is None) == (not gradient)
    if gradient:
        off = np.asarray(surface.gradient) - np.asarray(whole.gradient)
        assert np.abs(off).max() <= 10 * room


def test_rows_have_no_transform() -> None:
    hills, grid = problem()
    with pytest.raises(cyfes.InputError, match="which has no parts"):
        hills_on_grid.sum_rows(hills, grid, (0, 4), "cpu", plan="nufft")


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(cyfes.MissingDependencyError, match=r"pip install 'cyfes\[dask\]'"):
        cyfes.sum_hills_dask(*problem())


@pytest.fixture(scope="module")
def cluster() -> Any:
    """Two worker processes on this machine, as many as a client would use elsewhere."""
    distributed = pytest.importorskip("distributed")
    local = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with local as processes, distributed.Client(processes) as client:
        yield client


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("default")
def test_parts_of_the_grid_and_of_the_hills_on_a_cluster() -> None:
    hills, grid = problem()
    expected = cyfes.sum_hills(hills, grid, "cpu", gradient=True)
    room = 1e-13 * np.abs(expected.values).max()
    halves = [
        cyfes.Hills(
            hills.names,
            hills.centers[i::3],
            hills.sigmas[i::3],
            hills.heights[i::3],
            domain=hills.domain,
        )
        for i in range(3)
    ]
    for source in (hills, halves):
        found = cyfes.sum_hills_dask(source, grid, parts=5, device="cpu", gradient=True)
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=room)
        off = np.asarray(found.gradient) - np.asarray(expected.gradient)
        assert np.abs(off).max() <= 10 * room
    assert found.names == expected.names
    with pytest.raises(cyfes.InputError, match="parts: found 0"):
        cyfes.sum_hills_dask(hills, grid, parts=0)
    with pytest.raises(cyfes.InputError, match="hills: found none"):
        cyfes.sum_hills_dask([], grid)
