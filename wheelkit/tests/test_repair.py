"""wheelkit repair: co-location, and that nothing else happens to a wheel."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tiny_wheels import (
    LINUX,
    MACHINE,
    NEW_SYMBOL,
    Row,
    digest,
    extension,
    install,
    library,
    load,
    members,
    toolkit,
    wheel,
)
from wheelkit.base import pinned_tools
from wheelkit.cli import repair as repair_wheel
from wheelkit.cli import verify as verify_wheel
from wheelkit.repair import large_members
from wheelkit.target import report
from wheelkit.wheel import elf, layouts

DATA = "tiny-1.0.data/data/tiny"
COMMAND = [sys.executable, "-m", "wheelkit", "repair"]

# A run-time library that needs another: the graft and its own graft.
TOOLKIT = {
    "libtinyrt.so.1": library("libtinyrt.so.1", "libtinybase.so.2"),
    "libtinybase.so.2": library("libtinybase.so.2"),
    "libcuda.so.1": library("libcuda.so.1"),
}
DISPLACED = library("libtiny.so", "libtinyrt.so.1", rpath="/build/dir:$ORIGIN/../nowhere:")
PLAIN = {
    "tiny/__init__.py": b"",
    "tiny/_tiny.so": extension("_tiny", rpath="/build/dir"),
    f"{DATA}/libtiny.so": DISPLACED,
    f"{DATA}/tiny.h": b"int tiny(void);\n",
}
METADATA = {f"tiny-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")}


def grafted(name: str) -> str:
    """Return the name that auditwheel gives to a library of the toolkit: with its hash."""
    base, _, rest = name.partition(".")
    return f"{base}-{hashlib.sha256(TOOLKIT[name]).hexdigest()[:8]}.{rest}"


RT, BASE = grafted("libtinyrt.so.1"), grafted("libtinybase.so.2")


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(toolkit(tmp_path / "toolkit", TOOLKIT)))
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT"):
        monkeypatch.delenv(name, raising=False)


def repair(path: Path, destination: Path, *options: str) -> int:
    arguments = [str(path), str(destination), *options]
    return report.run(lambda: repair_wheel.main(arguments))


def refused(path: Path, destination: Path, *options: str) -> list[str]:
    """Repair in vain; return the ids of the faults."""
    file = path.parent / "report.json"
    before = sorted(destination.iterdir()) if destination.exists() else []
    assert repair(path, destination, "--report", str(file), *options) == report.Status.FAULTY
    assert (sorted(destination.iterdir()) if destination.exists() else []) == before
    return [fault["id"] for fault in json.loads(file.read_text())["faults"]]


def repaired(tmp_path: Path, files: Mapping[str, bytes], *options: str) -> Path:
    """Repair a wheel of `files`, and return the result, which must be the only one."""
    assert repair(wheel(tmp_path / "in", files, tag=LINUX), tmp_path / "out", *options) == 0
    (path,) = (tmp_path / "out").iterdir()
    return path


def rpath(path: Path, member: str) -> tuple[str, ...] | None:
    file = path.parent.parent / "member"
    file.write_bytes(members(path)[member])
    found = elf.read(file)
    assert found is not None
    assert found.runpath is None
    return found.rpath


def test_a_displaced_library_gets_its_grafts_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repaired(tmp_path, PLAIN)
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    libs = {f"{DATA}/.tiny.libs/{name}" for name in (RT, BASE)}
    assert set(members(path)) == {*PLAIN, *METADATA, *libs}
    assert rpath(path, f"{DATA}/libtiny.so") == ("$ORIGIN/.tiny.libs",)
    assert rpath(path, f"{DATA}/.tiny.libs/{RT}") == ("$ORIGIN",)
    assert rpath(path, f"{DATA}/.tiny.libs/{BASE}") is None
    # Nothing to graft, and yet the path of the build must not stay.
    assert rpath(path, "tiny/_tiny.so") is None


def test_a_graft_that_platlib_needs_too_is_copied(tmp_path: Path) -> None:
    shared = {**PLAIN, "tiny/_tiny.so": extension("_tiny", "libtinyrt.so.1")}
    path = repaired(tmp_path, shared)
    places = {
        f"{folder}/{name}" for folder in (f"{DATA}/.tiny.libs", "tiny.libs") for name in (RT, BASE)
    }
    assert set(members(path)) == {*shared, *METADATA, *places}
    assert rpath(path, "tiny/_tiny.so") == ("$ORIGIN/../tiny.libs",)
    content = members(path)
    assert content[f"{DATA}/.tiny.libs/{RT}"] == content[f"tiny.libs/{RT}"]


def test_only_what_the_displaced_library_needs_is_moved(tmp_path: Path) -> None:
    split = {**PLAIN, "tiny/_tiny.so": extension("_tiny", "libtinybase.so.2")}
    found = set(members(repaired(tmp_path, split)))
    assert found - {*split, *METADATA} == {
        f"{DATA}/.tiny.libs/{RT}",
        f"{DATA}/.tiny.libs/{BASE}",
        f"tiny.libs/{BASE}",
    }


def test_displaced_libraries_that_need_each_other_find_each_other(tmp_path: Path) -> None:
    files = {**PLAIN, f"{DATA}/sub/libsub.so": library("libsub.so", "libtiny.so", "libtinyrt.so.1")}
    path = repaired(tmp_path, files)
    assert rpath(path, f"{DATA}/sub/libsub.so") == ("$ORIGIN/..", "$ORIGIN/.tiny.libs")
    assert f"{DATA}/sub/.tiny.libs/{RT}" in members(path)


def test_a_displaced_library_among_grafts_gets_them_beside_it(tmp_path: Path) -> None:
    own = f"{DATA}/.tiny.libs/libown.so"
    path = repaired(tmp_path, {own: library("libown.so", "libtinyrt.so.1")})
    assert set(members(path)) == {own, *METADATA, *(f"{DATA}/.tiny.libs/{n}" for n in (RT, BASE))}
    assert rpath(path, own) == ("$ORIGIN",)


# auditwheel moves machine code out of the scripts, and leaves a script that starts it.
SHARED = [
    ("data/lib", "{0}-1.0.data/data/lib/lib{0}.so", "{0}-1.0.data/data/lib/.{0}.libs"),
    ("scripts", "{0}.scripts/lib{0}.so", "{0}.libs"),
]


@pytest.mark.parametrize(("scheme", "library_after", "folder_of_grafts"), SHARED)
def test_repaired_distributions_share_a_directory_and_are_removed_singly(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    library_after: str,
    folder_of_grafts: str,
) -> None:
    """Each has its own libtinyrt, of one name and of different content."""
    prefix, installed = tmp_path / "prefix", {}
    where = layouts.venv("3.11", "any")
    for name in ("one", "two"):
        tools = {"libtinyrt.so.1": library("libtinyrt.so.1", code=f"int from_{name};")}
        folder = toolkit(tmp_path / f"tools-{name}", tools)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
        own = f"{name}-1.0.data/{scheme}/lib{name}.so"
        given = wheel(
            tmp_path / "in",
            {own: library(f"lib{name}.so", "libtinyrt.so.1")},
            tag=LINUX,
            name=f"{name}-1.0",
        )
        assert repair(given, tmp_path / name) == 0
        (result,) = (tmp_path / name).iterdir()
        (graft,) = (m for m in members(result) if "/libtinyrt-" in m)
        assert graft.rpartition("/")[0] == folder_of_grafts.format(name)
        places = install(result, prefix, where)
        installed[name] = (places[library_after.format(name)], places[graft], places)
    for using, used, _ in installed.values():
        assert str(used) in map(os.path.normpath, load(using))
    for path in installed["one"][2].values():
        path.unlink()
    using, used, _ = installed["two"]
    assert str(used) in map(os.path.normpath, load(using))


def test_an_entry_that_holds_in_the_scheme_is_kept(tmp_path: Path) -> None:
    files = {
        **PLAIN,
        f"{DATA}/libtiny.so": library("libtiny.so", "libtinyrt.so.1", rpath="$ORIGIN/plugins/:/x"),
        f"{DATA}/plugins/libplugin.so": library("libplugin.so"),
    }
    path = repaired(tmp_path, files)
    assert rpath(path, f"{DATA}/libtiny.so") == ("$ORIGIN/plugins", "$ORIGIN/.tiny.libs")


def test_a_wheel_without_displaced_libraries_is_repaired_too(tmp_path: Path) -> None:
    files = {"tiny/__init__.py": b"", "tiny/_tiny.so": extension("_tiny", "libtinyrt.so.1")}
    path = repaired(tmp_path, files)
    assert set(members(path)) == {*files, *METADATA, f"tiny.libs/{RT}", f"tiny.libs/{BASE}"}


def test_the_driver_is_never_grafted(tmp_path: Path) -> None:
    path = repaired(tmp_path, {f"{DATA}/libtiny.so": library("libtiny.so", "libcuda.so.1")})
    assert set(members(path)) == {f"{DATA}/libtiny.so", *METADATA}


def test_the_platform_is_the_callers_or_auditwheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    assert repair(path, tmp_path / "asked", "--plat", f"manylinux_2_28_{MACHINE}") == 0
    assert [p.name for p in (tmp_path / "asked").iterdir()] == [
        f"tiny-1.0-py3-none-manylinux_2_28_{MACHINE}.whl"
    ]
    monkeypatch.setenv("AUDITWHEEL_PLAT", f"manylinux_2_31_{MACHINE}")
    assert repair(path, tmp_path / "image") == 0
    assert "manylinux_2_31" in next((tmp_path / "image").iterdir()).name


def test_a_repaired_wheel_stays_as_it_is_to_the_byte(tmp_path: Path) -> None:
    first = repaired(tmp_path, {**PLAIN, "tiny/_tiny.so": extension("_tiny", "libtinyrt.so.1")})
    assert repair(first, tmp_path / "again") == 0
    assert (tmp_path / "again" / first.name).read_bytes() == first.read_bytes()


def test_a_tag_that_was_asked_for_stays_without_asking_again(tmp_path: Path) -> None:
    given = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    assert repair(given, tmp_path / "out", "--plat", f"manylinux_2_31_{MACHINE}") == 0
    (first,) = (tmp_path / "out").iterdir()
    assert repair(first, tmp_path / "again") == 0
    assert (tmp_path / "again" / first.name).read_bytes() == first.read_bytes()


def test_what_plain_auditwheel_left_wrong_is_put_right(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    plain = tmp_path / "plain"
    command = [sys.executable, "-m", "auditwheel", "repair", "-w", str(plain), str(path)]
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, check=True, env={**os.environ, "PATH": tools}, capture_output=True)
    (wrong,) = plain.iterdir()
    left = rpath(wrong, f"{DATA}/libtiny.so")
    assert left is not None
    assert "$ORIGIN/../../../tiny.libs" in left
    assert repair(wrong, tmp_path / "out") == 0
    assert repair(path, tmp_path / "direct") == 0
    assert members(tmp_path / "out" / wrong.name) == members(tmp_path / "direct" / wrong.name)


def test_an_elf_file_that_record_hides_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX, record=lambda rows: [rows[0], *rows[2:]])
    assert refused(path, tmp_path / "out") == ["record-missing"]
    assert not (tmp_path / "out").exists()


def test_a_row_that_names_a_file_of_the_host_does_not_touch_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim.so"
    victim.write_bytes(DISPLACED)

    def record(rows: list[Row]) -> list[Row]:
        return [*rows, (str(victim), digest(DISPLACED), str(len(DISPLACED)))]

    path = wheel(tmp_path / "in", PLAIN, tag=LINUX, record=record)
    assert refused(path, tmp_path / "out") == ["record-unsafe-path"]
    assert victim.read_bytes() == DISPLACED


def test_a_foreign_patchelf_first_on_the_path_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, marker = tmp_path / "fake" / "patchelf", tmp_path / "used"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ntouch {marker}\necho patchelf 0.9\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    assert f"{DATA}/.tiny.libs/{RT}" in members(repaired(tmp_path, PLAIN))
    assert not marker.exists()


def test_what_is_at_the_destination_is_never_replaced(tmp_path: Path) -> None:
    path = repaired(tmp_path, PLAIN)
    given = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    assert repair(given, tmp_path / "out") == report.Status.DONE
    path.write_bytes(b"mine")
    assert refused(given, tmp_path / "out") == ["destination-exists"]
    assert path.read_bytes() == b"mine"


def test_the_input_is_never_written_to(tmp_path: Path) -> None:
    path = repaired(tmp_path, PLAIN)
    before = path.read_bytes()
    file = tmp_path / "report.json"
    assert repair(path, tmp_path / "out", "--report", str(file)) == report.Status.FAULTY
    faults = json.loads(file.read_text())["faults"]
    assert [fault["id"] for fault in faults] == ["destination-is-input"]
    assert path.read_bytes() == before


def test_a_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH")
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    assert refused(path, tmp_path / "out") == ["auditwheel-refused"]
    assert "libtinyrt.so.1" in capsys.readouterr().err


def test_a_large_file_is_kept_and_auditwheel_does_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {"tiny/table.bin": os.urandom(5000), f"{DATA}/more/table.bin": os.urandom(5000)}
    path = wheel(tmp_path / "in", {**PLAIN, **large}, tag=LINUX)
    assert repair(path, tmp_path / "whole") == report.Status.DONE
    monkeypatch.setattr(large_members, "LARGE", 4000)
    seen: list[set[str]] = []
    auditwheel = pinned_tools.auditwheel

    def watched(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        seen.append(set(members(Path(arguments[-1]))))
        return auditwheel(*arguments, folder=folder)

    monkeypatch.setattr(pinned_tools, "auditwheel", watched)
    assert repair(path, tmp_path / "lean") == report.Status.DONE
    assert [large.keys() & names for names in seen] == [set()]
    (whole,), (lean,) = (list((tmp_path / name).iterdir()) for name in ("whole", "lean"))
    assert members(lean) == members(whole)
    assert lean.read_bytes() == whole.read_bytes()


def test_a_tag_that_is_older_than_the_symbols_is_refused(tmp_path: Path) -> None:
    # It has its tag, and nothing to graft: auditwheel is not asked.
    new = library("new.so", code=NEW_SYMBOL)
    path = wheel(tmp_path / "in", {"tiny/__init__.py": b"", "tiny/new.so": new})
    assert refused(path, tmp_path / "out") == ["platform-tag"]
    (fault,) = json.loads((tmp_path / "in" / "report.json").read_text())["faults"]
    assert fault["file"] == "tiny/new.so"
    assert "GLIBC_2.25 of libc.so.6" in fault["found"]


def test_a_wheel_without_machine_code_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", {"tiny.py": b""}, tag="py3-none-any")
    assert refused(path, tmp_path / "out") == ["auditwheel-refused"]


def test_an_excluded_library_stays_outside(tmp_path: Path) -> None:
    path = repaired(tmp_path, PLAIN, "--exclude", "libtinyrt.so.*")
    assert set(members(path)) == {*PLAIN, *METADATA}
    assert rpath(path, f"{DATA}/libtiny.so") is None


def test_an_exclusion_that_excludes_nothing_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    path = repaired(tmp_path, PLAIN, "--exclude", "libother.so.*", "--report", str(file))
    assert [fault["id"] for fault in json.loads(file.read_text())["faults"]] == [
        "exclude-unmatched"
    ]
    assert f"{DATA}/.tiny.libs/{RT}" in members(path)
    words = [str(path), "--exclude", "libother.so.*", "--report", str(file)]
    report.run(lambda: verify_wheel.main(words))
    assert [
        fault["severity"]
        for fault in json.loads(file.read_text())["faults"]
        if fault["id"] == "exclude-unmatched"
    ] == ["warning"]


def test_an_extension_that_needs_the_displaced_library_is_refused(tmp_path: Path) -> None:
    files = {**PLAIN, "tiny/_tiny.so": extension("_tiny", "libtiny.so")}
    path = wheel(tmp_path / "in", files, tag=LINUX)
    assert refused(path, tmp_path / "out") == ["needed-in-other-scheme"]


def test_a_project_declares_what_stays_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = '[tool.wheelkit]\nexclude = ["libtinyrt.so.*"]\n'
    policy = tmp_path / "policy.toml"
    policy.write_text(declared)
    path = repaired(tmp_path, PLAIN, "--settings", str(policy))
    assert set(members(path)) == {*PLAIN, *METADATA}
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "Tiny"\n{declared}')
    monkeypatch.chdir(tmp_path)
    assert repair(wheel(tmp_path / "in", PLAIN, tag=LINUX), tmp_path / "out") == 0
    other = ["--exclude", "libtinybase.so.*"]
    assert repair(wheel(tmp_path / "in", PLAIN, tag=LINUX), tmp_path / "out2", *other) == 0
    (result,) = (tmp_path / "out2").iterdir()
    assert f"{DATA}/.tiny.libs/{RT}" in members(result)
    assert f"{DATA}/.tiny.libs/{BASE}" not in members(result)


def test_a_wrong_policy_is_wrong_usage(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    assert repair(path, tmp_path / "out", "--settings", str(tmp_path / "none.toml")) == (
        report.Status.MISUSED
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("signature", ["RECORD.jws", "RECORD.p7s"])
def test_a_signed_wheel_is_refused(tmp_path: Path, signature: str) -> None:
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX, metadata={signature: b""})
    assert "signed-record" in refused(path, tmp_path / "out")


def test_a_damaged_library_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "in", {**PLAIN, "tiny/cut.so": DISPLACED[:100]}, tag=LINUX)
    assert refused(path, tmp_path / "out") == ["elf-unreadable"]


def test_a_library_that_patchelf_cannot_patch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repaired(tmp_path, PLAIN)
    files = {m: d for m, d in members(path).items() if m not in METADATA}
    files[f"{DATA}/.tiny.libs/{BASE}"] = library(BASE, rpath="/stays/from/the/build")
    again = wheel(tmp_path / "again", files)
    monkeypatch.setattr("wheelkit.base.pinned_tools.patchelf", lambda: "/bin/false")
    assert refused(again, tmp_path / "out2") == ["patchelf"]


@pytest.mark.parametrize(
    "options", [["--plat", "win32"], ["--strategy", "none"], ["--no-such-option"]], ids=str
)
def test_wrong_usage_is_told_from_a_wrong_wheel(tmp_path: Path, options: list[str]) -> None:
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    command = [*COMMAND, str(path), str(tmp_path / "out"), *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == report.Status.MISUSED
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()


def test_no_such_wheel_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        repair_wheel.main([str(tmp_path / "gone.whl"), str(tmp_path)])
    assert caught.value.code == report.Status.MISUSED


def test_another_system_than_linux_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    path = wheel(tmp_path / "in", PLAIN, tag=LINUX)
    assert repair(path, tmp_path / "out") == report.Status.LACKING
