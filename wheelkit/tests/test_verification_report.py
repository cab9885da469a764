"""The gates take what `wheelkit verify` reports, if it was asked for all that they demand."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_verify import GOOD
from tiny_wheels import MANYLINUX, wheel
from wheelkit.cli import verify
from wheelkit.install import pythons
from wheelkit.release import reports
from wheelkit.release.gpu_runners import GpuRunner
from wheelkit.target.report import Status, run, sha256
from wheelkit.wheel import platforms
from wheelkit.wheel.settings import Kernel, Settings

HERE = pythons.found()[0]
PLAT = MANYLINUX.rpartition("-")[2]


FULL = ("--layouts", "install", "--plat", PLAT)
STATIC = ("--layouts", "static")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (FULL, set()),
        ((*FULL, "--installers", "pip", "--ways", "venv"), {"every way to install"}),
        (
            (*STATIC, "--for-layouts", "venv"),
            {
                "every check",
                "every layout",
                "every way to install",
                "--layouts install",
                "--plat manylinux_2_17_x86_64",
            },
        ),
    ],
)
def test_a_report_proves_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], expected: set[str]
) -> None:
    monkeypatch.setattr(pythons, "found", lambda: (HERE,))
    monkeypatch.chdir(tmp_path)
    path = wheel(tmp_path / "dist", GOOD, tag=MANYLINUX)
    file = tmp_path / "verify.json"
    command = [str(path), *options, "--report", str(file)]
    assert run(lambda: verify.main(command)) == Status.DONE
    declared = Settings(kernels=(Kernel("sum", "float64", 1e-10),))
    required = reports.Required("cuda", (GpuRunner("gpu"),), (platforms.required(PLAT),), declared)
    hashes = {path.name: sha256(path)}
    faults = list(reports.faults_of(reports.parse(file.read_bytes()), hashes, required))
    found = {fault.expected for fault in faults if fault.id == "verification-incomplete"}
    assert found == expected
    others = {fault.id for fault in faults} - {"verification-incomplete"}
    assert others == {"not-run-on-cpu", "not-run-on-cuda"}
