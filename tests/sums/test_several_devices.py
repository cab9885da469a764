"""Several devices that share a sum: here the CPU, which computes for each of them."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fake_cuda
import numpy as np
import pytest

import cyfes
from cyfes.cli.main import main
from cyfes.native import device_choice
from cyfes.native.constants import CPU
from cyfes.native.extensions import wrapper
from cyfes.sums import grid_sum, hills_at_points, hills_on_grid
from cyfes.sums.several_devices import on_each_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The third is too old.
CODE = {0: "sm_90", 1: "sm_90", 2: ""}


class Pretended:
    """An extension whose CUDA devices are the CPU."""

    def __init__(self, dtype: Any, calls: list[tuple[int, int]]) -> None:
        self._real, self._calls = wrapper(dtype), calls

    def device_count(self) -> int:
        return len(CODE)

    def device_info(self, number: int) -> tuple[str, tuple[int, int], int, int, str]:
        if number not in CODE:
            raise cyfes.DeviceError(f"there is no CUDA device {number}, expected 0 to 2")
        return "a GPU", (9, 0) if CODE[number] else (3, 5), 1, 1 << 30, CODE[number]

    def sum_grid(self, device: int, *arguments: Any, **options: Any) -> Any:
        self._calls.append((device, int(arguments[7][0])))
        return self._real.sum_grid(CPU, *arguments, **options)

    def sum_points(self, device: int, *arguments: Any, **options: Any) -> Any:
        self._calls.append((device, len(arguments[5])))
        return self._real.sum_points(CPU, *arguments, **options)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """A machine with two usable GPUs; the device and the number of rows of each call."""
    seen: list[tuple[int, int]] = []
    for module in (device_choice, grid_sum, hills_at_points):
        monkeypatch.setattr(module, "wrapper", lambda dtype: Pretended(dtype, seen))
    device_choice._usable.cache_clear()
    yield seen
    device_choice._usable.cache_clear()


def hills(kernel: str = "stretched-gaussian", count: int = 200, **fields: Any) -> cyfes.Hills:
    rng = np.random.default_rng(1)
    return cyfes.Hills(
        ["phi", "x"],
        rng.uniform(-3.0, 3.0, (count, 2)),
        [0.4, 0.3],
        rng.uniform(0.5, 1.5, count),
        kernel=kernel,
        domain=[("-pi", "pi"), None],
        **fields,
    )


GRID = cyfes.Grid(["-pi", -4.0], ["pi", 4.0], [41, 30], [True, False])


@pytest.mark.parametrize("device", ["cuda:0,1", "cuda:1,0", "cuda:all"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("kernel", "truncation"),
    [("stretched-gaussian", "plumed"), ("gaussian", "plumed"), ("gaussian", "none")],
)
def test_surface_is_made_of_what_each_device_computes(
    calls: list[tuple[int, int]], kernel: str, truncation: Any, dtype: Any, device: str
) -> None:
    options: dict[str, Any] = {"dtype": dtype, "truncation": truncation, "gradient": True}
    found = cyfes.sum_hills(hills(kernel), GRID, device, **options)
    first, second = (1, 0) if device == "cuda:1,0" else (0, 1)
    assert sorted(calls) == sorted([(first, 20), (second, 21)])
    parts = [
        hills_on_grid.sum_rows(hills(kernel), GRID, rows, "cpu", **options)
        for rows in ((0, 20), (20, 41))
    ]
    expected = hills_on_grid.joined(parts, GRID)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(np.asarray(found.gradient), np.asarray(expected.gradient))
    assert found.device == f"cuda:{first},{second}"
    alone = cyfes.sum_hills(hills(kernel), GRID, "cpu", **options)
    room = {"float64": 1e-14, "float32": 1e-5}[dtype] * np.abs(alone.values).max()
    assert np.abs(found.values - alone.values).max() <= room


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("kernel", ["stretched-gaussian", "gaussian"])
def test_boxes_around_a_periodic_axis_are_shared(kernel: str) -> None:
    rng = np.random.default_rng(3)
    widths = rng.uniform(0.2, 4.0, (40, 2))
    wide = cyfes.Hills(
        ["phi", "x"],
        rng.uniform(-3.0, 3.0, (40, 2)),
        widths,
        1.0,
        kernel=kernel,
        domain=[("-pi", "pi"), None],
    )
    found, expected = (
        cyfes.sum_hills(wide, GRID, device, gradient=True, truncation="boxes")
        for device in ("cuda:0,1", "cpu")
    )
    assert found.plan.count("a box for each hill") == 2
    for ours, theirs in ((found.values, expected.values), (found.gradient, expected.gradient)):
        off = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
        assert off < 1e-14 * np.abs(expected.values).max()


@pytest.mark.usefixtures("calls")
def test_plan_names_the_device_of_each_part() -> None:
    plain = {"truncation": "none"}
    found = cyfes.sum_hills(hills("gaussian"), GRID, "cuda:0,1", **plain)  # type: ignore[arg-type]
    assert re.fullmatch(r"separable, .*, on cuda:0; separable, .*, on cuda:1", found.plan)
    told = grid_sum._described_plans([0, 1, 2], ["truncated, 3 tiles", "truncated, 4 tiles"] * 2)
    assert told == "truncated, 3 tiles, on cuda:0,2; truncated, 4 tiles, on cuda:1"


def test_portions_gradients_and_a_file_larger_than_the_pieces(
    calls: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cyfes.sum_hills([hills(), hills()], GRID, "cpu", gradient=True)
    calls.clear()
    # Three rows of three planes, so that each device needs seven pieces.
    monkeypatch.setattr(grid_sum, "_PIECE", 3 * 3 * GRID.shape[1] * 8)
    shapes = (GRID.shape, (2, *GRID.shape))
    out: Any = tuple(
        np.memmap(tmp_path / f"{len(shape)}.bin", "float64", "w+", shape=shape) for shape in shapes
    )
    parts: list[float] = []
    found = cyfes.sum_hills(
        iter([hills(), hills()]), GRID, "cuda:all", gradient=True, out=out, progress=parts.append
    )
    assert found.values is out[0]
    assert sorted(calls) == sorted(2 * [*[(0, 3)] * 6, (0, 2), *[(1, 3)] * 7])
    room = 1e-13 * np.abs(expected.values).max()
    np.testing.assert_allclose(out[0], expected.values, rtol=0, atol=room)
    np.testing.assert_allclose(out[1], np.asarray(expected.gradient), rtol=0, atol=10 * room)
    assert np.isnan(parts).all()


def test_an_interval_holds_in_each_part(calls: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(2)
    inside = cyfes.Hills(["x"], rng.uniform(-1.0, 1.0, (30, 1)), 0.3, 1.0, interval=(-0.9, 0.8))
    grid = cyfes.Grid(-2.0, 2.0, 60)
    expected = cyfes.sum_hills(inside, grid, "cpu", gradient=True)
    calls.clear()
    found = cyfes.sum_hills(inside, grid, "cuda:0,1", gradient=True)
    assert {device for device, _ in calls} == {0, 1}
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        np.asarray(found.gradient), np.asarray(expected.gradient), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_densities_and_points_are_shared(calls: list[tuple[int, int]], dtype: Any) -> None:
    rng = np.random.default_rng(3)
    samples, where = rng.normal(size=(300, 3)), rng.normal(size=(101, 3))
    bias, grid = rng.normal(size=300), cyfes.Grid([-2.0] * 3, [2.0] * 3, 8)
    path = cyfes.PathFES if dtype == "float64" else cyfes.PathFES_f32
    tasks: list[Callable[[str], Any]] = [
        lambda device: (
            cyfes.reweight(samples, grid, 0.4, kT=1.0, bias=bias, device=device, dtype=dtype).values
        ),
        lambda device: cyfes.bias(where[:, :2], hills(), device, dtype),
        lambda device: path(where, samples, [1.0] * 3, bias, device=device),
        lambda device: cyfes.FastBias(where, samples, [1.0] * 3, bias, device=device),
    ]
    for task in tasks:
        expected = task("cpu")
        calls.clear()
        found = task("cuda:all")
        assert [device for device, _ in sorted(calls)] == [0, 1]
        assert sum(rows for _, rows in calls) == len(expected)
        room = {"float64": 1e-13, "float32": 1e-5}[dtype] * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=room)


@pytest.mark.usefixtures("calls")
def test_points_have_the_bits_of_one_device() -> None:
    where = np.random.default_rng(4).normal(size=(64, 2))
    found = cyfes.bias(where, hills(), "cuda:0,1")
    np.testing.assert_array_equal(found, cyfes.bias(where, hills(), "cuda:1"))


@pytest.mark.parametrize("points", [0, 1])
def test_fewer_rows_than_devices_are_for_the_first(
    calls: list[tuple[int, int]], points: int
) -> None:
    assert cyfes.bias(np.zeros((points, 2)), hills(), "cuda:all").shape == (points,)
    grid = cyfes.Grid(["-pi", -4.0], ["pi", 4.0], [1, 30], [True, False])
    surface = cyfes.sum_hills(hills(), grid, "cuda:1,0", gradient=True)
    assert surface.device == "cuda:1"
    assert calls == [(0, points), (1, 1)]


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("device", "kind", "message"),
    [
        ("cuda:0,3", cyfes.DeviceError, "there is no CUDA device 3, expected 0 to 2"),
        ("cuda:0,2", cyfes.DeviceError, "cuda:2 .* cannot be used: no code for compute capability"),
        ("cuda:1,1", cyfes.InputError, "device is 'cuda:1,1', expected each device once"),
        ("cuda:0,01,1", cyfes.InputError, "expected each device once"),
        ("cuda:0,", cyfes.InputError, "device is 'cuda:0,', expected"),
        ("cuda:,", cyfes.InputError, "device is 'cuda:,', expected"),
        ("cuda:0,cpu", cyfes.InputError, "device is 'cuda:0,cpu', expected"),
        ("cuda:0,²", cyfes.InputError, "device is 'cuda:0,²', expected"),
        ("cpu:all", cyfes.InputError, "device is 'cpu:all', expected"),
    ],
)
def test_devices_that_cannot_share_are_refused_before_anything_starts(
    calls: list[tuple[int, int]], device: str, kind: type[Exception], message: str
) -> None:
    for function in (
        lambda: cyfes.sum_hills(hills(), GRID, device),
        lambda: cyfes.reweight([0.5], cyfes.Grid(0.0, 1.0, 4), 0.1, kT=1.0, device=device),
        lambda: cyfes.bias([[0.0, 0.0]], hills(), device),
        lambda: cyfes.PathFES([[0] * 3] * 2, [[0] * 3], [1] * 3, [0], device=device),
    ):
        with pytest.raises(kind, match=message) as caught:
            function()
        assert "\n" not in str(caught.value)
    assert calls == []


@pytest.mark.usefixtures("calls")
def test_all_of_one_usable_device_is_that_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODE, 0, "")
    alone = cyfes.sum_hills(hills(), GRID, "cuda:1")
    found = cyfes.sum_hills(hills(), GRID, "cuda:all")
    assert (found.device, found.plan) == ("cuda:1", alone.plan)
    np.testing.assert_array_equal(found.values, alone.values)
    monkeypatch.setitem(CODE, 1, "")
    device_choice._usable.cache_clear()
    with pytest.raises(cyfes.DeviceError, match=r"cuda:0 .*; cuda:1 .*; cuda:2 .* no code for"):
        cyfes.sum_hills(hills(), GRID, "cuda:all")


@pytest.mark.usefixtures("calls")
def test_auto_is_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_choice, "is_small", lambda _: False)
    assert cyfes.sum_hills(hills(), GRID).device == "cuda:0"


@pytest.mark.usefixtures("calls")
def test_what_only_one_device_computes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(cyfes.InputError, match="nufft plan computes on"):
        cyfes.sum_hills(hills("gaussian"), GRID, "cuda:all", truncation="none", plan="nufft")
    monkeypatch.setitem(sys.modules, "cupy", fake_cuda.cupy)
    points: Any = fake_cuda.Array(np.zeros((3, 2)))
    with pytest.raises(cyfes.InputError, match="only arrays on the host are divided among several"):
        cyfes.bias(points, hills(), "cuda:0,1")


@pytest.mark.usefixtures("calls")
def test_progress_is_that_of_the_whole_and_stops_all() -> None:
    parts: list[float] = []
    threads: set[int] = set()

    def hear(part: float) -> None:
        parts.append(part)
        threads.add(threading.get_ident())

    many = hills(count=20_000)
    cyfes.sum_hills(many, GRID, "cuda:0,1", plan="direct", progress=hear)
    assert parts == sorted(parts)
    assert 0.0 <= parts[0] <= parts[-1] <= 1.0
    assert threads == {threading.get_ident()}

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cyfes.sum_hills(many, GRID, "cuda:0,1", plan="direct", progress=stop)


class Part:
    """A part that goes on until it is told to stop, or fails itself."""

    def __init__(self, failing: int | None = None, seconds: float = 20.0) -> None:
        self.failing, self.seconds = failing, seconds
        self.stopped: list[int] = []

    def __call__(self, device: int, rows: tuple[int, int], report: Any) -> tuple[int, int]:
        if device == self.failing:
            raise cyfes.DeviceError(f"device {device} broke")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            try:
                report(0.25 * device)
            except BaseException:
                self.stopped.append(device)
                raise
            time.sleep(0.005)
        return rows


def test_the_first_failure_stops_the_others_and_is_raised_once() -> None:
    part, started = Part(failing=1), time.monotonic()
    with pytest.raises(cyfes.DeviceError, match="device 1 broke") as caught:
        on_each_device([0, 1, 2], 30, part)
    assert time.monotonic() - started < 5.0
    assert sorted(part.stopped) == [0, 2]
    assert caught.value.__context__ is None


def test_a_signal_stops_all_devices_soon() -> None:
    part = Part()
    started = time.monotonic()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        on_each_device([0, 1], 10, part)
    timer.join()
    assert time.monotonic() - started < 5.0
    assert sorted(part.stopped) == [0, 1]


def test_rows_are_dealt_out_evenly_and_progress_is_the_mean() -> None:
    heard: list[float] = []
    assert on_each_device([0, 1, 2], 10, Part(seconds=0.15), heard.append) == [
        (0, 3),
        (3, 6),
        (6, 10),
    ]
    assert heard[-1] == pytest.approx((0.0 + 0.25 + 0.5) / 3)


@pytest.mark.usefixtures("calls")
def test_commands_take_several_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "COLVAR").open("w") as samples:
        samples.write("#! FIELDS time d\n")
        samples.writelines(f"{i} {0.1 * i}\n" for i in range(10))
    line = ["reweight", "--samples", "COLVAR", "--cvs", "d", "--bandwidth", "0.2", "--kt", "1"]
    assert main([*line, "--device", "cuda:0,1"]) == 0
    assert "on cuda:0,1, wrote fes.dat" in capsys.readouterr().err
    assert main([*line, "--device", "cuda:0,0"]) == 1
    assert "expected each device once" in capsys.readouterr().err
    assert main([*line, "--device", "cuda:0;1"]) == 2
    assert "expected one of auto|cpu|cuda|cuda:N[,M]|cuda:all" in capsys.readouterr().err


def test_warning_names_the_users_line_through_every_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> int:
        raise cyfes.DeviceError("no GPU here")

    monkeypatch.setattr(device_choice, "wrapper", lambda _: SimpleNamespace(device_count=refuse))
    monkeypatch.setattr(device_choice, "is_small", lambda _: False)
    for function in (
        lambda: cyfes.sum_hills(hills(), GRID),
        lambda: cyfes.bias([[0.0, 0.0]], hills()),
        lambda: cyfes.PathFES([[0] * 3], [[0] * 3], [1] * 3, [0]),
    ):
        monkeypatch.setattr(device_choice._Fallback, "warned", False)
        with pytest.warns(cyfes.CyfesWarning, match="no GPU here") as caught:
            function()
        assert [warning.filename for warning in caught] == [__file__]
