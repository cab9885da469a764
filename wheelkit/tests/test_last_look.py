"""The repair's last look: whatever a step has left wrong, no wheel appears, or it is said."""

from __future__ import annotations

import io
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
from wheelkit.repair.repair import Result, repair
from wheelkit.target.report import FaultyError
from wheelkit.wheel import platforms
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
