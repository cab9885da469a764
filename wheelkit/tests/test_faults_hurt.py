"""What is called a fault really goes wrong, with the loader, Python and pip of this machine.

Each input here is one that wheelkit verify finds a fault in; beside it is one that nearly is, and
works.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tiny_wheels import (
    LOAD,
    MACHINE,
    MANYLINUX,
    extension,
    for_arm,
    library,
    load,
    versioned,
    wanting,
    wheel,
    wheel_metadata,
    with_moved_segment,
    without_dynamic,
)

# Python itself, and a version that this one is not.
HERE, OTHER = f"{sys.version_info[0]}{sys.version_info[1]}", "37"
# A function that CPython has had since 3.2, and one that none has.
KNOWN, UNKNOWN = "PyLong_FromLong", "PyLong_FromNowhere"


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def said(path: Path) -> str:
    """Load a library; return what the loader says, empty if it loads."""
    text = load(path)[0]
    return text if len(load(path)) == 1 else ""


def imported(folder: Path, module: str) -> str:
    """Import a module; return the last line that Python says, empty if it can be imported."""
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path[:0] = [{str(folder)!r}]; {module}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_a_library_without_a_dynamic_section(tmp_path: Path) -> None:
    plain = library("tiny.so")
    assert said(put(tmp_path, "plain.so", plain)) == ""
    assert "no dynamic section" in said(put(tmp_path, "object.so", without_dynamic(plain)))


def test_a_module_that_is_named_for_another_system(tmp_path: Path) -> None:
    module = extension("far")
    for number, system in enumerate(("powerpc64le-linux-gnu", f"{MACHINE}-linux-musl")):
        folder = tmp_path / str(number)
        put(folder, f"far.cpython-{HERE}-{system}.so", module)
        assert "No module named 'far'" in imported(folder, "import far")


def test_a_misaligned_segment(tmp_path: Path) -> None:
    plain = library("tiny.so")
    assert said(put(tmp_path, "plain.so", plain)) == ""
    assert "aligned" in said(put(tmp_path, "moved.so", with_moved_segment(plain)))


def test_versions_of_a_library_that_is_not_needed(tmp_path: Path) -> None:
    name = "libtinyv.so.1"
    put(tmp_path, name, library(name, code="int tiny_v(void) { return 1; }"))
    right = put(tmp_path, "right.so", versioned(name, True))
    wrong = put(tmp_path, "wrong.so", versioned(name, False))
    ends = [
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", LOAD, str(path)], capture_output=True, check=False
        )
        for path in (right, wrong)
    ]
    assert b"no version information" in ends[0].stderr or ends[0].returncode == 0
    assert ends[1].returncode != 0
    assert b"ld.so" in ends[1].stderr or b"undefined symbol" in ends[1].stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid 1\n", "invalid ELF header|too short"),
        (b"", "file too short"),
        (for_arm(extension("_tiny")), "wrong ELF class|cannot open shared object file|machine"),
    ],
    ids=["Git LFS", "empty", "another machine"],
)
def test_a_module_that_is_no_library_of_this_machine(
    tmp_path: Path, content: bytes, message: str
) -> None:
    put(tmp_path, "_tiny.so", content)
    assert re.search(message, imported(tmp_path, "import _tiny"))


def test_a_module_for_another_python(tmp_path: Path) -> None:
    suffix = f"{MACHINE}-linux-gnu.so"
    for version in (HERE, OTHER):
        put(tmp_path / version, f"_tiny.cpython-{version}-{suffix}", extension("_tiny"))
    find = "import importlib.util; assert importlib.util.find_spec('_tiny'), 'not found'"
    assert imported(tmp_path / HERE, find) == ""
    assert "not found" in imported(tmp_path / OTHER, find)


def test_a_function_that_this_python_lacks(tmp_path: Path) -> None:
    loads = "import ctypes; ctypes.CDLL('{}', mode=2)"
    for name, message in ((KNOWN, ""), (UNKNOWN, f"undefined symbol: {UNKNOWN}")):
        path = put(tmp_path, f"{name}.abi3.so", wanting(name))
        assert message in imported(tmp_path, loads.format(path))
        assert bool(message) == bool(imported(tmp_path, loads.format(path)))


@pytest.mark.skipif(MACHINE != "x86_64", reason="only processors of this kind have such marks")
def test_a_mark_for_newer_processors(tmp_path: Path) -> None:
    marked = library("tiny.so", flags=("-Wl,-z,x86-64-v2",))
    assert said(put(tmp_path, "right.so", marked)) == ""
    # The bit of a level that no processor has, in place of that of level 2.
    note, level_2, level_9 = b"\x02\x80\x00\xc0\x04\0\0\0", b"\x02\0\0\0", b"\0\x01\0\0"
    assert note + level_2 in marked
    newer = marked.replace(note + level_2, note + level_9)
    assert "CPU ISA level is lower than required" in said(put(tmp_path, "wrong.so", newer))


def test_a_version_of_symbols_that_this_system_lacks(tmp_path: Path) -> None:
    data = library(
        "tiny.so", code="#include <string.h>\nvoid *c(void *p) { return memcpy(p, p, 9); }"
    )
    assert said(put(tmp_path, "right.so", data)) == ""
    (version,) = set(re.findall(rb"GLIBC_2\.\d+(?:\.\d+)?", data)[:1])
    # The loader compares the name, and its hash first.
    newer = _renamed(data, version, version[:-1] + b"z")
    assert "not found" in said(put(tmp_path, "wrong.so", newer))


def _renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Rename a version of symbols: its name in .dynstr and the hash in .gnu.version_r."""
    return data.replace(old + b"\0", new + b"\0").replace(
        _hash(old).to_bytes(4, "little"), _hash(new).to_bytes(4, "little")
    )


