"""Large ELF files are patched without their bulk, with the result that they would have with it."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_wheels import LINUX, library, members, toolkit, wheel
from wheelkit.base import pinned_tools
from wheelkit.cli import repair as repair_wheel
from wheelkit.repair import folding
from wheelkit.repair.patch import Patcher
from wheelkit.target import report
from wheelkit.wheel import elf, integrity

# In the middle of the file, at its end, and in two parts; each with something to read behind it.
DATA = '__attribute__((section("{name}"), used)) const char {part}[{size}] = {{1, [{last}] = 42}};'
READ = "int last(void) {{ return {part}[{last}]; }}"
MEGABYTE = 1 << 20


def bulk(*parts: tuple[str, int]) -> str:
    """Return C code with large data in sections of these names and sizes."""
    values = [
        {"name": name, "part": f"part{number}", "size": size, "last": size - 1}
        for number, (name, size) in enumerate(parts)
    ]
    return "\n".join([DATA.format(**one) for one in values] + [READ.format(**values[-1])])


LAYOUTS = {
    "read-only": bulk((".nv_fatbin", 3 * MEGABYTE)),
    "two": bulk((".first", 2 * MEGABYTE), (".second", 3 * MEGABYTE)),
    "writable": bulk(('.writable,\\"aw\\"#', 3 * MEGABYTE)),
}
LONG = "$ORIGIN/" + "x" * 300


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files of some megabytes for large ones."""
    monkeypatch.setattr(folding, "LARGE_FILE", MEGABYTE)
    monkeypatch.setattr(folding, "LARGE_SECTION", MEGABYTE)
    monkeypatch.setattr(folding, "GRAIN", 1 << 12)
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT"):
        monkeypatch.delenv(name, raising=False)


def made(folder: Path, layout: str, *needed: str, rpath: str | None = None) -> Path:
    path = folder / "libbulk.so"
    path.write_bytes(library("libbulk.so", *needed, rpath=rpath, code=LAYOUTS[layout]))
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_folded_comes_back_to_the_byte(tmp_path: Path, layout: str) -> None:
    path, patched = made(tmp_path, layout), tmp_path / "folded"
    holes = folding.holes(path)
    assert len(holes) == (2 if layout == "two" else 1)
    folding.fold(path, patched, holes)
    assert patched.stat().st_size < MEGABYTE
    assert elf.read(patched) == elf.read(path)
    folding.unfold(patched, path, holes)
    assert patched.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rpath", ["$ORIGIN", LONG])
def test_a_patch_is_the_same_with_and_without_the_bulk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, rpath: str
) -> None:
    results = []
    for size in (MEGABYTE, 1 << 40):
        monkeypatch.setattr(folding, "LARGE_FILE", size)
        folder = tmp_path / str(size)
        folder.mkdir()
        path = made(folder, layout, rpath="$ORIGIN/../lib")
        given = path.read_bytes()
        patcher = Patcher(folder)
        patcher.set_rpath(path.name, (rpath,))
        patcher.apply()
        (tmp_path / "given").write_bytes(given)
        assert list(integrity.damage(tmp_path / "given", path, path.name)) == []
        assert ctypes.CDLL(str(path)).last() == 42
        found = elf.read(path)
        assert found is not None
        assert found.search_path == (rpath,)
        results.append(without_old_table(path.read_bytes(), given))
    assert results[0] == results[1]


def without_old_table(content: bytes, given: bytes) -> bytes:
    """Return a patched file without what is left of a table of sections that has moved."""
    (before,), (after,) = (struct.unpack_from("<Q", data, 40) for data in (given, content))
    size = 64 * struct.unpack_from("<H", given, 60)[0]
    return content if before == after else content[:before] + content[before + size :]


def test_auditwheel_sees_the_folded_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = toolkit(tmp_path / "tools", {"libgraft.so.1": library("libgraft.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    own = library("libbulk.so", "libgraft.so.1", code=LAYOUTS["two"])
    files = {"tiny/__init__.py": b"", "tiny/libbulk.so": own}
    path = wheel(tmp_path / "in", files, tag=LINUX)
    auditwheel, seen = pinned_tools.auditwheel, []

    def watched(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        seen.append(len(members(Path(arguments[-1]))["tiny/libbulk.so"]))
        return auditwheel(*arguments, folder=folder)

    monkeypatch.setattr(pinned_tools, "auditwheel", watched)
    out, installed = tmp_path / "out", tmp_path / "installed"
    assert report.run(lambda: repair_wheel.main([str(path), str(out)])) == report.Status.DONE
    assert seen[0] < MEGABYTE < len(own)
    (result,) = out.iterdir()
    with zipfile.ZipFile(result) as archive:
        archive.extractall(installed)
    repaired, given = installed / "tiny" / "libbulk.so", tmp_path / "given"
    given.write_bytes(own)
    assert list(integrity.damage(given, repaired, "libbulk.so")) == []
    found = elf.read(repaired)
    assert found is not None
    assert found.search_path == ("$ORIGIN/../tiny.libs",)
    assert any(name.startswith("libgraft-") for name in found.needed)
    assert ctypes.CDLL(str(repaired)).last() == 42


@pytest.mark.parametrize("start", ["", "\\x7fELF"])
def test_what_is_no_elf_file_is_not_folded(tmp_path: Path, start: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(start.encode() + bytes(2 * MEGABYTE))
    assert folding.holes(path) == ()


def test_a_small_file_is_not_folded(tmp_path: Path) -> None:
    path = tmp_path / "libsmall.so"
    path.write_bytes(library("libsmall.so"))
    assert folding.holes(path) == ()


@pytest.mark.slow
def test_memory_does_not_grow_with_a_library(tmp_path: Path) -> None:
    code = bulk((".nv_fatbin", 200 * MEGABYTE))
    tools = toolkit(tmp_path / "tools", {"libgraft.so.1": library("libgraft.so.1")})
    files = {"tiny/libbulk.so": library("libbulk.so", "libgraft.so.1", code=code)}
    path = wheel(tmp_path / "in", files, tag=LINUX)
    measure = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    # A process in between, so that neither pytest's size nor that of its children counts.
    repair = [sys.executable, "-m", "wheelkit", "repair", str(path), str(tmp_path / "out")]
    command = [sys.executable, "-c", measure, *repair]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tools)}
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    status, kibibytes = map(int, answer.stdout.split())
    assert status == report.Status.DONE
    assert kibibytes < 150 * 1024
