"""The parts of a repair that decide something, without the tools that carry it out."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_wheels
from tiny_wheels import library, members, wheel
from wheelkit.base import pinned_tools
from wheelkit.repair import (
    asked,
    auditwheel_sbom,
    colocate,
    large_members,
    licenses,
    plan,
    refusal,
    rpath_list,
)
from wheelkit.repair.auditwheel import graft_libraries
from wheelkit.repair.large_members import Large
from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.repair.patch import Patcher
from wheelkit.target.report import FaultyError, LackingError, MisusedError
from wheelkit.wheel import archive, elf, layouts, platforms
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.identity import identify
from wheelkit.wheel.reading import Wheel, read_wheel

DATA = "tiny-1.0.data/data/own"
FILES = {"tiny/__init__.py": b"", "tiny/_tiny.so": library("_tiny.so")}


def needing(*names: str, rpath: tuple[str, ...] | None = None, isa: int = 0) -> Elf:
    return Elf(("EM_X86_64", 64, True), None, names, rpath, None, False, False, isa_level=isa)


@pytest.fixture
def opened(tmp_path: Path) -> Wheel:
    return read_wheel(wheel(tmp_path / "in", FILES), tmp_path / "opened")


def with_files(opened: Wheel, elves: dict[str, Elf]) -> Wheel:
    """Return the wheel as if it had these libraries and no others."""
    known = replace(opened.archive, members=(*opened.archive.members, *elves))
    for path in map(opened.archive.file, elves):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return replace(opened, archive=known, elves=elves)


def repaired(opened: Wheel, **options: Any) -> RepairedWheel:
    given = RepairOptions(opened.archive.path, Path("out"), **options)
    return RepairedWheel(given, opened, opened, opened.archive.root.parent)


# ------------------------------------------------------------------------- why it is refused


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ('required library "liba.so" could not be located', "LD_LIBRARY_PATH"),
        ("Could not detect libc", "-lc"),
        ("the wheel has ISA extensions: ISA extension", "-march"),
        ("Invalid binary wheel: shared libraries in purelib folder", "--platlib"),
        ("no ELF executable or shared library file found", "publish it as it is"),
        ("This is a platform-independent wheel", "publish it as it is"),
        ("because of the presence of TOO-RECENT versioned symbols", "newer platform with --plat"),
        ("because it depends on black-listed symbol dependencies", "the repair grafts it"),
        ("something else", "see the message"),
        ("too-recent symbols, and liba.so could not be located", "LD_LIBRARY_PATH"),
    ],
)
def test_what_to_do_follows_from_what_auditwheel_says(
    opened: Wheel, words: str, remedy: str
) -> None:
    (fault,) = refusal.faults(opened, RepairOptions(opened.archive.path, Path("out")), words)
    assert (fault.id, fault.file) == ("auditwheel-refused", opened.archive.path.name)
    assert (fault.found, fault.expected) == (words, "a wheel that auditwheel can repair")
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    ("platform", "tool"),
    [
        ("win_amd64", "delvewheel"),
        ("macosx_11_0_arm64", "delocate"),
        ("freebsd_14_amd64", "a tool of that system"),
        ("any", None),
        ("manylinux_2_17_x86_64", None),
        ("linux_aarch64", None),
        ("musllinux_1_2_x86_64", None),
    ],
)
def test_a_wheel_for_another_system_is_left_to_its_tool(
    tmp_path: Path, platform: str, tool: str | None
) -> None:
    path = wheel(tmp_path / "in", FILES, tag=f"py3-none-{platform}")
    faults = list(refusal.foreign(read_wheel(path, tmp_path / "opened")))
    assert [fault.remedy for fault in faults] == (
        [f"repair it with {tool}; auditwheel knows Linux alone"] if tool else []
    )
    for fault in faults:
        assert (fault.file, fault.found, fault.expected) == (
            path.name,
            platform,
            "a wheel for Linux",
        )


def test_each_file_for_newer_processors_is_named(opened: Wheel) -> None:
    elves = {f"tiny/v{level}.so": needing(isa=level) for level in range(4)}
    options = RepairOptions(opened.archive.path, Path("out"))
    found = list(refusal.faults(with_files(opened, elves), options, "ISA extension"))
    assert [fault.file for fault in found] == ["tiny/v2.so", "tiny/v3.so"]
    expected = "marked to need x86-64-v3; auditwheel says: ISA extension"
    assert (found[1].found, found[1].expected) == (expected, "x86-64, the baseline")


def test_libraries_are_sought_as_auditwheel_does(
    opened: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/one::/two")
    options = RepairOptions(opened.archive.path, Path("out"))
    folders = refusal.search_folders(options)
    assert folders[:2] == [Path("/one"), Path("/two")]
    machine = os.uname().machine
    system = {f"/lib/{machine}-linux-gnu", f"/usr/lib/{machine}-linux-gnu", "/lib64", "/usr/lib64"}
    system |= {"/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"}
    assert set(map(str, folders[2:])) == system
    told = refusal.search_folders(replace(options, ldpaths="/three"))
    assert told == [Path("/three"), *folders[2:]]
    monkeypatch.delenv("LD_LIBRARY_PATH")
    assert refusal.search_folders(options) == folders[2:]


GLIBC = ("libc.so.6", "GLIBC_2.30")


def test_a_symbol_that_is_too_new_is_sought_in_what_would_be_grafted(
    opened: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first / "liba.so", first / "libc.so.6", second / "liba.so", second / "libb.so"):
        place.parent.mkdir(exist_ok=True)
        place.touch()
    for name in ("libcut.so", "libtext.so"):
        (second / name).touch()
    found: dict[str, Elf | None] = {
        "liba.so": replace(
            needing("libb.so", "liba.so"), version_needs=(("libc.so.6", "GLIBC_2.4"),)
        ),
        "libb.so": replace(needing(), version_needs=(GLIBC, ("libm.so.6", "GLIBC_2.31"))),
        "libc.so.6": replace(needing(), version_needs=(GLIBC,)),
        "libtext.so": None,
    }
    seen: list[Path] = []

    def read(path: Path) -> Elf | None:
        seen.append(path)
        if path.name not in found:
            raise elf.UnreadableElfError(path)
        return found[path.name]

    monkeypatch.setattr(elf, "read", read)
    needed = ("liba.so", "libown.so", "libc.so.6", "libcut.so", "libtext.so", "libnone.so")
    known = with_files(opened, {"tiny/x.so": needing(*needed), "tiny/libown.so": needing()})
    (second / "libown.so").touch()
    plat = platforms.required("manylinux_2_17_x86_64")
    options = RepairOptions(
        opened.archive.path, Path("out"), plat=plat, ldpaths=f"{first}:{second}"
    )

    def said(words: str, asked: RepairOptions = options) -> list[tuple[str, str]]:
        return [(fault.file, fault.found) for fault in refusal.faults(known, asked, words)]

    words = "too-recent versioned symbols"
    told = f"needs GLIBC_2.30 of libc.so.6, which {plat} does not promise; auditwheel says: {words}"
    assert said(words) == [(str(second / "libb.so"), told)]
    # Neither what the wheel has, nor what the system has, nor a library twice.
    assert sorted(path.name for path in seen) == ["liba.so", "libb.so", "libcut.so", "libtext.so"]
    assert first / "liba.so" in seen
    without = "black-listed symbol dependencies"
    assert said(without) == [(opened.archive.path.name, without)]
    assert said(words, replace(options, plat=None)) == [(opened.archive.path.name, words)]


def test_a_symbol_of_the_wheel_itself_that_is_too_new_is_named(opened: Wheel) -> None:
    known = with_files(opened, {"tiny/x.so": replace(needing(), version_needs=(GLIBC,))})
    options = RepairOptions(opened.archive.path, Path("out"))
    asked = replace(options, plat=platforms.required("manylinux_2_17_x86_64"))
    for words in ("too-recent versioned symbols", "black-listed symbol dependencies"):
        (fault,) = refusal.faults(known, asked, words)
        assert (fault.id, fault.file) == ("auditwheel-refused", "tiny/x.so")
        assert fault.found.startswith("needs GLIBC_2.30 of libc.so.6, which manylinux_2_17")
    newer = replace(options, plat=platforms.required("manylinux_2_31_x86_64"))
    (fault,) = refusal.faults(known, newer, "too-recent")
    assert fault.found == "too-recent"


# ------------------------------------------------------------------------------- auditwheel itself


class Auditwheel:
    """Stands in for auditwheel: hands on the wheel, under other names if told so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[str]] = []
        self.status = 0
        self.names: tuple[str, ...] = ("tiny-1.0-py3-none-manylinux_2_17_x86_64.whl",)
        monkeypatch.setattr(pinned_tools, "auditwheel", self)

    def __call__(self, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        self.calls.append(list(words))
        output = folder / "auditwheel"
        assert words[1:3] == ("--wheel-dir", str(output))
        output.mkdir()
        for name in self.names:
            shutil.copy(words[-1], output / name)
        return subprocess.CompletedProcess([], self.status, "", "first\nit says why\n")


@pytest.fixture
def auditwheel(monkeypatch: pytest.MonkeyPatch) -> Auditwheel:
    return Auditwheel(monkeypatch)


def of_tag(opened: Wheel, tag: str, *names: str) -> Wheel:
    """Return the wheel as if it had another tag, and a library that needs others."""
    identity = identify(f"tiny-1.0-{tag}.whl")
    elves = {"tiny/x.so": needing(*names), "tiny/own.so": needing()}
    return replace(with_files(opened, elves), identity=identity)


PLAT = "manylinux_2_17_x86_64"


@pytest.mark.parametrize(
    ("tag", "needed", "options", "asked_for"),
    [
        (f"py3-none-{PLAT}", ("libc.so.6", "own.so"), {}, False),
        (f"py3-none-{PLAT}", ("libfar.so.1",), {}, True),
        (f"py3-none-{PLAT}", (), {"strip": True}, True),
        (f"py3-none-{PLAT}", (), {"plat": platforms.required(PLAT)}, False),
        (f"py3-none-{PLAT}", (), {"plat": platforms.required("manylinux_2_28_x86_64")}, True),
        ("py3-none-linux_x86_64", (), {}, True),
        (f"py3-none-linux_x86_64.{PLAT}", (), {}, True),
        ("py3-none-any", (), {}, True),
    ],
)
def test_auditwheel_is_not_asked_again(
    opened: Wheel,
    auditwheel: Auditwheel,
    tag: str,
    needed: tuple[str, ...],
    options: dict[str, Any],
    asked_for: bool,
) -> None:
    state = repaired(of_tag(opened, tag, *needed), **options)
    graft_libraries(state)
    assert len(auditwheel.calls) == asked_for
    # The given wheel stays; a copy of it is changed.
    assert state.wheel.archive.root == state.folder / "grafted"
    assert state.wheel.archive.root != state.given.archive.root
    assert state.wheel.archive.file("tiny/_tiny.so").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, []),
        ({"plat": platforms.required(PLAT)}, ["--plat", PLAT, "--only-plat"]),
        ({"strip": True}, ["--strip"]),
        ({"isa_check": False}, ["--disable-isa-ext-check"]),
        ({"ldpaths": "/a:/b"}, ["--ldpaths=/a:/b"]),
    ],
)
def test_what_auditwheel_is_told(
    opened: Wheel, auditwheel: Auditwheel, options: dict[str, Any], words: list[str]
) -> None:
    given = of_tag(opened, "py3-none-linux_x86_64", "libfar.so.1")
    elves = {
        **given.elves,
        f"{DATA}/lib[1].so": replace(needing(), soname="libone.so"),
        f"{DATA}/libtwo.so": needing(),
    }
    given = replace(with_files(given, elves), excluded=("libout.*",))
    graft_libraries(repaired(given, **options))
    ((repair, *told, path),) = auditwheel.calls
    assert (repair, path) == ("repair", str(opened.archive.path))
    assert told[2:-20][:1] == ["--zip-compression-level=0"]
    outside = [word.removeprefix("--exclude=") for word in told if word.startswith("--exclude=")]
    assert told[3:] == [*words, *(f"--exclude={name}" for name in outside)]
    # The driver, what the caller leaves out, and the wheel's own libraries by both of their names.
    assert outside[0] == "libcuda.so*"
    assert outside[-4:] == ["libout.*", "lib[[]1].so", "libone.so", "libtwo.so"]


