"""Time the sums on a GPU: the call of the C API, the call from Python, and PyTorch.

    python benchmarks/gpu_sums.py
    python benchmarks/gpu_sums.py --processes    # whole processes of `cyfes sum-hills`

Prints Markdown tables of medians. Each sum is made twice before it is timed, so that the context,
the kernels and the memory are there; all sides of a row take turns in one process. "On the device"
means arrays that are already there, and stay there: the clock stops when the sum is done. The
PyTorch column is what a user would write: a factor along each axis and one matrix product, or
distances and logsumexp. Single precision is of points alone. This needs PyTorch with CUDA.

The last column is the largest difference of the Python call from sums in extended precision, at
some of the points: in parts of the largest value, or, for free energies, in parts of kT.
"""

import argparse
import ctypes
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sums import hills_of, write_hills

import cyfes
from cyfes.native.library import library_path

STRETCHED, GAUSSIAN, LOGARITHMIC = 0, 1, 3
KT = 0.6


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


def medians(sides, repeats=15):
    """Run the sides in turns; return the median of the seconds of each."""
    seconds = {name: [] for name in sides}
    for repeat in range(repeats + 2):
        for name, compute in sides.items():
            torch.cuda.synchronize()
            started = time.perf_counter()
            compute()
            torch.cuda.synchronize()
            if repeat > 1:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def c_call(kernel, arrays, grid=None, points=None):
    """Return a call of the C API for tensors on the device: centers, sigmas and heights."""
    real = arrays[0].dtype
    periods = np.where(grid.periodic, grid.upper - grid.lower, 0.0) if grid else np.zeros(3)
    count = len(arrays[0])
    addresses = [array.data_ptr() for array in arrays]
    hills = Hills(3, kernel, count, 1, 0, *addresses, periods.ctypes.data)
    stream = torch.cuda.current_stream().cuda_stream
    run = Run(device_memory=1, stream=stream)
    suffix = "" if real is torch.float64 else "_f32"
    if grid:
        shape = np.array(grid.shape, dtype=np.int64)
        parts = grid.lower, grid.spacing, shape
        described = Grid(3, *(part.ctypes.data for part in parts))
        values = torch.empty(grid.shape, dtype=real, device="cuda")
        address = ctypes.c_void_p(values.data_ptr())
        last = ctypes.byref(described), address, None, ctypes.byref(run)
        name, kept = "cufes_sum_grid", (parts, described)
    else:
        values = torch.empty(len(points), dtype=real, device="cuda")
        pointers = (ctypes.c_void_p(array.data_ptr()) for array in (points, values))
        last = (ctypes.c_int64(len(points)), *pointers, ctypes.byref(run))
        name, kept = "cufes_sum_points", (points,)
    function = getattr(ctypes.CDLL(library_path()), name + suffix)

    def compute():
        run.path = 0
        status = function(0, ctypes.byref(hills), *last)
        if status:
            raise RuntimeError(f"{name} returned {status}")

    # The structs hold addresses; this holds what is there.
    compute.arrays = arrays, periods, values, kept
    return compute


def on_device(*arrays):
    """Return tensors on the device."""
    return [torch.from_numpy(np.array(array)).cuda() for array in arrays]


def product(centers, sigma, heights, grid):
    """Return the sum of plain Gaussians as a user of PyTorch would: one matrix product."""
    axes = on_device(*grid.axes)
    total = 0.0
    for some, high in zip(centers.split(100_000), heights.split(100_000), strict=True):
        a, b, c = (
            torch.exp(-0.5 * ((x[:, None] - some[:, i]) / sigma) ** 2) for i, x in enumerate(axes)
        )
        left = ((a * high)[:, None, :] * b[None, :, :]).reshape(-1, len(some))
        total = total + left @ c.T
    return total.reshape(grid.shape)


def along_path(crd, cv, bias, kT):
    """Return the free energy at points as a user of PyTorch would: distances, and logsumexp."""
    rows = [
        torch.logsumexp(bias / kT - 0.5 * torch.cdist(some, cv) ** 2, dim=1)
        for some in crd.split(25_000)
    ]
    free = -kT * torch.cat(rows)
    return free - free.min()


def exact(grid_or_points, centers, sigma, heights, stretched=False, period=0.0):
    """Return sums in extended precision at some points, and the numbers of these points."""
    where = grid_or_points
    rng = np.random.default_rng(1)
    size = where.size if isinstance(where, cyfes.Grid) else len(where)
    chosen = rng.integers(0, size, 12)
    points = [where.point(k) if isinstance(where, cyfes.Grid) else where[k] for k in chosen]
    sums = []
    for point in points:
        offset = np.longdouble(point) - centers.astype(np.longdouble)
        if period:
            offset -= period * np.round(offset / np.longdouble(period))
        d = 0.5 * ((offset / np.longdouble(sigma)) ** 2).sum(axis=1)
        factor = np.longdouble("1.00193418799744762399")
        kernel = factor * np.exp(-d) + (1 - factor) if stretched else np.exp(-d)
        sums.append(
            (heights * np.where(d < 6.25, kernel, 0) if stretched else heights * kernel).sum()
        )
    return np.array(sums), chosen


