"""What a script written for CyFES 4.5 finds: names, arguments, numbers, and none of its defects."""

from __future__ import annotations

import ctypes
import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import reference

import cyfes

_FES = ["crd", "cv", "bw", "bias"]

# The positional arguments of CyFES 4.5, in its order.
ARGUMENTS = {
    "PathFES": _FES,
    "PathFES_f32": _FES,
    "FastPathFES": _FES,
    "FastPathFES_f32": _FES,
    "StreamPathFES": _FES,
    "DevicePathFES": [*_FES, "device_ids"],
    "FastBias": _FES,
    "read_out": ["file_name", "idx", "hat_lines", "max_size", "dlm"],
    "save_fes": ["file_name", "Z"],
    "save_cube": [
        "file_name",
        "ovec",
        *("x_grids", "x_shift", "y_grids", "y_shift", "z_grids", "z_shift"),
        *("Z", "use_bohr"),
    ],
    "save_dat": ["dat_name", "path", "Z"],
}
DEFAULTS = {
    "read_out": {"idx": 0, "hat_lines": 1, "max_size": None, "dlm": None},
    "save_cube": {"use_bohr": True},
}

# What CyFES's README shows as the output of five tests in a row; the second one is in single
# precision. They draw 4 points and 1000 samples each, from one stream of random numbers.
README_ROWS = [
    ("PathFES", [0.00902854, 0.0, 0.09338432, 0.02065182], 5e-9),
    ("PathFES_f32", [0.03961432, 0.0, 0.01514649, 0.02259541], 1e-6),
    ("FastPathFES", [0.00129778, 0.0, 0.02988457, 0.0869869], 5e-9),
    ("StreamPathFES", [0.01712827, 0.01378975, 0.0, 0.02229569], 5e-9),
    ("PathFES", [0.0114323, 0.03356422, 0.0, 0.0328276], 5e-9),
]

SCRIPT = """
import numpy as np
from cyfes import PathFES
points, samples = np.eye(3), np.zeros((2, 3))
print(np.asarray(PathFES(points + 0, samples + [[1], [0]], np.ones(3), np.zeros(2))))
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter without LD_LIBRARY_PATH, away from our sources."""
    kept = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_names_take_the_arguments_of_cyfes45(name: str) -> None:
    assert name in cyfes.__all__
    parameters = inspect.signature(getattr(cyfes, name)).parameters.values()
    positional = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    added = [each for each in parameters if each.kind is not each.POSITIONAL_OR_KEYWORD]
    assert [each.name for each in positional] == ARGUMENTS[name]
    defaults = {each.name: each.default for each in positional if each.default is not each.empty}
    assert defaults == DEFAULTS.get(name, {})
    assert all(each.kind is each.KEYWORD_ONLY for each in added)
    assert all(each.default is not each.empty for each in added)


def test_the_example_of_cyfes45_gives_its_documented_rows() -> None:
    random = np.random.RandomState(0)
    for name, row, tolerance in README_ROWS:
        crd, cv = random.random_sample((4, 3)), random.random_sample((1000, 3))
        bw, bias = random.random_sample(3), random.random_sample(1000) - 1
        found = np.asarray(getattr(cyfes, name)(crd, cv, bw, bias, device="cpu"))
        np.testing.assert_allclose(found, row, rtol=0, atol=tolerance, err_msg=name)


def test_fast_and_stream_names_are_the_one_sum() -> None:
    assert cyfes.FastPathFES is cyfes.StreamPathFES is cyfes.PathFES
    assert cyfes.FastPathFES_f32 is cyfes.StreamPathFES_f32 is cyfes.PathFES_f32


def test_cyfes45_results_are_arrays_that_numpy_takes_unchanged() -> None:
    found = cyfes.PathFES(np.eye(3), np.zeros((1, 3)), np.ones(3), np.zeros(1), device="cpu")
    assert type(found) is np.ndarray
    assert np.asarray(found) is found