@pytest.mark.parametrize(
    ("status", "names"),
    [(1, (f"tiny-1.0-py3-none-{PLAT}.whl",)), (0, ()), (0, ("a-1-py3-none-any.whl", "b.whl"))],
)
def test_auditwheel_makes_one_wheel_or_has_refused(
    opened: Wheel, auditwheel: Auditwheel, status: int, names: tuple[str, ...]
) -> None:
    auditwheel.status, auditwheel.names = status, names
    with pytest.raises(FaultyError) as caught:
        graft_libraries(repaired(of_tag(opened, "py3-none-linux_x86_64")))
    (fault,) = caught.value.faults
    assert (fault.id, fault.found) == ("auditwheel-refused", "it says why")


def test_the_bill_of_materials_names_the_repaired_wheel(
    tmp_path: Path, auditwheel: Auditwheel
) -> None:
    texts = {auditwheel_sbom.NAME: json.dumps(bill("old.whl", "a")).encode()}
    path = wheel(tmp_path / "in", FILES, metadata=texts)
    state = repaired(of_tag(read_wheel(path, tmp_path / "opened"), "py3-none-linux_x86_64"))
    graft_libraries(state)
    (name,) = auditwheel.names
    text = state.wheel.archive.metadata(auditwheel_sbom.NAME).read_text()
    assert json.loads(text) == bill(name, "a")


