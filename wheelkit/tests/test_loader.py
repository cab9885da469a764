"""The emulated search of the loader: each of its rules, and against the loader of this system."""

from __future__ import annotations

import posixpath
import random
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_wheels import MANYLINUX, extension, install, library, load, wheel
from wheelkit.base import pinned_tools
from wheelkit.checks import loader
from wheelkit.checks.loader import How, Search, Tree
from wheelkit.wheel import elf, layouts
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.reading import read_wheel

X86, ARM = ("EM_X86_64", 64, True), ("EM_AARCH64", 64, True)


def file(
    *needed: str,
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    machine: tuple[str, int, bool] = X86,
) -> Elf:
    return Elf(
        machine=machine,
        soname=soname,
        needed=needed,
        rpath=None if rpath is None else tuple(rpath.split(":")),
        runpath=None if runpath is None else tuple(runpath.split(":")),
        executable_stack=False,
        is_program=False,
    )


def tree(files: Mapping[str, Elf | None], links: Mapping[str, str] | None = None) -> Tree:
    folders = {posixpath.dirname(path) for path in files}
    upwards = {f for folder in folders for f in (folder, *_parents(folder))}
    return Tree(files, {}, links or {}, frozenset(upwards))


def _parents(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def search(
    files: Mapping[str, Elf | None], path: str = "a/top.so", links: Mapping[str, str] | None = None
) -> list[tuple[str, How, str | None]]:
    found = loader.load(tree(files, links), path, lambda name: name == "libc.so.6")
    return [(one.name, one.how, one.found) for one in found]


LEAF = file(soname="leaf.so")

CASES: dict[str, tuple[dict[str, Elf | None], list[tuple[str, How, str | None]]]] = {
    "what the system has is asked for last": (
        {"a/top.so": file("libc.so.6", rpath="$ORIGIN"), "a/libc.so.6": LEAF},
        [("libc.so.6", How.RPATH, "a/libc.so.6")],
    ),
    "only the system has it": (
        {"a/top.so": file("libc.so.6", rpath="$ORIGIN")},
        [("libc.so.6", How.SYSTEM, None)],
    ),
    "the same folder is not searched": (
        {"a/top.so": file("leaf.so"), "a/leaf.so": LEAF},
        [("leaf.so", How.NOWHERE, None)],
    ),
    "entries count in their order": (
        {"a/top.so": file("leaf.so", rpath="${ORIGIN}/x:$ORIGIN/y"), "a/x/leaf.so": LEAF,
         "a/y/leaf.so": LEAF},
        [("leaf.so", How.RPATH, "a/x/leaf.so")],
    ),
    "DT_RUNPATH disables DT_RPATH": (
        {"a/top.so": file("leaf.so", rpath="$ORIGIN/x", runpath="$ORIGIN/y"), "a/x/leaf.so": LEAF,
         "a/y/leaf.so": LEAF},
        [("leaf.so", How.RUNPATH, "a/y/leaf.so")],
    ),
    "DT_RPATH is inherited, with the folder of who has it": (
        {"a/top.so": file("b.so", rpath="$ORIGIN/x:$ORIGIN/y"), "a/x/b.so": file("leaf.so"),
         "a/y/leaf.so": LEAF},
        [("b.so", How.RPATH, "a/x/b.so"), ("leaf.so", How.RPATH, "a/y/leaf.so")],
    ),
    "its own DT_RPATH comes before an inherited one": (
        {"a/top.so": file("b.so", rpath="$ORIGIN/x"), "a/x/leaf.so": LEAF, "a/x/z/leaf.so": LEAF,
         "a/x/b.so": file("leaf.so", rpath="$ORIGIN/z")},
        [("b.so", How.RPATH, "a/x/b.so"), ("leaf.so", How.RPATH, "a/x/z/leaf.so")],
    ),
    "DT_RUNPATH is not inherited": (
        {"a/top.so": file("b.so", runpath="$ORIGIN/x:$ORIGIN/y"), "a/x/b.so": file("leaf.so"),
         "a/y/leaf.so": LEAF},
        [("b.so", How.RUNPATH, "a/x/b.so"), ("leaf.so", How.NOWHERE, None)],
    ),
    "DT_RUNPATH disables inherited DT_RPATH": (
        {"a/top.so": file("b.so", rpath="$ORIGIN"), "a/b.so": file("leaf.so", runpath="$ORIGIN/y"),
         "a/leaf.so": LEAF},
        [("b.so", How.RPATH, "a/b.so"), ("leaf.so", How.NOWHERE, None)],
    ),
    "a SONAME that is loaded is not searched for": (
        {"a/top.so": file("x.so", "b.so", rpath="$ORIGIN"), "a/x.so": file(soname="leaf.so"),
         "a/b.so": file("leaf.so")},
        [("x.so", How.RPATH, "a/x.so"), ("b.so", How.RPATH, "a/b.so"),
         ("leaf.so", How.LOADED, "a/x.so")],
    ),
    "what needs the library itself gets it": (
        {"a/top.so": file("b.so", soname="top", rpath="$ORIGIN"), "a/b.so": file("top")},
        [("b.so", How.RPATH, "a/b.so"), ("top", How.LOADED, "a/top.so")],
    ),
    "a library of another machine is passed over": (
        {"a/top.so": file("leaf.so", rpath="$ORIGIN/x:$ORIGIN/y"),
         "a/x/leaf.so": file(machine=ARM), "a/y/leaf.so": LEAF},
        [("leaf.so", How.RPATH, "a/y/leaf.so")],
    ),
    "a library of the other word size or byte order is passed over": (
        {"a/top.so": file("leaf.so", rpath="$ORIGIN/x:$ORIGIN/y:$ORIGIN/z"),
         "a/x/leaf.so": file(machine=("EM_X86_64", 32, True)),
         "a/y/leaf.so": file(machine=("EM_X86_64", 64, False)), "a/z/leaf.so": LEAF},
        [("leaf.so", How.RPATH, "a/z/leaf.so")],
    ),
    "an empty DT_RUNPATH disables DT_RPATH too": (
        {"a/top.so": replace(file("leaf.so", rpath="$ORIGIN"), runpath=()), "a/leaf.so": LEAF},
        [("leaf.so", How.NOWHERE, None)],
    ),
    "DT_RPATH beside DT_RUNPATH is not inherited": (
        {"a/top.so": file("b.so", rpath="$ORIGIN/x", runpath="$ORIGIN"), "a/b.so": file("leaf.so"),
         "a/x/leaf.so": LEAF},
        [("b.so", How.RUNPATH, "a/b.so"), ("leaf.so", How.NOWHERE, None)],
    ),
    "DT_RPATH is inherited past a library with DT_RUNPATH": (
        {"a/top.so": file("b.so", rpath="$ORIGIN"), "a/b.so": file("c.so", runpath="$ORIGIN"),
         "a/c.so": file("leaf.so"), "a/leaf.so": LEAF},
        [("b.so", How.RPATH, "a/b.so"), ("c.so", How.RUNPATH, "a/c.so"),
         ("leaf.so", How.RPATH, "a/leaf.so")],
    ),
    "what is loaded under another name is found, and not loaded again": (
        {"a/top.so": file("b.so", "c.so", rpath="$ORIGIN"), "a/b.so": file("c.so", "d.so"),
         "a/c.so": file("b.so"), "a/d.so": file("top.so")},
        [("b.so", How.RPATH, "a/b.so"), ("c.so", How.RPATH, "a/c.so"),
         ("c.so", How.LOADED, "a/c.so"), ("d.so", How.RPATH, "a/d.so"),
         ("b.so", How.LOADED, "a/b.so"), ("top.so", How.RPATH, "a/top.so")],
    ),
    "a file that is no ELF file ends the search": (
        {"a/top.so": file("leaf.so", rpath="$ORIGIN/x:$ORIGIN/y"), "a/x/leaf.so": None,
         "a/y/leaf.so": LEAF},
        [("leaf.so", How.NOT_ELF, "a/x/leaf.so")],
    ),
    "a folder on the way must exist": (
        {"a/top.so": file("leaf.so", rpath="$ORIGIN/no/../x"), "a/x/leaf.so": LEAF},
        [("leaf.so", How.NOWHERE, None)],
    ),
    "absolute entries, empty ones and $LIB lead nowhere for sure": (
        {"a/top.so": file("leaf.so", rpath="/a:a::$ORIGIN/$LIB"), "a/leaf.so": LEAF},
        [("leaf.so", How.NOWHERE, None)],
    ),
    "a NEEDED path is not searched for": (
        {"a/top.so": file("/b/leaf.so", "$ORIGIN/x/leaf.so", rpath="$ORIGIN"),
         "a/x/leaf.so": LEAF},
        [("/b/leaf.so", How.NOWHERE, None), ("$ORIGIN/x/leaf.so", How.PATH, "a/x/leaf.so")],
    ),
    "searches go breadth first": (
        {"a/top.so": file("b.so", "c.so", rpath="$ORIGIN"), "a/b.so": file("d.so"),
         "a/c.so": file(), "a/d.so": file()},
        [(f"{n}.so", How.RPATH, f"a/{n}.so") for n in "bcd"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_library_is_searched_for_by_the_rules(name: str) -> None:
    files, expected = CASES[name]
    assert search(files) == expected
    failed = {one.how for one in loader.load(tree(files), "a/top.so", is_libc) if one.failed}
    assert failed == {how for _, how, _ in expected} & {How.NOWHERE, How.NOT_ELF}


def is_libc(name: str) -> bool:
    return name == "libc.so.6"


def test_a_search_above_the_prefix_is_told() -> None:
    files = {"a/top.so": file("leaf.so", rpath="$ORIGIN/../../evil:$ORIGIN"), "a/leaf.so": LEAF}
    (found,) = loader.load(tree(files), "a/top.so", lambda _: False)
    assert found == Search("a/top.so", "leaf.so", How.RPATH, "a/leaf.so", ("../evil/leaf.so",))
    assert not found.failed


def test_a_way_upwards_starts_behind_a_link() -> None:
    files = {"far/away/top.so": file("leaf.so", rpath="$ORIGIN/../lib"), "lib/leaf.so": LEAF}
    assert search(files, "a/top.so", {"a": "far/away"}) == [("leaf.so", How.NOWHERE, None)]
    files["far/lib/leaf.so"] = LEAF
    found = search(files, "a/top.so", {"a": "far/away"})
    assert found == [("leaf.so", How.RPATH, "far/lib/leaf.so")]


def test_what_the_process_has_loaded_need_not_be_found() -> None:
    files = {"a/top.so": file("leaf.so")}
    (found,) = loader.load(tree(files), "a/top.so", lambda _: False, ["leaf.so"])
    assert found.how is How.LOADED


def test_what_is_no_library_cannot_be_loaded() -> None:
    with pytest.raises(ValueError, match="no library"):
        loader.load(tree({"a/text": None}), "a/text", lambda _: False)


# ------------------------------------------------------------------------------- a whole wheel

DATA = "tiny-1.0.data/data/tiny"
FILES = {
    "tiny/_tiny.so": extension("_tiny", "libg.so", rpath="$ORIGIN/../tiny.libs"),
    f"{DATA}/libtiny.so": library(
        "libtiny.so",
        "libg.so",
        rpath="$ORIGIN/../lib/python3.11/site-packages/tiny.libs:$ORIGIN/../../../tiny.libs",
    ),
    "tiny.libs/libg.so": library("libg.so"),
}


def test_every_layout_of_a_wheel_is_searched(tmp_path: Path) -> None:
    tag = MANYLINUX.replace("py3-none", "cp311-cp311")
    opened = read_wheel(wheel(tmp_path, FILES, tag=tag), tmp_path / "unpacked")
    found = loader.failures(opened)
    assert {where.layout.name for where in found} == {one.name for one in layouts.LAYOUTS}
    failing = {where.layout.name: failed for where, failed in found.items() if failed}
    # pip --target drops the directory tiny of the data scheme, pip --target --upgrade the package.
    fine = {"venv", "prefix", "pip --target", "uv, links followed"}
    assert set(failing) == {one.name for one in layouts.LAYOUTS} - fine
    for failed in failing.values():
        assert [(member, one.name) for member, one in failed] == [(f"{DATA}/libtiny.so", "libg.so")]


# ----------------------------------------------------------------------- the loader of this system

NAMES = ("liba.so", "libb.so", "libc2.so")
FOLDERS = ("one", "one/two", "three")
ENTRIES = (
    "$ORIGIN", "${ORIGIN}/..", "$ORIGIN/two", "$ORIGIN/../three", "$ORIGIN/../one", "$ORIGIN/no/..",
    "$ORIGIN/../link", "$ORIGIN/../link/two", "$ORIGIN/../../one", "",
)  # fmt: skip


def scatter(folder: Path, chance: random.Random) -> dict[str, Path]:
    """Put copies of a chain of libraries into folders, each with an rpath drawn by lot."""
    link = folder / "link"
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder / "one")
    made = {}
    for index, name in enumerate(NAMES):
        data = library(name, *NAMES[index + 1 : index + 1 + chance.randint(1, 2)])
        for place in chance.sample(FOLDERS, chance.randint(1, 2)):
            path = folder / place / name
            path.write_bytes(data)
            entries = ":".join(chance.sample(ENTRIES, chance.randint(0, 3)))
            kind = chance.choice([["--force-rpath"], []])
            if entries:
                command = [pinned_tools.patchelf(), *kind, "--set-rpath", entries, str(path)]
                subprocess.run(command, check=True)
            made[f"{place}/{name}"] = path
    return made


@pytest.mark.parametrize("seed", range(20))
def test_the_loader_of_this_system_finds_the_same(tmp_path: Path, seed: int) -> None:
    made = scatter(tmp_path, random.Random(seed))  # noqa: S311
    files = {name: elf.read(path) for name, path in made.items()}
    folders = frozenset({"one", "one/two", "three"})
    installed = Tree(files, {}, {"link": "one"}, folders)
    top = next(name for name in made if name.endswith("liba.so"))
    found = loader.load(installed, top, lambda name: name == "libc.so.6")
    mapped = load(tmp_path / top)
    if any(one.failed for one in found):
        failed = next(one.name for one in found if one.failed)
        assert mapped == [f"{failed}: cannot open shared object file: No such file or directory"]
    else:
        expected = {str(tmp_path / one.found) for one in found if one.found}
        expected.add(str(tmp_path / top))
        assert {path for path in mapped if path.startswith(str(tmp_path))} == expected


@pytest.mark.parametrize("name", ["venv", "linked data", "Bazel", "lib64"])
def test_a_wheel_loads_where_the_emulation_says(tmp_path: Path, name: str) -> None:
    opened = read_wheel(wheel(tmp_path, FILES), tmp_path / "unpacked")
    where = next(
        i
        for i in opened.installations()
        if (i.layout.name, i.python) == (name, "3.11")
        or (i.layout.name == name and "{python}" not in i.layout.platlib)
    )
    tree = loader.plant(opened, where)
    paths = install(opened.archive.path, tmp_path / "prefix", where)
    for path, member in tree.libraries.items():
        failed = any(one.failed for one in loader.load(tree, path, opened.is_system))
        said = load(paths[member])
        assert failed == any("cannot open shared object file" in line for line in said), member
