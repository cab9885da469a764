"""Which device computes, which image runs on it, and what is said where there is none."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes
from cyfes.native import device_choice, wrapper
from cyfes.sums.planning import Work

if TYPE_CHECKING:
    from collections.abc import Callable

GRID = "cyfes.Grid(0.0, 1.0, 4)"
HILLS = "cyfes.Hills(['x'], [[0.5]], [[0.1]], [1.0])"
SASS = (50, 60, 70, 75, 80, 86, 89, 90, 100, 120)

# Each compute capability from 5.0 to 12.1, those without an image of their own included.
IMAGES = {
    (5, 0): "sm_50",
    (5, 2): "sm_50",
    (5, 3): "sm_50",
    (6, 0): "sm_60",
    (6, 1): "sm_60",
    (6, 2): "sm_60",
    (7, 0): "sm_70",
    (7, 2): "sm_70",
    (7, 5): "sm_75",
    (8, 0): "sm_80",
    (8, 6): "sm_86",
    (8, 7): "sm_86",
    (8, 8): "sm_86",
    (8, 9): "sm_89",
    (9, 0): "sm_90",
    (10, 0): "sm_100",
    (10, 1): "sm_100",
    (10, 3): "sm_100",
    (11, 0): "compute_90",
    (12, 0): "sm_120",
    (12, 1): "sm_120",
    (13, 0): "compute_90",
    (3, 5): None,
    (4, 9): None,
}


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that sees no GPU, from a directory without our sources."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", "import cyfes\n" + code],
        env={"CUDA_VISIBLE_DEVICES": "", **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("capability", "image"), IMAGES.items())
def test_image_of_each_compute_capability(capability: tuple[int, int], image: str | None) -> None:
    assert wrapper.choose_image(*capability) == image


@pytest.mark.parametrize("major", range(5, 13))
@pytest.mark.parametrize("minor", range(10))
def test_machine_code_is_never_chosen_for_an_older_or_another_family(
    major: int, minor: int
) -> None:
    image = wrapper.choose_image(major, minor)
    assert image is not None
    kind, _, number = image.partition("_")
    assert int(number) <= 10 * major + minor
    if kind == "sm":
        older = [arch for arch in SASS if arch // 10 == major and arch <= 10 * major + minor]
        assert int(number) == max(older)
    else:
        assert not any(arch // 10 == major and arch <= 10 * major + minor for arch in SASS)


def test_cpu_is_always_listed_first_and_usable() -> None:
    cpu = cyfes.devices()[0]
    assert (cpu.id, cpu.usable, cpu.reason) == ("cpu", True, "")


def test_versions_of_runtime_and_driver() -> None:
    versions = device_choice.cuda_versions()
    assert set(versions) == {"runtime", "driver"}
    assert str(versions["runtime"]).startswith("12.")


@pytest.mark.parametrize(
    ("numbers", "runtime", "driver"),
    [
        ((12090, 13000), "12.9", "13.0"),
        ((11080, 0), "11.8", None),
        ((12110, 12020), "12.11", "12.2"),
    ],
)
def test_versions_are_1000_times_the_major_and_10_times_the_minor_one(
    numbers: tuple[int, int], runtime: str, driver: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SimpleNamespace(cuda_versions=lambda: numbers)
    monkeypatch.setattr(device_choice, "wrapper", lambda _: library)
    assert device_choice.cuda_versions() == {"runtime": runtime, "driver": driver}


def test_a_device_without_code_is_named_with_both_parts_of_its_capability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = SimpleNamespace(
        device_count=lambda: 1, device_info=lambda _: ("old GPU", (3, 7), 1, 1 << 30, "")
    )
    monkeypatch.setattr(device_choice, "wrapper", lambda _: library)
    _, device = device_choice.devices()
    assert device.compute_capability == (3, 7)
    assert (device.usable, device.image) == (False, None)
    assert device.reason == "no code for compute capability 3.7"


def test_without_a_gpu_cuda_is_refused_with_one_exception() -> None:
    code = f"""
for device in ("cuda", "cuda:0", "cuda:7"):
    try:
        cyfes.sum_hills({HILLS}, {GRID}, device=device)
    except cyfes.DeviceError as error:
        print(device, "refused:", error)
"""
    result = run(code)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert all("no CUDA d" in line for line in lines)


def test_without_a_gpu_auto_computes_on_the_cpu_and_says_so_once() -> None:
    code = f"""
from cyfes.native import device_choice
device_choice._WORTH_A_CONTEXT = 0.0
for _ in range(2):
    surface = cyfes.sum_hills({HILLS}, {GRID})
    cyfes.bias([[0.5]], {HILLS})