def test_a_wheel_for_another_system_is_not_given_to_auditwheel(
    opened: Wheel, auditwheel: Auditwheel
) -> None:
    with pytest.raises(FaultyError, match="delvewheel"):
        graft_libraries(repaired(of_tag(opened, "py3-none-win_amd64")))
    assert auditwheel.calls == []


# ---------------------------------------------------------------------- what is asked for besides


def test_a_library_is_put_beside_the_one_that_opens_it(opened: Wheel, tmp_path: Path) -> None:
    more = tmp_path / "more" / "libmore.so"
    more.parent.mkdir()
    more.write_bytes(library("libmore.so"))
    for words in ({"also": (f"{more}=_tiny.so",)}, {"also": (f"{more}=tiny/_tiny.so",)}):
        state = repaired(opened, **words)
        changed = asked.changed(state)
        shutil.rmtree(state.folder / "asked")
        assert changed.elves["tiny/libmore.so"].soname == "libmore.so"
        # It is opened by name, so that the loader looks beside the one that opens it.
        assert changed.elves["tiny/_tiny.so"].search_path == ("$ORIGIN",)
        assert changed.elves["tiny/libmore.so"].search_path == ()
    assert opened.elves["tiny/_tiny.so"].search_path == ()
    assert "tiny/libmore.so" not in opened.archive.members


