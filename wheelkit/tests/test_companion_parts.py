"""What decides about companions and about rpath entries that lead out, part by part."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from tiny_wheels import MACHINE, MANYLINUX, core_metadata, library, wheel, wheel_metadata
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.base.remedies import REPAIR
from wheelkit.checks import companions as check
from wheelkit.install import companion_wheels
from wheelkit.install.companion_wheels import Sources
from wheelkit.repair import outward
from wheelkit.repair.options import RepairedWheel, RepairOptions
from wheelkit.target.report import FAULT, WARNING, FaultyError, MisusedError
from wheelkit.wheel import companions, layouts
from wheelkit.wheel.companions import Companion, Companions
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.layouts import Installation
from wheelkit.wheel.reading import Wheel, read_wheel

MODULE, OWN = "tiny/_tiny.so", "tiny-1.0.data/data/own/libown.so"
BLAS = "libblas.so.3"
# CPython 3.11 alone, so that there are few layouts.
TAG = f"cp311-cp311-manylinux_2_17_{MACHINE}"
SITE = "lib/python3.11/site-packages"


def needing(
    *names: str, rpath: tuple[str, ...] | None = None, runpath: tuple[str, ...] | None = None
) -> Elf:
    return Elf(("EM_X86_64", 64, True), None, names, rpath, runpath, False, False)


def companion(
    elves: Mapping[str, Elf], name: str = "far", *, pure: bool = True, **more: Any
) -> Companion:
    """Return a companion with these libraries, a package and no wheel."""
    root = "purelib" if pure else "platlib"
    members = (*elves, f"{name.replace('-', '_')}/__init__.py")
    values = {"requires": (), "version": "1.0", "sha256": "", **more}
    return Companion(
        Path("far.whl"), name=name, root_scheme=root, members=members, elves=elves, **values
    )


FAR = companion({f"far/lib/{BLAS}": needing()})


@pytest.fixture
def opened(tmp_path: Path) -> Wheel:
    texts = {"METADATA": core_metadata(more="Requires-Python: >=3.7\nRequires-Dist: far>=1")}
    path = wheel(tmp_path / "in", {"tiny/__init__.py": b""}, tag=TAG, metadata=texts)
    return read_wheel(path, tmp_path / "opened")


def known(opened: Wheel, elves: Mapping[str, Elf], *found: Companion, **more: Any) -> Wheel:
    """Return the wheel as if it had these libraries, and these companions beside it."""
    members = (*opened.archive.members, *elves)
    required = {"far": Requirement("far>=1")}
    beside = Companions(found, **{"required": required, **more})
    archive = replace(opened.archive, members=members)
    return replace(opened, archive=archive, elves=dict(elves), companions=beside)


def on_its_way(given: Wheel, after: Wheel | None = None) -> RepairedWheel:
    options = RepairOptions(given.archive.path, Path("out"))
    return RepairedWheel(options, given, after or given, given.archive.root.parent)


def names(where: list[Installation]) -> list[str]:
    return list(dict.fromkeys(one.layout.name for one in where))


# ----------------------------------------------------------------- rpath entries that lead out


@pytest.mark.parametrize(
    ("entry", "short"),
    [
        ("$ORIGIN", "$ORIGIN"),
        ("$ORIGIN/", "$ORIGIN"),
        ("${ORIGIN}/lib", "$ORIGIN/lib"),
        ("$ORIGIN/./lib//x/../y/", "$ORIGIN/lib/y"),
        ("$ORIGIN/lib/..", "$ORIGIN"),
        ("$ORIGIN/../far/lib/", "$ORIGIN/../far/lib"),
    ],
)
def test_an_entry_has_one_short_form(entry: str, short: str) -> None:
    assert outward.tidy(entry) == short


@pytest.mark.parametrize(
    ("entry", "holds"),
    [
        ("$ORIGIN/../far/lib", True),
        ("${ORIGIN}/../far/lib/", True),
        ("$ORIGIN/../far", False),
        ("$ORIGIN/../nvidia/anything", True),
        ("$ORIGIN/../nvidia", False),
        ("/opt/far/lib", False),
        ("$LIB/far", False),
        ("", False),
        # In a folder of --target it leads above it.
        ("$ORIGIN/../../../../lib", False),
        ("$ORIGIN/../claimed/lib", True),
        ("$ORIGIN/../unclaimed/lib", False),
    ],
)
def test_an_entry_holds_if_it_leads_to_a_companion(
    opened: Wheel, entry: str, *, holds: bool
) -> None:
    given = known(opened, {MODULE: needing()}, FAR, unseen={"claimed-cu12": "not looked at"})
    assert outward.holds(on_its_way(given), MODULE, entry) is holds


@pytest.mark.parametrize(
    ("member", "entry", "leading"),
    [
        (MODULE, "$ORIGIN/..", []),
        (
            MODULE,
            "$ORIGIN/../..",
            ["pip --target", "pip --target --upgrade", "target", "Bazel", "uv, links followed"],
        ),
        (OWN, "$ORIGIN/../lib", []),
        (OWN, "$ORIGIN/../..", ["venv", "prefix", "Debian", "Debian, deb", "lib64"]),
        (MODULE, "/absolute", []),
    ],
)
def test_an_entry_may_lead_above_the_prefix(
    opened: Wheel, member: str, entry: str, leading: list[str]
) -> None:
    given = known(opened, {MODULE: needing(), OWN: needing()})
    found = names(outward.above(on_its_way(given), member, entry))
    bazel_only = {"Bazel", "uv, links followed"}
    assert (
        found[: len(leading)] == leading
        if member == OWN
        else set(found) - bazel_only == (set(leading) - bazel_only)
    )


def test_only_declared_layouts_count(
    opened: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[project]\nname = "tiny"\n[tool.wheelkit]\nlayouts = ["venv", "lib64"]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    elves = {MODULE: needing(BLAS)}
    given = known(opened, elves, FAR)
    assert outward.above(on_its_way(given), MODULE, "$ORIGIN/../..") == []
    assert names(outward.above(on_its_way(given), MODULE, "$ORIGIN/../../../../..")) == [
        "venv",
        "lib64",
    ]
    # One for lib, where the companion is, from lib64.
    assert outward.reaching(on_its_way(given), MODULE, elves, []) == [
        "$ORIGIN/../far/lib",
        f"$ORIGIN/../../../../{SITE}/far/lib",
    ]


@pytest.mark.parametrize(
    ("needed", "kept", "added"),
    [
        ((BLAS,), [], ["$ORIGIN/../far/lib"]),
        ((BLAS,), ["$ORIGIN/lib"], ["$ORIGIN/../far/lib"]),
        ((BLAS,), ["$ORIGIN/../far/lib"], []),
        ((BLAS, "libfft.so"), [], ["$ORIGIN/../far/lib", "$ORIGIN/../far/fft"]),
        ((BLAS, "libtwin.so"), [], ["$ORIGIN/../far/lib"]),
        (("libown.so",), [], []),
        (("libgone.so",), [], []),
    ],
)
def test_an_entry_is_written_for_each_folder_of_a_companion(
    opened: Wheel, needed: tuple[str, ...], kept: list[str], added: list[str]
) -> None:
    libraries = {
        **FAR.elves,
        "far/fft/libfft.so": needing(),
        "far/lib/libtwin.so": needing(),
        "far/lib/libown.so": needing(),
    }
    elves = {MODULE: needing(*needed), OWN: needing()}
    given = known(opened, elves, companion(libraries))
    assert outward.reaching(on_its_way(given), MODULE, elves, kept) == added


def test_a_companion_that_an_installer_leaves_out_needs_no_entry_there(opened: Wheel) -> None:
    """pip --target passes over lib of the data scheme."""
    data = companion({f"far-1.0.data/data/lib/{BLAS}": needing()})
    elves = {OWN: needing(BLAS)}
    given = known(opened, elves, data)
    assert outward.reaching(on_its_way(given), OWN, elves, []) == ["$ORIGIN/../lib"]
    places = data.places(next(w for w in opened.installations() if w.layout.name == "pip --target"))
    assert f"far-1.0.data/data/lib/{BLAS}" not in places


def test_what_is_dropped_is_said_with_its_reason(opened: Wheel) -> None:
    entries = ("", "/build/lib", "$ORIGIN/../far/lib/", "$ORIGIN/../..", "$ORIGIN/gone")
    before = {
        MODULE: needing(rpath=entries, runpath=("$ORIGIN/run", "/build/lib")),
        "tiny/removed.so": needing(rpath=("/build/lib",)),
        "tiny/plain.so": needing(),
    }
    after = {MODULE: needing(rpath=("$ORIGIN/../far/lib",)), "tiny/plain.so": needing()}
    way = on_its_way(known(opened, before, FAR), known(opened, after, FAR))
    said = list(outward.dropped(way))
    assert [entry for _, entry, _ in said] == [
        *("", "/build/lib", "$ORIGIN/../..", "$ORIGIN/gone", "$ORIGIN/run"),
    ]
    assert {member for member, _, _ in said} == {MODULE}
    reasons = {entry: reason for _, entry, reason in said}
    assert reasons[""] == "it is empty, which means the working directory"
    assert "of the machine that built it" in reasons["/build/lib"]
    start = "it leads above the install prefix in pip --target, pip --target --upgrade, target"
    assert reasons["$ORIGIN/../.."].startswith(start)
    assert "no library of the wheel" in reasons["$ORIGIN/gone"]


# --------------------------------------------------------------------------------- the check


def test_a_companion_that_nobody_requires(opened: Wheel) -> None:
    given = known(opened, {}, named=("near", "far", "tiny"))
    (fault,) = check.faults(given)
    assert (fault.id, fault.file) == ("companion-not-required", "tiny-1.0.dist-info/METADATA")
    assert fault.found == "no near"
    assert fault.expected.startswith("Requires-Dist: near")
    assert fault.severity == FAULT


@pytest.mark.parametrize(
    ("name", "looked_at", "named", "severity"),
    [
        ("far", True, (), FAULT),
        ("far", False, ("far",), WARNING),
        ("far", False, (), WARNING),
        ("of-far", True, (), WARNING),
        ("nvidia-cufft", False, (), None),
    ],
)
def test_a_wheel_that_does_not_meet_the_requirement(
    opened: Wheel, name: str, *, looked_at: bool, named: tuple[str, ...], severity: str | None
) -> None:
    found = [companion({}, name)] if looked_at else []
    # What is named matters, though nothing that it may have is missing.
    needed = () if named else (BLAS,)
    given = known(opened, {MODULE: needing(*needed)}, *found, unfit={name: "x.whl"}, named=named)
    faults = [fault for fault in check.faults(given) if fault.id == "companion-unfit"]
    assert [fault.severity for fault in faults] == ([] if severity is None else [severity])
    for fault in faults:
        stated = "far>=1" if name == "far" else "of-far (a companion requires it)"
        assert fault.found == f"Requires-Dist: {stated}; the wheel there is x.whl"
        assert fault.file == "tiny-1.0.dist-info/METADATA"


def test_an_entry_that_leads_to_what_nobody_looked_at(opened: Wheel) -> None:
    entries = ("$ORIGIN/../far/lib", "$ORIGIN/../near/lib", "$ORIGIN/../other")
    unseen = {"far": "no wheel", "near-cu12": "not looked at", "last": "gone"}
    given = known(opened, {MODULE: needing(rpath=entries)}, unseen=unseen)
    (fault,) = check.faults(given)
    assert (fault.id, fault.severity) == ("companion-not-proven", WARNING)
    assert fault.found.split("; ") == [
        "rpath $ORIGIN/../far/lib (far: no wheel)",
        "rpath $ORIGIN/../near/lib (near-cu12: not looked at)",
    ]
    assert fault.remedy == (
        "pip download --no-deps --dest DIR 'far>=1' 'near-cu12', then "
        f"wheelkit verify --companions DIR tiny-1.0-{TAG}.whl"
    )
    # What a file needs of them is said by the check of needed libraries.
    given = known(opened, {MODULE: needing(BLAS, rpath=entries)}, unseen=unseen)
    assert list(check.faults(given)) == []


@pytest.mark.parametrize("line", ["far", "cuda-toolkit[fft,blas]==13.*"])
def test_how_to_get_what_nobody_looked_at(tmp_path: Path, line: str) -> None:
    (tmp_path / "none").mkdir()
    opened = requiring(tmp_path, ("libblas.so.3", "libx.so"), line, "near>=1")
    sources = Sources(folder=tmp_path / "none")
    given = companion_wheels.with_companions(opened, sources)
    fault = check.not_proven(given, {"libblas.so.3": [MODULE], "libx.so": [MODULE, OWN]})
    assert fault.id == "companion-not-proven"
    reason = f"no wheel of it in {tmp_path / 'none'}"
    # The names of the metapackage's extras say who has libblas; of libx, anybody may be asked.
    words = "'cuda-toolkit[blas,fft]==13.*' 'near>=1'" if "toolkit" in line else "'far' 'near>=1'"
    first = "cuda-toolkit" if "toolkit" in line else "far"
    files = f"{OWN}, {MODULE}"
    assert fault.found == (
        f"NEEDED libblas.so.3, libx.so, in {files}; {first}: {reason}; near: {reason}"
    )
    alone = "" if "toolkit" in line else "--no-deps "
    assert fault.remedy.startswith(f"pip download {alone}--dest DIR {words}, then wheelkit verify")


@pytest.mark.parametrize(
    ("entry", "folder"),
    [
        ("$ORIGIN/../far/lib", "far/lib"),
        ("$ORIGIN", "tiny"),
        ("$ORIGIN/..", None),
        ("$ORIGIN/../..", None),
        ("/far", None),
    ],
)
def test_where_an_entry_leads_below_site_packages(
    opened: Wheel, entry: str, folder: str | None
) -> None:
    assert check.below_site_packages(known(opened, {MODULE: needing()}), MODULE, entry) == folder


@pytest.mark.parametrize(
    ("entry", "out"),
    [
        ("$ORIGIN/../far/lib", True),
        ("$ORIGIN/../far", False),
        ("$ORIGIN/../nvidia/lib", True),
        ("$ORIGIN/../nvidia", False),
        ("$ORIGIN/../../..", True),
        ("$ORIGIN/../../../../lib64", True),
        ("$ORIGIN/../../../../bin", False),
        ("$ORIGIN/../../../../farlib", True),
        ("$ORIGIN/..", False),
    ],
)
def test_an_entry_that_leads_out_of_the_wheel(opened: Wheel, entry: str, *, out: bool) -> None:
    data = companion({f"data-1.0.data/data/farlib/{BLAS}": needing()}, "data")
    given = known(opened, {MODULE: needing()}, FAR, data)
    assert check.leads_out(given, MODULE, entry) is out


def test_whose_a_folder_is(opened: Wheel) -> None:
    platlib = companion({f"d-1.0.data/platlib/d/lib/{BLAS}": needing()}, "d")
    given = known(opened, {MODULE: needing()}, FAR, platlib, unseen={"near": ""})
    assert check.owner(given, "far/lib") is FAR
    assert check.owner(given, "d/lib") is platlib
    assert check.owner(given, "near/lib") == "near"
    assert check.owner(given, "far") is None


def test_which_companions_a_wheel_counts_on(opened: Wheel) -> None:
    two = companion({"two/lib/libtwo.so": needing()}, "two")
    # One has a graft of the same name, from the same image; another the library of the wheel.
    same = {"unused.libs/libgomp-0badcafe.so.1": needing(), "unused/lib/libown.so": needing()}
    unused = companion(same, "unused")
    entries = ("$ORIGIN/../near/lib", "$ORIGIN/../two/lib", "/x")
    needed = (BLAS, "libgone.so", "libgomp-0badcafe.so.1", "libown.so")
    elves = {MODULE: needing(*needed, rpath=entries), OWN: needing(BLAS)}
    given = known(opened, elves, two, FAR, unused, unseen={"near": ""})
    assert check.counted_on(given) == [FAR, "near", two]


def test_where_a_companion_is_not_beside(opened: Wheel) -> None:
    entries = ("$ORIGIN/../far/lib",)
    given = known(opened, {MODULE: needing(rpath=entries)}, FAR)
    assert names(check.not_beside(given, FAR)) == ["lib64", "Bazel", "uv, links followed"]
    platlib = companion(FAR.elves, pure=False)
    assert names(check.not_beside(given, platlib)) == ["Bazel", "uv, links followed"]
    assert len(names(check.not_beside(known(opened, {MODULE: needing()}, FAR), FAR))) == 14


VENV = layouts.venv("3.11", "tiny")


def test_a_companion_that_is_reached_in_some_layouts(opened: Wheel) -> None:
    given = known(opened, {MODULE: needing(BLAS, rpath=("/x", "$ORIGIN/../far/lib"))}, FAR)
    where = [one for one in given.installations() if one.layout.name in ("lib64", "Bazel")]
    fault = check.not_reached(given, MODULE, [BLAS], where, FAR)
    assert (fault.id, fault.file, fault.severity) == ("companion-not-reached", MODULE, WARNING)
    rpath = "/x:$ORIGIN/../far/lib"
    assert fault.found == f"NEEDED {BLAS} of far 1.0, rpath {rpath}, not found in lib64, Bazel"
    assert (
        fault.expected == "an rpath that leads to far/lib if both are installed in the same prefix"
    )
    assert f"have the package load {BLAS} first" in fault.remedy


def test_a_companion_that_is_reached_nowhere(opened: Wheel) -> None:
    given = known(opened, {MODULE: needing(BLAS)}, FAR)
    fault = check.not_reached(given, MODULE, [BLAS, "libtwo.so"], [VENV], FAR)
    assert fault.severity == FAULT
    assert f"NEEDED {BLAS}, libtwo.so of far 1.0, rpath none, not found in venv" == fault.found
    assert fault.expected == "an rpath that leads to far/lib"
    assert fault.remedy == REPAIR
    platlib = companion({f"d-1.0.data/platlib/d/{BLAS}": needing()}, "d", pure=False)
    everywhere = given.installations()
    fault = check.not_reached(given, MODULE, [BLAS], everywhere, platlib)
    assert (fault.expected, fault.remedy) == ("an rpath that leads to d", REPAIR)
    data = companion(
        {f"far-1.0.data/data/{BLAS}": needing(), "far-1.0.data/data/b/x.so": needing()}
    )
    fault = check.not_reached(given, MODULE, ["x.so"], [VENV], data)
    assert fault.expected == "an rpath that leads to b of the data scheme"
    assert fault.remedy.startswith("load x.so before the import, and declare it in preloaded")
    # From the same scheme, a path leads there in every layout.
    given = known(opened, {OWN: needing("x.so")}, data)
    assert check.not_reached(given, OWN, ["x.so"], [VENV], data).remedy == REPAIR


def code(opened: Wheel, text: str) -> None:
    opened.archive.file("tiny/__init__.py").write_text(text)


def test_a_companion_that_the_code_loads(opened: Wheel) -> None:
    given = known(opened, {MODULE: needing(BLAS, "libmore.so")}, FAR)
    code(opened, "import far\n")
    fault = check.not_reached(given, MODULE, [BLAS], [VENV], FAR)
    assert fault.severity == WARNING
    assert fault.expected.startswith("tiny/__init__.py loads the library first")
    assert fault.remedy.endswith("it writes an rpath to far/lib")
    # Each of several must be loaded.
    code(opened, "import ctypes\nctypes.CDLL('libblas.so.3')\n")
    both = companion({**FAR.elves, "far/lib/libmore.so": needing()}, "other")
    given = known(opened, {MODULE: needing(BLAS, "libmore.so")}, both)
    assert check.loading(given, MODULE, [BLAS]) == "tiny/__init__.py"
    assert check.loading(given, MODULE, [BLAS, "libmore.so"]) is None


@pytest.mark.parametrize(
    ("name", "text", "loads"),
    [
        ("tiny/names.json", "for name in read('names.json'): CDLL(name)\n", True),
        ("tiny/names.toml", "load_library(name)\n", True),
        ("tiny/names.json", "# CDLL\n", False),
        ("tiny/names.txt", "CDLL(name)\n", False),
        ("other/names.json", "CDLL(name)\n", False),
    ],
)
def test_code_may_load_what_a_list_beside_it_names(
    opened: Wheel, name: str, text: str, *, loads: bool
) -> None:
    given = known(opened, {MODULE: needing(BLAS)}, FAR)
    code(opened, text)
    file = given.archive.file(name)
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"libraries": ["libblas.so.3"]}')
    archive = replace(given.archive, members=(*given.archive.members, name))
    given = replace(given, archive=archive)
    assert check.loading(given, MODULE, [BLAS]) == ("tiny/__init__.py" if loads else None)


@pytest.mark.parametrize(
    ("text", "loads"),
    [
        ("from far import x\n", True),
        ("import farther\n", False),
        ("import tiny.far\n", False),
        ("from ctypes import CDLL\nCDLL('libblas.so.3')\n", True),
        ("from ctypes.util import find_library\nx = load_library(find_library('blas'))\n", True),
        ("load_nvidia_dynamic_lib('blas')\n", True),
        ("load_nvidia_dynamic_lib('openblas')\n", False),
        ("import libblas\n", True),
        ("'libblas'\n", False),
        ("x = 'libblas'\n", False),
        ("x = 'libbring.so'\ny = CDLL(x)\n", True),
        ("import bring\n", True),
        ("import unseen\n", False),
        ("import libunseen\n", True),
        ("x = CDLL('libunseen.so.1')\n", True),
        ("x = CDLL('libc.so.6')\n", False),
        ("x = CDLL('libnvidia-ml.so.1')\n", False),
        ("x = CDLL('libother-0badcafe.so.1')\n", False),
        ("x = CDLL('libidle.so.1')\n", False),
    ],
)
def test_what_counts_as_loading_a_library_of_a_companion(
    opened: Wheel, text: str, *, loads: bool
) -> None:
    bring = companion({"bring/libbring.so": needing("libmid.so")}, "bring")
    middle = companion({"mid/libmid.so": needing(BLAS)}, "mid")
    needed = (BLAS, "libunseen.so.1", "libc.so.6", "libnvidia-ml.so.1", "libother-0badcafe.so.1")
    elves = {MODULE: needing(*needed), OWN: needing("libidle.so.1")}
    given = known(opened, elves, FAR, bring, middle, unseen={"something": ""})
    code(opened, text)
    assert (check.loading(given, MODULE, [BLAS]) is not None) is loads


def test_a_companion_with_other_versions_of_libraries(opened: Wheel) -> None:
    libraries = {f"far/lib/{name}": needing() for name in ("libb.so.2", "libb.so.1", "liba.so.7")}
    grafts = {"far.libs/libc-0badcafe.so.1": needing()}
    far = companion({**libraries, **grafts})
    given = known(opened, {}, companion({}, "first"), far)
    assert check.of_other_name(given, "libb.so.3") is far
    assert check.of_other_name(given, "libc.so.1") is None
    assert check.of_other_name(given, "libx.so.1") is None
    fault = check.without_library(MODULE, ["liba.so.9", "libb.so.9"], far, WARNING)
    assert (fault.id, fault.file, fault.severity) == ("companion-without-library", MODULE, WARNING)
    has = "liba.so.7, libb.so.1, libb.so.2"
    assert fault.found == f"NEEDED liba.so.9, libb.so.9; far 1.0 has {has}"


def test_a_list_ends_with_how_many_more() -> None:
    assert check.listed(["a", "b", "c"]) == "a, b, c"
    assert check.listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert check.listed([]) == ""


# ----------------------------------------------------------------------------- companions alone


def test_a_companion_has_no_place_where_each_distribution_has_its_own(opened: Wheel) -> None:
    for where in opened.installations():
        assert bool(FAR.places(where)) is not where.layout.apart
        assert bool(FAR.folders(where)) is not where.layout.apart
    assert FAR.folders(VENV) == {f"{SITE}/far/lib"}
    assert FAR.places(VENV)[f"far/lib/{BLAS}"] == f"{SITE}/far/lib/{BLAS}"
    assert str(FAR) == "far 1.0"


def test_the_packages_of_a_companion() -> None:
    members = {name: needing() for name in ("nvidia/x/lib/liba.so", "far/_far.so", "up.libs/x.so")}
    found = companion(members)
    assert found.packages == {"far"}
    assert found.libraries["liba.so"] == "nvidia/x/lib/liba.so"


def test_the_first_of_two_libraries_of_one_name_counts() -> None:
    assert companion({"b/x.so": needing(), "a/x.so": needing()}).libraries == {"x.so": "a/x.so"}


def test_what_brings_a_library() -> None:
    two = companion({"two/libtwo.so": needing(BLAS)}, "two")
    three = companion({"three/libthree.so": needing("libtwo.so", BLAS)}, "three")
    given = Companions((FAR, two, three, companion({"x/libx.so": needing()}, "x")))
    assert list(given.bringing(BLAS)) == [(FAR, BLAS), (two, "libtwo.so"), (three, "libthree.so")]
    assert list(given.bringing("libgone.so")) == []
    assert given.having(BLAS) is FAR
    assert given.having("libgone.so") is None


def test_a_companion_is_read_from_its_wheel(tmp_path: Path) -> None:
    info = wheel_metadata(MANYLINUX, purelib=True)
    files = {
        f"far/lib/{BLAS}": library(BLAS, "libmore.so"),
        "far/lib/cut.so": b"\x7fELF, and no more",
        "far/lib/text.so": b"text",
        "far/program": library("program"),
    }
    more = "Requires-Dist: Of_Far>=2\nRequires-Dist: not valid at all!"
    texts = {"WHEEL": info, "METADATA": core_metadata("far", more=more)}
    path = wheel(tmp_path, files, name="Far_Cu12-1.0", metadata=texts)
    found = companions.read(path)
    assert (found.name, found.version, found.root_scheme) == ("far-cu12", "1.0", "purelib")
    assert list(found.elves) == [f"far/lib/{BLAS}"]
    assert "libmore.so" in found.elves[f"far/lib/{BLAS}"].needed
    assert set(files) < set(found.members)
    assert [str(one) for one in found.requires] == ["of-far>=2"]
    plain = companions.read(wheel(tmp_path, {}, name="plain-1.0"))
    assert (plain.root_scheme, plain.requires) == ("platlib", ())


@pytest.mark.parametrize("kind", ["no zip", "no metadata", "cut"])
def test_a_companion_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "far-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("far/x.so", os.urandom(5000))
        if kind == "cut":
            archive.writestr("far-1.0.dist-info/METADATA", "Name: far\n" * 500)
    if kind == "no zip":
        path.write_bytes(b"no zip")
    with pytest.raises(FaultyError) as caught:
        companions.read(path)
    (fault,) = caught.value.faults
    assert (fault.id, fault.file, fault.expected) == (
        "not-a-zip",
        path.name,
        "the wheel of a companion",
    )


# ----------------------------------------------------------------------------------- the search


def stored(
    folder: Path, name: str, *libraries: str, more: str = "", tag: str = MANYLINUX, **needs: str
) -> Path:
    """Build the wheel of a companion with these libraries; `needs` are what one of them needs."""
    distribution, _, version = name.partition("-")
    files = {f"{distribution}/lib/{one}": library(one, *needs.values()) for one in libraries}
    texts = {"METADATA": core_metadata(distribution, version, more=more)}
    return wheel(folder, files, name=name, tag=tag, metadata=texts)


def requiring(tmp_path: Path, needed: tuple[str, ...], *lines: str, tag: str = TAG) -> Wheel:
    """Read a wheel that needs libraries and requires distributions."""
    requires = "".join(f"Requires-Dist: {line}\n" for line in lines)
    extras = "Provides-Extra: fast\n" if "extra" in requires else ""
    texts = {"METADATA": core_metadata(more=f"{requires}{extras}")}
    path = wheel(tmp_path / "in", {"tiny/__init__.py": b""}, tag=tag, metadata=texts)
    opened = read_wheel(path, tmp_path / "read")
    elves = {MODULE: needing(*needed)}
    archive = replace(opened.archive, members=(*opened.archive.members, MODULE))
    return replace(opened, archive=archive, elves=elves)


def looked_at(found: Companions) -> list[str]:
    return [one.name for one in found.found]


def test_words_of_the_caller_are_names_or_files(tmp_path: Path) -> None:
    path = stored(tmp_path, "far-1.0")
    files = Sources((" Far_Cu12 ", f"near={path}")).files
    assert files == {"far-cu12": None, "near": path}
    for word, said in (
        ("=x", "expected NAME"),
        ("far=", "no such file: "),
        ("far=/gone", "no such file: /gone"),
        (" ", "expected NAME"),
    ):
        with pytest.raises(MisusedError, match=said):
            _ = Sources((word,)).files


def test_a_search_in_a_folder(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    stored(beside, "far-1.0", BLAS)
    stored(beside, "far-2.0", BLAS)
    stored(beside, "far-10.0", BLAS)
    stored(beside, "numbers-1.0")
    stored(beside, "other-1.0", BLAS)
    (beside / "no wheel.whl").touch()
    opened = requiring(tmp_path, (BLAS, "libc.so.6"), "far<9", "numbers>=3", "gone")
    found = companion_wheels.find(opened, Sources(folder=beside))
    assert [str(one) for one in found.found] == ["far 2.0"]
    assert found.unseen == {"gone": "not looked at"}
    assert found.unfit == {"numbers": f"numbers-1.0-{MANYLINUX}.whl"}
    assert found.named == ()
    assert set(found.required) == {"far", "numbers", "gone"}
    # What is missing is sought in what may have it.
    opened = requiring(tmp_path / "2", ("libx.so.1",), "far<9", "gone")
    found = companion_wheels.find(opened, Sources(folder=beside))
    assert found.unseen == {"gone": f"no wheel of it in {beside}"}


def test_wheels_of_a_folder_fit_the_python_and_the_machine(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    stored(beside, "far-5.0", BLAS, tag="cp310-cp310-manylinux_2_17_x86_64")
    stored(beside, "far-4.0", BLAS, tag="py3-none-manylinux_2_17_ppc64le")
    stored(beside, "far-3.0", BLAS, tag="py3-none-manylinux_2_17_x86_64")
    stored(beside, "far-1.0", tag="py3-none-any")
    tag = "cp311-cp311-manylinux_2_17_x86_64"
    found = companion_wheels.find(
        requiring(tmp_path, (BLAS,), "far", tag=tag), Sources(folder=beside)
    )
    assert [one.version for one in found.found] == ["3.0"]
    opened = requiring(tmp_path / "2", (BLAS,), "far", tag=tag.replace("x86_64", "aarch64"))
    found = companion_wheels.find(opened, Sources(folder=beside))
    assert [one.version for one in found.found] == ["1.0"]
    opened = requiring(tmp_path / "3", (BLAS,), "far", tag="py3-none-any")
    found = companion_wheels.find(opened, Sources(folder=beside))
    assert [one.version for one in found.found] == ["5.0"]


def test_a_search_goes_on_to_what_companions_need(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    stored(beside, "far-1.0", BLAS, more="Requires-Dist: near\nRequires-Dist: idle", x="libnear.so")
    stored(beside, "near-1.0", "libnear.so")
    stored(beside, "idle-1.0", "libidle.so")
    found = companion_wheels.find(requiring(tmp_path, (BLAS,), "far"), Sources(folder=beside))
    assert looked_at(found) == ["far", "near"]
    assert set(found.required) == {"far"}


def test_a_search_goes_on_with_the_extras_of_each_requirement(tmp_path: Path) -> None:
    """The wheel requires one extra of the metapackage, and a companion of it another one."""
    beside = tmp_path / "beside"
    extras = "Provides-Extra: blas\nProvides-Extra: fft\n"
    more = "".join(f"Requires-Dist: nvidia-{x}; extra == '{x}'\n" for x in ("blas", "fft"))
    stored(beside, "cuda_toolkit-13.0", more=f"{extras}{more}")
    stored(beside, "nvidia_blas-1.0", BLAS)
    stored(beside, "nvidia_fft-1.0", "libfft.so.1")
    stored(beside, "far-1.0", "libfar.so", more="Requires-Dist: cuda-toolkit[fft]", x="libfft.so.1")
    opened = requiring(tmp_path, (BLAS, "libfar.so"), "cuda-toolkit[blas]", "far")
    found = companion_wheels.find(opened, Sources(folder=beside))
    assert set(looked_at(found)) == {"cuda-toolkit", "nvidia-blas", "nvidia-fft", "far"}
    assert looked_at(found).count("cuda-toolkit") == 1


def test_the_wheel_that_the_caller_names_counts(tmp_path: Path) -> None:
    path = stored(tmp_path / "named", "far-3.0", BLAS)
    beside = stored(tmp_path / "beside", "far-1.0", BLAS).parent
    opened = requiring(tmp_path, (BLAS,), "far<2")
    found = companion_wheels.find(opened, Sources((f"far={path}",), beside))
    assert [one.version for one in found.found] == ["3.0"]
    assert found.unfit == {"far": path.name}
    assert found.named == ("far",)
    with pytest.raises(FaultyError) as caught:
        companion_wheels.find(opened, Sources((f"near={path}",), beside))
    (fault,) = caught.value.faults
    assert (fault.id, fault.file, fault.found) == ("companion-unfit", path.name, "far")
    assert fault.expected == "a wheel of near"
    # One that nobody requires is looked at too, and what nobody has is not found.
    found = companion_wheels.find(opened, Sources(("other",), beside))
    assert found.unseen == {"other": f"no wheel of it in {beside}"}


@pytest.mark.parametrize(
    ("lines", "exclude", "left_out"),
    [
        (("nvidia-blas-cu12",), (), ["libblas.so.3"]),
        (("far",), (), []),
        (("far",), ("libblas.so.*",), ["libblas.so.3"]),
        (("nvidia-blas-cu12; extra == 'fast'",), (), []),
        (("cuda-toolkit[blas]",), (), ["libblas.so.3"]),
        (("cuda-toolkit",), (), []),
    ],
)
def test_what_is_left_out_of_the_grafts(
    tmp_path: Path, lines: tuple[str, ...], exclude: tuple[str, ...], left_out: list[str]
) -> None:
    opened = replace(requiring(tmp_path, (BLAS, "libgraft.so.1"), *lines), excluded=exclude)
    (tmp_path / "none").mkdir()
    found = companion_wheels.with_companions(
        opened, Sources(folder=tmp_path / "none"), grafting=True
    )
    by_name = [name for name in found.excluded if name not in exclude]
    assert by_name == ([] if exclude else left_out)
    assert found.is_system(BLAS) == bool(left_out)
    plain = companion_wheels.with_companions(opened, Sources(folder=tmp_path / "none"))
    assert plain.excluded == exclude


def test_only_what_is_left_out_is_sought_for_a_repair(tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    stored(beside, "nvidia_blas_cu12-1.0", BLAS)
    opened = requiring(tmp_path, (BLAS, "libgraft.so.1"), "nvidia-blas-cu12", "far")
    found = companion_wheels.find(opened, Sources(folder=beside), grafting=True)
    assert looked_at(found) == ["nvidia-blas-cu12"]
    # The library to graft is sought in no other distribution.
    assert found.unseen == {"far": "not looked at"}
    found = companion_wheels.find(opened, Sources(folder=beside))
    assert found.unseen == {"far": f"no wheel of it in {beside}"}
    named = companion_wheels.find(opened, Sources(("far",), beside), grafting=True)
    assert named.unseen == {"far": f"no wheel of it in {beside}"}


def test_an_extra_counts_if_an_rpath_leads_to_nvidia(tmp_path: Path) -> None:
    opened = requiring(tmp_path, (BLAS,), "nvidia-blas-cu12; extra == 'fast'")
    sources = Sources(folder=tmp_path)
    assert companion_wheels.with_companions(opened, sources, grafting=True).excluded == ()
    elves = {MODULE: needing(BLAS, rpath=("$ORIGIN/../nvidia/blas/lib",))}
    leading = replace(opened, elves=elves)
    found = companion_wheels.with_companions(leading, sources, grafting=True)
    assert found.excluded == (BLAS,)


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("sys_platform == 'linux'", True),
        ("sys_platform == 'darwin'", False),
        ("platform_system == 'Linux'", True),
        ("platform_machine == 'ppc64le'", True),
        ("platform_machine == 'x86_64'", False),
        ("python_version == '3.11'", True),
        ("python_version < '3.11'", False),
        ("python_full_version >= '3.11.4'", True),
        ("python_full_version < '3.11.2'", False),
        ("extra == 'fast'", True),
        ("extra == 'slow'", False),
    ],
)
def test_a_marker_is_read_for_the_wheel(tmp_path: Path, marker: str, *, holds: bool) -> None:
    tag = "cp311-cp311-manylinux_2_17_ppc64le"
    opened = requiring(tmp_path, (BLAS,), f"far; {marker}", "near; extra == 'fast'", tag=tag)
    found = companion_wheels.find(opened, Sources(folder=tmp_path))
    assert ("far" in found.required) is holds


def test_what_is_missing(tmp_path: Path) -> None:
    needed = (BLAS, "libc.so.6", "_tiny.so", "/abs/libx.so", "libcuda.so.1", BLAS)
    assert companion_wheels.missing(requiring(tmp_path, needed)) == [BLAS]


# ------------------------------------------------------------------------------- pip's downloads


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Answer for pip from the folder `index`; return the commands that it gets."""
    asked: list[list[str]] = []
    (tmp_path / "index").mkdir()

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert options == {"capture_output": True, "text": True, "check": False}
        asked.append(command)
        name = Requirement(command[-1]).name.replace("-", "_")
        found = list((tmp_path / "index").glob(f"{name}-*"))
        for path in found:
            shutil.copy2(path, command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, not found, "", "no such\nERROR: none of it")

    # Other modules start other programs.
    monkeypatch.setattr(companion_wheels, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    companion_wheels.prune.cache_clear()
    return asked


def test_pip_is_asked_for_the_wheels_that_the_tags_take(
    tmp_path: Path, pip: list[list[str]]
) -> None:
    stored(tmp_path / "index", "far-1.0", BLAS)
    stored(tmp_path / "index", "far-2.0", BLAS)
    tag = "cp314-cp314t-musllinux_1_2_aarch64"
    opened = requiring(tmp_path, (BLAS,), "far>=1", tag=tag)
    found = companion_wheels.find(opened, Sources())
    assert [one.version for one in found.found] == ["2.0"]
    (command,) = pip
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--python-version=3.14"} <= set(command)
    assert {"--abi=cp314t", "--abi=abi3", "--abi=none", "--implementation=cp"} <= set(command)
    platforms = {word for word in command if word.startswith("--platform")}
    assert "--platform=musllinux_1_2_aarch64" in platforms
    assert "--platform=linux_aarch64" in platforms
    assert not any("manylinux" in word or "x86_64" in word for word in platforms)
    assert command[-1] == "far>=1"
    assert found.found[0].path.parent.parent == tmp_path / "cache" / "wheelkit" / "companions"


def test_a_wheel_without_a_linux_tag_takes_those_of_this_machine(
    tmp_path: Path, pip: list[list[str]]
) -> None:
    companion_wheels.find(requiring(tmp_path, (BLAS,), "far", tag="py3-none-any"), Sources())
    platforms = {word for word in pip[0] if word.startswith("--platform")}
    assert f"--platform=manylinux_2_17_{os.uname().machine}" in platforms
    assert not any("musllinux" in word for word in platforms)


def test_what_pip_does_not_find_is_said_in_its_words(tmp_path: Path, pip: list[list[str]]) -> None:
    found = companion_wheels.find(requiring(tmp_path, (BLAS,), "far>=1"), Sources())
    assert found.unseen == {"far": "pip download far>=1: ERROR: none of it"}
    assert found.found == ()
    assert len(pip) == 1


def test_each_question_has_a_folder_of_its_own(tmp_path: Path, pip: list[list[str]]) -> None:
    for number, line in enumerate(("far>=1", "far>=2", "far>=1")):
        companion_wheels.find(requiring(tmp_path / str(number), (BLAS,), line), Sources())
    folders = [command[command.index("--dest") + 1] for command in pip]
    assert folders[0] == folders[2] != folders[1]


def test_no_more_is_downloaded_than_it_takes(tmp_path: Path, pip: list[list[str]]) -> None:
    for name, own in (("nvidia_blas_cu12", BLAS), ("far", "libfar.so"), ("near", "libnear.so")):
        stored(tmp_path / "index", f"{name}-1.0", own)
    lines = ("far", "nvidia-fft-cu12", "nvidia-blas-cu12", "near")
    found = companion_wheels.find(requiring(tmp_path, (BLAS,), *lines), Sources())
    assert looked_at(found) == ["nvidia-blas-cu12"]
    assert [command[-1] for command in pip] == ["nvidia-blas-cu12"]
    assert set(found.unseen) == {"far", "nvidia-fft-cu12", "near"}
    pip.clear()
    found = companion_wheels.find(requiring(tmp_path / "2", ("libfar.so",), *lines), Sources())
    assert [command[-1] for command in pip] == ["far"]


@pytest.mark.usefixtures("pip")
def test_old_downloads_are_removed(tmp_path: Path) -> None:
    stored(tmp_path / "index", "far-1.0", BLAS)
    now, cache = time.time(), companion_wheels.cache()
    minute = 1 / (24 * 60)
    for name, days in (("old", 30 + minute), ("young", 30 - 2 * minute)):
        (cache / name).mkdir(parents=True)
        path = cache / name / "a.whl"
        path.touch()
        os.utime(path, (now - days * 24 * 3600,) * 2)
    (found,) = companion_wheels.find(requiring(tmp_path, (BLAS,), "far"), Sources()).found
    assert not (cache / "old").exists()
    assert (cache / "young" / "a.whl").exists()
    assert abs(found.path.stat().st_mtime - now) < 600


def test_the_cache_is_where_the_user_has_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert companion_wheels.cache() == tmp_path / "wheelkit" / "companions"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert companion_wheels.cache() == tmp_path / ".cache" / "wheelkit" / "companions"


def test_every_python_has_its_own_wheels(tmp_path: Path) -> None:
    """A wheel for any Python 3 takes the first that it is for."""
    assert len(CPYTHONS) > 5
    opened = requiring(tmp_path, (BLAS,), "far", tag="py3-none-manylinux_2_17_x86_64")
    assert f"--abi=cp{opened.identity.python.replace('.', '')}" in companion_wheels._tag_options(
        opened.identity
    )
