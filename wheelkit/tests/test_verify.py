"""scripts/verify_wheel.py: each check finds the wheel that is wrong in its way, and only that."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tiny_wheels import (
    LINUX,
    MACHINE,
    MANYLINUX,
    NEW_SYMBOL,
    core_metadata,
    entry,
    extension,
    for_arm,
    library,
    static_program,
    toolkit,
    versioned,
    wanting,
    wheel,
    wheel_metadata,
    with_moved_segment,
    with_second_rpath,
    with_tag,
    without_dynamic,
)
from wheelkit.base import pinned_tools
from wheelkit.base.cpythons import CPYTHONS, FREE_THREADED
from wheelkit.checks import catalogue
from wheelkit.checks.sbom import NAME as SBOM_NAME
from wheelkit.cli import repair as repair_wheel
from wheelkit.cli import verify as verify_wheel
from wheelkit.install import installers, pythons, trial
from wheelkit.install.installers import WAYS, Site, Way
from wheelkit.target import load_library, report
from wheelkit.target.report import LackingError
from wheelkit.wheel import layouts
from wheelkit.wheel.reading import read_wheel
from wheelkit.wheel.settings import Settings

# Not the name of the package: `pip install --target` would lose it.
DATA = "tiny-1.0.data/data/tinylib"
RT = "libtinyrt-0badcafe.so.1"
GRAFT = library(RT)
GOOD = {
    "tiny/__init__.py": b"",
    "tiny/_tiny.so": extension("_tiny", RT, rpath="$ORIGIN/../tiny.libs"),
    f"tiny.libs/{RT}": GRAFT,
    f"{DATA}/libtiny.so": library("libtiny.so", RT, rpath="$ORIGIN/.libs"),
    f"{DATA}/.libs/{RT}": GRAFT,
}
NEWEST = f"py3-none-manylinux_2_41_{MACHINE}"


def verify(path: Path, *options: str) -> int:
    return report.run(lambda: verify_wheel.main([str(path), *options]))


def faults(path: Path, *options: str) -> list[dict[str, Any]]:
    """Verify a wheel; return the faults of the report."""
    file = path.parent / "report.json"
    status = verify(path, "--report", str(file), *options)
    result = json.loads(file.read_text())
    assert result["ok"] is (status == report.Status.DONE)
    found: list[dict[str, Any]] = result["faults"]
    counting = [fault for fault in found if fault["severity"] == "fault"]
    assert status == (report.Status.FAULTY if counting else report.Status.DONE)
    return found


def ids(path: Path, *options: str) -> list[str]:
    return [fault["id"] for fault in faults(path, *options)]


CHECKS = catalogue.checks(Settings(), None)
# These run tools of others, which takes most of the time of a verification.
SLOW = ("check-wheel-contents", "twine check")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Leave the slow checks out, but for the one that is to find a certain fault."""
    checks = catalogue.checks

    def choose(expected: str = "") -> None:
        monkeypatch.setattr(
            catalogue,
            "checks",
            lambda *given: tuple(
                c for c in checks(*given) if c.title not in SLOW or expected in c.ids
            ),
        )

    return choose


def with_library(name: str, data: bytes) -> Callable[[Path], Path]:
    return lambda folder: wheel(folder, {**GOOD, name: data})


def with_metadata(tag: str = MANYLINUX, **texts: bytes) -> Callable[[Path], Path]:
    return lambda folder: wheel(folder, GOOD, tag=tag, metadata=texts)


def with_bill(text: bytes) -> Callable[[Path], Path]:
    """Return the builder of a wheel with a bill of materials; it has a graft to be listed."""
    return lambda folder: wheel(folder, GOOD, metadata={SBOM_NAME: text})


def with_settings(lines: str) -> Callable[[Path], Path]:
    """Return the builder of a wheel whose project declares something; it has a graft."""

    def build(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(f"[tool.wheelkit]\n{lines}\n")
        return wheel(folder, GOOD)

    return build


def named(name: str) -> Callable[[Path], Path]:
    return lambda folder: wheel(folder, GOOD).rename(folder / name)


def rpath(entries: str, *needed: str) -> Callable[[Path], Path]:
    """Return the builder of a wheel whose data library has other rpath entries."""
    return with_library(f"{DATA}/libtiny.so", library("libtiny.so", *needed, rpath=entries))


def with_mode(member: str, mode: int, content: bytes = b"text\n") -> Callable[[Path], Path]:
    """Return the builder of a wheel in which a member has another mode."""

    def build(folder: Path) -> Path:
        files = {**GOOD, member: content}
        plain, path = wheel(folder / "plain", files), folder / f"tiny-1.0-{MANYLINUX}.whl"
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
            for info in source.infolist():
                data = source.read(info)
                if info.filename == member:
                    info.external_attr = mode << 16
                target.writestr(info, data)
        return path

    return build


def with_companion(
    version: str | None, requires: str, rpath: str | None = "$ORIGIN/../far/lib"
) -> Callable[[Path], Path]:
    """Return the builder of a wheel that needs libfar.so.1, and of far 1.0 beside it, if any."""

    def build(folder: Path) -> Path:
        if version is not None:
            soname = f"libfar.so.{version[0]}"
            far = {f"far/lib/{soname}": library(soname)}
            wheel(folder / "companions", far, name=f"far-{version}")
        (folder / "companions").mkdir(exist_ok=True)
        needing = library("needing.so", "libfar.so.1", rpath=rpath)
        more = f"Requires-Python: >=3.7\n{requires}"
        texts = {"METADATA": core_metadata(more=more)}
        return wheel(folder, {**GOOD, "tiny/needing.so": needing}, metadata=texts)

    return build


def with_rows(change: Callable[[list[Any]], Any]) -> Callable[[Path], Path]:
    """Return the builder of a wheel with other rows in RECORD."""
    return lambda folder: wheel(folder, GOOD, record=change)


def changed(column: int, value: str) -> Callable[[Path], Path]:
    """Return the builder of a wheel whose first row in RECORD has another value."""
    return with_rows(lambda rows: [(*rows[0][:column], value, *rows[0][column + 1 :]), *rows[1:]])


def with_files(**options: Any) -> Callable[[Path], Path]:
    files = {**GOOD, **options.pop("files", {})}
    return lambda folder: wheel(folder, files, **options)


def no_archive(folder: Path) -> Path:
    path = folder / f"tiny-1.0-{MANYLINUX}.whl"
    path.write_text("PK, and no more")
    return path


def with_surplus(folder: Path) -> Path:
    path = wheel(folder, GOOD)
    path.write_bytes(path.read_bytes() + b"more")
    return path


def with_broken_data(folder: Path) -> Path:
    path = wheel(folder, {**GOOD, "tiny/stored.txt": b"as it was"})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("tiny/stored.txt")
        start = info.header_offset + 30 + len(info.filename)
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(4) + data[start + 4 :])
    return path


def cubin(arch: int, abi: int = 51) -> bytes:
    """Return the header of a cubin as CUDA 12 writes it; 65 is the ABI of newer ones."""
    flags = arch | arch << 16 | 0x500 if abi == 51 else 0x6000002 | arch << 8
    ident = b"\x7fELF\x02\x01\x01" + bytes([abi, 7]) + bytes(7)
    return ident + struct.pack("<HHIQQQIHHHHHH", 2, 190, 1, 0, 0, 0, flags, 64, 0, 0, 0, 0, 0)


