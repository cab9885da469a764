"""Where members are installed, and what an rpath entry means there."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from wheelkit import layouts
from wheelkit.subject import entry_to, resolve

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
    layout = layouts.venv("3.11", "Tiny")
    assert layouts.installed([member], layout, "platlib") == {member: path}


def test_the_venv_layout_is_that_of_the_running_interpreter() -> None:
    version = sysconfig.get_python_version()
    paths = sysconfig.get_paths("posix_prefix", {"base": "/v", "platbase": "/v"})
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    layout = layouts.venv(version + threaded, "tiny")
    for scheme in ("purelib", "data", "scripts"):
        assert Path("/v", layout[scheme]) == Path(paths[scheme])


def test_only_members_of_the_data_directory_are_displaced() -> None:
    assert not layouts.place("tiny/a.so").displaced
    assert layouts.place("t-1.data/data/tiny/a.so").displaced
    assert layouts.place("a.py", root_scheme="purelib").scheme == "purelib"


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