def test_cyfes45_key_error_without_ld_library_path_is_gone() -> None:
    done = run(SCRIPT + "import os; print(os.environ.get('LD_LIBRARY_PATH'))")
    assert done.returncode == 0, done.stderr
    # Nor is the variable set for the programs that are started later.
    assert done.stdout.endswith("\nNone\n")


def test_cyfes45_garbage_without_a_gpu_is_a_result_of_the_cpu() -> None:
    done = run(SCRIPT, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0
    assert done.stdout == "[0. 0. 0.]\n"
    # So small a sum is the CPU's on any machine: nothing to warn of.
    assert done.stderr == ""


def test_cyfes45_garbage_without_a_gpu_is_an_error_where_one_was_asked_for() -> None:
    code = SCRIPT.replace("PathFES", "DevicePathFES").replace("np.zeros(2)", "np.zeros(2), [0]")
    done = run(code, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "cyfes.errors.DeviceError: " in done.stderr.splitlines()[-1]


def test_cyfes45_single_precision_inside_double_is_gone() -> None:
    random = np.random.default_rng(0)
    crd, cv, bias = random.normal(size=(50, 3)), random.normal(size=(500, 3)), np.zeros(500)
    found = cyfes.PathFES(crd, cv, np.ones(3), bias, device="cpu")
    expected = reference.path_fes(crd, cv, np.ones(3), bias)
    # An exponential of single precision leaves an error of 1e-8 here.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("bias", [62.7, 1e3, 1e5, -1e5])
@pytest.mark.parametrize("name", ["PathFES", "PathFES_f32"])
def test_cyfes45_infinity_at_a_large_bias_is_gone(name: str, bias: float) -> None:
    random = np.random.default_rng(0)
    crd, cv = random.normal(size=(50, 3)), random.normal(size=(500, 3))
    biases = bias + random.uniform(0.0, 1.0, 500)
    found = getattr(cyfes, name)(crd, cv, np.ones(3), biases, device="cpu")
    expected = reference.path_fes(crd, cv, np.ones(3), biases)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 if "f32" in name else 1e-9)


def test_cyfes45_infinity_far_from_all_samples_is_gone() -> None:
    crd = np.array([[0.0, 0.0, 0.0], [20.0, 0.0, 0.0], [1000.0, 0.0, 0.0]])
    found = cyfes.PathFES(crd, np.zeros((1, 3)), np.ones(3), np.zeros(1), device="cpu")
    np.testing.assert_allclose(found, reference.PATH_FES_KT * np.array([0.0, 200.0, 5e5]))


class Driver:
    """Another user of CUDA in this process: the driver's own functions, on the primary context."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libcuda.so.1")
        context = ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.call("cuCtxSetCurrent", context)

    def call(self, name: str, *arguments: object) -> None:
        status = getattr(self.library, name)(*arguments)
        assert status == 0, f"{name} failed with status {status}"


@pytest.mark.gpu
def test_cyfes45_reset_of_the_device_under_other_users_is_gone() -> None:
    driver = Driver()
    sent, received = np.arange(1000.0), np.zeros(1000)
    size, memory = ctypes.c_size_t(sent.nbytes), ctypes.c_uint64()
    driver.call("cuMemAlloc_v2", ctypes.byref(memory), size)
    driver.call("cuMemcpyHtoD_v2", memory, sent.ctypes.data_as(ctypes.c_void_p), size)
    for _ in range(2):
        cyfes.PathFES(np.eye(3), np.zeros((1, 3)), np.ones(3), np.zeros(1), device="cuda:0")
    driver.call("cuMemcpyDtoH_v2", received.ctypes.data_as(ctypes.c_void_p), memory, size)
    np.testing.assert_array_equal(received, sent)
    driver.call("cuMemFree_v2", memory)
    driver.call("cuDevicePrimaryCtxRelease_v2", 0)
