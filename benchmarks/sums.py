"""Time sums of hills and densities on the CPU, side by side with the peers that are installed.

    python benchmarks/sums.py                 # the usual sizes: some minutes with PLUMED
    python benchmarks/sums.py --long          # also what takes PLUMED minutes a run
    python benchmarks/sums.py --calls         # what Python adds to a call
    python benchmarks/sums.py --growth 24     # 10^3 to 10^7 hills, and 10^3 to 10^7 grid points

Peers: `plumed` on PATH (whole processes), and in this interpreter NumPy, finufft, metadynminer
and pykeops. One that is missing is left out and named. Prints Markdown tables; each figure is the
median of the repeats, all sides of a row in turns. --growth takes CPU time; --svg FILE draws it.
"""

import argparse
import importlib
import itertools
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import charts
import numpy as np

import cyfes
from cyfes.native.constants import CPU, GAUSSIAN, LOG_GAUSSIAN
from cyfes.native.extensions import wrapper

# Points along each axis, hills. The last ones take PLUMED from one minute to eight.
FILES = [((101, 101), 1_000), ((101, 101), 100_000)]
LONG_FILES = [((256, 256), 100_000), ((101, 101, 101), 100_000)]
SIGMA, KT = 0.3, 2.494
NAMES = ("phi", "psi", "omega", "chi")


def hills_of(count, ndim, kernel):
    """Return hills all over a periodic domain."""
    rng = np.random.default_rng(count)
    return cyfes.Hills(
        NAMES[:ndim],
        rng.uniform(-math.pi, math.pi, (count, ndim)),
        SIGMA,
        rng.uniform(0.1, 1.2, count),
        kernel=kernel,
        domain=[("-pi", "pi")] * ndim,
    )


def write_hills(path, hills):
    """Write a HILLS file."""
    names = hills.names
    header = (
        f"#! FIELDS time {' '.join(names)} {' '.join(f'sigma_{n}' for n in names)} height biasf\n"
    )
    header += "#! SET multivariate false\n#! SET kerneltype stretched-gaussian\n"
    header += "".join(f"#! SET min_{n} -pi\n#! SET max_{n} pi\n" for n in names)
    time_column = np.arange(1.0, len(hills) + 1.0)[:, None]
    factors = np.full((len(hills), 1), 10.0)
    table = np.hstack([time_column, hills.centers, hills.sigmas, hills.heights[:, None], factors])
    with path.open("w", encoding="ascii") as file:
        file.write(header)
        np.savetxt(file, table, fmt="%.16g")


def grid_of(shape):
    """Return the grid of the whole domain."""
    return cyfes.Grid(["-pi"] * len(shape), ["pi"] * len(shape), shape, True)


