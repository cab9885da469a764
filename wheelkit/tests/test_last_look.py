"""The repair's last look: whatever a step has left wrong, no wheel appears, or it is said."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_wheels
from elftools.elf.elffile import ELFFile
from tiny_wheels import LINUX, extension, library, wheel
from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.repair.repair import Result, repair, summary
from wheelkit.target.report import FaultyError, LackingError
from wheelkit.wheel import layouts, platforms
from wheelkit.wheel.reading import read_wheel, reread

MODULE = "tiny/_tiny.so"
FILES = {"tiny/__init__.py": b"", MODULE: extension("_tiny")}
EARLIER = (2020, 1, 1, 0, 0, 0)


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def unchanged(_: Path) -> None:
    """Leave the wheel as it was given."""


def after(
    change: Callable[[Path], object], files: Mapping[str, bytes] = FILES, **asked: Any
) -> Result:
    """Repair a wheel by one step, which does nothing but change its files."""

    def step(repaired: RepairedWheel) -> None:
        given = repaired.given
        folder = repaired.folder / "changed"
        copy = read_wheel(given.archive.path, folder, given.excluded, given.companions)
        change(folder)
        repaired.wheel = reread(copy.archive, copy.identity, copy.excluded, copy.companions)

    options = RepairOptions(wheel(Path("in"), files), Path("out"))
    return repair(replace(options, **asked), [step])


def refused(
    change: Callable[[Path], object], files: Mapping[str, bytes] = FILES, **asked: Any
) -> list[tuple[str, str]]:
    """Return the id and the file of each fault; no wheel may appear."""
    with pytest.raises(FaultyError) as caught:
        after(change, files, **asked)
    assert not Path("out").exists()
    return [(fault.id, fault.file) for fault in caught.value.faults if fault.counts]


def warned(
    change: Callable[[Path], object], files: Mapping[str, bytes] = FILES, **asked: Any
) -> list[tuple[str, str]]:
    """Return the id and the file of each warning of a wheel that appears."""
    result = after(change, files, **asked)
    assert result.path.is_file()
    return [(fault.id, fault.file) for fault in result.warnings]


def write(member: str, data: bytes) -> Callable[[Path], object]:
    return lambda root: (root / member).write_bytes(data)


def with_changed_text(data: bytes) -> bytes:
    """Change a byte of the text that the library prints: nothing that names a file."""
    section = ELFFile(io.BytesIO(data)).get_section_by_name(".rodata")
    assert section is not None
    at = int(section["sh_offset"])
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_right_wheel_appears_without_a_word() -> None:
    assert warned(unchanged) == []


def test_a_file_that_a_step_has_cut_off_is_refused() -> None:
    assert refused(write(MODULE, FILES[MODULE][:100])) == [("elf-unreadable", MODULE)]


def test_code_that_a_step_has_changed_is_refused() -> None:
    change = write(MODULE, with_changed_text(FILES[MODULE]))
    assert refused(change) == [("patch-damage", MODULE)]
    # auditwheel was asked to strip: it is not known what the file was.
    assert warned(change, strip=True) == []


def test_changed_code_of_the_same_size_and_date_is_refused() -> None:
    def change(root: Path) -> None:
        (root / MODULE).write_bytes(with_changed_text(FILES[MODULE]))
        for path in (root / MODULE, root.parent / "given" / MODULE):
            os.utime(path, (1e9, 1e9))

    assert refused(change) == [("patch-damage", MODULE)]


def test_what_was_wrong_when_it_was_given_is_not_the_repairs_doing() -> None:
    files = {**FILES, MODULE: tiny_wheels.with_moved_segment(FILES[MODULE])}
    assert warned(unchanged, files) == []


def test_a_new_graft_must_be_right_in_itself() -> None:
    graft = tiny_wheels.with_moved_segment(library("libg.so.1"))
    assert refused(write("tiny/libg.so.1", graft)) == [("patch-damage", "tiny/libg.so.1")]
    assert warned(write("tiny/libg.so.1", library("libg.so.1"))) == []


def test_a_library_that_nothing_leads_to_is_refused() -> None:
    files = {**FILES, MODULE: extension("_tiny", "libfar.so.1")}
    assert refused(unchanged, files) == [("needed-not-in-wheel", MODULE)]


def test_what_the_package_loads_first_need_not_be_found() -> None:
    files = {**FILES, MODULE: extension("_tiny", "libfar.so.1")}
    Path("settings.toml").write_text('[tool.wheelkit]\npreloaded = ["libfar.so.1"]\n')
    result = after(unchanged, files, settings_file=Path("settings.toml"))
    assert result.loads
    assert all(result.loads.values())


def test_an_rpath_that_leads_to_where_others_may_write_is_refused() -> None:
    wanting = extension("_tiny", "libfar.so.1", rpath="build")
    asked = {"exclude": ("libfar.so.1",)}
    assert refused(unchanged, {**FILES, MODULE: wanting}, **asked) == [("rpath-absolute", MODULE)]
    wanting = extension("_tiny", "libfar.so.1", rpath="$ORIGIN/" + 9 * "../" + "x")
    assert refused(unchanged, {**FILES, MODULE: wanting}, **asked) == [("rpath-escapes", MODULE)]


@pytest.mark.parametrize(
    ("rpath", "expected"), [("/opt/build", "rpath-absolute"), ("$ORIGIN/none", "rpath-dangling")]
)
def test_an_rpath_that_leads_nowhere_is_said(rpath: str, expected: str) -> None:
    files = {**FILES, MODULE: extension("_tiny", rpath=rpath)}
    assert warned(unchanged, files) == [(expected, MODULE)]


def test_only_the_layouts_that_the_project_declares_count_for_its_rpaths() -> None:
    # It leads to a directory of the wheel in the layout of venv, and nowhere in that of --target.
    own = "tiny-1.0.data/data/own/libtiny.so"
    rpath = "$ORIGIN/../lib/python3.11/site-packages/tiny"
    files = {**FILES, own: library("libtiny.so", rpath=rpath)}
    Path("settings.toml").write_text('[tool.wheelkit]\nlayouts = ["pip --target"]\n')
    given = {"settings_file": Path("settings.toml")}
    assert ("rpath-dangling", own) in warned(unchanged, files, **given)


def test_a_part_of_the_driver_is_refused() -> None:
    change = write("tiny/libcuda.so.1", library("libcuda.so.1"))
    assert refused(change) == [("driver-library-grafted", "tiny/libcuda.so.1")]


def test_two_of_what_must_be_single_are_said() -> None:
    one, two = "tiny/libgomp-1.so.1", "tiny/libgomp-2.so.1"
    files = {**FILES, one: library("libgomp.so.1"), two: library("libgomp.so.1", code="int more;")}
    assert warned(unchanged, files) == [("graft-twice", one)]


def test_a_tag_that_promises_less_than_a_file_wants_is_refused() -> None:
    change = write("tiny/new.so", library("new.so", code=tiny_wheels.NEW_SYMBOL))
    assert refused(change) == [("platform-tag", "tiny/new.so")]


def test_an_exclusion_that_matches_nothing_is_said() -> None:
    assert [of for of, _ in warned(unchanged, exclude=("libnone.so",))] == ["exclude-unmatched"]


def test_the_members_have_the_date_of_the_given_wheel(tmp_path: Path) -> None:
    """The files that auditwheel has written have others."""
    tools = tiny_wheels.toolkit(tmp_path / "tools", {"libg.so.1": library("libg.so.1")})
    files = {**FILES, MODULE: extension("_tiny", "libg.so.1")}
    given = wheel(Path("in"), files, tag=LINUX)
    options = RepairOptions(given, Path("out"), ldpaths=str(tools))
    result = repair(
        replace(options, plat=platforms.parse(tiny_wheels.MANYLINUX.rpartition("-")[2]))
    )
    with zipfile.ZipFile(result.path) as archive:
        assert {info.date_time for info in archive.infolist()} == {tiny_wheels.DATE}
        assert any("libg" in name for name in archive.namelist())


def test_a_change_of_the_date_of_the_steps_is_not_taken() -> None:
    def step(repaired: RepairedWheel) -> None:
        archive = replace(repaired.wheel.archive, latest=EARLIER)
        repaired.wheel = replace(repaired.wheel, archive=archive)

    result = repair(RepairOptions(wheel(Path("in"), FILES), Path("out")), [step])
    with zipfile.ZipFile(result.path) as archive:
        assert {info.date_time for info in archive.infolist()} == {tiny_wheels.DATE}


# ------------------------------------------------------------------------- what is said of it


def said(*loads: tuple[str, str, bool], **more: Any) -> list[str]:
    """Return the summary of a repair after which the wheel loads, or not, in some layouts."""
    known = {where.layout.name: where.layout for where in layouts.installations(["3.11"], "tiny")}
    found = {
        layouts.Installation(known[name], python, known[name].directories(python, "tiny")): loaded
        for name, python, loaded in loads
    }
    return list(summary(Result(Path("x.whl"), found, **more)))


def test_the_summary_tells_where_a_wheel_loads() -> None:
    assert said(("venv", "3.11", True), ("home", "3.11", True)) == ["loads in: venv; home"]
    assert said(("venv", "3.11", True), ("home", "3.11", False)) == [
        *("loads in: venv", "does not load in: home")
    ]
    some = [("venv", "3.11", True), ("venv", "3.12", False), ("venv", "3.13", True)]
    assert said(*some) == ["loads in: venv (3.11, 3.13)", "does not load in: venv (3.12)"]
    assert said(("venv", "3.11", True), companions=["nvidia-x"]) == [
        "loads in: venv; together with nvidia-x (not proven)"
    ]
    assert said(("venv", "3.11", False), companions=["nvidia-x"]) == ["does not load in: venv"]


def test_a_library_that_pip_leaves_out_does_not_load() -> None:
    files = {**FILES, "tiny-1.0.data/data/lib/libtiny.so": library("libtiny.so")}
    result = repair(RepairOptions(wheel(Path("in"), files), Path("out")), [])
    absent = {where.layout.name for where, loaded in result.loads.items() if not loaded}
    assert absent == {"pip --target", "pip --target --upgrade"}


def test_the_summary_tells_once_what_was_dropped() -> None:
    dropped = [
        ("a.so", "/build", "absolute"),
        ("b.so", "/build", "absolute"),
        ("c.so", "", "empty"),
    ]
    assert said(dropped=tuple(dropped)) == [
        "dropped from rpaths: /build, of a.so, b.so: absolute",
        "dropped from rpaths: an empty entry, of c.so: empty",
    ]


def test_another_system_is_none_where_a_wheel_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    options = RepairOptions(wheel(Path("in"), FILES), Path("out"))
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LackingError, match="this is darwin"):
        repair(options, [])
    assert not Path("out").exists()


def test_a_wheel_that_was_signed_or_colocated_is_told_why_it_is_refused() -> None:
    given = wheel(Path("in"), FILES, metadata={"RECORD.jws": b""})
    with pytest.raises(FaultyError) as caught:
        repair(RepairOptions(given, Path("out")), [])
    (fault,) = caught.value.faults
    assert (fault.id, fault.file) == ("signed-record", "tiny-1.0.dist-info/RECORD.jws")
    assert (fault.found, fault.expected, fault.remedy) == (
        *(
            "a signature of RECORD",
            "no signature, because the repair changes RECORD",
            "sign the wheel after the repair",
        ),
    )
    graft = "tiny-1.0.data/data/own/.tiny.libs/libg-0123abcd.so.1"
    given = wheel(Path("in2"), {**FILES, graft: library("libg-0123abcd.so.1")})
    options = RepairOptions(given, Path("out"), strategy="rpath")
    with pytest.raises(FaultyError) as caught:
        repair(options, [])
    (fault,) = caught.value.faults
    assert (fault.id, fault.file) == ("already-colocated", graft)
    assert fault.found.startswith("a graft beside the library")
    assert fault.expected == "only grafts in site-packages, or no grafts"
    assert fault.remedy.startswith("repair the wheel that the build has made")
    # The other strategy has left it so.
    assert repair(replace(options, strategy="colocate"), []).path.is_file()