def host(values):
    """Return an array or tensor as NumPy's."""
    return values.cpu().numpy() if torch.is_tensor(values) else np.asarray(values)


def uniform(count, ndim=3, reach=np.pi):
    """Return random centres and heights."""
    rng = np.random.default_rng(0)
    return rng.uniform(-reach, reach, (count, ndim)), rng.uniform(0.1, 1.0, count)


def plain_on_device():
    """Plain Gaussians whose arrays are on the device."""
    centers, heights = uniform(100_000)
    grid = cyfes.Grid([-np.pi] * 3, [np.pi] * 3, [99] * 3)
    there = on_device(centers, np.full((1, 3), 0.3), heights)
    hills = cyfes.Hills(["a", "b", "c"], there[0], 0.3, there[2], kernel="gaussian")
    sides = {
        "C": c_call(GAUSSIAN, there, grid),
        "Python": lambda: cyfes.sum_hills(hills, grid, truncation="none"),
        "PyTorch": lambda: product(there[0], 0.3, there[2], grid),
    }
    right, chosen = exact(grid, centers, 0.3, heights)
    found = host(sides["Python"]().values).ravel()
    return "plain, on the device, 100,000 × 100³", sides, relative(-found[chosen], right, found)


def plain_from_host():
    """Plain Gaussians from NumPy's arrays."""
    centers, heights = uniform(1_000_000)
    grid = cyfes.Grid([-np.pi] * 3, [np.pi] * 3, [99] * 3)
    hills = cyfes.Hills(["a", "b", "c"], centers, 0.3, heights, kernel="gaussian")
    sides = {
        "C": c_call(GAUSSIAN, on_device(centers, np.full((1, 3), 0.3), heights), grid),
        "Python": lambda: cyfes.sum_hills(hills, grid, "cuda", truncation="none"),
        "PyTorch": lambda: host(product(*on_device(centers), 0.3, *on_device(heights), grid)),
    }
    right, chosen = exact(grid, centers, 0.3, heights)
    found = sides["Python"]().values.ravel()
    return "plain, host to host, 1,000,000 × 100³", sides, relative(-found[chosen], right, found)


def density_from_host():
    """A density from weighted samples, from NumPy's arrays."""
    samples, _ = uniform(10_000, reach=3.0)
    bias = np.random.default_rng(2).uniform(-5.0, 0.0, 10_000)
    grid = cyfes.Grid([-np.pi] * 3, [np.pi] * 3, [49] * 3)
    norm = math.log(10_000 * (math.sqrt(2.0 * math.pi) * 0.3) ** 3)

    def with_torch():
        there, weights = on_device(samples, bias)
        density = product(there, 0.3, torch.exp(weights / KT), grid)
        return host(-KT * (torch.log(density) - norm))

    sides = {
        "Python": lambda: cyfes.reweight(samples, grid, 0.3, kT=KT, bias=bias, device="cuda"),
        "PyTorch": with_torch,
    }
    right, chosen = exact(grid, samples, 0.3, np.exp(np.longdouble(bias) / KT))
    found = sides["Python"]().values.ravel()[chosen]
    off = float(np.abs(found / KT + np.log(right) - norm).max())
    return "`reweight`, host to host, 10,000 × 50³", sides, off


def path_from_host():
    """A free energy at points, from NumPy's arrays."""
    rng = np.random.default_rng(0)
    samples, bias = rng.uniform(-3.0, 3.0, (10_000, 3)), rng.uniform(-5.0, 0.0, 10_000)
    crd, widths = rng.uniform(-2.0, 2.0, (50**3, 3)), np.array([0.3, 0.4, 0.5])
    there = on_device(samples, np.ones((1, 3)), bias / KT)
    sides = {
        "C": c_call(LOGARITHMIC, there, points=on_device(crd)[0]),
        "Python": lambda: cyfes.PathFES(crd, samples, widths, bias, kT=KT, device="cuda"),
        "PyTorch": lambda: host(along_path(*on_device(crd, samples, bias), KT)),
    }
    right, chosen = exact(crd, samples, 1.0, np.exp(np.longdouble(bias) / KT))
    found, logs = sides["Python"]()[chosen] / KT, -np.log(right)
    off = float(np.abs((found - found[0]) - (logs - logs[0])).max())
    return "`PathFES`, host to host, 10,000 × 50³", sides, off