def test_the_way_to_a_library_is_added_to_others(tmp_path: Path) -> None:
    module = library("_tiny.so", rpath="$ORIGIN/x")
    given = read_wheel(wheel(tmp_path / "in", {"tiny/_tiny.so": module}), tmp_path / "opened")
    (tmp_path / "libmore.so").write_bytes(library("libmore.so"))
    changed = asked.changed(repaired(given, also=(f"{tmp_path}/libmore.so=_tiny.so",)))
    assert changed.elves["tiny/_tiny.so"].search_path == ("$ORIGIN/x", "$ORIGIN")


def test_an_rpath_that_leads_there_already_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = library("_tiny.so", rpath="$ORIGIN/x:$ORIGIN")
    given = read_wheel(wheel(tmp_path / "in", {"tiny/_tiny.so": module}), tmp_path / "opened")
    (tmp_path / "libmore.so").write_bytes(library("libmore.so"))
    monkeypatch.setattr(asked, "Patcher", None)
    words = ("libmore.so=_tiny.so",)
    changed = asked.changed(repaired(given, also=words, ldpaths=str(tmp_path)))
    assert changed.archive.file("tiny/_tiny.so").read_bytes() == module


@pytest.mark.parametrize(
    ("beside", "found"),
    [
        ("none.so", "--also libmore.so=none.so: no such library"),
        ("_tiny.so", "--also libmore.so=_tiny.so: tiny/_tiny.so, tiny/sub/_tiny.so"),
        ("tiny/_tiny.so", "libmore.so, in the wheel already"),
        ("tiny/sub/_tiny.so", None),
    ],
)
def test_the_library_beside_which_another_goes_is_one(
    tmp_path: Path, beside: str, found: str | None
) -> None:
    files = {name: library("_tiny.so") for name in ("tiny/_tiny.so", "tiny/sub/_tiny.so")}
    path = wheel(tmp_path / "in", {**files, "tiny/libmore.so": b""})
    (tmp_path / "libmore.so").write_bytes(library("libmore.so"))
    state = repaired(
        read_wheel(path, tmp_path / "opened"), also=(f"{tmp_path}/libmore.so={beside}",)
    )
    if found is None:
        assert "tiny/sub/libmore.so" in asked.changed(state).archive.members
        return
    with pytest.raises(FaultyError) as caught:
        asked.changed(state)
    (fault,) = caught.value.faults
    assert (fault.id, fault.found) == ("also-beside", found)
    assert fault.file == (path.name if "=" in found else beside)


@pytest.mark.parametrize("word", ["liba.so", "=x.so", "liba.so=", "none.so=x.so", "sub/liba.so=x"])
def test_a_library_to_add_must_be_there_and_have_its_place(
    opened: Wheel, tmp_path: Path, word: str
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "liba.so").write_bytes(b"")
    (tmp_path / "lib" / "none.so").mkdir()
    options = {"also": (word,), "ldpaths": str(tmp_path / "lib")}
    with pytest.raises(MisusedError, match="expected LIB=BESIDE") as caught:
        asked.changed(repaired(opened, **options))
    name = word.rpartition("=")[0]
    own = str(tmp_path / "lib" / name)
    first = [name] if "/" in name else [own, f"/lib/{os.uname().machine}-linux-gnu"]
    assert f"LIB at {', '.join(first)}" in str(caught.value)


