"""Small releases, sealed and proven, in a git repository with a tag: for the tests of the gates."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny_wheels
from wheelkit.checks import verify
from wheelkit.cli import gate as check_release
from wheelkit.install.installers import WAYS
from wheelkit.release import seal
from wheelkit.target.report import run, sha256
from wheelkit.wheel import platforms
from wheelkit.wheel.settings import Settings

import wheelkit

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.0] - 2026-01-31\n\n### Added\n\n- All.\n"
GPU = "gpu-h100"
PLAT = "manylinux2014_x86_64"
# Of the project, as it declares them: what the smoke tests must have run.
KERNELS = {"float64": (1e-10, ("sum", "product")), "float32": (1e-4, ("sum f32",))}


def pyproject(project: str, more: str = "") -> str:
    """Return the pyproject.toml of a project."""
    groups = (
        f"{dtype} = {{tolerance = {tolerance}, names = {json.dumps(names)}}}"
        for dtype, (tolerance, names) in KERNELS.items()
    )
    table = "\n".join(["[tool.wheelkit]", more, "[tool.wheelkit.kernels]", *groups])
    return f'[project]\nname = "{project}"\n{table}\n'


def kernels() -> list[dict[str, Any]]:
    """Return what a smoke test reports of the kernels."""
    return [
        {"name": name, "dtype": dtype, "max_error": tolerance / 10}
        for dtype, (tolerance, names) in KERNELS.items()
        for name in names
    ]


def verification() -> dict[str, Any]:
    """Return what `wheelkit verify` reports besides the faults."""
    ways = [(way.installer, way.layout) for way in WAYS if not way.debian_only]
    return {
        "platform": "manylinux_2_17_x86_64",
        "layouts": {"how": "install", "names": list(verify.layouts_of(Settings()))},
        "checks": dict.fromkeys(verify.titles(Settings(), platforms.wanted(PLAT)), True),
        "trials": [
            {"python": "3.10", "installer": installer, "layout": layout, "result": "ok"}
            for installer, layout in ways
        ],
    }


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, with none of the machine's settings."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        nobody |= {f"GIT_{role}_NAME": "nobody", f"GIT_{role}_EMAIL": "nobody@example.org"}
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **nobody},
    )
    return done.stdout.strip()


def commit(folder: Path, text: str = "release") -> str:
    """Commit everything that git does not ignore; return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", text)
    return git(folder, "rev-parse", "HEAD")


def make_repository(folder: Path) -> None:
    """Make the folder a clone whose main is that of origin, with the tag of the release."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / ".gitignore").write_text("*\n!CHANGELOG.md\n!pyproject.toml\n")
    head = commit(folder)
    git(folder, "update-ref", "refs/remotes/origin/main", head)
    git(folder, "tag", "--annotate", "--message", "release", "v1.0")


def seal_by_hand(folder: Path) -> str:
    """Seal whatever is in a folder, as somebody without wheelkit can; return the seal."""
    lines = [
        f"{sha256(path) if path.is_file() else '0' * 64}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.name != seal.LIST
    ]
    (folder / seal.LIST).write_text("".join(lines))
    return sha256(folder / seal.LIST)


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@dataclass
class Release:
    """A folder of distributions with its seal, reports and changelog."""

    root: Path
    project: str = "tiny"
    pythons: tuple[str, ...] = ("3.10", "3.13")
    seal: str = ""
    # The seal of each folder of reports, by its name below `reports`.
    seals: dict[str, str] = field(default_factory=dict)

    @property
    def dist(self) -> Path:
        """The distributions."""
        return self.root / "dist"

    @property
    def reports(self) -> Path:
        """The folder of each job that reports."""
        return self.root / "reports"

    def wheel(self, python: str) -> Path:
        """Return the wheel for an interpreter."""
        (found,) = self.dist.glob(f"*-cp{python.replace('.', '')}-*.whl")
        return found

    def prove(self, **changes: Any) -> None:
        """Seal the distributions and write green reports; `changes` are of the GPU's reports."""
        self.seal, hashes = seal.write(self.dist)
        for name, digest in hashes.items():
            cpu: dict[str, Any] = {"device": {"id": "cpu"}, "place": "debian", "kernels": kernels()}
            self.report(name, digest, "smoke_test", "cpu", **cpu)
            if name.endswith(".whl"):
                self.report(name, digest, "verify_wheel", "verify", **verification())
                gpu: dict[str, Any] = {"device": {"id": "cuda:0", "name": "H100"}, "place": GPU}
                gpu = {**gpu, "kernels": kernels(), **changes}
                self.report(name, digest, "smoke_test", "cuda", **gpu)
        self.seal_reports()

    def report(self, name: str, digest: str, tool: str, kind: str, **more: Any) -> Path:
        """Write a report as the stages do; return its path."""
        content = {
            "tool": tool,
            "version": wheelkit.__version__,
            "wheel": {"name": name, "sha256": digest},
            "ok": True,
            "faults": [],
            **more,
        }
        folder = self.reports / ("gpu" if kind == "cuda" else "verify")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{kind}.{name}.json"
        path.write_text(json.dumps(content))
        return path

    def seal_reports(self) -> None:
        """Seal each folder of reports again, as its job would have."""
        for folder in self.reports.iterdir():
            self.seals[folder.name] = seal_by_hand(folder)

    def path_of(self, kind: str, of: str = "*.whl") -> Path:
        """Return the report of a kind on the first wheel."""
        return sorted(self.reports.glob(f"*/{kind}.{of}.json"))[0]

    def change_report(
        self, kind: str, change: Callable[[dict[str, Any]], object], of: str = "*.whl"
    ) -> Path:
        """Change the report of a kind on the first wheel before its job seals it."""
        path = self.path_of(kind, of)
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        self.seal_reports()
        return path

    def words(self) -> list[str]:
        """Return the options that hand over the folders of reports."""
        pairs = (f"{self.reports / name}={digest}" for name, digest in self.seals.items())
        return [word for pair in pairs for word in ("--reports", pair)]

    def check(self, index: str, *more: str, **other: str) -> int:
        """Ask the gates, in the repository; `other` replaces options. Return the exit status."""
        options = {
            "seal": self.seal,
            "project": self.project,
            "tag": "v1.0",
            "branch": "origin/main",
            "pythons": json.dumps(self.pythons),
            "plat": PLAT,
            "device": "cuda",
            "places": json.dumps([GPU]),
            "changelog": str(self.root / "CHANGELOG.md"),
            "index": f"{index}/simple/",
            "report": str(self.root / "gates.json"),
            **other,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        command = [str(self.dist), *words, *self.words(), *more]
        with inside(self.root):
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
    (root / "pyproject.toml").write_text(pyproject(project))
    release.prove()
    make_repository(root)
    return release


def add_wheel(
    release: Release,
    python: str,
    version: str = "1.0",
    platform: str = "manylinux_2_17_x86_64",
) -> Path:
    """Build a wheel for one interpreter."""
    tag = f"cp{python.replace('.', '')}"
    files = {f"{release.project}/__init__.py": f"TAG = '{tag}'\n".encode()}
    name = f"{release.project}-{version}"
    return tiny_wheels.wheel(release.dist, files, tag=f"{tag}-{tag}-{platform}", name=name)


def sdist(path: Path, project: str) -> None:
    """Write a source distribution."""
    folder = path.name.removesuffix(".tar.gz")
    metadata = tiny_wheels.core_metadata(project, folder.rpartition("-")[2])
    with tarfile.open(path, "w:gz") as target:
        for name, data in (("PKG-INFO", metadata), ("pyproject.toml", b"")):
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
