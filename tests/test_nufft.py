"""The Fourier transform of hills, with the transform itself written out, and with finufft."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference

import cyfes


def written_out(*arguments: Any, eps: float, isign: int, modeord: int) -> Any:
    """Return what finufft's transforms of type 1 are defined as."""
    *angles, charges, sizes = arguments
    assert (isign, modeord) == (-1, 0)
    assert eps <= 1e-13
    terms = charges[:, None]
    for angle, size in zip(angles, np.atleast_1d(sizes)):
        assert np.abs(angle).max() <= np.pi
        modes = np.arange(size) - size // 2
        waves = np.exp(-1j * angle[:, None] * modes)
        terms = (terms[:, :, None] * waves[:, None, :]).reshape(len(charges), -1)
    return terms.sum(axis=0).reshape(sizes)


@pytest.fixture
def finufft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for the optional package."""
    module = SimpleNamespace(
        nufft1d1=written_out, nufft2d1=written_out, nufft3d1=written_out, __version__="0"
    )
    monkeypatch.setitem(sys.modules, "finufft", module)


def problem(periodic: list[bool], count: int = 30) -> tuple[cyfes.Hills, cyfes.Grid]:
    ndim = len(periodic)
    rng = np.random.default_rng(ndim)
    hills = cyfes.Hills(
        [f"x{i}" for i in range(ndim)],
        rng.uniform(-4.0, 4.0, (count, ndim)),
        [0.3, 0.35, 0.28][:ndim],
        rng.uniform(-1.0, 2.0, count),
        kernel="gaussian",
        domain=[("-pi", "pi") if wraps else None for wraps in periodic],
    )
    return hills, cyfes.Grid(["-pi"] * ndim, ["pi"] * ndim, range(9, 9 + ndim), periodic)


def check(periodic: list[bool]) -> None:
    hills, grid = problem(periodic)
    surface = cyfes.sum_hills(hills, grid, plan="nufft", truncation="none", gradient=True)
    assert surface.plan.startswith("nufft, ")
    values, slopes = reference.bias(grid.points(), hills)
    assert np.abs(surface.values.ravel() + values).max() < 1e-11 * np.abs(values).max()
    gradient = np.asarray(surface.gradient).reshape(slopes.shape)
    assert np.abs(gradient + slopes).max() < 1e-11 * np.abs(slopes).max()


PERIODIC = [[False], [True], [True, False], [False, True], [True, False, True]]


@pytest.mark.usefixtures("finufft")
@pytest.mark.parametrize("periodic", PERIODIC)
def test_surface_and_gradient_equal_the_plain_sum(periodic: list[bool]) -> None:
    check(periodic)


@pytest.mark.slow
@pytest.mark.parametrize("periodic", PERIODIC)
def test_finufft_itself(periodic: list[bool]) -> None:
    pytest.importorskip("finufft")
    check(periodic)


@pytest.mark.usefixtures("finufft")
def test_portions_of_hills_are_added() -> None:
    hills, grid = problem([True, False])
    options: dict[str, Any] = {"plan": "nufft", "truncation": "none", "gradient": True}
    once = cyfes.sum_hills(hills, grid, **options)
    twice = cyfes.sum_hills([hills, hills], grid, **options)
    np.testing.assert_allclose(twice.values, 2.0 * once.values, rtol=1e-12)
    slopes = [np.asarray(surface.gradient) for surface in (once, twice)]
    np.testing.assert_allclose(slopes[1], 2.0 * slopes[0], rtol=1e-10)


@pytest.mark.usefixtures("finufft")
@pytest.mark.parametrize(
    ("sigmas", "options", "message"),
    [
        (0.3, {}, "the nufft plan sums plain Gaussians that all have the same widths"),
        (np.linspace(0.2, 0.3, 60).reshape(30, 2), {"truncation": "none"}, "the same widths"),
        (0.5, {"truncation": "none"}, "differs from the nearest one for the sigma 0.5 of axis 0"),
        (0.3, {"truncation": "none", "device": "cuda:0"}, "no CUDA d|computes on the CPU"),
    ],
)
def test_what_a_transform_cannot_sum_is_refused(
    sigmas: Any, options: dict[str, Any], message: str
) -> None:
    hills, grid = problem([True, False])
    changed = cyfes.Hills(
        hills.names, hills.centers, sigmas, hills.heights, kernel="gaussian", domain=hills.domain
    )
    with pytest.raises(cyfes.CyfesError, match=message):
        cyfes.sum_hills(changed, grid, plan="nufft", **options)


@pytest.mark.usefixtures("finufft")
def test_four_axes_and_tails_are_refused() -> None:
    hills = cyfes.Hills(list("abcd"), [[0.0] * 4], 0.3, 1.0, kernel="gaussian")
    with pytest.raises(cyfes.InputError, match="serves up to 3 axes, found 4"):
        cyfes.sum_hills(hills, cyfes.Grid([0] * 4, [1] * 4, 2), plan="nufft", truncation="none")
    with pytest.raises(cyfes.InputError, match="loses the tails"):
        cyfes.reweight([0.0], cyfes.Grid(0.0, 1.0, 4), 0.1, kT=1.0, plan="nufft")


def test_without_finufft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "finufft", None)
    hills, grid = problem([True])
    with pytest.raises(cyfes.MissingDependencyError, match=r"pip install 'cyfes\[nufft\]'"):
        cyfes.sum_hills(hills, grid, plan="nufft", truncation="none")