def test_nothing_is_copied_where_nothing_is_asked_for(opened: Wheel) -> None:
    assert asked.changed(repaired(opened)) is opened
    # The machine code is in platlib already.
    assert asked.changed(repaired(opened, platlib=True)) is opened


def test_machine_code_in_purelib_is_moved_only_on_request(tmp_path: Path) -> None:
    member = "tiny-1.0.data/purelib/more/x.so"
    path = wheel(tmp_path / "in", {**FILES, member: library("x.so"), f"{DATA}/x": b"1"})
    given = read_wheel(path, tmp_path / "opened")
    assert asked.changed(repaired(given)) is given
    moved = asked.changed(repaired(given, platlib=True))
    assert "more/x.so" in moved.archive.members
    assert member not in moved.archive.members
    assert f"{DATA}/x" in moved.archive.members
    text = moved.archive.metadata("WHEEL").read_text().splitlines()
    tag = f"Tag: {path.stem.partition('1.0-')[2]}"
    assert text == ["Wheel-Version: 1.0", "Root-Is-Purelib: false", "Generator: tiny", tag]
    assert moved.archive.metadata("WHEEL").read_bytes().endswith(b"\n")
    # The archive that auditwheel gets, with the date of the given one; that one is as it was.
    assert "more/x.so" in members(moved.archive.path)
    with zipfile.ZipFile(moved.archive.path) as packed:
        assert {info.date_time for info in packed.infolist()} == {tiny_wheels.DATE}
    assert given.archive.file(member).is_file()


def test_no_empty_data_directory_is_left(tmp_path: Path) -> None:
    member = "tiny-1.0.data/purelib/more/x.so"
    path = wheel(tmp_path / "in", {**FILES, member: library("x.so")})
    moved = asked.changed(repaired(read_wheel(path, tmp_path / "opened"), platlib=True))
    assert "more/x.so" in moved.archive.members
    assert not (moved.archive.root / "tiny-1.0.data").exists()


# ----------------------------------------------------------------------------------- large members


def test_a_member_is_large_from_the_limit_on(
    opened: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_members, "LARGE", 5)
    for name, size in (("tiny/four", 4), ("tiny/five", 5), (f"{opened.archive.dist_info}/six", 6)):
        opened.archive.file(name).write_bytes(bytes(size))
    names = (*opened.archive.members, "tiny/four", "tiny/five", f"{opened.archive.dist_info}/six")
    known = replace(opened, archive=replace(opened.archive, members=names))
    # Neither machine code nor metadata, which auditwheel reads.
    assert large_members.of_wheel(known, whole_elves=False) == Large(("tiny/five",), {})


def test_large_members_are_32_mib(opened: Wheel) -> None:
    for name, size in (("tiny/less", (32 << 20) - 1), ("tiny/as-large", 32 << 20)):
        with opened.archive.file(name).open("wb") as stream:
            stream.truncate(size)
    names = (*opened.archive.members, "tiny/less", "tiny/as-large")
    known = replace(opened, archive=replace(opened.archive, members=names))
    assert large_members.of_wheel(known, whole_elves=False) == Large(("tiny/as-large",), {})


def test_what_is_left_out_is_in_neither_archive_nor_record(opened: Wheel, tmp_path: Path) -> None:
    large = Large(("tiny/__init__.py",), {})
    path = large_members.without(opened, large, tmp_path / "lean")
    assert path.name == opened.archive.path.name
    found = members(path)
    assert set(found) == set(opened.archive.members) - {"tiny/__init__.py"}
    rows = found["tiny-1.0.dist-info/RECORD"].decode().splitlines()
    assert sorted(row.partition(",")[0] for row in rows) == sorted(found)
    made = read_wheel(path, tmp_path / "made")
    whole = large_members.bring_back(large, opened, made)
    assert set(whole.archive.members) == set(opened.archive.members)
    assert whole.archive.file("tiny/__init__.py").read_bytes() == b""


# ------------------------------------------------------------------------------- the plans


def test_the_nearest_library_is_the_one_that_is_meant_for_it(opened: Wheel) -> None:
    own = f"{DATA}/libtiny.so"
    places = [f"{DATA}/.tiny.libs/a.so", f"{DATA}/a.so", f"{DATA}/deep/a.so", f"{DATA}/zz/a.so"]
    for first in range(4):
        assert (
            plan.nearest(opened, own, "a.so", [*places[first:], "tiny.libs/a.so"]) == places[first]
        )
    assert plan.nearest(opened, own, "a.so", ["tiny.libs/a.so"]) is None
    assert (
        plan.nearest(opened, "tiny/x.so", "a.so", ["tiny.libs/a.so", *places]) == "tiny.libs/a.so"
    )


