"""What the C program tests/integration/c_api.c prints where no GPU is usable."""

from __future__ import annotations

EXPECTED = """\
table: 1, of another version: 0
grid: ok
value: 1, gradient: 1
points: ok
no points: ok
versions: ok
null hills: hills is NULL
null grid: the grid, or an array of it, is NULL
null values: values is NULL
null count: count is NULL
no hills: there are 0 hills, expected at least 1
sigma rows: there are 3 rows of sigma for 2 hills, expected 1 or one for each hill
huge grid: the grid has 1099511627776 points along axis 0, expected 1 to 2147483647
multivariate: multivariate is 2, expected 0 or 1
boxes: ok
once and none: 1
boxes at points: the boxed kernel, and boxes, are defined by the bins of a grid; sum it on a grid
path: path 9 is unknown
device memory: device_memory is memory of a CUDA device, but the device of the call is the CPU
run: ok
path: 2, plan: 1
stopped: the caller stopped the sum
asked: 2
"""


def check(said: str) -> None:
    """Check all that the program has printed."""
    assert said[: len(EXPECTED)] == EXPECTED
    absent = said[len(EXPECTED) :].splitlines()
    calls = [line.partition(":")[0] for line in absent]
    assert calls == ["device", "device -2", "devices", "devices"]
    assert all("no CUDA d" in line for line in absent[:3])
    assert absent[3] == "devices: 0"
