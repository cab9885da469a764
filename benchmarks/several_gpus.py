"""Time sums that several GPUs of one host share against those of one, host to host.

    python benchmarks/several_gpus.py [DEVICE]

DEVICE is "cuda:all" by default, or a list such as "cuda:0,1". Prints a Markdown table of medians.
Each sum is made twice before it is timed, so that the contexts, the kernels and the memory are
there, and goes to an array that is, too. The largest difference between the two is that of their
round-off, in parts of the largest value.
"""

import statistics
import sys
import time

import numpy as np

import cyfes


def random_hills(count, kernel):
    """Return hills of width 0.3 over three periodic variables."""
    rng = np.random.default_rng(0)
    return cyfes.Hills(
        ["a", "b", "c"],
        rng.uniform(-np.pi, np.pi, (count, 3)),
        0.3,
        rng.uniform(0.1, 1.2, count),
        kernel=kernel,
        domain=[("-pi", "pi")] * 3,
    )


def on_grid(count, points, kernel, gradient=False):
    """Return the sum of hills on a grid of so many points an axis."""
    hills, truncation = random_hills(count, kernel), "plumed" if kernel[0] == "s" else "none"
    grid = cyfes.Grid(["-pi"] * 3, ["pi"] * 3, [points] * 3, True)
    values, slopes = np.empty(grid.shape), np.empty((3, *grid.shape)) if gradient else None
    out = (values, slopes) if gradient else values

    def compute(device):
        options = {"truncation": truncation, "gradient": gradient, "out": out}
        cyfes.sum_hills(hills, grid, device, **options)
        return values

    return compute


def at_points(count, points):
    """Return the free energy at points."""
    rng = np.random.default_rng(0)
    where, samples = rng.uniform(-2, 2, (points, 3)), rng.uniform(-2, 2, (count, 3))
    bias = rng.uniform(-5.0, 0.0, count)
    return lambda device: cyfes.PathFES(where, samples, [1.0] * 3, bias, device=device)


def seconds(compute, device, repeats=5):
    """Return the median time of a call, and its result."""
    times = []
    for repeat in range(repeats + 2):
        start = time.perf_counter()
        result = compute(device)
        if repeat > 1:
            times.append(time.perf_counter() - start)
    return statistics.median(times), result.copy()


def main():
    """Print the table."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda:all"
    print(f"| work | cuda:0 | {device} | ratio | difference |\n|---|---|---|---|---|")
    for name, compute in (
        ("plain Gaussian, 10⁶ × 200³", on_grid(1_000_000, 200, "gaussian")),
        ("plain Gaussian with gradient, 10⁵ × 200³", on_grid(100_000, 200, "gaussian", True)),
        ("stretched, 10⁶ × 200³", on_grid(1_000_000, 200, "stretched-gaussian")),
        ("PathFES, 100,000 × 2·10⁶", at_points(100_000, 2_000_000)),
    ):
        alone, right = seconds(compute, "cuda:0")
        together, found = seconds(compute, device)
        off = np.abs(found - right).max() / np.abs(right).max()
        print(f"| {name} | {1e3 * alone:.1f} ms | {1e3 * together:.1f} ms | ", end="")
        print(f"{alone / together:.2f} | {off:.0e} |", flush=True)


if __name__ == "__main__":
    main()