def test_the_folder_of_the_library_itself_comes_before_others(opened: Wheel) -> None:
    own = f"{DATA}/m/libtiny.so"
    near, beside = f"{DATA}/m/a.so", f"{DATA}/m/.tiny.libs/a.so"
    others = [f"{DATA}/a.so", f"{DATA}/b/a.so", f"{DATA}/z/a.so"]
    assert plan.nearest(opened, own, "a.so", [*others, near]) == near
    assert plan.nearest(opened, own, "a.so", [*others, near, beside]) == beside
    assert plan.nearest(opened, own, "a.so", others) == others[0]


def test_only_what_another_scheme_alone_has_is_far(opened: Wheel) -> None:
    after = {
        f"{DATA}/libtiny.so": needing("near.so", "far.so", "none.so", "libc.so.6"),
        f"{DATA}/sub/near.so": needing(),
        "tiny.libs/near.so": needing(),
        "tiny.libs/far.so": needing(),
        "tiny/zz/far.so": needing(),
        "tiny.libs/libc.so.6": needing(),
    }
    found = list(plan.far(opened, f"{DATA}/libtiny.so", after))
    assert found == [("far.so", "tiny.libs/far.so")]


def test_grafts_are_those_of_the_folders_for_them(opened: Wheel) -> None:
    names = ["a.libs/x.so", "b.libs/x.so", "b.libs/y.so", "tiny/c.libs/z.so", "tiny/w.so"]
    found = plan.grafts(with_files(opened, dict.fromkeys(names, needing())))
    assert found == {"x.so": "a.libs/x.so", "y.so": "b.libs/y.so"}


@pytest.mark.parametrize(
    ("rpath", "runpath", "written"),
    [
        (("$ORIGIN",), None, False),
        (None, ("$ORIGIN",), False),
        (("$ORIGIN",), ("$ORIGIN",), True),
        (("$ORIGIN", "$ORIGIN"), None, True),
        ((), None, True),
        (None, None, True),
    ],
)
def test_an_rpath_is_written_unless_it_is_there_in_one_tag(
    rpath: tuple[str, ...] | None, runpath: tuple[str, ...] | None, written: bool
) -> None:
    file = replace(needing(), rpath=rpath, runpath=runpath)
    found = plan.changed({"x.so": ("$ORIGIN",)}, {"x.so": file})
    assert found == ({"x.so": ("$ORIGIN",)} if written else {})


def test_an_entry_stays_where_it_leads_to_a_library_of_the_scheme(opened: Wheel) -> None:
    rpath = ("$ORIGIN/../b", "$ORIGIN/../none", "$ORIGIN", "/build", "$ORIGIN/../b/.")
    elves = {
        "a/x.so": needing("y.so", "z.so", rpath=rpath),
        "b/y.so": needing(),
        "c/z.so": needing(),
    }
    known = with_files(opened, elves)
    # The file itself is no other library of its directory.
    assert plan.entries(repaired(known), "a/x.so", elves) == ["$ORIGIN/../b", "$ORIGIN/../c"]
    elves["a/w.so"] = needing()
    assert plan.entries(repaired(known), "a/x.so", elves) == [
        *("$ORIGIN/../b", "$ORIGIN", "$ORIGIN/../c")
    ]


def test_each_displaced_library_gets_its_grafts_and_what_they_need(opened: Wheel) -> None:
    elves = {
        f"{DATA}/a.so": needing("g.so", "own.so"),
        f"{DATA}/own.so": needing(),
        "tiny/_tiny.so": needing("h.so"),
        "tiny.libs/g.so": needing("h.so", "g.so"),
        "tiny.libs/h.so": needing("g2.so"),
        "tiny.libs/g2.so": needing(),
        "tiny.libs/unused.so": needing(),
    }
    made = colocate.plan(repaired(with_files(opened, elves)))
    beside = f"{DATA}/.tiny.libs"
    names = ("g.so", "h.so", "g2.so")
    assert made.copies == {f"{beside}/{name}": f"tiny.libs/{name}" for name in names}
    # The module needs h.so, and h.so needs g2.so; what nothing ever needed is not ours to remove.
    assert made.removals == ("tiny.libs/g.so",)
    assert made.faults == ()
    assert made.rpaths == {
        f"{DATA}/a.so": ("$ORIGIN/.tiny.libs", "$ORIGIN"),
        **{f"{beside}/{name}": ("$ORIGIN",) for name in ("g.so", "h.so")},
        "tiny/_tiny.so": ("$ORIGIN/../tiny.libs",),
        "tiny.libs/h.so": ("$ORIGIN",),
    }