def ptx(arch: int) -> bytes:
    return f"// Generated\n\n.version 8.8\n.target sm_{arch}\n.address_size 64\n\0".encode()


def with_code(*images: bytes) -> Callable[[Path], Path]:
    """Return the builder of a wheel whose extension has device code."""
    data = extension("_tiny", RT, rpath="$ORIGIN/../tiny.libs") + b"".join(images)
    return with_library("tiny/_tiny.so", data)


class Wrong(NamedTuple):
    """A wheel with one finding, and the options with which it is one; {folder} is the wheel's."""

    expected: str
    build: Callable[[Path], Path]
    options: tuple[str, ...] = ()
    # Findings that cannot but come along.
    also: frozenset[str] = frozenset()
    severity: str = "fault"


def harmless(
    expected: str,
    build: Callable[[Path], Path],
    options: tuple[str, ...] = (),
    also: frozenset[str] = frozenset(),
) -> Wrong:
    """Return a wheel with one finding that is a warning."""
    return Wrong(expected, build, options, also, "warning")


def also(*others: str) -> frozenset[str]:
    return frozenset(others)


def contents(code: str, build: Callable[[Path], Path], *others: str) -> Wrong:
    """Return a wheel in which check-wheel-contents finds something."""
    settings = ("--settings", "{folder}/pyproject.toml")
    options = settings if int(code[1:]) > 100 else ()
    return harmless(f"wheel-contents-{code}", build, options, also(*others))


def configured(table: str) -> Callable[[Path], Path]:
    """Return the builder of a wheel whose project configures check-wheel-contents."""

    def build(folder: Path) -> Path:
        source = folder / "src" / "tiny"
        source.mkdir(parents=True)
        (source / "more.py").touch()
        tables = f"[tool.wheelkit]\n[tool.check-wheel-contents]\nselect = ['W1', 'W2']\n{table}\n"
        (folder / "pyproject.toml").write_text(tables)
        return wheel(folder, GOOD)

    return build


def for_level(number: int) -> Callable[[Path], Path]:
    """Return the builder of a wheel with a library that is marked to need x86-64-vN."""
    flag = f"-Wl,-z,x86-64-v{number}"
    return with_library("tiny/level.so", library("level.so", flags=(flag,)))


def named_for(version: str) -> str:
    return f"tiny/_named.cpython-{version}-{MACHINE}-linux-gnu.so"


# The same module as others are named for, and not the same bytes.
NAMED = extension("_named") + b"\0"


def named_for_all(but: str) -> dict[str, bytes]:
    """Return a module for each Python but one."""
    pythons = [python for python in (*CPYTHONS, *FREE_THREADED) if python != but]
    numbers = [python.replace(".", "") for python in pythons]
    return {named_for(number): NAMED + number.encode() for number in numbers}


CP311 = MANYLINUX.replace("py3-none", "cp311-cp311")
# A machine that this one is not, as the names of modules have it.
FAR = "powerpc64le"
ABI3 = MANYLINUX.replace("py3-none", "cp38-abi3")
# A linker refuses to write a path as a NEEDED; a file name of the same length is replaced by it.
SLASHED, DASHED = b"/build/lib/libpathy.so", b"_build_lib_libpathy.so"

