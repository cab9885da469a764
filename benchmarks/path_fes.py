"""Time PathFES against CyFES 4.5 and NumPy, side by side in one run, and compare the numbers.

    python benchmarks/path_fes.py --device cuda --cyfes45 /path/to/python3.10
    python benchmarks/path_fes.py --device cpu

The peer runs in its own interpreter, where CyFES 4.5 is installed; this file calls itself there, so
that both sides do exactly the same. Prints a Markdown table. Times are host to host, from NumPy
arrays, in a process that has computed a few points before: the median of the repeats, of which the
peer is given one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# Samples, points, precision. CyFES 4.5 needs seconds for each.
CASES = [
    (10_000, 50**3, "float64"),
    (10_000, 50**3, "float32"),
    (100_000, 10**3, "float64"),
    (100_000, 10**3, "float32"),
]
# NumPy holds all pairs of a block in memory and takes a minute where the GPU takes milliseconds.
SMALL_CASES = [(2_000, 20**3, "float64"), (2_000, 20**3, "float32")]
KT = 0.596128107


def data(samples, points):
    """Return crd, cv, bw and bias; every sample is within reach of every point."""
    rng = np.random.RandomState(0)
    crd, cv = rng.uniform(-2, 2, (points, 3)), rng.uniform(-2, 2, (samples, 3))
    return crd, cv, np.array([0.3, 0.4, 0.5]), rng.uniform(-5, 0, samples)


def with_numpy(crd, cv, bw, bias):
    """Return the formula of PathFES in plain NumPy, in blocks that fit the cache."""
    weights = np.exp(bias / KT) / (len(cv) * (2 * np.pi) ** 1.5 * np.prod(bw))
    weights = weights.astype(crd.dtype)
    sums = []
    for block in np.array_split(crd, max(1, len(crd) // 100)):
        squares = ((block[:, None, :] - cv[None, :, :]) ** 2).sum(axis=2)
        sums.append(np.exp(-0.5 * squares) @ weights)
    energy = -KT * np.log(np.concatenate(sums))
    return energy - energy.min()


def function(who, dtype, device):
    """Return the callable of one side."""
    if who == "NumPy":
        return with_numpy
    import cyfes

    # The fastest of CyFES 4.5; its PathFES gives the same numbers much later.
    name = "FastPathFES" if who == "CyFES 4.5" else "PathFES"
    chosen = getattr(cyfes, name if dtype == "float64" else name + "_f32")
    if who == "CyFES 4.5":
        return lambda *arrays: np.asarray(chosen(*arrays))
    return lambda *arrays: chosen(*arrays, device=device)


def measure(who, case, device, repeats, out):
    """Time one case; leave the numbers in `out`; return the seconds of each repeat."""
    samples, points, dtype = case
    arrays = [array.astype(dtype) for array in data(samples, points)]
    compute = function(who, dtype, device)
    compute(arrays[0][:8], *arrays[1:])
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = compute(*arrays)
        seconds.append(time.perf_counter() - start)
    np.save(out, result)
    return seconds


def measure_in(python, who, case, device, repeats):
    """Run `measure` in an interpreter of its own; return seconds and numbers."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "out.npy"))
        job = json.dumps([who, case, device, repeats, out])
        # CyFES 4.5 does not import where the variable is not set.
        environment = dict(os.environ, LD_LIBRARY_PATH=os.environ.get("LD_LIBRARY_PATH", ""))
        command = [python, str(Path(__file__).resolve()), "--job", job]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, cwd=folder, env=environment
        )
        return json.loads(done.stdout.decode().splitlines()[-1]), np.load(out)


def compare(case, device, peer, peer_python, repeats):
    """Return a row of the table: ours and the peer's median, the ratio, the largest difference."""
    ours, values = measure_in(sys.executable, "cyfes", case, device, repeats)
    theirs, expected = measure_in(peer_python, peer, case, device, 1)
    samples, points, dtype = case
    fast, slow = statistics.median(ours), statistics.median(theirs)
    difference = np.abs(values - expected).max()
    row = "| {:,} × {:,} | {} | {:.4g} ms | {} {:.4g} ms | {:,.0f} × | {:.1e} |"
    return row.format(samples, points, dtype, 1e3 * fast, peer, 1e3 * slow, slow / fast, difference)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cyfes45", metavar="PYTHON", help="a Python that has CyFES 4.5")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(measure(*json.loads(arguments.job))))
        return
    print("| samples × points | precision | cyfes | peer | ratio | largest difference, kcal/mol |")
    print("|---|---|---|---|---|---|")
    peer, python, cases = "NumPy", sys.executable, SMALL_CASES
    if arguments.cyfes45:
        peer, python, cases = "CyFES 4.5", arguments.cyfes45, CASES
    for case in cases:
        print(compare(case, arguments.device, peer, python, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