def test_what_site_packages_needs_of_the_data_scheme_is_copied_on_request(opened: Wheel) -> None:
    elves = {
        "tiny/_tiny.so": needing("a.so"),
        f"{DATA}/a.so": needing("b.so"),
        f"{DATA}/b.so": needing(),
        f"{DATA}/c.so": needing(),
    }
    known = with_files(opened, elves)
    refused = colocate.plan(repaired(known))
    assert [(fault.id, fault.file) for fault in refused.faults] == [
        ("needed-in-other-scheme", "tiny/_tiny.so")
    ]
    assert f"which the wheel has as {DATA}/a.so" in refused.faults[0].found
    made = colocate.plan(repaired(known, copy_across=True))
    assert made.copies == {f"tiny.libs/{name}": f"{DATA}/{name}" for name in ("a.so", "b.so")}
    assert made.faults == ()
    assert made.rpaths["tiny/_tiny.so"] == ("$ORIGIN/../tiny.libs",)


def test_a_graft_beside_a_displaced_library_is_known_by_its_hash(opened: Wheel) -> None:
    names = [
        f"{DATA}/.tiny.libs/libg-0123abcd.so.1",
        f"{DATA}/.tiny.libs/libg.so.1",
        f"{DATA}/libg-0123abcd.so.1",
        "tiny.libs/libg-0123abcd.so.1",
    ]
    known = with_files(opened, dict.fromkeys(names, needing()))
    assert colocate.colocated(known) == (names[0],)


def test_no_entry_leaves_the_prefix_in_any_layout(opened: Wheel) -> None:
    own = f"{DATA}/libtiny.so"
    elves = {own: needing("libg.so"), "tiny.libs/libg.so": needing()}
    known = with_files(opened, elves)
    ways = rpath_list.reaching(repaired(known), own)
    assert ways
    for where in known.installations():
        for way in ways:
            assert not known.leads(own, way)[where].startswith("..")
    venv = layouts.venv(known.identity.python, "tiny").directories["platlib"]
    assert f"$ORIGIN/../{venv}/tiny.libs" in ways
    assert len(set(ways)) == len(ways)


def test_a_list_of_rpaths_moves_nothing(opened: Wheel, tmp_path: Path) -> None:
    own, module = f"{DATA}/libtiny.so", "tiny/_tiny.so"
    elves = {own: needing("libg.so"), module: needing("libg.so"), "tiny.libs/libg.so": needing()}
    made = rpath_list.plan(repaired(with_files(opened, elves)))
    assert (made.copies, made.removals, made.faults) == ({}, (), ())
    assert made.rpaths[module] == ("$ORIGIN/../tiny.libs",)
    assert "$ORIGIN/../lib/python3.11/site-packages/tiny.libs" in made.rpaths[own]
    assert made.rpaths.keys() == {own, module}
    # The way from site-packages to the data scheme leaves the folder of --target.
    elves[module] = needing("libtiny.so", "libg.so")
    made = rpath_list.plan(repaired(with_files(opened, elves)))
    assert [(fault.id, fault.file) for fault in made.faults] == [("needed-in-other-scheme", module)]
    leading = "$ORIGIN/../../../../own"
    assert leading not in made.rpaths[module]
    # Where the project declares virtual environments alone, it leads there from each of them.
    (tmp_path / "settings.toml").write_text('[tool.wheelkit]\nlayouts = ["venv"]\n')
    given = repaired(with_files(opened, elves), settings_file=tmp_path / "settings.toml")
    made = rpath_list.plan(given)
    assert made.faults == ()
    assert made.rpaths[module] == ("$ORIGIN/../tiny.libs", leading)


# ------------------------------------------------------------------------------- the patches


@pytest.fixture
def patcher(tmp_path: Path) -> Patcher:
    for name, data in (("a.so", library("a.so", rpath="$ORIGIN/x")), ("text.so", b"no library")):
        (tmp_path / name).write_bytes(data)
    return Patcher(tmp_path)


def test_a_patched_file_has_its_rpath_and_its_mode(patcher: Patcher, tmp_path: Path) -> None:
    path = tmp_path / "a.so"
    path.chmod(0o751)
    patcher.set_rpath("a.so", ("$ORIGIN/y", "$ORIGIN"))
    patcher.apply()
    found = elf.read(path)
    assert found is not None
    assert (found.rpath, found.runpath) == (("$ORIGIN/y", "$ORIGIN"), None)
    assert path.stat().st_mode & 0o777 == 0o751
    patcher.set_rpath("a.so", ())
    patcher.apply()
    found = elf.read(path)
    assert found is not None
    assert found.rpath is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.so", "text.so"]


