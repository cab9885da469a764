"""Many threads on the same hills, grid and arrays, with and without the interpreter's lock."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cyfes
from cyfes.native import _text, device_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

THREADS = 8
# The interpreter turns the lock on again, and warns, for a module that does not declare that it can
# do without: with -W error, such a warning is an error.
IMPORT_ALL = """
import sys
assert not sys._is_gil_enabled()
import cyfes.native.wrapper, cyfes.native.wrapper_f32, cyfes.native._text
assert not sys._is_gil_enabled(), "an import has turned the lock on"
"""
LOAD_AT_ONCE = """
import sys, threading
import cyfes
barrier, found = threading.Barrier(8), []
def use():
    barrier.wait()
    found.append((cyfes.sum_hills, cyfes.Grid, cyfes.Hills, cyfes.devices()[0].id))
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(set(found)) == 1 and len(found) == 8, found
"""


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """Call `work` with the number of each thread, at the same time; return what each returned."""
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


@pytest.fixture(scope="module")
def hills() -> cyfes.Hills:
    rng = np.random.default_rng(0)
    centers, heights = rng.uniform(-3, 3, (200, 2)), rng.uniform(0.1, 1.0, 200)
    return cyfes.Hills(["x", "y"], centers, [0.3, 0.4], heights)


@pytest.fixture(scope="module")
def grid() -> cyfes.Grid:
    return cyfes.Grid([-3, -3], [3, 3], [30, 20])


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="no CPython without the lock"
)
def test_import_leaves_the_lock_off() -> None:
    command = [sys.executable, "-W", "error", "-c", IMPORT_ALL]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    done = subprocess.run(command, check=False, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")


def test_public_names_are_loaded_by_many_threads_at_once() -> None:
    command = [sys.executable, "-W", "error", "-c", LOAD_AT_ONCE]
    done = subprocess.run(command, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_threads_on_the_same_hills_and_grid_get_the_bits_of_one(
    hills: cyfes.Hills, grid: cyfes.Grid, dtype: Any
) -> None:
    points = grid.points()

    def everything(_: int) -> list[bytes]:
        found = []
        for _ in range(20):
            fes = cyfes.sum_hills(hills, grid, device="cpu", dtype=dtype, gradient=True)
            assert fes.gradient is not None
            bias = cyfes.bias(points, hills, device="cpu", dtype=dtype)
            found.append(fes.values.tobytes() + fes.gradient.tobytes() + bias.tobytes())
        return found

    (alone,) = set(everything(0))
    assert {one for found in in_threads(everything) for one in found} == {alone}


def test_each_thread_writes_its_own_part_of_one_array(hills: cyfes.Hills, grid: cyfes.Grid) -> None:
    whole = np.full((THREADS, *grid.shape), np.nan)

    def write(number: int) -> None:
        part = hills[20 * number : 20 * number + 20]
        fes = cyfes.sum_hills(part, grid, device="cpu", out=whole[number])
        assert np.shares_memory(fes.values, whole)

    in_threads(write)
    for number in range(THREADS):
        part = hills[20 * number : 20 * number + 20]
        np.testing.assert_array_equal(
            whole[number], cyfes.sum_hills(part, grid, device="cpu").values
        )


def test_array_to_which_another_thread_writes_is_refused(
    hills: cyfes.Hills, grid: cyfes.Grid
) -> None:
    memory = np.zeros((3, *grid.shape))
    out, gradient = memory[0], memory[1:]
    begun, tried = threading.Event(), threading.Event()

    def portions() -> Iterator[cyfes.Hills]:
        yield hills
        begun.set()
        assert tried.wait(60)
        yield hills

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(
            cyfes.sum_hills, portions(), grid, device="cpu", gradient=True, out=(out, gradient)
        )
        assert begun.wait(60)
        try:
            for array in (out, gradient[0], gradient[1]):
                with pytest.raises(cyfes.InputError, match="another sum writes"):
                    cyfes.sum_hills(hills, grid, device="cpu", out=array)
            with pytest.raises(cyfes.InputError, match="another sum writes"):
                cyfes.reweight(hills.centers, grid, [0.3, 0.4], kT=1.0, out=out, device="cpu")
        finally:
            tried.set()
        twice = slow.result(60).values
    expected = cyfes.sum_hills(hills, grid, device="cpu").values
    np.testing.assert_allclose(twice, 2 * expected, rtol=1e-13)
    # It is free again, also behind a call that has failed.
    with pytest.raises(ZeroDivisionError):
        cyfes.sum_hills(failing(hills), grid, device="cpu", out=out)
    np.testing.assert_array_equal(
        cyfes.sum_hills(hills, grid, device="cpu", out=out).values, expected
    )


def test_threads_that_want_the_same_array_write_it_one_after_the_other_or_are_refused(
    hills: cyfes.Hills, grid: cyfes.Grid
) -> None:
    out = np.empty(grid.shape)
    expected = cyfes.sum_hills(hills, grid, device="cpu").values

    def write(_: int) -> list[str]:
        said = []
        for _ in range(20):
            try:
                cyfes.sum_hills(hills, grid, device="cpu", out=out)
                said.append("written")
            except cyfes.InputError as error:
                said.append(str(error))
        return said

    found = {said for thread in in_threads(write) for said in thread}
    assert "written" in found
    assert all("another sum writes" in said for said in found - {"written"})
    # It is free again.
    np.testing.assert_array_equal(
        cyfes.sum_hills(hills, grid, device="cpu", out=out).values, expected
    )


def failing(hills: cyfes.Hills) -> Iterator[cyfes.Hills]:
    yield hills
    raise ZeroDivisionError


def test_read_only_arrays_are_read_and_never_written(hills: cyfes.Hills, grid: cyfes.Grid) -> None:
    arrays = [np.array(hills.centers), np.array(hills.heights)]
    out = np.zeros(grid.shape)
    for array in (*arrays, out):
        array.flags.writeable = False
    expected = cyfes.sum_hills(hills, grid, device="cpu").values

    def use(_: int) -> Any:
        with pytest.raises(cyfes.InputError, match="read-only"):
            cyfes.sum_hills(hills, grid, device="cpu", out=out)
        same = cyfes.Hills(["x", "y"], arrays[0], [0.3, 0.4], arrays[1])
        return cyfes.sum_hills(same, grid, device="cpu").values

    for found in in_threads(use):
        np.testing.assert_array_equal(found, expected)
    assert not out.any()


def test_each_thread_gets_the_error_of_its_own_call(grid: cyfes.Grid) -> None:
    def fail(number: int) -> set[str]:
        names = [f"cv{axis}" for axis in range(number + 3)]
        hills = cyfes.Hills(names, np.zeros((1, len(names))), 0.1, 1.0)
        said = set()
        for _ in range(50):
            with pytest.raises(cyfes.InputError) as caught:
                cyfes.sum_hills(hills, grid, device="cpu")
            said.add(str(caught.value))
        return said

    for number, said in enumerate(in_threads(fail)):
        (message,) = said
        assert str(number + 3) in message


def test_rows_of_one_grid_file_are_formatted_by_many_threads() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    text = _text.GridText([np.arange(5000.0)], [values], b"%14.9f")
    step = 500

    def rows(number: int) -> bytes:
        first = step * number
        return b"".join(text.format(first, first + step, 2))

    expected = [rows(number) for number in range(THREADS)]
    for _ in range(20):
        assert in_threads(rows) == expected


def test_fallback_to_the_cpu_is_told_once_by_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(device_choice._Fallback, "warned", False)
    monkeypatch.setattr(warnings, "warn", lambda *message, **_: said.append(message))
    in_threads(lambda _: device_choice._Fallback.warn("no driver"))
    assert len(said) == 1


def test_files_are_read_and_written_by_many_threads(
    hills: cyfes.Hills, grid: cyfes.Grid, tmp_path: Path
) -> None:
    surface = cyfes.sum_hills(hills, grid, device="cpu")
    surface.save(tmp_path / "one.dat")
    expected = (tmp_path / "one.dat").read_bytes()

    def save_and_load(number: int) -> bytes:
        path = tmp_path / f"{number}.dat"
        surface.save(path)
        np.testing.assert_allclose(cyfes.load(path).values, surface.values, atol=1e-8)
        return path.read_bytes()

    assert set(in_threads(save_and_load)) == {expected}
