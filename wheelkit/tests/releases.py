"""Small releases, sealed and proven, for the tests of the gates."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny_wheels
from wheelkit.cli import gate as check_release
from wheelkit.release import seal
from wheelkit.target.report import run

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.0] - 2026-01-31\n\n### Added\n\n- All.\n"
GPU = "gpu-h100"


@dataclass
class Release:
    """A folder of distributions with its seal, reports and changelog."""

    root: Path
    project: str = "tiny"
    pythons: tuple[str, ...] = ("3.10", "3.13")
    seal: str = ""

    @property
    def dist(self) -> Path:
        """The distributions."""
        return self.root / "dist"

    @property
    def reports(self) -> Path:
        """The reports."""
        return self.root / "reports"

    def wheel(self, python: str) -> Path:
        """Return the wheel for an interpreter."""
        (found,) = self.dist.glob(f"*-cp{python.replace('.', '')}-*.whl")
        return found

    def prove(self, **changes: Any) -> None:
        """Seal the distributions and write green reports; `changes` are of the GPU's reports."""
        self.seal, hashes = seal.write(self.dist)
        for name, sha256 in hashes.items():
            cpu = {"device": {"id": "cpu"}, "place": "debian"}
            self.report(name, sha256, "smoke_test", "cpu", **cpu)
            if name.endswith(".whl"):
                self.report(name, sha256, "verify_wheel", "verify")
                gpu = {"device": {"id": "cuda:0", "name": "H100"}, "place": GPU, **changes}
                self.report(name, sha256, "smoke_test", "cuda", **gpu)

    def report(self, name: str, sha256: str, tool: str, kind: str, **more: Any) -> Path:
        """Write a report as the stages do; return its path."""
        kernels = [{"name": "sum", "dtype": "float64", "max_error": 1e-15}]
        content = {
            "tool": tool,
            "version": "1",
            "wheel": {"name": name, "sha256": sha256},
            "ok": True,
            "faults": [],
            **({"kernels": kernels} if tool == "smoke_test" else {}),
            **more,
        }
        self.reports.mkdir(exist_ok=True)
        path = self.reports / f"{kind}.{name}.json"
        path.write_text(json.dumps(content))
        return path

    def change_report(self, kind: str, change: Callable[[dict[str, Any]], object]) -> Path:
        """Change the report of a kind on the first wheel."""
        path = sorted(self.reports.glob(f"{kind}.*.whl.json"))[0]
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return path

    def check(self, index: str, *more: str, **other: str) -> int:
        """Ask the gates; `other` replaces options. Return the exit status."""
        options = {
            "seal": self.seal,
            "reports": str(self.reports),
            "project": self.project,
            "tag": "v1.0",
            "pythons": json.dumps(self.pythons),
            "device": "cuda",
            "places": json.dumps([GPU]),
            "changelog": str(self.root / "CHANGELOG.md"),
            "index": f"{index}/simple/",
            "report": str(self.root / "gates.json"),
            **other,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        command = [str(self.dist), *words, *more]
        try:
            return run(lambda: check_release.main(command))
        except SystemExit as end:
            return int(end.code or 0)

    def faults(self) -> list[str]:
        """Return the ids of the faults that the gates reported last."""
        content = json.loads((self.root / "gates.json").read_text())
        return sorted({fault["id"] for fault in content["faults"]})


def make(root: Path, project: str = "tiny", pythons: tuple[str, ...] = ("3.10", "3.13")) -> Release:
    """Make a release that passes every gate."""
    release = Release(root, project, pythons)
    for python in pythons:
        add_wheel(release, python)
    sdist(release.dist / f"{project}-1.0.tar.gz", project)
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    release.prove()
    return release


def add_wheel(release: Release, python: str, version: str = "1.0") -> Path:
    """Build a wheel for one interpreter."""
    tag = f"cp{python.replace('.', '')}"
    files = {f"{release.project}/__init__.py": f"TAG = '{tag}'\n".encode()}
    name = f"{release.project}-{version}"
    return tiny_wheels.wheel(
        release.dist, files, tag=f"{tag}-{tag}-manylinux_2_17_x86_64", name=name
    )


def sdist(path: Path, project: str) -> None:
    """Write a source distribution."""
    folder = path.name.removesuffix(".tar.gz")
    metadata = tiny_wheels.core_metadata(project, folder.rpartition("-")[2])
    with tarfile.open(path, "w:gz") as target:
        for name, data in (("PKG-INFO", metadata), ("pyproject.toml", b"")):
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