print(surface.device)
"""
    result = run(code)
    assert (result.returncode, result.stdout) == (0, "cpu\n")
    assert result.stderr.count("CyfesWarning: computing on the CPU: ") == 1
    # The warning points at the caller's line, which CPython before 3.8 calls "-c".
    assert re.match(r"(<string>|-c):\d+: CyfesWarning: ", result.stderr)


def test_a_small_sum_never_asks_for_a_gpu() -> None:
    code = f"""
from cyfes.native import wrapper
from cyfes.native import device_choice
def refuse(*_):
    raise AssertionError("asked")
class Watched:
    device_count = device_info = staticmethod(refuse)
device_choice.wrapper = lambda dtype: Watched
surface = cyfes.sum_hills({HILLS}, {GRID})
cyfes.bias([[0.5]], {HILLS})
cyfes.reweight([0.5], {GRID}, 0.1, kT=1.0)
cyfes.PathFES([[0, 0, 0]], [[0, 0, 0]], [1, 1, 1], [0])
print(surface.device, surface.plan.endswith("; on the CPU, for so small a sum"))
"""
    result = run(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "cpu True\n", "")


def test_a_large_sum_asks_for_a_gpu() -> None:
    assert device_choice.is_small(1e-4)
    assert not device_choice.is_small(1.0)
    # Large for the CPUs of any machine.
    work = Work(10_000_000, (101, 101, 101), (5.0, 5.0, 5.0), True)
    assert not device_choice.is_small(work.seconds)
    assert device_choice.is_small(Work(1000, (101, 101), (5.0, 5.0), True).seconds)


@pytest.mark.parametrize(
    ("kernel", "truncation", "path"),
    [("gaussian", "none", "separable"), ("stretched-gaussian", "plumed", "truncated")],
)
def test_the_estimate_for_a_grid_is_near_the_time_that_a_sum_takes(
    kernel: str, truncation: Any, path: str
) -> None:
    grid = cyfes.Grid([0.0, 0.0], [1.0, 1.0], [255, 255])
    rng = np.random.default_rng(1)
    hills = cyfes.Hills(["x", "y"], rng.random((3000, 2)), 0.1, 1.0, kernel=kernel)
    work = Work(3000, grid.shape, [0.1 * 255] * 2, truncation == "plumed")
    assert work.path == path

    def compute() -> None:
        surface = cyfes.sum_hills(hills, grid, "cpu", truncation=truncation)
        # The library's own word on how it computed.
        assert surface.plan.startswith(path)

    _check_estimate(work, compute)


def test_the_estimate_for_points_is_near_the_time_that_a_sum_takes() -> None:
    rng = np.random.default_rng(1)
    hills = cyfes.Hills(["x"], rng.random((3000, 1)), 0.1, 1.0)
    points = rng.random((5000, 1))
    work = Work(3000, (5000,), None, True)
    assert work.path == "direct"
    _check_estimate(work, lambda: cyfes.bias(points, hills, device="cpu"))


def _check_estimate(work: Work, compute: Callable[[], object]) -> None:
    """Compare with the fastest of three; a busy or slow machine may take many times as long."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        compute()
        times.append(time.perf_counter() - start)
    assert min(times) / 3000.0 < work.seconds < min(times) * 300.0


def test_without_a_gpu_the_devices_are_the_cpu_alone() -> None:
    result = run("print([device.id for device in cyfes.devices()])")
    assert (result.returncode, result.stdout, result.stderr) == (0, "['cpu']\n", "")


def test_import_loads_no_compiled_code() -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith('cyfes.native')])"
    result = run(code)
    assert (result.stdout, result.stderr) == ("[]\n", "")
    assert "libcu" not in run("print(open('/proc/self/maps').read())").stdout


def test_import_and_sum_leave_the_environment_alone() -> None:
    code = f"""
import os
before = dict(os.environ)
cyfes.sum_hills({HILLS}, {GRID}, device="cpu")
print(before == dict(os.environ), "LD_LIBRARY_PATH" in os.environ)
"""
    assert run(code).stdout == "True False\n"


@pytest.mark.gpu
def test_absent_second_device_is_refused_by_its_number() -> None:
    count = sum(device.id.startswith("cuda") for device in cyfes.devices())
    hills = cyfes.Hills(["x"], [[0.5]], [[0.1]], [1.0])
    with pytest.raises(cyfes.DeviceError, match=f"no CUDA device {count}, expected 0 to"):
        cyfes.bias([[0.0]], hills, device=f"cuda:{count}")