def _hash(name: bytes) -> int:
    """Return the hash of a name by the System V ABI."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value


# The three kinds of entry by which others decide what is loaded: one directory each.
PLANTED = {
    "the working directory": ("", "."),
    "a relative directory": ("lib", "lib"),
    "a directory for everybody": ("{folder}/everybody", "everybody"),
    "a directory above the prefix": ("$ORIGIN/../..", "."),
}


@pytest.mark.parametrize(("entry", "where"), PLANTED.values(), ids=PLANTED.keys())
def test_a_library_that_others_plant_is_loaded(tmp_path: Path, entry: str, where: str) -> None:
    # The C library brings this one, in a place that comes after the rpath, and no interpreter has
    # loaded it before.
    name = "libanl.so.1"
    rpath = f"$ORIGIN/nowhere:{entry.format(folder=tmp_path)}"
    victim = put(tmp_path / "a" / "b", "tiny.so", library("tiny.so", name, rpath=rpath))
    (tmp_path / where).mkdir(exist_ok=True)
    planted = put(tmp_path / where, name, library(name)).resolve()
    command = [sys.executable, "-I", "-S", "-c", LOAD, str(victim)]
    done = subprocess.run(
        command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    mapped = {os.path.realpath(tmp_path / line) for line in done.stdout.splitlines()}
    assert str(planted) in mapped


def test_what_the_process_has_loaded_first_cannot_be_planted(tmp_path: Path) -> None:
    victim = put(tmp_path, "tiny.so", library("tiny.so", rpath="$ORIGIN"))
    planted = put(tmp_path, "libc.so.6", library("libc.so.6"))
    assert str(planted) not in load(victim)
    assert said(victim) == ""


@pytest.mark.parametrize(
    ("stated", "status"), [(MANYLINUX, 0), (MANYLINUX.replace("py3-none", "cp37-cp37m"), 1)]
)
def test_pip_goes_by_the_tags_of_wheel(tmp_path: Path, stated: str, status: int) -> None:
    path = wheel(
        tmp_path / "in", {"tiny/__init__.py": b""}, metadata={"WHEEL": wheel_metadata(stated)}
    )
    venv.create(tmp_path / "venv", symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    command = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    checked = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == status
    assert ("tiny 1.0 is not supported" in checked.stdout) == bool(status)