def stretched_from_host(gradient=False):
    """Hills as PLUMED sums them, from NumPy's arrays."""
    centers, heights = uniform(100_000)
    grid = cyfes.Grid(["-pi"] * 3, ["pi"] * 3, [101] * 3, True)
    hills = cyfes.Hills(["a", "b", "c"], centers, 0.3, heights, domain=[("-pi", "pi")] * 3)
    sides = {"Python": lambda: cyfes.sum_hills(hills, grid, "cuda", gradient=gradient)}
    if not gradient:
        there = on_device(centers, np.full((1, 3), 0.3), heights)
        sides["C"] = c_call(STRETCHED, there, grid)
    right, chosen = exact(grid, centers, 0.3, heights, True, 2 * np.pi)
    found = sides["Python"]().values.ravel()
    name = "stretched, host to host, 100,000 × 101³" + (", with gradient" if gradient else "")
    return name, sides, relative(-found[chosen], right, found)


def at_points(real):
    """Plain Gaussians at points whose arrays are on the device."""
    centers, heights = uniform(100_000)
    points, _ = uniform(1_000_000)
    where, *there = (t.to(real) for t in on_device(points, centers, np.full((1, 3), 1.0), heights))
    dtype = str(real).rpartition(".")[2]
    hills = cyfes.Hills(["a", "b", "c"], there[0], 1.0, there[2], kernel="gaussian")
    sides = {
        "C": c_call(GAUSSIAN, there, points=where),
        "Python": lambda: cyfes.bias(where, hills, dtype=dtype),
    }
    rounded = [host(t).astype(np.float64) for t in (where, there[0], there[2])]
    right, chosen = exact(rounded[0], rounded[1], 1.0, rounded[2])
    found = host(sides["Python"]())
    name = f"points, {dtype}, on the device, 100,000 × 10⁶"
    return name, sides, relative(found[chosen], right, found)


def smallest():
    """One hill at one grid point on the device: what Python adds to a call."""
    there = on_device(np.zeros((1, 3)), np.full((1, 3), 0.3), np.ones(1))
    grid = cyfes.Grid([0.0] * 3, [1.0] * 3, [1] * 3, True)
    hills = cyfes.Hills(["a", "b", "c"], there[0], 0.3, there[2], kernel="gaussian")
    sides = {
        "C": c_call(GAUSSIAN, there, grid),
        "Python": lambda: cyfes.sum_hills(hills, grid, truncation="none"),
    }
    return "plain, on the device, 1 × 1³", sides, None


def construction():
    """The checks and copies of a million hills."""
    centers, heights = uniform(1_000_000)
    sides = {"Python": lambda: cyfes.Hills(["a", "b", "c"], centers, 0.3, heights)}
    return "`Hills(…)` of 1,000,000 rows, one width", sides, None


def relative(found, right, all_values):
    """Return the largest difference in parts of the largest value."""
    return float(np.abs(found - right).max() / np.abs(all_values).max())


WORKS = (
    plain_on_device,
    plain_from_host,
    density_from_host,
    path_from_host,
    stretched_from_host,
    lambda: stretched_from_host(gradient=True),
    smallest,
    construction,
    lambda: at_points(torch.float64),
    lambda: at_points(torch.float32),
)


def show_sums():
    """Print the table of sums."""
    print("| work | C call | Python call | PyTorch | largest difference |")
    print("|---|---|---|---|---|")
    for work in WORKS:
        name, sides, off = work()
        found = medians(sides)
        cells = [
            f"{1e3 * found[side]:.4g} ms" if side in found else "–"
            for side in ("C", "Python", "PyTorch")
        ]
        difference = "–" if off is None else f"{off:.0e}"
        print(f"| {name} | {' | '.join(cells)} | {difference} |", flush=True)


def show_processes(repeats=3):
    """Print how long whole processes take on the CPU, on the GPU, and where `auto` puts them."""
    print("| grid | hills | --device cpu | --device cuda | --device auto |\n|---|---|---|---|---|")
    for points, count in ((101, 1_000), (101, 100_000), (201, 100_000)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_hills(folder / "HILLS", hills_of(count, 3, "stretched-gaussian"))
            command = [sys.executable, "-m", "cyfes", "sum-hills", "--hills", folder / "HILLS"]
            command += ["--bin", ",".join([str(points)] * 3), "--outfile", folder / "fes.dat"]
            times = {device: [] for device in ("cpu", "cuda", "auto")}
            for _ in range(repeats):
                for device, seconds in times.items():
                    (folder / "fes.dat").unlink(missing_ok=True)
                    started = time.perf_counter()
                    subprocess.run([*command, "--device", device], check=True, capture_output=True)
                    seconds.append(time.perf_counter() - started)
        cells = " | ".join(f"{statistics.median(seconds):.3g} s" for seconds in times.values())
        print(f"| {points}³ | {count:,} | {cells} |", flush=True)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", action="store_true", help="whole processes instead")
    options = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, NumPy {np.__version__}\n")
    show_processes() if options.processes else show_sums()


if __name__ == "__main__":
    main()
