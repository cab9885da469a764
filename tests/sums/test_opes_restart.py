"""The state that OPES makes of a KERNELS file when it restarts from it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cyfes.cli.main import main
from cyfes.errors import InputError
from cyfes.io.opes_files import read_kernels
from cyfes.sums.opes_restart import state_of_kernels
from cyfes.sums.opes_sum import sum_kernels
from cyfes.surface import load

if TYPE_CHECKING:
    from cyfes.model.opes_kernels import Kernels

    CAPTURE = pytest.CaptureFixture[str]

HEADER = """\
#! FIELDS time phi d sigma_phi sigma_d height logweight
#! SET action OPES_METAD_kernels
#! SET biasfactor 10
#! SET epsilon 4.2e-08
#! SET kernel_cutoff 5.8
#! SET compression_threshold 1
#! SET min_phi -pi
#! SET max_phi pi
"""


def _kernels(folder: Path, count: int = 120, header: str = HEADER) -> Kernels:
    """Read a KERNELS file of a walk that crosses the end of the domain of phi."""
    rng = np.random.default_rng(11)
    phi = (3.0 + np.cumsum(rng.normal(0.0, 0.4, count)) + math.pi) % (2.0 * math.pi) - math.pi
    table = np.column_stack(
        [
            np.arange(1.0, count + 1.0),
            phi,
            rng.normal(0.0, 0.5, count),
            rng.uniform(0.15, 0.3, (count, 2)),
            rng.uniform(0.1, 2.0, count),
            rng.uniform(-8.0, 1.0, count),
        ]
    )
    rows = "".join(" ".join(map(repr, row)) + "\n" for row in table.tolist())
    (folder / "KERNELS").write_text(header + rows)
    return read_kernels(folder / "KERNELS")


def _way(axis: int, origin: float, point: float) -> float:
    way = point - origin
    return way - 2.0 * math.pi * round(way / (2.0 * math.pi)) if axis == 0 else way


def _squares(center: list[float], kernel: list[list[float]]) -> float:
    """Return the squared distance of a place from a kernel, in widths of the kernel."""
    return sum((_way(i, center[i], kernel[0][i]) / kernel[1][i]) ** 2 for i in (0, 1))


def _plainly_merged(kernels: Kernels) -> list[Any]:
    """Merge kernels one by one, with lists of numbers: [centre, widths, height] of each."""
    state: list[Any] = []
    for center, sigma, height in zip(
        kernels.centers.tolist(), kernels.sigmas.tolist(), kernels.heights.tolist()
    ):
        new = [center, sigma, height]
        while True:
            close = [(_squares(new[0], other), n) for n, other in enumerate(state)]
            best = min(close, default=(math.inf, 0))
            if best[0] >= kernels.settings["compression_threshold"] ** 2:
                state.append(new)
                break
            new = _both(state.pop(best[1]), new)
    return state


def _both(first: list[Any], second: list[Any]) -> list[Any]:
    total = first[2] + second[2]
    weights = [first[2] / total, second[2] / total]
    center, sigma = [], []
    for i in (0, 1):
        places = [second[0][i] + _way(i, second[0][i], first[0][i]), second[0][i]]
        mean = sum(w * x for w, x in zip(weights, places))
        spread = [s[1][i] ** 2 + (x - mean) ** 2 for s, x in zip((first, second), places)]
        sigma.append(math.sqrt(sum(w * v for w, v in zip(weights, spread))))
        center.append((mean + math.pi) % (2.0 * math.pi) - math.pi if i == 0 else mean)
    return [center, sigma, total]


def test_kernels_are_merged_as_long_as_others_are_close(tmp_path: Path) -> None:
    kernels = _kernels(tmp_path)
    state = state_of_kernels(kernels)
    expected = sorted(_plainly_merged(kernels))
    assert 5 < len(expected) < 60
    found = sorted(
        [c, s, h]
        for c, s, h in zip(state.centers.tolist(), state.sigmas.tolist(), state.heights.tolist())
    )
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected):
        assert mine[0] == pytest.approx(theirs[0], abs=1e-9)
        assert mine[1] == pytest.approx(theirs[1], rel=1e-9)
        assert mine[2] == pytest.approx(theirs[2], rel=1e-12)
    assert (state.centers[:, 0] >= -math.pi).all()
    assert (state.centers[:, 0] < math.pi).all()


@pytest.mark.parametrize(
    ("action", "prefactor", "norm"),
    [("OPES_METAD", 0.9, "sum_weights"), ("OPES_METAD_EXPLORE", 9.0, "counter")],
)
def test_the_norms_are_those_of_a_restart(
    action: str, prefactor: float, norm: str, tmp_path: Path
) -> None:
    kernels = _kernels(tmp_path, 30, HEADER.replace("OPES_METAD", action))
    state = state_of_kernels(kernels)
    assert kernels.log_weights is not None
    weights = np.exp(kernels.log_weights)
    settings = state.settings
    assert state.action == f"{action}_state"
    assert settings["counter"] == 31.0
    assert settings["sum_weights"] == pytest.approx(4.2e-8**prefactor + weights.sum(), rel=1e-12)
    places = list(zip(state.centers.tolist(), state.sigmas.tolist(), state.heights.tolist()))
    total = 0.0
    for center, _, _ in places:
        for kernel in places:
            squares = _squares(center, kernel)  # type: ignore[arg-type]
            if squares < 5.8**2:
                total += kernel[2] * (math.exp(-0.5 * squares) - math.exp(-0.5 * 5.8**2))
    assert settings["zed"] == pytest.approx(total / settings[norm] / len(places), rel=1e-9)


def test_without_a_threshold_all_kernels_stay(tmp_path: Path) -> None:
    kernels = _kernels(tmp_path, 20)
    state = state_of_kernels(
        replace(kernels, settings={**kernels.settings, "compression_threshold": 0.0})
    )
    assert state.centers.tolist() == kernels.centers.tolist()


def test_what_is_no_kernels_file_is_refused(tmp_path: Path) -> None:
    kernels = _kernels(tmp_path, 5)
    with pytest.raises(InputError, match="found the kernels of a STATE file"):
        state_of_kernels(replace(kernels, log_weights=None))
    with pytest.raises(InputError, match="found kernels of the action OPES_EXPANDED_kernels"):
        state_of_kernels(replace(kernels, action="OPES_EXPANDED_kernels"))
    with pytest.raises(InputError, match="found kernels without '#! SET biasfactor'"):
        state_of_kernels(replace(kernels, settings={}))


def test_the_command_makes_a_surface_of_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    monkeypatch.chdir(tmp_path)
    kernels = _kernels(tmp_path)
    line = ["opes", "--kernels", "KERNELS", "--kt", "2.5", "--bin", "20,15", "--fmt", "%.9f"]
    assert main(line) == 0
    found = load("fes.dat")
    expected = sum_kernels(state_of_kernels(kernels), found.grid, kT=2.5).shift_to_zero()
    assert np.abs(found.values - expected.values).max() < 1e-8
    assert main([*line, "--state", "OTHER"]) == 2
    assert "found --kernels with --state or --all_stored" in capsys.readouterr().err
