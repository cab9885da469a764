"""What a caller may ask of a repair besides: auditwheel's options, more libraries, other places."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tiny_wheels import (
    LINUX,
    MACHINE,
    extension,
    install,
    library,
    load,
    members,
    toolkit,
    wheel,
    wheel_metadata,
)
from wheelkit.cli import repair as repair_wheel
from wheelkit.target import report
from wheelkit.wheel import elf, layouts

DATA = "tiny-1.0.data/data/tinylib"
OWN = f"{DATA}/libtiny.so"
MODULE = "tiny/_tiny.so"
# Called since glibc 2.25 only, on every machine.
NEW_SYMBOL = "#include <sys/random.h>\nlong n(void *p) { return getrandom(p, 1, 0); }"
OLD = f"manylinux_2_17_{MACHINE}"
NEWER = "-Wl,-z,x86-64-v3"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = toolkit(tmp_path / "tools", {"libg.so.1": library("libg.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT"):
        monkeypatch.delenv(name, raising=False)


def repair(path: Path, destination: Path, *options: str) -> int:
    return report.run(lambda: repair_wheel.main([str(path), str(destination), *options]))


def repaired(path: Path, destination: Path, *options: str) -> Path:
    assert repair(path, destination, *options) == report.Status.DONE
    (result,) = destination.iterdir()
    return result


def refused(path: Path, tmp_path: Path, *options: str) -> dict[str, Any]:
    """Repair in vain; return the only finding."""
    file = tmp_path / "report.json"
    words = ["--report", str(file), *options]
    assert repair(path, tmp_path / "refused", *words) == report.Status.FAULTY
    (finding,) = json.loads(file.read_text())["faults"]
    found: dict[str, Any] = finding
    return found


def read(path: Path, member: str, tmp_path: Path) -> elf.Elf:
    file = tmp_path / "member"
    file.write_bytes(members(path)[member])
    found = elf.read(file)
    assert found is not None
    return found


def loaded(path: Path, prefix: Path, member: str) -> list[str]:
    where = layouts.venv("3.11", "tiny")
    return [os.path.normpath(line) for line in load(install(path, prefix, where)[member])]


# ---------------------------------------------------------------------------- a refusal's words


def test_a_symbol_that_is_too_new_is_named_with_its_library_and_file(tmp_path: Path) -> None:
    files = {MODULE: extension("_tiny"), "tiny/new.so": library("new.so", code=NEW_SYMBOL)}
    finding = refused(wheel(tmp_path / "in", files, tag=LINUX), tmp_path, "--plat", OLD)
    assert (finding["id"], finding["file"]) == ("auditwheel-refused", "tiny/new.so")
    assert finding["found"].startswith("needs GLIBC_2.25 of libc.so.6, which manylinux_2_17")
    assert "LD_LIBRARY_PATH" not in finding["remedy"]
    assert "older system" in finding["remedy"]


def test_a_symbol_that_is_too_new_in_a_graft_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = toolkit(tmp_path / "new", {"libn.so.1": library("libn.so.1", code=NEW_SYMBOL)})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    given = wheel(tmp_path / "in", {MODULE: extension("_tiny", "libn.so.1")}, tag=LINUX)
    finding = refused(given, tmp_path, "--plat", OLD)
    assert finding["file"] == str(tools / "libn.so.1")
    assert "GLIBC_2.25 of libc.so.6" in finding["found"]


def test_an_extension_without_libc_is_told_what_to_do(tmp_path: Path) -> None:
    """So links every distribution whose compiler drops what is not used."""
    bare = ("-nostdlib", "-Wl,--as-needed")
    code = "void *PyInit__tiny(void) { return 0; } int puts(const char *t) { return !t; }"
    files = {MODULE: library("_tiny.so", "libg.so.1", code=code, flags=bare)}
    given = wheel(tmp_path / "in", files, tag=LINUX)
    assert "--plat" in refused(given, tmp_path)["remedy"]
    assert OLD in repaired(given, tmp_path / "out", "--plat", OLD).name


def test_a_library_that_is_not_found_is_named_with_the_ways_out(tmp_path: Path) -> None:
    given = wheel(tmp_path / "in", {MODULE: extension("_tiny", "libgone.so.1")}, tag=LINUX)
    finding = refused(given, tmp_path)
    assert "libgone.so.1" in finding["found"]
    assert all(word in finding["remedy"] for word in ("LD_LIBRARY_PATH", "--exclude"))


@pytest.mark.parametrize(
    ("tag", "tool"),
    [("cp311-cp311-win_amd64", "delvewheel"), ("cp311-cp311-macosx_11_0_arm64", "delocate")],
)
def test_a_wheel_for_another_system_is_refused_with_the_right_tool(
    tmp_path: Path, tag: str, tool: str
) -> None:
    finding = refused(wheel(tmp_path / "in", {"tiny.py": b""}, tag=tag), tmp_path)
    assert tool in finding["remedy"]
    assert "older" not in finding["remedy"]


# ------------------------------------------------------------------------- auditwheel's options


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only these processors have levels")
def test_code_for_newer_processors_is_taken_on_request(tmp_path: Path) -> None:
    files = {MODULE: extension("_tiny"), "tiny/v3.so": library("v3.so", flags=(NEWER,))}
    given = wheel(tmp_path / "in", files, tag=LINUX)
    finding = refused(given, tmp_path, "--plat", OLD)
    assert finding["file"] == "tiny/v3.so"
    assert "x86-64-v3" in finding["found"]
    assert "--disable-isa-ext-check" in finding["remedy"]
    assert "LD_LIBRARY_PATH" not in finding["remedy"]
    path = repaired(given, tmp_path / "out", "--plat", OLD, "--disable-isa-ext-check")
    assert OLD in path.name


def test_libraries_are_stripped_on_request(tmp_path: Path) -> None:
    given = wheel(tmp_path / "in", {"tiny/full.so": with_symbols(tmp_path)}, tag=LINUX)
    kept = repaired(given, tmp_path / "kept")
    stripped = repaired(given, tmp_path / "stripped", "--strip")
    assert b".symtab" in members(kept)["tiny/full.so"]
    assert b".symtab" not in members(stripped)["tiny/full.so"]
    # A wheel that has its tag and its grafts is stripped too.
    again = repaired(kept, tmp_path / "again", "--strip")
    assert b".symtab" not in members(again)["tiny/full.so"]


def with_symbols(tmp_path: Path) -> bytes:
    """Compile a library with its symbol table."""
    source = tmp_path / "full.c"
    source.write_text('#include <stdio.h>\nint full(void) { return puts("full"); }\n')
    command = ["cc", "-shared", "-fPIC", "-g", str(source), "-o", str(tmp_path / "full.so")]
    subprocess.run(command, check=True)
    return (tmp_path / "full.so").read_bytes()


def test_the_folders_of_libraries_are_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = os.environ["LD_LIBRARY_PATH"]
    monkeypatch.delenv("LD_LIBRARY_PATH")
    given = wheel(tmp_path / "in", {MODULE: extension("_tiny", "libg.so.1")}, tag=LINUX)
    assert repair(given, tmp_path / "none") == report.Status.FAULTY
    path = repaired(given, tmp_path / "out", "--ldpaths", tools)
    assert any("libg-" in member for member in members(path))


def test_the_level_of_compression_is_that_of_the_result(tmp_path: Path) -> None:
    files = {MODULE: extension("_tiny"), "tiny/text.txt": b"text " * 4000}
    given = wheel(tmp_path / "in", files, tag=LINUX)
    sizes = {}
    for level in ("0", "1", "9"):
        path = repaired(given, tmp_path / level, "--zip-compression-level", level)
        with zipfile.ZipFile(path) as archive:
            sizes[level] = sum(info.compress_size for info in archive.infolist())
        assert members(path)["tiny/text.txt"] == files["tiny/text.txt"]
    assert sizes["0"] > sizes["1"] > sizes["9"]
    with pytest.raises(SystemExit):
        repair(given, tmp_path / "wrong", "--zip-compression-level", "10")


# -------------------------------------------------------------- a library of the wheel elsewhere


def test_a_module_that_needs_a_displaced_library_gets_a_copy_on_request(tmp_path: Path) -> None:
    files = {
        OWN: library("libtiny.so", "libg.so.1", "libdeep.so"),
        f"{DATA}/libdeep.so": library("libdeep.so"),
        MODULE: extension("_tiny", "libtiny.so"),
    }
    given = wheel(tmp_path / "in", files, tag=LINUX)
    assert repair(given, tmp_path / "refused") == report.Status.FAULTY
    path = repaired(given, tmp_path / "out", "--copy-across")
    assert {"tiny.libs/libtiny.so", "tiny.libs/libdeep.so", OWN} <= set(members(path))
    mapped = loaded(path, tmp_path / "venv", MODULE)
    site = tmp_path / "venv/lib/python3.11/site-packages/tiny.libs"
    assert {str(site / "libtiny.so"), str(site / "libdeep.so")} <= set(mapped)
    assert any("/libg-" in line for line in mapped)
    # The one in the data scheme is whole too, without the other.
    mapped = loaded(path, tmp_path / "venv2", OWN)
    assert not any("site-packages" in line for line in mapped if str(tmp_path) in line)
    again = repaired(path, tmp_path / "again", "--copy-across")
    assert again.read_bytes() == path.read_bytes()


def test_a_program_that_needs_a_library_of_the_package_gets_a_copy_on_request(
    tmp_path: Path,
) -> None:
    program, own = "tiny-1.0.data/scripts/prog", "tiny/lib/libown.so.1"
    marked = 'const char i[] __attribute__((section(".interp"))) = "/lib64/ld.so";'
    files = {
        program: library("prog", "libown.so.1", code=marked),
        own: library("libown.so.1", "libnext.so", "libg.so.1", rpath="$ORIGIN"),
        "tiny/lib/libnext.so": library("libnext.so"),
        MODULE: extension("_tiny"),
    }
    given = wheel(tmp_path / "in", files, tag=LINUX, executable=[program])
    assert refused(given, tmp_path)["id"] == "needed-in-other-scheme"
    path = repaired(given, tmp_path / "out", "--copy-across")
    beside = "tiny-1.0.data/scripts/.tiny.libs"
    names = {name.rpartition("/")[2] for name in members(path) if name.startswith(beside)}
    assert {name.partition("-")[0] for name in names} == {"libown.so.1", "libnext.so", "libg"}
    assert own in members(path)
    assert repaired(path, tmp_path / "again", "--copy-across").read_bytes() == path.read_bytes()


def test_the_refusal_names_the_ways_out(tmp_path: Path) -> None:
    files = {OWN: library("libtiny.so"), MODULE: extension("_tiny", "libtiny.so")}
    finding = refused(wheel(tmp_path / "in", files, tag=LINUX), tmp_path)
    assert finding["id"] == "needed-in-other-scheme"
    assert "--copy-across" in finding["remedy"]
    assert "--strategy rpath" in finding["remedy"]


def test_an_rpath_leads_there_in_the_layouts_that_the_project_declares(tmp_path: Path) -> None:
    files = {OWN: library("libtiny.so"), MODULE: extension("_tiny", "libtiny.so")}
    given = wheel(tmp_path / "in", files, tag=LINUX.replace("py3-none", "cp311-cp311"))
    policy = tmp_path / "policy.toml"
    policy.write_text('[tool.wheelkit]\nlayouts = ["venv", "prefix"]\n')
    words = ["--strategy", "rpath", "--settings", str(policy)]
    path = repaired(given, tmp_path / "out", *words)
    assert read(path, MODULE, tmp_path).search_path == ("$ORIGIN/../../../../tinylib",)
    assert f"{tmp_path}/venv/tinylib/libtiny.so" in loaded(path, tmp_path / "venv", MODULE)


# ----------------------------------------------------------------------------- plugins, purelib

OPENS = """
#include <dlfcn.h>
__attribute__((constructor)) void opens(void) { dlopen("libplugin.so", RTLD_NOW); }
"""


@pytest.mark.parametrize("named", ["libplugin.so", "{tools}/libplugin.so"])
@pytest.mark.parametrize("host", [MODULE, OWN], ids=["platlib", "data"])
def test_a_library_that_is_opened_by_name_is_grafted_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, host: str
) -> None:
    tools = toolkit(
        tmp_path / "more",
        {
            "libplugin.so": library("libplugin.so", "libg.so.1", rpath="/build"),
            "libg.so.1": library("libg.so.1"),
        },
    )
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    files = {host: library("host.so", "libg.so.1", code=OPENS)}
    given = wheel(tmp_path / "in", files, tag=LINUX)
    word = f"{named.format(tools=tools)}={Path(host).name}"
    path = repaired(given, tmp_path / "out", "--also", word)
    plugin = f"{host.rpartition('/')[0]}/libplugin.so"
    assert plugin in members(path)
    mapped = loaded(path, tmp_path / "venv", host)
    assert any(line.endswith(f"/{Path(plugin).name}") for line in mapped)
    assert any("/libg-" in line for line in mapped)
    assert not any(str(tools) in line for line in mapped)
    plain = repaired(given, tmp_path / "plain")
    mapped = loaded(plain, tmp_path / "venv2", host)
    assert not any(line.endswith("/libplugin.so") for line in mapped)


def test_a_plugin_that_cannot_be_added_is_refused(tmp_path: Path) -> None:
    given = wheel(tmp_path / "in", {MODULE: extension("_tiny", "libg.so.1")}, tag=LINUX)
    for word in ("libgone.so=_tiny.so", "libg.so.1", "=_tiny.so"):
        assert repair(given, tmp_path / "out", "--also", word) == report.Status.MISUSED
    assert refused(given, tmp_path, "--also", "libg.so.1=other.so")["id"] == "also-beside"
    tools = Path(os.environ["LD_LIBRARY_PATH"])
    (tools / "_tiny.so").write_bytes(library("_tiny.so"))
    assert refused(given, tmp_path, "--also", "_tiny.so=_tiny.so")["id"] == "also-beside"


@pytest.mark.parametrize("tag", [LINUX, "py3-none-any"])
@pytest.mark.parametrize("folder", ["", "tiny-1.0.data/purelib/"])
def test_machine_code_in_purelib_moves_to_platlib_on_request(
    tmp_path: Path, tag: str, folder: str
) -> None:
    files = {
        f"{folder}tiny/__init__.py": b"",
        f"{folder}{MODULE}": extension("_tiny", "libg.so.1"),
    }
    metadata = {"WHEEL": wheel_metadata(tag, purelib=not folder)}
    given = wheel(tmp_path / "in", files, tag=tag, metadata=metadata)
    path = repaired(given, tmp_path / "out", "--platlib")
    assert "manylinux" in path.name
    content = members(path)
    assert MODULE in content
    lines = content["tiny-1.0.dist-info/WHEEL"].decode().lower().splitlines()
    assert "root-is-purelib: false" in lines
    assert not any(line.endswith("-any") for line in lines)
    assert any("/tiny.libs/libg-" in line for line in loaded(path, tmp_path / "venv", MODULE))
