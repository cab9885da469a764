"""The kernels that a release must have run are those that the smoke test runs, with its limits."""

from __future__ import annotations

from pathlib import Path

from kernels import smoke_kernels
from wheelkit.wheel import settings
from wheelkit.wheel.settings import Kernel


def test_the_declared_kernels_are_those_of_the_smoke_test(project_root: Path) -> None:
    declared = settings.of_project(project_root, "cyfes").kernels
    run = [
        Kernel(kernel.name, kernel.dtype, smoke_kernels.TOLERANCE[kernel.dtype])
        for kernel in smoke_kernels.all_kernels()
    ]
    assert len(run) == len(set(run))
    assert set(declared) == set(run)