TARGETS = ("--sass", "80,90", "--ptx", "90")
BOTH = (cubin(80), cubin(90, abi=65), ptx(90))
CORE = core_metadata(version="2.0")
FROM_FOLDER = ("--companions", "{folder}/companions")
WRONG: dict[str, Wrong] = {
    # ------------------------------------------------------------------- other distributions
    "a companion that no rpath leads to": Wrong(
        "companion-not-reached",
        with_companion("1.0", "Requires-Dist: far", rpath=None),
        FROM_FOLDER,
    ),
    "a companion without the library": Wrong(
        "companion-without-library", with_companion("2.0", "Requires-Dist: far"), FROM_FOLDER
    ),
    "a companion that is not required": Wrong(
        "companion-not-required",
        with_companion("1.0", "Requires-Dist: near"),
        (*FROM_FOLDER, "--companion", "far"),
        also("companion-not-reached"),
    ),
    "a companion of a version that is not required": Wrong(
        "companion-unfit",
        with_companion("1.0", "Requires-Dist: far>1"),
        (*FROM_FOLDER, "--companion", f"far={{folder}}/companions/far-1.0-{MANYLINUX}.whl"),
        also("companion-not-reached"),
    ),
    "a companion that is not there": harmless(
        "companion-not-proven", with_companion(None, "Requires-Dist: far"), FROM_FOLDER
    ),
    "an exclusion of nothing": harmless(
        "exclude-unmatched", with_files(), ("--exclude", "libother.so.*")
    ),
    # ---------------------------------------------------------------------------- opening it
    "not a wheel's name": Wrong("wheel-filename", named("tiny.whl")),
    "no archive": Wrong("not-a-zip", no_archive),
    "bytes after the archive": Wrong("surplus-bytes", with_surplus),
    "a member that leaves the archive": Wrong(
        "unsafe-name", with_files(unlisted=[(entry("../x"), b"")])
    ),
    "a member that is a file and a directory": Wrong(
        "duplicate-name", with_files(unlisted=[(entry("tiny/__init__.py/x"), b"")])
    ),
    "a setuid member": Wrong(
        "special-member", with_files(unlisted=[(entry("tiny/run", 0o104755), b"")])
    ),
    "a damaged member": Wrong("unreadable-member", with_broken_data),
    "two .dist-info directories": Wrong(
        "dist-info", with_files(files={"other-1.0.dist-info/METADATA": b""})
    ),
    "no scheme": Wrong("unknown-scheme", with_files(files={"tiny-1.0.data/bin/x": b""})),
    # -------------------------------------------------------------------------- the archive
    "a RECORD that is no text": Wrong(
        "record-malformed", with_metadata(RECORD=b"\xff\xfe,,\n"), also=also("record-missing")
    ),
    "a row above the archive": Wrong(
        "record-unsafe-path", with_rows(lambda rows: [*rows, ("../x", "", "")])
    ),
    "a row without a file": Wrong(
        "record-extra", with_rows(lambda rows: [*rows, ("tiny/x", "", "")])
    ),
    "a row twice": Wrong("record-duplicate", with_rows(lambda rows: [rows[0], *rows])),
    "a file without a row": Wrong("record-missing", with_rows(lambda rows: rows[1:])),
    "another hash": Wrong("record-hash", changed(1, "sha256=AAAA")),
    "another size": Wrong("record-size", changed(2, "7")),
    "names that differ in case": harmless(
        "name-collision", with_files(files={"tiny/Data.txt": b"1", "tiny/data.txt": b"2"})
    ),
    "names that differ in their Unicode form": harmless(
        "name-collision", with_files(files={"tiny/\u00e9": b"1", "tiny/e\u0301": b"2"})
    ),
    "two members for one place": Wrong(
        "place-collision",
        with_files(files={"tiny/x.txt": b"1", "tiny-1.0.data/platlib/tiny/x.txt": b"2"}),
    ),
    "a program that cannot be run": Wrong(
        "not-executable", with_mode("tiny-1.0.data/scripts/run", 0o100644, b"#!/bin/sh\n")
    ),
    "more than declared": Wrong("too-large", with_files(), ("--max-size", "100")),
    # ------------------------------------------------------------------------- the metadata
    "tags that differ": Wrong("tag-mismatch", with_metadata(WHEEL=wheel_metadata(NEWEST))),
    "the tag of before the repair": harmless(
        "tag-mismatch", with_metadata(WHEEL=wheel_metadata(LINUX))
    ),
    "the tag of another Python": Wrong(
        "tag-mismatch",
        with_metadata(WHEEL=wheel_metadata(MANYLINUX.replace("py3-none", "cp39-cp39"))),
    ),
    "a build tag in WHEEL alone": harmless(
        "tag-mismatch", with_metadata(WHEEL=wheel_metadata(MANYLINUX, more="Build: 7\n"))
    ),
    "a line that is no tag": Wrong(
        "tag-mismatch", with_metadata(WHEEL=wheel_metadata(MANYLINUX, more="Tag: nonsense\n"))
    ),
    "another wheel version": Wrong(
        "wheel-version",
        with_metadata(WHEEL=wheel_metadata(MANYLINUX).replace(b"1.0", b"2.0", 1)),
    ),
    "another version in METADATA": Wrong("name-mismatch", with_metadata(METADATA=CORE)),
    "a dependency that is none": Wrong(
        "metadata-invalid",
        with_metadata(METADATA=core_metadata(more="Requires-Python: >=3.7\nRequires-Dist: ??")),
    ),
    "a bill of materials that is none": Wrong("sbom-unreadable", with_bill(b"{")),
    "a graft that the bill of materials leaves out": Wrong(
        "sbom-untrue", with_bill(b'{"components": []}')
    ),
    "no Requires-Python": harmless(
        "requires-python", with_metadata(METADATA=core_metadata(more="Keywords: tiny"))
    ),
    "an interpreter that Requires-Python excludes": Wrong(
        "requires-python",
        with_metadata(
            MANYLINUX.replace("py3-none", "cp39-cp39"),
            METADATA=core_metadata(more="Requires-Python: >=3.10"),
        ),
    ),
    "a description that is not rendered": harmless(
        "twine-check",
        with_metadata(
            METADATA=core_metadata(
                more="Requires-Python: >=3.7\nDescription-Content-Type: text/x-rst\n\n`a\n===="
            )
        ),
    ),
    "a licence that METADATA spells wrongly": harmless(
        "metadata-invalid",
        with_metadata(
            METADATA=core_metadata(more="Requires-Python: >=3.7\nLicense-Expression: ???")
        ),
        also=also("twine-check"),
    ),
    # ------------------------------------------------------------------ check-wheel-contents
    "a compiled module": contents("W001", with_files(files={"tiny/a.pyc": b"1"})),
    "two equal files": contents(
        "W002", with_files(files={"tiny/a.txt": bytes(10_000), "tiny/b.txt": bytes(10_000)})
    ),
    "a text beside the packages": contents(
        "W003", with_files(files={"notes.txt": b"1"}), "wheel-contents-W009"
    ),
    "a module in a directory that is no name": contents(
        "W004", with_files(files={"tiny/a-b/c.py": b"1"})
    ),
    "tests as a package": contents(
        "W005", with_files(files={"tests/__init__.py": b""}), "wheel-contents-W009"
    ),
    "an __init__.py beside the packages": contents(
        "W006", with_files(files={"__init__.py": b""}), "wheel-contents-W009"
    ),
    "data alone": contents(
        "W007",
        lambda folder: wheel(folder, {"tiny-1.0.data/data/share/x": b""}),
        "platform-tag",
    ),
    "no file at all": contents(
        "W008", lambda folder: wheel(folder, {}), "platform-tag", "wheel-contents-W007"
    ),
    "two packages": contents("W009", with_files(files={"other/__init__.py": b"1"})),
    "a directory of texts beside the packages": contents(
        "W010", with_files(files={"texts/a.txt": b"1"}), "wheel-contents-W009"
    ),
    "a module that was left out": contents(
        "W101", configured("package = 'src/tiny'"), "wheel-contents-W102"
    ),
    "a module that has no source": contents(
        "W102", configured("package = 'src/tiny'"), "wheel-contents-W101"
    ),
    "a package that was left out": contents("W201", configured("toplevel = ['tiny', 'other']")),
    "a package that was not named": contents("W202", configured("toplevel = []")),
    "everything in the data directory": harmless(
        "wheel-contents-unread",
        lambda folder: wheel(
            folder,
            {
                "tiny-1.0.data/platlib/tiny/__init__.py": b"",
                "tiny-1.0.data/platlib/tiny/_tiny.so": extension("_tiny"),
            },
        ),
    ),
    # ---------------------------------------------------------------------------- ELF files
    "a truncated library": Wrong(
        "elf-unreadable", with_library("tiny/cut.so", GRAFT[:100]), also=also("platform-tag")
    ),
    "a pointer of Git LFS": Wrong(
        "library-is-no-elf",
        with_library("tiny/large.so", b"version https://git-lfs.github.com/spec/v1\noid 1\n"),
    ),
    "an object file named as a library": Wrong(
        "library-is-no-elf", with_library("tiny/object.so", without_dynamic(library("object.so")))
    ),
    "an empty library": Wrong("library-is-no-elf", with_library("tiny/libempty.so.1", b"")),
    "a library of macOS": harmless(
        "library-is-no-elf", with_library("tiny/mac.so", b"\xcf\xfa\xed\xfe" + bytes(60))
    ),
    "a library of WebAssembly": harmless(
        "library-is-no-elf", with_library("tiny/web.so", b"\0asm" + bytes(60))
    ),
    "a module for another machine": Wrong(
        "other-machine", with_library("tiny/_far.so", for_arm(extension("_far")))
    ),
    "a library for another machine, for a debugger": harmless(
        "other-machine", with_library("tiny/attach_arm.so", for_arm(library("attach.so")))
    ),
    "a segment that cannot be mapped": Wrong(
        "segment-misaligned", with_library("tiny/off.so", with_moved_segment(library("off.so")))
    ),
    "versions of a library that is not needed": Wrong(
        "version-without-needed", with_library("tiny/v.so", versioned("libtinyv.so.1", False))
    ),
    # ---------------------------------------------------------------------- for which Python
    "a module for another Python": Wrong(
        "extension-name",
        with_files(files={named_for("312"): extension("_named")}, tag=CP311),
    ),
    "a module that is named for another machine": Wrong(
        "extension-name",
        with_files(files={f"tiny/_n.cpython-311-{FAR}-linux-gnu.so": NAMED}, tag=CP311),
    ),
    "a module that is named for musl": Wrong(
        "extension-name",
        with_files(files={f"tiny/_n.cpython-311-{MACHINE}-linux-musl.so": NAMED}, tag=CP311),
    ),
    "a module for one Python in a wheel for the stable ABI": Wrong(
        "extension-name",
        with_files(files={named_for("311"): extension("_named")}, tag=ABI3),
    ),
    "modules for every Python but the experimental one": harmless(
        "extension-name", with_files(files=named_for_all("3.13t"))
    ),
    "modules for every Python but a free-threaded one": Wrong(
        "extension-name", with_files(files=named_for_all("3.14t"))
    ),
    "a function that the oldest Python lacks": Wrong(
        "abi3-too-new",
        with_files(
            files={"tiny/_a.abi3.so": wanting("PyErr_GetRaisedException", "PyLong_FromLong")},
            tag=ABI3,
        ),
    ),
    "a function that is not of the stable ABI": harmless(
        "abi3-not-stable",
        with_files(files={"tiny/_a.abi3.so": wanting("_PyLong_Sign")}, tag=ABI3),
    ),
    "machine code in purelib": harmless(
        "elf-in-purelib",
        with_files(files={"tiny-1.0.data/purelib/tiny/pure.so": library("pure.so")}),
    ),
    "an executable stack": Wrong(
        "executable-stack",
        with_library("tiny/stack.so", library("stack.so", flags=("-Wl,-z,execstack",))),
    ),
    "text relocations": harmless(
        "text-relocations", with_library("tiny/text.so", with_tag(library("text.so"), 22, 0))
    ),
    "a build path as a name": harmless(
        "path-as-name", with_library("tiny/named.so", library("/build/libnamed.so"))
    ),
    "a build path as a need": Wrong(
        "path-as-name",
        with_library(
            "tiny/pathy.so", library("pathy.so", DASHED.decode()).replace(DASHED, SLASHED)
        ),
        also=also("needed-not-in-wheel"),
    ),
    "a folder of the build machine": Wrong(
        "build-path",
        with_library("tiny/built.so", library("built.so", code='char *f = "/build/here/x.c";')),
        ("--build-paths", "/build/here/,/build/there/"),
    ),
    "both kinds of rpath": harmless(
        "rpath-and-runpath",
        with_library("tiny/both.so", with_second_rpath(library("both.so", rpath="$ORIGIN"))),
    ),
    "an empty entry": harmless("rpath-empty-entry", rpath("$ORIGIN/.libs:", RT)),
    "an empty entry where the loader looks for what the system has": Wrong(
        "rpath-empty-entry", rpath("$ORIGIN/.libs:", RT, "libz.so.1")
    ),
    "a folder for everybody where the loader looks for what the system has": Wrong(
        "rpath-absolute", rpath("$ORIGIN/.libs:/tmp/build/lib", RT, "libz.so.1")
    ),
    "a build path where the loader looks for what the system has": harmless(
        "rpath-absolute", rpath("$ORIGIN/.libs:/build/lib", RT, "libz.so.1")
    ),
    "a build path": harmless("rpath-absolute", rpath("$ORIGIN/.libs:/build/lib", RT)),
    "a path relative to the working directory": Wrong(
        "rpath-absolute", rpath("lib:$ORIGIN/.libs", RT, "libz.so.1")
    ),
    # --------------------------------------------------------------------------- the loader
    "an entry above the prefix": harmless(
        "rpath-escapes", rpath("$ORIGIN/.libs:$ORIGIN/../../tinylib", RT)
    ),
    "an entry above the prefix where the loader looks for what the system has": Wrong(
        "rpath-escapes", rpath("$ORIGIN/.libs:$ORIGIN/../../tinylib", RT, "libz.so.1")
    ),
    "an entry above the folder that the user chose, in --target alone": harmless(
        "rpath-escapes",
        with_library(
            "tiny/_tiny.so", library("_t.so", "libz.so.1", rpath="$ORIGIN:$ORIGIN/../../tinylib")
        ),
    ),
    "an entry to no directory of the wheel": harmless(
        "rpath-dangling", rpath("$ORIGIN/.libs:$ORIGIN/../nowhere", RT)
    ),
    "a graft that the rpath misses": Wrong("needed-not-found", rpath("$ORIGIN", RT)),
    "a graft that is found in some layouts": Wrong(
        "needed-not-found", rpath("$ORIGIN/../tiny.libs", RT)
    ),
    "a library that only its loader finds": Wrong(
        "needed-not-found",
        with_library("tiny.libs/libtinyother.so", library("libtinyother.so", RT)),
    ),
    "a graft for another machine": Wrong(
        "needed-not-found",
        with_library(f"{DATA}/.libs/{RT}", GRAFT[:18] + b"\xf3\x00" + GRAFT[20:]),
        also=also("other-machine"),
    ),
    "a library that is nowhere": Wrong(
        "needed-not-in-wheel", rpath("$ORIGIN/.libs", "libgone.so.3")
    ),
    "a directory of packages and data": Wrong(
        "lost-in-layout", with_files(files={"tiny-1.0.data/data/tiny/share.txt": b""})
    ),
    "a directory lib of the data scheme": Wrong(
        "lost-in-layout", with_files(files={"tiny-1.0.data/data/lib/share.txt": b""})
    ),
    # --------------------------------------------------------------------------- the grafts
    "the driver": Wrong(
        "driver-library-grafted",
        with_library("tiny.libs/libcuda-0badcafe.so.1", library("libcuda-0badcafe.so.1")),
    ),
    "a stub of the driver": Wrong(
        "driver-library-grafted",
        with_library("tiny.libs/stub.so", library("libnvidia-ml.so.1")),
    ),
    "two versions of the CUDA runtime": harmless(
        "graft-twice",
        with_files(
            files={
                "tiny.libs/libcudart-11111111.so.11": library("libcudart-11111111.so.11"),
                f"{DATA}/.libs/libcudart-22222222.so.12": library("libcudart-22222222.so.12"),
            }
        ),
    ),
    "a graft that was not declared": Wrong("graft-unexpected", with_files(), ("--grafts", "")),
    "a graft that is missing": Wrong(
        "graft-missing", with_files(), ("--grafts", "libtinyrt,libcudart")
    ),
    "a graft without a licence": harmless(
        "graft-license-missing",
        with_settings("grafts = ['libtinyrt']"),
        ("--settings", "{folder}/pyproject.toml"),
    ),
    # ---------------------------------------------------------------------- the device code
    "no device code": Wrong("no-device-code", with_files(), TARGETS),
    "no machine code for one": Wrong("sass-missing", with_code(BOTH[0], BOTH[2]), TARGETS),
    "machine code for one more": Wrong("sass-unexpected", with_code(*BOTH, cubin(75)), TARGETS),
    "no PTX": Wrong("ptx-missing", with_code(*BOTH[:2]), TARGETS),
    "PTX for one more": Wrong("ptx-unexpected", with_code(*BOTH, ptx(50)), TARGETS),
    "machine code in an unknown form": Wrong(
        "device-code-unknown", with_code(*BOTH, cubin(130, abi=66)), TARGETS
    ),
    # ----------------------------------------------------------------------------- the tag
    "an unrepaired wheel": Wrong("platform-tag", with_files(tag=LINUX)),
    "machine code in a wheel for any": Wrong("platform-tag", with_files(tag="py3-none-any")),
    "no machine code in a wheel for one": harmless(
        "platform-tag", lambda folder: wheel(folder, {"tiny.py": b""})
    ),
    "symbols newer than the tag": Wrong(
        "platform-tag", with_library("tiny/new.so", library("new.so", code=NEW_SYMBOL))
    ),
    "symbols newer than the tag beside the driver": Wrong(
        "platform-tag",
        with_library("tiny/new.so", library("new.so", "libcuda.so.1", code=NEW_SYMBOL)),
    ),
    "symbols newer than the tag beside an excluded library": Wrong(
        "platform-tag",
        with_library("tiny/new.so", library("new.so", "libfar.so.1", code=NEW_SYMBOL)),
        ("--exclude", "libfar.so.*"),
    ),
    "a private symbol of zlib": Wrong(
        "platform-tag", with_library("tiny/z.so", wanting("inflate_table", needed=("libz.so.1",)))
    ),
    "musl in a wheel for glibc": Wrong(
        "platform-tag",
        with_library("tiny/musl.so", library("musl.so", f"libc.musl-{MACHINE}.so.1")),
    ),
    "a wheel for Windows": Wrong("platform-tag", with_files(tag="py3-none-win_amd64")),
    "a wheel for macOS, with its library": Wrong(
        "platform-tag",
        with_files(
            files={"tiny/mac.so": b"\xca\xfe\xba\xbe" + bytes(60)},
            tag="py3-none-macosx_11_0_universal2",
        ),
    ),
}
if MACHINE == "x86_64":
    WRONG["code for newer processors"] = Wrong("isa-level", for_level(3))
    WRONG["code for all but the oldest processors"] = harmless("isa-level", for_level(2))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_wheel_is_found_out(
    tmp_path: Path, quick: Callable[[str], None], wrong: Wrong
) -> None:
    quick(wrong.expected)
    path = wrong.build(tmp_path)
    found = faults(path, *(option.format(folder=tmp_path) for option in wrong.options))
    severities = {fault["severity"] for fault in found if fault["id"] == wrong.expected}
    assert severities == {wrong.severity}
    # With a table of the project, each graft needs a licence, which these wheels do not have.
    licence = {"graft-license-missing"} if "--settings" in wrong.options else set()
    assert {fault["id"] for fault in found} - {wrong.expected} <= wrong.also | licence


