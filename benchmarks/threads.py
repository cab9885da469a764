"""Small sums by several threads of one program: how much a free-threaded CPython gains.

Run it with each interpreter, with cyfes installed:
``OMP_NUM_THREADS=1 python benchmarks/threads.py``. Each thread makes the same small sum again and
again; the table says how many sums all threads made in a second. Without OMP_NUM_THREADS=1, each
sum would divide its own work among the processors, and the threads would compete for them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time

import numpy as np

import cyfes


def count_sums(threads: int, seconds: float, bins: int, count: int) -> float:
    """Return how many sums `threads` threads make in a second."""
    rng = np.random.default_rng(0)
    hills = cyfes.Hills(["x", "y"], rng.uniform(-3, 3, (count, 2)), 0.2, 1.0)
    grid = cyfes.Grid([-3, -3], [3, 3], [bins, bins])
    done = [0] * threads
    barrier = threading.Barrier(threads + 1)
    end = threading.Event()

    def work(number: int) -> None:
        made = 0
        barrier.wait()
        while not end.is_set():
            cyfes.sum_hills(hills, grid, device="cpu")
            made += 1
        done[number] = made

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    begun = time.perf_counter()
    time.sleep(seconds)
    end.set()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - begun)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seconds", type=float, default=2.0, help="of each measurement (default: %(default)s)")
    add("--threads", type=int, default=8, help="compared with one (default: %(default)s)")
    add("--bins", type=int, default=20, help="on each of two axes (default: %(default)s)")
    add("--hills", type=int, default=20, help="of each sum (default: %(default)s)")
    asked = parser.parse_args()
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
    task = (asked.seconds, asked.bins, asked.hills)
    # The first sums load libcufes.
    count_sums(1, 0.2, asked.bins, asked.hills)
    one = max(count_sums(1, *task) for _ in range(3))
    many = max(count_sums(asked.threads, *task) for _ in range(3))
    print(
        f"CPython {platform.python_version()}, interpreter lock {'on' if is_enabled() else 'off'}, "
        f"{len(os.sched_getaffinity(0))} processors, OMP_NUM_THREADS="
        f"{os.environ.get('OMP_NUM_THREADS', 'unset')}"
    )
    rates = f"1 thread: {one:.0f} sums/s; {asked.threads} threads: {many:.0f} sums/s"
    print(f"{rates}: {many / one:.2f} x")


if __name__ == "__main__":
    main()
