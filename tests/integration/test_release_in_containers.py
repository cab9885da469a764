"""A sealed release is verified and smoke-tested in a real container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import releases
import test_smoke_release
import tiny_wheels
from container import standin_image
from shared.ledger import PROJECT
from wheelkit.containers import engines, images
from wheelkit.install import pythons
from wheelkit.target.report import Status

RUNNING = str(pythons.version_of(Path(sys.executable)))


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment variables for the stages; if need be, they name a stand-in image."""
    engine = engines.find_engine()
    if not engine.why_not_pulled(images.verifying(RUNNING, PROJECT).reference):
        return dict(os.environ)
    return {**os.environ, images.IMAGE_VARIABLE: standin_image.build(engine, [RUNNING])}


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.network
def test_a_release_is_verified_and_smoke_tested_in_a_container(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    release = releases.make(tmp_path / "release", pythons=(RUNNING,))
    (release.dist / "tiny-1.0.tar.gz").unlink()
    tag = f"cp{RUNNING.replace('.', '')}"
    files = {"tiny/__init__.py": f"TAG = '{tag}'\n".encode()}
    files["tiny/_tiny.so"] = tiny_wheels.extension("_tiny")
    tiny_wheels.wheel(release.dist, files, tag=f"{tag}-{tag}-manylinux_2_17_x86_64")
    shutil.rmtree(release.reports)
    release.prove()
    shutil.rmtree(release.reports)
    test_smoke_release.write_kernels(release.root)
    project_settings = '[project]\nname = "tiny"\n[tool.wheelkit]\nmax-size = 1_000_000\n'
    (release.root / "pyproject.toml").write_text(project_settings)
    common: list[str | Path] = [
        release.dist,
        "--seal",
        release.seal,
        "--engine",
        "any",
        "--reports",
        release.reports,
    ]
    verify = [sys.executable, "-m", "wheelkit", "verify-release", *common]
    smoke = [sys.executable, "-m", "wheelkit", "smoke-release", *common]
    smoke += ["--device", "cpu", "--kernels", "kernels.py"]
    for command in (verify, smoke):
        done = subprocess.run(command, check=False, cwd=release.root, env=environment)
        assert done.returncode == Status.DONE
    reports = [json.loads(path.read_text()) for path in release.reports.iterdir()]
    assert {report["tool"] for report in reports} == {"verify_wheel", "smoke_test"}
    assert all(report["ok"] for report in reports)
    # The project's settings are read in the container too.
    (release.root / "pyproject.toml").write_text(project_settings.replace("1_000_000", "1"))
    done = subprocess.run(verify, check=False, cwd=release.root, env=environment)
    assert done.returncode == Status.FAULTY