def test_every_check_has_a_wheel_that_is_wrong_in_its_way() -> None:
    provoked = {wrong.expected for wrong in WRONG.values()}
    declared = {i for check in CHECKS for i in check.ids}
    # Only processors of this kind have such marks.
    declared -= set() if MACHINE == "x86_64" else {"isa-level"}
    assert provoked == declared | set(catalogue.OPENING_IDS)
    assert len({check.title for check in CHECKS}) == len(CHECKS)


MUTANTS = [
    *(check.title for check in CHECKS),
    *(fault_id for check in CHECKS if len(check.ids) > 1 for fault_id in check.ids),
]


@pytest.mark.slow
@pytest.mark.parametrize("gone", MUTANTS)
def test_without_a_check_its_wrong_wheels_go_undetected(tmp_path: Path, gone: str) -> None:
    tests = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-p", "without_check", "-p", "no:cacheprovider"]
    answer = subprocess.run(
        [*command, "-q", f"--basetemp={tmp_path}", __file__],
        env={**os.environ, "WITHOUT": gone, "PYTHONPATH": str(tests)},
        cwd=tests.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    last = answer.stdout.splitlines()[-1]
    assert re.search(r"\d+ failed", last), answer.stdout + answer.stderr
    assert "passed" not in last
    assert "error" not in last


def ignoring_contents(folder: Path) -> Path:
    table = "[tool.wheelkit]\n[tool.check-wheel-contents]\nignore = ['W009']\n"
    folder.joinpath("pyproject.toml").write_text(table)
    return wheel(folder, {**GOOD, "other/__init__.py": b"1"})


RIGHT: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "libraries in both schemes": (with_files(), ()),
    "two tags": (with_files(tag=f"{MANYLINUX}.manylinux2014_{MACHINE}"), ()),
    "a pure wheel": (lambda folder: wheel(folder, {"tiny.py": b""}, tag="py3-none-any"), ()),
    "a library that needs the driver": (
        with_library("tiny/driven.so", library("driven.so", "libcuda.so.1", "libnvidia-ml.so.1")),
        (),
    ),
    "a library that the project excludes": (
        with_library("tiny/far.so", library("far.so", "libfar.so.1")),
        ("--exclude", "libfar.so.*"),
    ),
    "one CUDA runtime twice": (
        with_files(
            files={
                "tiny.libs/libcudart-11111111.so.11": library("libcudart-11111111.so.11"),
                f"{DATA}/.libs/libcudart-11111111.so.11": library("libcudart-11111111.so.11"),
            }
        ),
        (),
    ),
    "modes that installers do not keep": (with_mode("tiny/x", 0o100600), ()),
    "a file for everybody to write": (with_mode("tiny/x", 0o100666), ()),
    "a text among the programs": (with_mode("tiny-1.0.data/scripts/notes", 0o100644), ()),
    "a static program": (
        lambda folder: wheel(
            folder,
            {"tiny/__init__.py": b"", "tiny-1.0.data/scripts/run": static_program()},
            executable=("tiny-1.0.data/scripts/run",),
        ),
        (),
    ),
    "small files that are equal": (
        with_files(files={"tiny/a/__init__.py": b"# none\n", "tiny/b/__init__.py": b"# none\n"}),
        (),
    ),
    "the directory of programs that a repair makes": (
        with_files(files={"tiny.scripts/run": b"\x7fEL"}),
        (),
    ),
    "what the project tells check-wheel-contents to ignore": (
        ignoring_contents,
        ("--settings", "{folder}/pyproject.toml", "--accept", "graft-license-missing"),
    ),
    "a library that finds its own by the rpath of its loader": (
        with_files(
            files={
                "tiny/_far.so": extension("_far", "libtinyone.so", rpath="$ORIGIN/lib"),
                "tiny/lib/libtinyone.so": library("libtinyone.so", "libtinytwo.so"),
                "tiny/lib/libtinytwo.so": library("libtinytwo.so"),
            }
        ),
        (),
    ),
    "a module for each Python of the tags": (
        with_files(
            files={named_for("311"): extension("_named"), named_for("312"): NAMED},
            tag=MANYLINUX.replace("py3-none", "cp311.cp312-none"),
        ),
        (),
    ),
    "a module for one Python beside one for all": (
        with_files(
            files={
                # What only 3.11 loads may want what only 3.11 has.
                named_for("311"): wanting("_PyLong_Sign"),
                "tiny/_named.abi3.so": NAMED,
            },
            tag=ABI3,
        ),
        (),
    ),
    "a function that is not of the stable ABI, for one Python": (
        with_files(files={"tiny/_a.so": wanting("_PyLong_Sign")}, tag=CP311),
        (),
    ),
    "a wheel for the stable ABI and for PyPy": (
        with_files(
            files={"tiny/_a.abi3.so": wanting("PyLong_FromLong")},
            tag=MANYLINUX.replace("py3-none", "cp38.pp310-abi3"),
        ),
        (),
    ),
    "functions of the stable ABI": (
        with_files(
            # The second was there long before it became stable.
            files={"tiny/_a.abi3.so": wanting("PyLong_FromLong", "PyObject_GetBuffer")},
            tag=ABI3,
        ),
        (),
    ),
    "a newer function where Requires-Python admits no older Python": (
        with_files(
            files={"tiny/_a.abi3.so": wanting("PyErr_GetRaisedException")},
            tag=ABI3,
            metadata={"METADATA": core_metadata(more="Requires-Python: >=3.12")},
        ),
        (),
    ),
    "a function that another library of the wheel has": (
        with_files(
            files={
                "tiny/_a.abi3.so": wanting(
                    "PyTiny_Own", needed=("libtinyown.so",), rpath="$ORIGIN"
                ),
                "tiny/libtinyown.so": library("libtinyown.so", code="void PyTiny_Own(void) {}"),
            },
            tag=ABI3,
        ),
        (),
    ),
    "a function that a library of others may have": (
        with_files(
            files={"tiny/_a.abi3.so": wanting("PyTiny_Other", needed=("libfar.so.1",))}, tag=ABI3
        ),
        ("--exclude", "libfar.so.*"),
    ),
    "versions of a library that is needed": (
        with_files(
            files={
                "tiny/_v.so": versioned("libtinyv.so.1", True),
                "tiny/libtinyv.so.1": library("libtinyv.so.1"),
            }
        ),
        (),
    ),
    "a script of the linker": (
        with_files(files={"tiny/lib/libfar.so": b"/* GNU ld script */ INPUT ( libfar.so.1 )\n"}),
        (),
    ),
    "a text whose name only begins like that of a library": (
        with_files(files={"tiny/notes.so.txt": b"no library"}),
        (),
    ),
    "what is declared": (
        with_code(*BOTH),
        (*TARGETS, "--grafts", "libtinyrt", "--max-size", "1000000"),
    ),
}


