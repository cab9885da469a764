"""The published CyFES wheels, and the sample wheels of other repair tools: real input, all of it.

What is downloaded stays in a folder of pytest's; nothing of it becomes part of the project.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tiny_wheels import install, load, members, toolkit
from wheelkit.checks import loader
from wheelkit.cli import repair as repair_wheel
from wheelkit.cli import verify as verify_wheel
from wheelkit.target import report
from wheelkit.wheel import layouts
from wheelkit.wheel.reading import read_wheel

pytestmark = pytest.mark.network

# The tags that were published; no newer ones exist.
VERSIONS = ("2.7", "4.5")
PYTHONS = ("3.7", "3.8", "3.9", "3.10")

# The published list of rpath entries leads to these two.
TODAY = {"venv", "prefix"}


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *arguments]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Download every wheel; one folder each, because their names do not tell all of this."""
    found = {}
    for version in VERSIONS:
        for python in PYTHONS:
            folder = tmp_path_factory.mktemp(f"cyfes-{version}-{python}-")
            platform = ["--python-version", python, "--platform", "manylinux2014_x86_64"]
            pip("--only-binary=:all:", *platform, "--dest", str(folder), f"cyfes=={version}")
            (found[version, python],) = folder.iterdir()
    return found


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)


def repaired(path: Path, destination: Path, *options: str) -> Path:
    arguments = [str(path), str(destination), *options]
    assert report.run(lambda: repair_wheel.main(arguments)) == report.Status.DONE
    (result,) = destination.iterdir()
    return result


def loading(path: Path, folder: Path) -> set[str]:
    """Return the layouts in which every library of a wheel loads."""
    found = loader.failures(read_wheel(path, folder))
    return {where.layout.name for where, failed in found.items() if not failed}


EVERY = {layout.name for layout in layouts.LAYOUTS}
# pip leaves libcufes out here, so that it cannot fail; the package is of no use without it.
LOST = {"pip --target"}
# auditwheel's own entry is right in the archive, which is what uv's cache has.
UNPACKED = {"uv, links followed"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_published_wheel_loads_everywhere_once_repaired(
    tmp_path: Path, published: dict[tuple[str, str], Path], version: str, python: str
) -> None:
    path = published[version, python]
    assert loading(path, tmp_path / "before") == TODAY | LOST | UNPACKED
    result = repaired(path, tmp_path / "out")
    assert result.name == path.name
    assert loading(result, tmp_path / "after") == EVERY
    assert repaired(result, tmp_path / "again").read_bytes() == result.read_bytes()
    listed = repaired(path, tmp_path / "listed", "--strategy", "rpath")
    assert loading(listed, tmp_path / "list") == EVERY - {
        "Bazel", "uv, links followed", "linked data"
    }  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_a_published_wheel_is_refused_before_and_its_libraries_are_found_after(
    tmp_path: Path,
    published: dict[tuple[str, str], Path],
    version: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = published[version, "3.10"]
    assert report.run(lambda: verify_wheel.main([str(path)])) == report.Status.FAULTY
    said = capsys.readouterr().err
    assert "fault needed-not-found" in said
    assert "libcudart-80664282.so.10.2.89" in said
    assert "fault rpath-escapes" in said
    result = repaired(path, tmp_path / "out")
    report.run(lambda: verify_wheel.main([str(result)]))
    said = capsys.readouterr().err
    assert "fault needed-not-found" not in said
    assert "fault rpath-escapes" not in said


@pytest.mark.parametrize("version", VERSIONS)
def test_the_hijack_of_a_published_wheel_is_gone(
    tmp_path: Path, published: dict[tuple[str, str], Path], version: str
) -> None:
    path = published[version, "3.10"]
    (libs,) = {name.partition("/")[0] for name in members(path) if ".libs/" in name}
    (cudart,) = (Path(name).name for name in members(path) if "/libcudart-" in name)
    own = next(name for name in members(path) if name.endswith("/libcufes.so"))
    # Anyone's library of this name would do; this one has the symbols.
    planted = toolkit(tmp_path / libs, {cudart: members(path)[f"{libs}/{cudart}"]}) / cudart
    # A layout that the published list does not know, so that the loader goes on to its last entry.
    (where,) = (w for w in layouts.installations(["3.10"], "cyfes") if w.layout.name == "lib64")
    before = load(install(path, tmp_path / "a" / "venv", where)[own])
    assert str(planted) in map(os.path.normpath, before)
    after = load(install(repaired(path, tmp_path / "out"), tmp_path / "b" / "venv", where)[own])
    assert any(line.lower().endswith(f"/.cyfes.libs/{cudart}") for line in after)
    assert str(planted) not in map(os.path.normpath, after)


# -------------------------------------------------------------------- samples of other repair tools

SOURCES = ("auditwheel==6.8.2", "repairwheel==0.8.0")

# Wheels of auditwheel's tests that are faulty in themselves are refused; none may crash a tool.
VERDICTS = (report.Status.DONE, report.Status.FAULTY)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Unpack the wheels that the source distributions of other repair tools test with."""
    folder = tmp_path_factory.mktemp("samples")
    pip("--no-binary=:all:", "--dest", str(folder), *SOURCES)
    for archive in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
    return sorted(folder.rglob("*.whl"))


def test_sample_wheels_of_other_tools_are_repaired_or_refused(
    tmp_path: Path, samples: list[Path]
) -> None:
    assert len(samples) > 25
    verdicts = {}
    for number, path in enumerate(samples):
        out = tmp_path / str(number)
        arguments = [str(path), str(out), "--report", str(tmp_path / f"{number}.json")]
        status = report.run(functools.partial(repair_wheel.main, arguments))
        verdicts[path.name] = status
        assert status in VERDICTS, path.name
        assert len(list(out.iterdir()) if out.exists() else []) == (status == report.Status.DONE)
        if status == report.Status.DONE:
            (result,) = out.iterdir()
            lost = failing(result, tmp_path / f"{number}-after") - failing(
                path, tmp_path / f"{number}-before"
            )
            assert lost == set(), path.name
    assert report.Status.DONE in verdicts.values()


def failing(path: Path, folder: Path) -> set[str]:
    """Return the libraries of a wheel that do not load in a virtual environment."""
    found = loader.failures(read_wheel(path, folder))
    return {
        member
        for where, failed in found.items()
        if where.layout is layouts.VENV
        for member, _ in failed
    }
