"""The free energy of an OPES state, held against a plain sum over its kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import opes_files
import pytest
from opes_files import KERNELS, STATE, plain_sum, state_text

import cyfes
from cyfes.errors import InputError
from cyfes.io.opes_files import read_kernels
from cyfes.model.grid import Grid
from cyfes.model.opes_kernels import Kernels

if TYPE_CHECKING:
    from pathlib import Path

GRID = Grid(["-pi", -1.5], ["pi", 1.2], [30, 25], [True, False])


@pytest.fixture
def state(tmp_path: Path) -> Kernels:
    """A state of 40 kernels."""
    path = tmp_path / "STATE"
    path.write_text(state_text(40, 1))
    return read_kernels(path)


def changed(state: Kernels, action: str | None = None, **settings: float | None) -> Kernels:
    """Return the state with other settings; without those that are None."""
    merged = {**state.settings, **settings}
    kept = {name: value for name, value in merged.items() if value is not None}
    return replace(state, settings=kept, action=action or state.action)


@pytest.mark.parametrize("action", ["OPES_METAD_state", "OPES_METAD_EXPLORE_state"])
@pytest.mark.parametrize("cutoff", [1.5, 5.8, 40.0])
def test_it_is_the_plain_sum(state: Kernels, action: str, cutoff: float) -> None:
    state = changed(state, action, kernel_cutoff=cutoff)
    told: list[float] = []
    found = cyfes.sum_kernels(state, GRID, kT=2.5, gradient=True, progress=told.append)
    values, slopes = plain_sum(state, GRID.points(), [2.0 * np.pi, 0.0], 2.5)
    scale = np.abs(values).max()
    np.testing.assert_allclose(found.values.ravel(), values, atol=1e-12 * scale)
    assert found.gradient is not None
    expected = slopes.reshape(found.gradient.shape)
    np.testing.assert_allclose(found.gradient, expected, atol=1e-11 * np.abs(slopes).max())
    # With a short cut-off some points are reached by no kernel.
    assert (found.values.ravel() == found.values.max()).sum() > (1 if cutoff == 1.5 else 0)
    assert (found.names, found.kT, found.domain) == (("phi", "d"), 2.5, (("-pi", "pi"), None))
    assert told[-1] == 1.0
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("text", "bias"),
    [
        (opes_files.PLUMED_METAD, opes_files.PLUMED_METAD_BIAS),
        (opes_files.PLUMED_EXPLORE, opes_files.PLUMED_EXPLORE_BIAS),
    ],
)
def test_it_is_the_free_energy_behind_plumeds_own_bias(
    text: str, bias: list[float], tmp_path: Path
) -> None:
    path = tmp_path / "STATE"
    path.write_text(text)
    state = read_kernels(path)
    grid = Grid(["-pi"], ["pi"], [10], [True])
    found = cyfes.sum_kernels(state, grid, kT=opes_files.PLUMED_KT).values
    tempering = 1.0 - 1.0 / state.settings["biasfactor"]
    np.testing.assert_allclose(-tempering * found, bias, atol=2e-6)


@pytest.mark.parametrize("width", [0.4, 0.9, 3.0])
@pytest.mark.parametrize("bins", [1, 7, 8])
def test_kernels_go_around_a_periodic_axis_once(width: float, bins: int) -> None:
    ends, settings = ("0", "3"), {"kernel_cutoff": 4.0, "epsilon": 1e-9, "zed": 1.0}
    centers = np.array([[0.1], [1.6], [2.9], [-0.4], [7.0]])
    state = Kernels(
        *(("x",), centers, np.full((5, 1), width), np.ones(5), (ends,), None, np.zeros(5)),
        {**settings, "sum_weights": 2.0},
        "OPES_METAD_state",
    )
    grid = Grid(0.0, 3.0, bins, True)
    found = cyfes.sum_kernels(state, grid, kT=1.0)
    expected = plain_sum(state, grid.points(), [3.0], 1.0)[0]
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


def test_kernels_outside_of_the_grid_add_what_reaches_it(state: Kernels) -> None:
    grid = Grid(["-pi", 0.2], ["pi", 0.4], [12, 4], [True, False])
    found = cyfes.sum_kernels(state, grid, kT=1.0)
    expected = plain_sum(state, grid.points(), [2.0 * np.pi, 0.0], 1.0)[0]
    np.testing.assert_allclose(found.values.ravel(), expected, atol=1e-12)


def test_without_epsilon_it_is_infinite_where_no_kernel_reaches(state: Kernels) -> None:
    found = cyfes.sum_kernels(changed(state, kernel_cutoff=0.3, epsilon=0.0), GRID, kT=1.0)
    assert np.isinf(found.values).any()
    assert np.isfinite(found.values).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zed": None}, "found a state without '#! SET zed'"),
        ({"sum_weights": None}, "found a state without '#! SET sum_weights'"),
        ({"kernel_cutoff": None}, "found a state without '#! SET kernel_cutoff'"),
        ({"epsilon": None}, "epsilon: found nan"),
        ({"epsilon": -1.0}, "epsilon: found -1"),
        ({"zed": 0.0}, "zed: found 0"),
        ({"action": "OPES_EXPANDED_state"}, "found a state of the action OPES_EXPANDED_state"),
        ({"action": "OPES_METAD_EXPLORE_state", "biasfactor": np.inf}, "biasfactor: found inf"),
        ({"action": "OPES_METAD_EXPLORE_state", "counter": None}, "without '#! SET counter'"),
    ],
)
def test_a_state_that_lacks_something_is_refused(
    state: Kernels, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cyfes.sum_kernels(changed(state, **changes), GRID, kT=1.0)


@pytest.mark.parametrize(
    ("grid", "kT", "message"),
    [
        (GRID, 0.0, "kT: found 0.0"),
        (Grid(0.0, 1.0, 3), 1.0, "the grid has 1 axes, the hills have 2 variables"),
        (Grid([0.0, 0.0], [1.0, 1.0], [3, 3]), 1.0, "phi is periodic, but axis 0"),
        (Grid([0.0, 0.0], [1.0, 1.0], [3, 3], [True, False]), 1.0, "but the period of phi is"),
    ],
)
def test_what_does_not_fit_a_state_is_refused(
    state: Kernels, grid: Grid, kT: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        cyfes.sum_kernels(state, grid, kT=kT)


def test_the_kernels_of_a_kernels_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "KERNELS"
    path.write_text(KERNELS + "1 2 3 0.4 0.5 6 -7\n")
    with pytest.raises(InputError, match="found the kernels of a KERNELS file"):
        cyfes.sum_kernels(read_kernels(path), GRID, kT=1.0)
    with pytest.raises(InputError, match="KERNELS: found a KERNELS file"):
        cyfes.read_states(path)


def test_all_states_of_a_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "STATE"
    path.write_text(state_text(3, 1) + state_text(5, 2, STATE.replace("0.25", "0.5")))
    states = cyfes.read_states(path)
    assert [len(state) for state in states] == [3, 5]
    assert [state.settings["zed"] for state in states] == [0.25, 0.5]
    assert [state.times[0] for state in states] == [10.0, 20.0]
    assert len(read_kernels(path)) == 5
