"""Where members are installed, and what an rpath entry means there."""

from __future__ import annotations

import posixpath
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tiny_wheels import MACHINE, library, wheel
from wheelkit.checks import layouts as checked_layouts
from wheelkit.wheel import identity, layouts
from wheelkit.wheel.reading import entry_to, read_wheel, resolve
from wheelkit.wheel.settings import Settings

PLACES = [
    ("tiny/_tiny.so", "lib/python3.11/site-packages/tiny/_tiny.so"),
    ("tiny.libs/liba.so", "lib/python3.11/site-packages/tiny.libs/liba.so"),
    ("Tiny-1.data/data/tiny/.libs/a.so", "tiny/.libs/a.so"),
    ("Tiny-1.data/platlib/tiny/b.so", "lib/python3.11/site-packages/tiny/b.so"),
    ("Tiny-1.data/scripts/run", "bin/run"),
    ("Tiny-1.data/headers/sub/a.h", "include/site/python3.11/Tiny/sub/a.h"),
]


@pytest.mark.parametrize(("member", "path"), PLACES)
def test_members_are_placed_as_in_a_venv(member: str, path: str) -> None:
    assert layouts.venv("3.11", "Tiny").places([member], "platlib") == {member: path}


def test_the_venv_layout_is_that_of_the_running_interpreter() -> None:
    version = sysconfig.get_python_version()
    paths = sysconfig.get_paths("posix_prefix", {"base": "/v", "platbase": "/v"})
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    directories = layouts.venv(version + threaded, "tiny").directories
    for scheme in ("purelib", "data", "scripts"):
        assert Path("/v", directories[scheme]) == Path(paths[scheme])


def test_only_members_of_the_data_directory_are_displaced() -> None:
    assert not layouts.scheme_path("tiny/a.so").displaced
    assert layouts.scheme_path("t-1.data/data/tiny/a.so").displaced
    assert layouts.scheme_path("a.py", root_scheme="purelib").scheme == "purelib"


ENTRIES = [
    ("$ORIGIN", "a/b", "a/b"),
    ("$ORIGIN/.libs", "a/b", "a/b/.libs"),
    ("${ORIGIN}/../c/./", "a/b", "a/c"),
    ("$ORIGIN/..", "a", ""),
    ("$ORIGIN/../../x", "a", "../x"),
    ("$ORIGIN", "", ""),
    ("/abs", "a", None),
    ("rel", "a", None),
    ("", "a", None),
    ("$ORIGINAL", "a", None),
    ("$LIB/x", "a", None),
    ("$ORIGIN/$LIB", "a", None),
]


@pytest.mark.parametrize(("entry", "directory", "target"), ENTRIES)
def test_an_entry_is_followed_as_the_loader_does(
    entry: str, directory: str, target: str | None
) -> None:
    assert resolve(entry, directory) == target


@pytest.mark.parametrize(
    ("target", "directory", "entry"),
    [("a", "a", "$ORIGIN"), ("a/.libs", "a", "$ORIGIN/.libs"), ("b", "a/c", "$ORIGIN/../../b")],
)
def test_an_entry_leads_where_it_should(target: str, directory: str, entry: str) -> None:
    assert entry_to(target, directory) == entry
    assert resolve(entry, directory) == target


# -------------------------------------------------------------------------------- every layout


def test_every_layout_has_a_name_and_a_source() -> None:
    names = [layout.name for layout in layouts.LAYOUTS]
    assert len(set(names)) == len(names)
    assert all(len(layout.source) > 10 for layout in layouts.LAYOUTS)


@pytest.mark.parametrize(("name", "scheme"), [("prefix", "posix_prefix"), ("home", "posix_home")])
def test_layouts_are_those_of_sysconfig(name: str, scheme: str) -> None:
    version = sysconfig.get_python_version()
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    bases = dict.fromkeys(("base", "platbase", "installed_base", "installed_platbase"), "/p")
    paths = sysconfig.get_paths(scheme, bases | {"platlibdir": "lib"})
    layout = next(layout for layout in layouts.LAYOUTS if layout.name == name)
    found = layout.directories(version + threaded, "tiny")
    for key in ("purelib", "platlib", "data", "scripts"):
        assert Path("/p", found[key]) == Path(paths[key])
    # Every installer adds the name of the distribution.
    assert Path("/p", found["headers"]) == Path(paths["include"], "tiny")