def test_one_of_two_tags_is_left(patcher: Patcher, tmp_path: Path) -> None:
    path = tmp_path / "a.so"
    path.write_bytes(tiny_wheels.with_second_rpath(library("a.so", rpath="$ORIGIN/x")))
    patcher.set_rpath("a.so", ("$ORIGIN/z",))
    patcher.apply()
    found = elf.read(path)
    assert found is not None
    assert (found.rpath, found.runpath) == (("$ORIGIN/z",), None)


def test_a_file_that_patchelf_refuses_is_named_and_left(patcher: Patcher, tmp_path: Path) -> None:
    patcher.set_rpath("text.so", ("$ORIGIN",))
    with pytest.raises(FaultyError) as caught:
        patcher.apply()
    (fault,) = caught.value.faults
    assert (fault.id, fault.file) == ("patchelf", "text.so")
    assert "ELF" in fault.found
    assert (tmp_path / "text.so").read_bytes() == b"no library"


FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("status", "words", "lacking"),
    [
        (1, f"write: {os.strerror(errno.ENOSPC)}", True),
        (0, os.strerror(errno.ENOSPC), False),
        (1, "something else", False),
    ],
)
def test_a_full_disk_is_the_machines_doing(status: int, words: str, lacking: bool) -> None:
    answer = subprocess.CompletedProcess(["tool"], status, "", words)
    if not lacking:
        pinned_tools.refuse_full_disk(answer)
        return
    with pytest.raises(LackingError, match="free some space"):
        pinned_tools.refuse_full_disk(answer)


# ------------------------------------------------------------------------- metadata and bills


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            b"Name: a\n\nText\n\nMore\n",
            b"Name: a\nLicense-File: g/B\nLicense-File: g/a\n\nText\n\nMore\n",
        ),
        (b"Name: a\n", b"Name: a\nLicense-File: g/B\nLicense-File: g/a\n"),
        (
            b"Name: a\nLicense-File: g/old\nLicense-File: LICENSE\n\nLicense-File: g/text\n",
            b"Name: a\nLicense-File: LICENSE\nLicense-File: g/B\nLicense-File: g/a\n\n"
            b"License-File: g/text\n",
        ),
        # Another graft whose name begins with the same letters.
        (
            b"License-File: gg/a\n\n",
            b"License-File: gg/a\nLicense-File: g/B\nLicense-File: g/a\n\n",
        ),
    ],
)
def test_metadata_lists_the_texts_of_grafts_once(given: bytes, expected: bytes) -> None:
    assert licenses.with_license_files(given, ["g"], ["g/a", "g/B"]) == expected


def bill(name: str, *grafts: str) -> dict[str, Any]:
    own = f"pkg:pypi/tiny@1?file_name={name}"
    return {
        "metadata": {"component": {"bom-ref": own, "purl": own}},
        "components": [{"bom-ref": graft} for graft in (own, *grafts)],
        "dependencies": [{"ref": own, "dependsOn": list(grafts)}, *({"ref": g} for g in grafts)],
    }


def test_what_an_earlier_bill_listed_is_listed_again(tmp_path: Path) -> None:
    path = tmp_path / "bill.json"
    path.write_text(json.dumps(bill("old.whl", "b", "c")))
    earlier = json.dumps(bill("older.whl", "a", "b")).encode()
    auditwheel_sbom.settle(path, earlier, "new+1.whl")
    expected = bill("new%2B1.whl", "b", "c")
    expected["components"].append({"bom-ref": "a"})
    expected["dependencies"][0]["dependsOn"].append("a")
    expected["dependencies"].append({"ref": "a"})
    assert json.loads(path.read_text()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"metadata": 1}',
        '{"metadata": {"component": {"bom-ref": 1}}}',
        '{"metadata": {"component": {}}}',
    ],
)
def test_a_bill_that_is_none_of_auditwheels_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bill.json"
    path.write_text(text)
    with pytest.raises(FaultyError) as caught:
        auditwheel_sbom.settle(path, None, "new.whl")
    assert [(fault.id, fault.file) for fault in caught.value.faults] == [
        ("sbom-malformed", "sboms/auditwheel.cdx.json")
    ]
    assert path.read_text() == text


def test_the_date_of_an_archive_is_the_latest_of_its_members(tmp_path: Path) -> None:
    later = zipfile.ZipInfo("tiny/later", (2030, 1, 2, 3, 4, 6))
    later.external_attr = 0o100644 << 16
    path = wheel(tmp_path / "in", FILES, unlisted=[(later, b"")])
    assert archive.unpack(path, tmp_path / "out").latest == (2030, 1, 2, 3, 4, 6)
