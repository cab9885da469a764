"""Time the sums on a GPU: host to host from NumPy arrays, and on the device from CuPy's.

    python benchmarks/gpu_sums.py

Prints a Markdown table of medians. Each sum is made twice before it is timed, so that the context,
the kernels and the memory are there. On the device the C API is called with arrays that are already
there, which needs CuPy, and returns when the sum is done. Single precision is of points alone.
"""

import ctypes
import statistics
import time

import cupy
import numpy as np

import cyfes
from cyfes.native.library import library_path

STRETCHED, GAUSSIAN, LOGARITHMIC = 0, 1, 3


class Hills(ctypes.Structure):
    _fields_ = [
        ("ndim", ctypes.c_int32),
        ("kernel", ctypes.c_int32),
        ("count", ctypes.c_int64),
        ("sigma_rows", ctypes.c_int64),
        ("multivariate", ctypes.c_int32),
        ("centers", ctypes.c_void_p),
        ("sigmas", ctypes.c_void_p),
        ("heights", ctypes.c_void_p),
        ("periods", ctypes.c_void_p),
        ("boxes", ctypes.c_void_p),
    ]


class Grid(ctypes.Structure):
    _fields_ = [
        ("ndim", ctypes.c_int32),
        ("lower", ctypes.c_void_p),
        ("spacing", ctypes.c_void_p),
        ("points", ctypes.c_void_p),
    ]


class Run(ctypes.Structure):
    _fields_ = [
        ("path", ctypes.c_int32),
        ("device_memory", ctypes.c_int32),
        ("stream", ctypes.c_void_p),
        ("proceed", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("plan", ctypes.c_char * 256),
    ]


def median(compute, repeats=20):
    """Return the median of the seconds that a call takes."""
    compute()
    compute()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def on_device(kernel, count, sigma, points=None, period=0.0, real=np.float64, where=None):
    """Return a call of the C API for hills, and a grid of `points` or points `where`."""
    rng = np.random.default_rng(0)
    arrays = [
        cupy.asarray(rng.uniform(-np.pi, np.pi, (count, 3)), dtype=real),
        cupy.asarray(np.broadcast_to(sigma, (1, 3)), dtype=real),
        cupy.asarray(rng.uniform(0.1, 1.0, count), dtype=real),
    ]
    periods = np.full(3, period)
    hills = Hills(3, kernel, count, 1, 0, *(a.data.ptr for a in arrays), periods.ctypes.data)
    run = Run(device_memory=1)
    suffix = "" if real is np.float64 else "_f32"
    if where is None:
        steps = points if period else points - 1
        parts = np.full(3, -np.pi), np.full(3, 2 * np.pi / steps), np.full(3, points)
        grid = Grid(3, *(part.ctypes.data for part in parts))
        values = cupy.empty(points**3, dtype=real)
        last = ctypes.byref(grid), ctypes.c_void_p(values.data.ptr), None, ctypes.byref(run)
        name, kept = "cufes_sum_grid", (parts, grid)
    else:
        there = cupy.asarray(rng.uniform(-np.pi, np.pi, (where, 3)), dtype=real)
        values = cupy.empty(where, dtype=real)
        pointers = (ctypes.c_void_p(array.data.ptr) for array in (there, values))
        last = (ctypes.c_int64(where), *pointers, ctypes.byref(run))
        name, kept = "cufes_sum_points", (there,)
    function = getattr(ctypes.CDLL(library_path()), name + suffix)

    def compute():
        run.path = 0
        status = function(0, ctypes.byref(hills), *last)
        if status:
            raise RuntimeError(f"{name} returned {status}")

    # The structs hold addresses; this holds what is there.
    compute.arrays = arrays, periods, values, kept
    return compute


def host_to_host():
    """Yield what users call, with its pairs."""
    rng = np.random.default_rng(0)
    samples, bias = rng.uniform(-3.0, 3.0, (10_000, 3)), rng.uniform(-5.0, 0.0, 10_000)
    grid = cyfes.Grid([-np.pi] * 3, [np.pi] * 3, (49, 49, 49), [False] * 3)
    yield (
        "`reweight(samples, Grid)` 10,000 × 50³, host to host",
        10_000 * 50**3,
        lambda: cyfes.reweight(samples, grid, 0.3, kT=0.6, bias=bias, device="cuda"),
    )
    crd, widths = rng.uniform(-2.0, 2.0, (50**3, 3)), np.array([0.3, 0.4, 0.5])
    yield (
        "`PathFES` 10,000 × 50³, host to host",
        10_000 * 50**3,
        lambda: cyfes.PathFES(crd, samples, widths, bias, device="cuda"),
    )


def device_sums():
    """Yield sums of arrays that are on the device, with their pairs."""
    many = 100_000
    yield (
        "plain Gaussian, 100,000 × 100³",
        many * 100**3,
        on_device(GAUSSIAN, many, 0.3, 100),
    )
    yield (
        "stretched, σ 0.3, periodic, 100,000 × 101³",
        many * 101**3,
        on_device(STRETCHED, many, 0.3, 101, 2 * np.pi),
    )
    for name, sigma in (("one width", 1.0), ("a width an axis", [0.9, 1.0, 1.1])):
        yield (
            f"points, double, {name}, 100,000 × 10⁶",
            many * 10**6,
            on_device(GAUSSIAN, many, sigma, where=10**6),
        )
    yield (
        "points, single, 100,000 × 10⁶",
        many * 10**6,
        on_device(GAUSSIAN, many, 1.0, real=np.float32, where=10**6),
    )


def main():
    """Print the table."""
    print("| work | median | pairs a second |")
    print("|---|---|---|")
    for name, pairs, compute in (*host_to_host(), *device_sums()):
        seconds = median(compute)
        print(f"| {name} | {1e3 * seconds:.4g} ms | {pairs / seconds:.3g} |", flush=True)


if __name__ == "__main__":
    main()