@pytest.mark.parametrize(("build", "options"), RIGHT.values(), ids=RIGHT.keys())
def test_a_right_wheel_has_no_fault(
    tmp_path: Path, build: Callable[[Path], Path], options: tuple[str, ...]
) -> None:
    path = build(tmp_path)
    assert faults(path, *(option.format(folder=tmp_path) for option in options)) == []


def test_a_library_that_is_loaded_beforehand_need_not_be_found(
    tmp_path: Path, quick: Callable[[str], None]
) -> None:
    quick("")
    path = with_library("tiny/far.so", library("far.so", "libfar.so.1"))(tmp_path)
    assert ids(path) == ["needed-not-in-wheel"]
    assert ids(path, "--preloaded", "libfar.so.1") == []


def test_only_the_layouts_that_the_wheel_is_for_count(
    tmp_path: Path, quick: Callable[[str], None]
) -> None:
    quick("")
    path = rpath("$ORIGIN/../tiny.libs", RT)(tmp_path)
    (fault,) = faults(path)
    assert "venv" in fault["found"]
    assert "pip --target" not in fault["found"]
    assert ids(path, "--for-layouts", "pip --target,target") == []


def test_an_accepted_fault_is_shown_and_does_not_count(
    tmp_path: Path, quick: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    quick("")
    files = {f"tiny/{name}.so": library(f"{name}.so", "libfar.so.1") for name in "ab"}
    path = wheel(tmp_path, {**GOOD, **files})
    assert ids(path) == ["needed-not-in-wheel"] * 2
    assert ids(path, "--accept", "needed-not-in-wheel") == []
    assert "accepted: needed-not-in-wheel (--accept)" in capsys.readouterr().out
    (left,) = faults(path, "--accept", "needed-not-in-wheel:*/a.so")
    assert left["file"] == "tiny/b.so"
    settings = tmp_path / "pyproject.toml"
    entry = '{ id = "needed-not-in-wheel", file = "tiny/*", reason = "a plugin for far" }'
    settings.write_text(f"[tool.wheelkit]\naccept = [{entry}]\n")
    assert set(ids(path, "--settings", str(settings))) <= {"graft-license-missing"}
    result = json.loads((tmp_path / "report.json").read_text())
    accepted = [(fault["file"], fault["reason"]) for fault in result["accepted"]]
    assert accepted == [("tiny/a.so", "a plugin for far"), ("tiny/b.so", "a plugin for far")]
    assert verify(path, "--accept", "needed-not-in-whel") == report.Status.MISUSED
    assert "did you mean 'needed-not-in-wheel'?" in capsys.readouterr().err


def test_a_warning_counts_only_if_the_caller_is_strict(
    tmp_path: Path, quick: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    quick("")
    path = rpath("$ORIGIN/.libs:/build/lib", RT)(tmp_path)
    (found,) = faults(path)
    assert (found["id"], found["severity"]) == ("rpath-absolute", "warning")
    captured = capsys.readouterr()
    assert "rpath-absolute (warning)" in captured.out
    # A slow machine says before this which check it runs.
    assert "warning rpath-absolute:" in [line[:23] for line in captured.err.splitlines()]
    (found,) = faults(path, "--strict")
    assert found["severity"] == "fault"
    assert ids(path, "--strict", "--accept", "rpath-absolute") == []
    declared = tmp_path / "strict.toml"
    declared.write_text("[tool.wheelkit]\nstrict = true\n")
    assert {one["severity"] for one in faults(path, "--settings", str(declared))} == {"fault"}


def test_each_file_that_is_no_library_is_told_what_to_do(
    tmp_path: Path, quick: Callable[[str], None]
) -> None:
    quick("")
    files = {"tiny/a.so": b"version https://git-lfs.github.com/spec/v1\n", "tiny/b.so": b""}
    found = faults(wheel(tmp_path, {**GOOD, **files}))
    remedies = {one["file"]: one["remedy"] for one in found if one["id"] == "library-is-no-elf"}
    assert "git lfs pull" in remedies["tiny/a.so"]
    assert "put the library itself" in remedies["tiny/b.so"]


def test_a_file_for_another_machine_needs_no_dynamic_section(
    tmp_path: Path, quick: Callable[[str], None]
) -> None:
    """Processors of signals and networks have object files of their own."""
    quick("")
    data = for_arm(without_dynamic(library("object.so")))
    assert ids(wheel(tmp_path, {**GOOD, "tiny/skeleton.so": data})) == []


def test_a_module_for_each_machine_is_right(tmp_path: Path, quick: Callable[[str], None]) -> None:
    quick("")
    files = {named_for("311"): NAMED, f"tiny/_named.cpython-311-{FAR}-linux-gnu.so": NAMED + b"f"}
    assert ids(wheel(tmp_path, {**GOOD, **files}, tag=CP311)) == []


def test_what_pip_passes_over_is_said_once(tmp_path: Path, quick: Callable[[str], None]) -> None:
    quick("")
    found = faults(wheel(tmp_path, {**GOOD, "tiny-1.0.data/data/lib/share.txt": b""}))
    (lost,) = (one for one in found if one["id"] == "lost-in-layout")
    assert lost["found"] == "1 files that are left out by pip --target, pip --target --upgrade"
    assert "lib" in lost["expected"].split()


def test_what_is_found_twice_is_said_once(tmp_path: Path, quick: Callable[[str], None]) -> None:
    quick("")
    assert ids(rpath("$ORIGIN/.libs::::", RT)(tmp_path)) == ["rpath-empty-entry"]


@pytest.mark.parametrize("tool", ["check-wheel-contents", "twine"])
def test_a_missing_tool_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    pinned = pinned_tools.pinned
    monkeypatch.setattr(
        pinned_tools, "pinned", lambda name: "0.0.1" if name == tool else pinned(name)
    )
    file = tmp_path / "report.json"
    assert verify(wheel(tmp_path, GOOD), "--report", str(file)) == report.Status.LACKING
    assert f"{tool} 0.0.1 is needed" in json.loads(file.read_text())["lacking"]


def test_machine_code_in_purelib_is_a_warning(tmp_path: Path) -> None:
    pure = wheel_metadata(MANYLINUX, purelib=True)
    found = faults(wheel(tmp_path, GOOD, metadata={"WHEEL": pure}))
    assert {f["severity"] for f in found} == {"warning"}
    assert [(f["id"], f["file"]) for f in found] == [
        ("elf-in-purelib", "tiny.libs/" + RT),
        ("elf-in-purelib", "tiny/_tiny.so"),
    ]


def test_every_fault_of_a_wheel_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        **GOOD,
        "tiny/stack.so": library("stack.so", "libgone.so.3", flags=("-Wl,-z,execstack",)),
        f"{DATA}/libtiny.so": library("libtiny.so", RT, rpath="/a:$ORIGIN/../../b::"),
    }
    path = wheel(tmp_path, files, record=lambda rows: rows[1:])
    assert set(ids(path)) == {
        "record-missing",
        "executable-stack",
        "rpath-absolute",
        "rpath-empty-entry",
        "rpath-escapes",
        "needed-not-found",
        "needed-not-in-wheel",
    }
    table = capsys.readouterr().out.splitlines()
    assert table[0] == path.name
    rows = {line[:36].strip(): line[36:] for line in table[2:]}
    assert rows["opens safely"] == rows["names and tags"] == "ok"
    assert rows["RECORD"] == "record-missing"
    assert rows["installs, loads, uninstalls"] == "not run"


def test_the_platform_asked_for_is_the_least(tmp_path: Path) -> None:
    path = wheel(tmp_path, GOOD)
    assert ids(path, "--plat", f"manylinux_2_28_{MACHINE}") == []
    assert ids(path, "--plat", MANYLINUX.rpartition("-")[2]) == []
    assert ids(path, "--plat", f"manylinux_2_5_{MACHINE}") == ["platform-tag"]
    assert ids(path, "--plat", f"musllinux_1_2_{MACHINE}") == ["platform-tag"]


def test_without_layouts_no_rpath_is_followed(tmp_path: Path) -> None:
    files = {"tiny/a.so": library("a.so", rpath="$ORIGIN/../../../../.."), "tiny/__init__.py": b""}
    path = wheel(tmp_path, files)
    assert ids(path) == ["rpath-escapes"]
    assert ids(path, "--layouts", "none") == []


def test_what_the_host_has_does_not_certify_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {"libtinyrt.so.1": library("libtinyrt.so.1")}
    monkeypatch.setenv("LD_LIBRARY_PATH", str(toolkit(tmp_path / "toolkit", outside)))
    path = wheel(tmp_path, {"tiny/a.so": library("a.so", "libtinyrt.so.1")})
    assert ids(path) == ["needed-not-in-wheel"]


def test_several_wheels_are_verified_in_one_go(tmp_path: Path) -> None:
    right, wrong = wheel(tmp_path / "a", GOOD), wheel(tmp_path / "b", GOOD, tag=LINUX)
    file = tmp_path / "report.json"
    arguments = [str(right), str(wrong), "--report", str(file)]
    assert report.run(lambda: verify_wheel.main(arguments)) == report.Status.FAULTY
    assert [one["ok"] for one in json.loads(file.read_text())] == [True, False]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_wheel(tmp_path: Path) -> None:
    large = library("large.so") + bytes(1 << 29)
    path = wheel(tmp_path, {**GOOD, "tiny/large.so": large})
    del large
    measure = (
        "import resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    # A process in between, so that neither pytest's size nor that of its children counts.
    command = [sys.executable, "-c", measure, sys.executable, str(verify_wheel.__file__), str(path)]
    answer = subprocess.run([*command, "--sass", ""], capture_output=True, text=True, check=True)
    status, kibibytes = map(int, answer.stdout.split())
    assert status == report.Status.DONE
    assert kibibytes < 300 * 1024


@pytest.mark.parametrize(
    "options", [["--plat", "linux_x86_64"], ["--layouts", "all"], ["gone.whl"]]
)
def test_wrong_usage_is_told_from_a_wrong_wheel(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "wheelkit", "verify", str(wheel(tmp_path, GOOD)), *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == report.Status.MISUSED
    assert "Traceback" not in answer.stderr


# ------------------------------------------------------------------- the trial installations

VENV = next(way for way in WAYS if (way.installer, way.layout) == ("pip", "venv"))
HERE = pythons.found()[0]
HERE_ALONE = ("--layouts", "install", "--pythons", HERE.version)


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one interpreter, the running one, also where a wheel is for many."""
    monkeypatch.setattr(pythons, "found", lambda: (HERE,))


def plainly_repaired(path: Path, destination: Path) -> Path:
    """Run auditwheel alone, as one would without our scripts."""
    command = [sys.executable, "-m", "auditwheel", "repair", "-w", str(destination), str(path)]
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, check=True, env={**os.environ, "PATH": tools}, capture_output=True)
    return next(destination.iterdir())


@pytest.fixture
def unrepaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    outside = {"libtinyrt.so.1": library("libtinyrt.so.1")}
    monkeypatch.setenv("LD_LIBRARY_PATH", str(toolkit(tmp_path / "toolkit", outside)))
    monkeypatch.delenv("AUDITWHEEL_PLAT", raising=False)
    files = {
        "tiny/__init__.py": b"",
        "tiny/_tiny.so": extension("_tiny", "libtinyrt.so.1"),
        f"{DATA}/libtiny.so": library("libtiny.so", "libtinyrt.so.1"),
    }
    return wheel(tmp_path / "in", files, tag=LINUX)


@pytest.mark.usefixtures("only_here")
def test_what_auditwheel_alone_repairs_does_not_load(
    tmp_path: Path, unrepaired: Path, quick: Callable[[str], None]
) -> None:
    quick("")
    options = (*HERE_ALONE, "--ways", "venv,prefix", "--installers", "pip")
    found = faults(plainly_repaired(unrepaired, tmp_path / "plain"), *options)
    failed = [fault for fault in found if fault["id"] == "load-failed"]
    assert [fault["file"] for fault in failed] == [f"{DATA}/libtiny.so"] * 2
    assert all("libtinyrt" in fault["found"] for fault in failed)
    assert "cannot open shared object file" in failed[0]["found"]


@pytest.mark.usefixtures("only_here")
def test_what_we_repair_installs_loads_and_uninstalls_in_every_way(
    tmp_path: Path, unrepaired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert repair_wheel.main([str(unrepaired), str(tmp_path / "out")]) == report.Status.DONE
    path = next((tmp_path / "out").iterdir())
    assert faults(path, *HERE_ALONE) == []
    result = json.loads((tmp_path / "out" / "report.json").read_text())
    cells = {(cell["installer"], cell["layout"]): cell["result"] for cell in result["trials"]}
    ways = trial.TrialOptions().ways_for(HERE)
    assert cells == {(way.installer, way.layout): "ok" for way in ways}
    matrix = [line.split() for line in capsys.readouterr().out.splitlines()[-len(cells) :]]
    assert {(row[-3], row[-2]) for row in matrix} == set(cells)


# Ways of installing, and the rows of the table of layouts that foretell them.
FORETOLD = [
    ("pip", "venv", "venv"),
    ("pip", "user", "prefix"),
    ("pip", "prefix", "prefix"),
    ("pip", "root", "prefix"),
    ("pip", "target", "pip --target"),
    ("pip", "target-upgrade", "pip --target --upgrade"),
    ("uv", "venv", "venv"),
    ("uv", "prefix", "prefix"),
    ("uv", "target", "target"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("installer", "layout", "row"), FORETOLD)
def test_the_table_of_layouts_is_what_installers_do(
    tmp_path: Path, installer: str, layout: str, row: str
) -> None:
    files = {
        **GOOD,
        "tiny-1.0.data/data/tiny/share.txt": b"1",
        "tiny-1.0.data/data/lib/x/share.txt": b"2",
        "tiny-1.0.data/scripts/run.sh": b"#!/bin/sh\n",
        "tiny-1.0.data/purelib/tiny/more.py": b"",
    }
    opened = read_wheel(wheel(tmp_path / "in", files), tmp_path / "read")
    way = next(way for way in WAYS if (way.installer, way.layout) == (installer, layout))
    site = Site(HERE, tmp_path / "site", tmp_path / "scratch")
    installers.prepare(way, site)
    before = trial.entries(site.root)
    answer = installers.install(way, site, opened.archive.path)
    assert answer.returncode == 0, answer.stderr
    found = trial.find(opened, site.root, before)
    installation = next(
        i
        for i in layouts.installations([HERE.version], opened.identity.spelling)
        if i.layout.name == row
    )
    places = opened.places(installation)
    # --root keeps the whole path of the interpreter's prefix below it.
    prefix = Path(str(found[f"{DATA}/libtiny.so"]).removesuffix(places[f"{DATA}/libtiny.so"]))
    assert prefix.is_relative_to(site.root)
    relative = {member: path.relative_to(prefix).as_posix() for member, path in found.items()}
    assert relative == places


@pytest.mark.usefixtures("only_here")
def test_each_way_to_fail_when_installed_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lure = {"libtinylure.so.1": library("libtinylure.so.1")}
    elsewhere = toolkit(tmp_path / "elsewhere", {RT: GRAFT, **lure})
    wrong = {
        "tiny/crash.so": library(
            "crash.so", code="__attribute__((constructor)) void c(void) { __builtin_trap(); }"
        ),
        # It loads; how the process ends is another matter.
        "tiny/ends.so": library(
            "ends.so", code="__attribute__((destructor)) void d(void) { __builtin_trap(); }"
        ),
        # Only LD_LIBRARY_PATH leads to it.
        "tiny/missing.so": library("missing.so", "libtinylure.so.1"),
        "tiny/foreign.so": library("foreign.so", RT, rpath=str(elsewhere)),
        # Run by the interpreter at its start: what it writes is in no RECORD.
        "tiny.pth": b"import sys; open(sys.prefix + '/remnant', 'w').close()\n",
        "tiny-1.0.data/data/tiny/share.txt": b"lost with --target",
    }
    monkeypatch.setenv("LD_LIBRARY_PATH", str(elsewhere))
    opened = read_wheel(wheel(tmp_path / "in", {**GOOD, **wrong}), tmp_path / "read")
    results: list[trial.Result] = []
    choice = trial.TrialOptions(installers=("pip",), ways=("venv", "target"))
    found = {(fault.id, fault.file) for fault in trial.faults(opened, choice, results)}
    assert found == {
        ("load-crashed", "tiny/crash.so"),
        ("load-failed", "tiny/missing.so"),
        ("graft-not-mapped", "tiny/foreign.so"),
        ("mapped-from-outside", "tiny/foreign.so"),
        ("not-installed", "tiny-1.0.data/data/tiny/share.txt"),
        ("left-behind", opened.archive.path.name),
    }
    assert {fault_id for fault_id, _ in found} | {"install-failed"} == set(trial.IDS)
    assert ["not-installed" in result.result for result in results] == [False, True]


@pytest.mark.usefixtures("only_here")
def test_a_wheel_that_pip_refuses_is_a_fault(tmp_path: Path) -> None:
    text = core_metadata(more="Requires-Python: <3")
    opened = read_wheel(
        wheel(tmp_path / "in", GOOD, metadata={"METADATA": text}), tmp_path / "read"
    )
    choice = trial.TrialOptions(installers=("pip",), ways=("venv",))
    found = list(trial.faults(opened, choice, []))
    assert [fault.id for fault in found] == ["install-failed"]
    assert "requires a different Python" in found[0].found


@pytest.mark.usefixtures("only_here")
def test_what_the_system_lacks_is_no_fault(tmp_path: Path) -> None:
    # Promised by the platform tag, and never installed: it is the driver.
    driven = library("driven.so", "libnvidia-ml.so.1")
    opened = read_wheel(wheel(tmp_path / "in", {"tiny/driven.so": driven}), tmp_path / "read")
    choice = trial.TrialOptions(installers=("pip",), ways=("venv",))
    results: list[trial.Result] = []
    with pytest.raises(LackingError, match=r"libnvidia-ml\.so\.1"):
        list(trial.faults(opened, choice, results))
    assert [result.result.startswith("not done") for result in results] == [True]


@pytest.mark.usefixtures("only_here")
def test_what_the_project_waives_is_said_and_is_no_fault(
    tmp_path: Path, quick: Callable[[str], None]
) -> None:
    quick("")
    files = {
        "tiny/far.so": library("far.so", "libfar.so.1"),
        "tiny/near.so": library("near.so", "libnear.so.1"),
    }
    path = wheel(tmp_path, {**GOOD, **files})
    options = (*HERE_ALONE, "--installers", "pip", "--ways", "venv")
    assert "load-failed" in ids(path, *options)
    waivers = ("--exclude", "libfar.so.*", "--preloaded", "libnear.so.1")
    assert ids(path, *options, *waivers) == []
    (cell,) = json.loads((tmp_path / "report.json").read_text())["trials"]
    assert cell["result"] == (
        "ok, far.so not loaded without libfar.so.1, near.so not loaded without libnear.so.1"
    )


def test_an_installer_that_is_not_the_pinned_one_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned_tools, "pinned", lambda _: "0.0.1")
    with pytest.raises(LackingError, match=r"not 0\.0\.1"):
        installers.uv()
    monkeypatch.setattr(pinned_tools, "TOOL_DIRECTORY", tmp_path)
    with pytest.raises(LackingError, match="no uv"):
        installers.uv()
    without = dataclasses.replace(HERE, pip=None)
    with pytest.raises(LackingError, match="neither pip nor ensurepip"):
        installers.prepare(VENV, Site(without, tmp_path / "root", tmp_path / "scratch"))


def test_no_interpreter_is_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quick: Callable[[str], None]
) -> None:
    quick("")
    python = MANYLINUX.replace("py3-none", "cp399-cp399")
    path = wheel(tmp_path, GOOD, tag=python)
    file = tmp_path / "report.json"
    options = ("--layouts", "install", "--report", str(file))
    assert verify(path, *options) == report.Status.LACKING
    assert "no interpreter" in capsys.readouterr().err
    result = json.loads(file.read_text())
    assert (result["ok"], result["faults"]) == (False, [])
    assert verify(wheel(tmp_path, GOOD), *options, "--pythons", "3.99") == report.Status.LACKING
    assert "no interpreter 3.99" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--ways", "usr"), ("--installers", "conda")])
def test_an_unknown_way_is_wrong_usage(tmp_path: Path, option: tuple[str, str]) -> None:
    assert verify(wheel(tmp_path, GOOD), *option) == report.Status.MISUSED


def test_only_debians_python_is_installed_to_in_debians_ways() -> None:
    debian = dataclasses.replace(HERE, debian=True)
    extra = set(trial.TrialOptions().ways_for(debian)) - set(trial.TrialOptions().ways_for(HERE))
    assert {way.layout for way in extra} == {"root-deb"}
    assert isinstance(next(iter(extra)), Way)


def test_the_child_program_is_for_old_interpreters_too() -> None:
    source = Path(load_library.__file__).read_text()
    assert ast.parse(source, feature_version=(3, 7)).body