def medians(sides, repeats):
    """Run the sides in turns; return the median of the seconds of each."""
    seconds = {name: [] for name in sides}
    for _ in range(repeats):
        for name, compute in sides.items():
            start = time.perf_counter()
            compute()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def processes(hills_file, shape, folder):
    """Return what runs each program on a HILLS file, as a user does."""
    bins = ",".join(map(str, shape))
    program = Path(sys.executable).with_name("cyfes")
    sides = {"cyfes": [str(program), "sum-hills", "--device", "cpu"]}
    plumed = shutil.which("plumed")
    if plumed:
        sides["PLUMED"] = [plumed, "sum_hills"]
    common = ["--hills", str(hills_file), "--bin", bins, "--mintozero"]

    def run(name, command):
        outfile = folder / f"{name}.dat"
        outfile.unlink(missing_ok=True)
        done = subprocess.run(
            [*command, *common, "--outfile", str(outfile)], capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{name} failed: {done.stderr.decode(errors='replace')[-500:]}")

    return {name: lambda n=name, c=command: run(n, c) for name, command in sides.items()}


def difference(folder):
    """Return the largest difference between both programs' free energies."""
    files = [folder / f"{name}.dat" for name in ("cyfes", "PLUMED")]
    if not all(file.exists() for file in files):
        return "–"
    free = [cyfes.load(file).values for file in files]
    return f"{np.abs(free[0] - free[1]).max():.1e}"


def time_files(cases, repeats):
    """Time the command lines, reading and writing included."""
    rows = []
    for shape, count in cases:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_hills(folder / "HILLS", hills_of(count, len(shape), "stretched-gaussian"))
            found = medians(processes(folder / "HILLS", shape, folder), repeats)
            rows.append(
                [size(shape), f"{count:,}", *columns(found, ("PLUMED",)), difference(folder)]
            )
    print("\n## sum-hills, whole processes\n")
    print(table(["grid", "hills", "cyfes, s", "PLUMED, s", "ratio", "largest difference"], rows))


def size(shape):
    """Return 101² for (101, 101)."""
    if len(set(shape)) > 1:
        return " × ".join(map(str, shape))
    return f"{shape[0]}{'¹²³⁴'[len(shape) - 1]}"


def columns(found, peers):
    """Return the seconds of cyfes, and of each peer with its ratio."""
    row = [f"{found['cyfes']:.3g}"]
    for peer in peers:
        row += (
            [f"{found[peer]:.3g}", f"{found[peer] / found['cyfes']:.3g} ×"]
            if peer in found
            else [
                "–",
                "–",
            ]
        )
    return row


def table(titles, rows):
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def optional(name):
    """Return a module, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def products(hills, grid):
    """Return V by a matrix product: the factors of the leading axes with those of the last."""
    factors = []
    for axis, x in enumerate(grid.axes):
        offset = x[:, None] - hills.centers[:, axis]
        offset -= 2.0 * math.pi * np.round(offset / (2.0 * math.pi))
        factors.append(np.exp(-0.5 * (offset / SIGMA) ** 2))
    leading = factors[0] * hills.heights
    for factor in factors[1:-1]:
        leading = (leading[:, None, :] * factor[None, :, :]).reshape(-1, len(hills))
    return (leading @ factors[-1].T).reshape(grid.shape)


def time_gaussians(cases, repeats):
    """Time V of plain Gaussians, in this process."""
    finufft, miner = optional("finufft"), optional("metadynminer")
    rows = []
    for shape, count in cases:
        hills, grid = hills_of(count, len(shape), "gaussian"), grid_of(shape)
        options = {"device": "cpu", "truncation": "none"}
        sides = {
            "cyfes": lambda h=hills, g=grid, o=options: cyfes.sum_hills(h, g, **o),
            "NumPy": lambda h=hills, g=grid: products(h, g),
        }
        if finufft:
            sides["finufft"] = lambda h=hills, g=grid, o=options: cyfes.sum_hills(
                h, g, plan="nufft", **o
            )
        if miner:
            sides["metadynminer"] = metadynminer_sum(miner, hills, shape)
        found = medians(sides, repeats)
        rows.append([size(shape), f"{count:,}", *columns(found, list(PEERS))])
    print("\n## V of plain Gaussians, in one process\n")
    titles = ["grid", "hills", "cyfes, s"]
    for peer in PEERS:
        titles += [f"{peer}, s", "ratio"]
    print(table(titles, rows))


PEERS = ("NumPy", "finufft", "metadynminer")


def metadynminer_sum(miner, hills, shape):
    """Return what sums the hills by metadynminer's fast algorithm, which shifts by whole bins."""
    folder = Path(tempfile.mkdtemp())
    write_hills(folder / "HILLS", hills)
    read = miner.Hills(name=str(folder / "HILLS"), periodic=[True] * len(shape), **limits(shape))
    shutil.rmtree(folder)
    return lambda: miner.Fes(read, original=False, resolution=shape[0])


def limits(shape):
    """Return the ends of each variable as metadynminer names them."""
    ends = [-math.pi, math.pi]
    return {f"cv{axis + 1}per": ends for axis in range(len(shape))}


def scripted(samples, weights, grid):
    """Return -kT ln p as scripts for OPES and metadynamics do: point after point, all samples."""
    free = np.empty(grid.shape)
    for index in np.ndindex(grid.shape):
        point = [x[i] for x, i in zip(grid.axes, index, strict=True)]
        offset = point - samples
        offset -= 2.0 * math.pi * np.round(offset / (2.0 * math.pi))
        free[index] = np.log(np.dot(weights, np.exp(-0.5 * ((offset / SIGMA) ** 2).sum(axis=1))))
    return -KT * free


def time_densities(count, shape, repeats):
    """Time a free energy from weighted samples, in this process."""
    rng = np.random.default_rng(0)
    samples, bias = rng.uniform(-math.pi, math.pi, (count, 2)), rng.uniform(0.0, 20.0, count)
    grid = grid_of(shape)
    weights = np.exp(bias / KT)
    sides = {
        "cyfes": lambda: cyfes.reweight(samples, grid, SIGMA, kT=KT, bias=bias, device="cpu"),
        "script": lambda: scripted(samples, weights, grid),
    }
    if optional("pykeops"):
        sides["pykeops"] = with_keops(samples, weights, grid)
    found = medians(sides, repeats)
    print("\n## Free energy from weighted samples, in one process\n")
    titles = ["grid", "samples", "cyfes, s", "NumPy script, s", "ratio", "pykeops, s", "ratio"]
    print(table(titles, [[size(shape), f"{count:,}", *columns(found, ("script", "pykeops"))]]))


def with_keops(samples, weights, grid):
    """Return what sums the density with pykeops, after its compilation."""
    keops = importlib.import_module("pykeops.numpy")
    points = keops.LazyTensor(grid.points()[:, None, :])
    centers = keops.LazyTensor(samples[None, :, :])

    def compute():
        offset = points - centers
        offset = offset - 2.0 * math.pi * (offset / (2.0 * math.pi)).round()
        kernel = (-0.5 * ((offset / SIGMA) ** 2).sum(-1)).exp()
        return -KT * np.log(kernel @ weights)

    compute()
    return compute


def growth(doublings, repeats):
    """Return the seconds for more and more hills, and for more and more grid points."""
    lines = {}
    counts = sizes(doublings)
    for kernel, label in (("stretched-gaussian", "PLUMED's hills"), ("gaussian", "plain hills")):
        options = {"truncation": "none" if kernel == "gaussian" else "plumed", "device": "cpu"}
        grid = grid_of((101, 101))
        lines[f"{label} on 101²"] = [
            (n, once(lambda n=n, k=kernel, g=grid, o=options: (hills_of(n, 2, k), g, o), repeats))
            for n in counts
        ]
        lines[f"1,000 {label} on a square"] = [
            (
                n,
                once(
                    lambda n=n, k=kernel, o=options: (hills_of(1000, 2, k), square(n), o), repeats
                ),
            )
            for n in counts
        ]
    return lines


def sizes(doublings):
    """Return sizes from 1,000 to 10,000,000, evenly on a logarithmic scale."""
    return [round(10 ** (3 + 4 * i / doublings)) for i in range(doublings + 1)]


def square(points):
    """Return a grid of about so many points."""
    return grid_of((round(math.sqrt(points)),) * 2)


def once(make, repeats):
    """Return the least CPU time of a sum, of all threads; what else runs is left out."""
    hills, grid, options = make()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        cyfes.sum_hills(hills, grid, **options)
        seconds.append(time.process_time() - start)
    return min(seconds)


def worst_doubling(line):
    """Return by how much the time grows at most when the size doubles, from 10 ms on."""
    steps = [
        (b / a) ** (math.log(2) / math.log(n / m))
        for (m, a), (n, b) in itertools.pairwise(line)
        if a > 0.01
    ]
    return max(steps, default=float("nan"))


def show_growth(doublings, repeats, svg):
    """Print how the time grows and draw it."""
    lines = growth(doublings, repeats)
    rows = [
        [name, f"{line[0][1]:.2g}", f"{line[-1][1]:.3g}", f"{worst_doubling(line):.2f}"]
        for name, line in lines.items()
    ]
    print("\n## Growth from 1,000 to 10,000,000\n")
    print(table(["work", "first, s", "last, s", "most for a doubling"], rows))
    if svg:
        svg.write_text(
            charts.log_log(lines, "hills or grid points", "CPU seconds"), encoding="utf-8"
        )


def time_calls():
    """Time calls for one hill at one point: what Python takes beside the C call."""
    hills = cyfes.Hills(["a", "b", "c"], np.zeros((1, 3)), 0.3, 1.0, kernel="gaussian")
    grid, point, one = cyfes.Grid([0.0] * 3, [1.0] * 3, [1] * 3, True), np.zeros((1, 3)), np.ones(1)
    arrays = (hills.centers, hills.sigmas, hills.heights, np.zeros(3))
    shape, values = np.ones(3, dtype=np.int64), np.empty(1)
    on_grid = (*arrays, grid.lower, grid.spacing, shape, values)
    at_points = (*arrays, point, values)
    module, widths = wrapper("float64"), np.ones(3)
    calls = {
        "`sum_hills`": (
            lambda: cyfes.sum_hills(hills, grid, truncation="none"),
            lambda: module.sum_grid(CPU, GAUSSIAN, *on_grid),
        ),
        "`reweight`": (
            lambda: cyfes.reweight(point, grid, 0.3, kT=KT, bias=one),
            lambda: module.sum_grid(CPU, LOG_GAUSSIAN, *on_grid),
        ),
        "`bias`": (
            lambda: cyfes.bias(point, hills),
            lambda: module.sum_points(CPU, GAUSSIAN, *at_points),
        ),
        "`PathFES`": (
            lambda: cyfes.PathFES(point, point, widths, one),
            lambda: module.sum_points(CPU, LOG_GAUSSIAN, *at_points),
        ),
    }
    rows = []
    for name, sides in calls.items():
        whole, inner = (1e6 * least(compute) for compute in sides)
        rows.append([name, f"{whole:.0f} µs", f"{inner:.0f} µs", f"{whole - inner:.0f} µs"])
    print("\n## One hill at one point, the shortest of 2,000 calls\n")
    print(table(["call", "from Python", "the compiled part", "what Python takes"], rows))


def least(compute, repeats=2000):
    """Return the seconds of the shortest call, which no other process has interrupted."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        compute()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def compare(long, repeats):
    """Print the tables against the peers."""
    absent = [name for name in ("finufft", "metadynminer", "pykeops") if not optional(name)]
    absent += [] if shutil.which("plumed") else ["plumed"]
    print(f"not installed: {', '.join(absent) or 'none'}")
    time_files(FILES + (LONG_FILES if long else []), repeats)
    time_gaussians([((101, 101), 100_000), ((101, 101, 101), 10_000)], repeats)
    # A script takes minutes for more.
    time_densities(10_000, (101, 101), repeats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="also what takes PLUMED minutes")
    parser.add_argument("--calls", action="store_true", help="only what a small call costs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--growth", type=int, metavar="STEPS", help="only the growth, in steps")
    parser.add_argument("--svg", type=Path, help="where to draw the growth")
    options = parser.parse_args()
    print(f"cyfes {cyfes.__version__}, NumPy {np.__version__}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    if options.calls:
        time_calls()
    elif options.growth:
        show_growth(options.growth, options.repeats, options.svg)
    else:
        compare(options.long, options.repeats)


if __name__ == "__main__":
    main()