WAYS = {
    "venv": "../lib/python3.11/site-packages",
    "prefix": "../lib/python3.11/site-packages",
    "Debian": "../lib/python3.11/dist-packages",
    "Debian --prefix": "../lib/python3.11/dist-packages",
    "Debian, deb": "../lib/python3/dist-packages",
    "lib64": "../lib64/python3.11/site-packages",
    "pip --target": "..",
    "pip --target --upgrade": "..",
    "target": "..",
    "home": "../lib/python",
    "PDM": "../lib",
    "Bazel": "../../site-packages",
    "uv, links followed": "../../..",
    "linked data": "../lib/python3.11/site-packages",
}


def test_the_way_from_data_to_packages_is_known_for_every_layout() -> None:
    found = {}
    for where in layouts.installations(["3.11"], "tiny"):
        start = where.path("tiny-1.data/data/x", "platlib")
        end = where.path("tiny.libs", "platlib")
        found[where.layout.name] = str(Path(posixpath.relpath(f"/{end}", f"/{start}")).parent)
    assert found == WAYS


# Where each layout has the members of the five schemes, of a wheel `tiny` for CPython 3.11.
MEMBERS = (
    *("p/x", "tiny-1.data/purelib/p/y", "tiny-1.data/data/d/x"),
    *("tiny-1.data/scripts/run", "tiny-1.data/headers/x.h"),
)
SITE, DIST = "lib/python3.11/site-packages", "lib/python3.11/dist-packages"
FOLDERS = {
    "venv": (SITE, SITE, "", "bin", "include/site/python3.11/tiny"),
    "prefix": (SITE, SITE, "", "bin", "include/python3.11/tiny"),
    "Debian": (DIST, DIST, "", "bin", "include/python3.11/tiny"),
    "Debian --prefix": (
        *(f"local/{DIST}", f"local/{DIST}", "local", "local/bin"),
        "local/include/python3.11/tiny",
    ),
    "Debian, deb": (
        *("lib/python3/dist-packages", "lib/python3/dist-packages", "", "bin"),
        "include/python3.11/tiny",
    ),
    "lib64": ("lib64/python3.11/site-packages", SITE, "", "bin", "include/python3.11/tiny"),
    "pip --target": ("", "", "", "bin", "include/python/tiny"),
    "pip --target --upgrade": ("", "", "", "bin", "include/python/tiny"),
    "target": ("", "", "", "bin", "include/python/tiny"),
    "home": ("lib/python", "lib/python", "", "bin", "include/python/tiny"),
    "PDM": ("lib", "lib", "", "bin", "include/tiny"),
    "Bazel": ("site-packages", "site-packages", "data", "bin", "include/tiny"),
    "linked data": (SITE, SITE, "", "bin", "include/python3.11/tiny"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_where_each_layout_has_the_members_of_each_scheme(name: str) -> None:
    (where,) = (one for one in layouts.installations(["3.11"], "tiny") if one.layout.name == name)
    ends = ("p/x", "p/y", "d/x", "run", "x.h")
    expected = [posixpath.join(*pair) for pair in zip(FOLDERS[name], ends, strict=True)]
    assert [where.path(member, "platlib") for member in MEMBERS] == expected
    assert (where.layout.unpacked, where.layout.apart) == (False, name == "Bazel")


def test_a_library_of_uvs_cache_is_where_the_archive_has_it() -> None:
    (where,) = (one for one in layouts.installations(["3.11"], "tiny") if one.layout.unpacked)
    assert (where.layout.name, where.layout.apart) == ("uv, links followed", True)
    assert [where.path(member, "platlib") for member in MEMBERS] == list(MEMBERS)


def test_each_python_has_its_own_directories_where_they_differ() -> None:
    found = layouts.installations(["3.12", "3.13", "3.13t", "pypy3.10"], "tiny")
    venvs = [str(where) for where in found if where.layout is layouts.VENV]
    assert venvs == ["venv (3.12)", "venv (3.13)", "venv (3.13t)", "venv (pypy3.10)"]
    platlibs = {w.directories["platlib"] for w in found if w.layout is layouts.VENV}
    assert "lib/python3.13t/site-packages" in platlibs
    assert "lib/pypy3.10/site-packages" in platlibs
    assert len([where for where in found if where.layout.name == "target"]) == 1


SHARED = {
    "tiny/__init__.py": b"",
    "tiny/_tiny.so": b"",
    "tiny.libs/libg.so": b"",
    "tiny-1.0.data/data/tiny/libtiny.so": b"",
    "tiny-1.0.data/data/lib/tiny.cfg": b"",
    "tiny-1.0.data/data/etc/tiny.cfg": b"",
    "tiny-1.0.data/scripts/run": b"#!/bin/sh\n",
    "tiny-1.0.data/platlib/more/b.py": b"",
}


@pytest.mark.parametrize("options", [[], ["--upgrade"]], ids=str)
def test_pip_target_loses_what_the_table_says(tmp_path: Path, options: list[str]) -> None:
    path = wheel(tmp_path / "in", SHARED, tag="py3-none-any")
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile"]
    command += [*options, "--target", str(target), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    name = " ".join(["pip --target", *options])
    (where,) = (w for w in layouts.installations(["3.11"], "tiny") if w.layout.name == name)
    expected = {path for m, path in where.places(SHARED, "platlib").items()}
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert {path for path in found if ".dist-info" not in path} == expected
    assert ("tiny/libtiny.so" in found, "tiny/_tiny.so" in found) == (bool(options), not options)


def test_other_layouts_lose_nothing() -> None:
    for where in layouts.installations(["3.11"], "tiny"):
        if where.layout.clash is layouts.Clash.MERGED:
            assert set(where.places(SHARED, "platlib")) == set(SHARED)


def test_linked_directories_are_those_of_the_data_scheme() -> None:
    (where,) = (w for w in layouts.installations(["3.11"], "t") if w.layout.name == "linked data")
    assert where.links(SHARED, "platlib") == {
        "etc": "moved/away/etc",
        "tiny": "moved/away/tiny",
    }
    venv = layouts.venv("3.11", "t")
    assert venv.links(SHARED, "platlib") == {}


PYTHONS = [
    ("cp37-cp37m", ("3.7",)),
    ("cp313-cp313t", ("3.13t",)),
    ("cp313-cp313.cp313t", ("3.13", "3.13t")),
    ("cp314-abi3", ("3.14", "3.15")),
    ("py314-none", ("3.14", "3.15", "3.14t", "3.15t")),
    ("py2.py3-none", (*(f"3.{n}" for n in range(7, 16)), "3.13t", "3.14t", "3.15t")),
    ("pp310-pypy310_pp73", ("pypy3.10",)),
    ("cp399-cp399", ("3.99",)),
]


@pytest.mark.parametrize(("tag", "pythons"), PYTHONS)
def test_tags_name_versions_of_python(tag: str, pythons: tuple[str, ...]) -> None:
    found = identity.identify(f"tiny-1.0-{tag}-manylinux_2_17_x86_64.whl")
    assert found.pythons == pythons


def test_tags_of_other_interpreters_stand_for_the_running_one() -> None:
    for tag in ("graalpy240-none", "py2-none"):
        found = identity.identify(f"tiny-1.0-{tag}-any.whl")
        assert found.pythons == (identity.running_python(),)


def test_one_python_stands_for_all_unless_an_rpath_names_one(tmp_path: Path) -> None:
    tag = f"cp312-abi3-manylinux_2_17_{MACHINE}"
    plain = {"tiny/_tiny.abi3.so": library("_tiny", rpath="$ORIGIN/../tiny.libs")}
    named = {"tiny/_tiny.abi3.so": library("_tiny", rpath="$ORIGIN/../../python3.12/x")}
    for number, (files, same) in enumerate(((plain, True), (named, False))):
        folder = tmp_path / str(number)
        opened = read_wheel(wheel(folder, files, tag=tag), folder / "read")
        every = checked_layouts.chosen(opened, Settings())
        distinct = checked_layouts.distinct(opened, Settings())
        names = {installation.layout.name for installation in every}
        assert {installation.layout.name for installation in distinct} == names
        assert len(distinct) == (len(names) if same else len(every))
        assert len(every) > len(names)
