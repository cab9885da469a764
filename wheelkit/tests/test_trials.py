"""Trial installations with stand-ins of the installers and of the program that loads a library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_wheels
from wheelkit.base import pinned_tools
from wheelkit.install import installers, pythons, trial
from wheelkit.install.installers import WAYS, Site, Way
from wheelkit.install.pythons import Python
from wheelkit.target.report import LackingError, MisusedError
from wheelkit.wheel import elf, loaded_before
from wheelkit.wheel.companions import Companion, Companions
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.reading import Wheel, read_wheel

HOST = elf.read(Path(sys.executable).resolve())
assert HOST is not None
MACHINE = HOST.machine
HERE = Python(Path(sys.executable).resolve(), "3.11", debian=False, pip=None)
DATA = "tiny-1.0.data/data/own"
MODULE, GRAFT, OWN = "tiny/_tiny.so", "tiny.libs/libg-01234567.so.1", f"{DATA}/libtiny.so"
Done = subprocess.CompletedProcess[str]


def done(stdout: str = "", stderr: str = "", status: int = 0) -> Done:
    return subprocess.CompletedProcess([], status, stdout, stderr)


# ---------------------------------------------------------------------------------- the installers


class Calls:
    """Stands in for `subprocess.run`, and remembers the commands."""

    def __init__(self, *answers: Done) -> None:
        self.answers = list(answers)
        self.commands: list[list[str]] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, command: Sequence[object], **options: Any) -> Done:
        self.commands.append([str(word) for word in command])
        self.options.append(options)
        return self.answers.pop(0) if self.answers else done()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()
    monkeypatch.setattr("wheelkit.install.installers.subprocess.run", made)
    monkeypatch.setattr(installers, "uv", lambda: "/tools/uv")
    return made


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A place to install to, of an interpreter with a pip."""
    (tmp_path / "pip").mkdir()
    python = replace(HERE, path=Path("/usr/bin/python3"), pip=tmp_path / "pip")
    return Site(python, tmp_path / "root", tmp_path / "scratch")


# The words behind "pip install" for each way; {} is the folder. pip's and uv's documentation say
# what they do.
APART = ["--ignore-installed", "--no-warn-script-location"]
OPTIONS = {
    ("pip", "venv"): [],
    ("pip", "user"): ["--user", *APART],
    ("pip", "prefix"): ["--prefix", "{}", *APART],
    ("pip", "root"): ["--root", "{}", *APART],
    ("pip", "target"): ["--target", "{}"],
    ("pip", "target-upgrade"): ["--target", "{}", "--upgrade"],
    ("pip", "root-deb"): ["--root", "{}", *APART],
    ("uv", "venv"): [],
    ("uv", "prefix"): ["--prefix", "{}"],
    ("uv", "target"): ["--target", "{}"],
    ("uv", "target-upgrade"): ["--target", "{}", "--upgrade"],
}
REMOVABLE = {("pip", "venv"), ("pip", "user"), *(way for way in OPTIONS if way[0] == "uv")}


def test_each_way_to_install_is_known() -> None:
    assert [(way.installer, way.layout) for way in WAYS] == list(OPTIONS)
    assert {(way.installer, way.layout) for way in WAYS if way.removable} == REMOVABLE
    assert [way.layout for way in WAYS if way.debian_only] == ["root-deb"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.installer} {way.layout}")
def test_the_words_that_install_and_uninstall(way: Way, site: Site, calls: Calls) -> None:
    site.root.mkdir()
    installers.install(way, site, Path("/w/a.whl"), Path("/w/b.whl"))
    installers.uninstall(way, site, "a", "b")
    python = f"{site.root}/bin/python" if way.layout == "venv" else "/usr/bin/python3"
    options = [word.format(site.root) for word in OPTIONS[way.installer, way.layout]]
    asked = ["--no-deps", "--no-index", *options, "/w/a.whl", "/w/b.whl"]
    if way.installer == "pip":
        start = [python, "-m", "pip"]
        removing = [*start, "uninstall", "--yes", "a", "b"]
        assert calls.commands == [[*start, "install", *asked], removing]
    else:
        common = ["--python", python, "--no-config", "--offline", "--break-system-packages"]
        where = [word for word in options if word != "--upgrade"]
        assert calls.commands == [
            ["/tools/uv", "pip", "install", *common, *asked],
            ["/tools/uv", "pip", "uninstall", *common, *where, "a", "b"],
        ]


def test_installers_do_not_see_the_callers_settings(
    site: Site, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org")
    by_name = {(way.installer, way.layout): way for way in WAYS}
    for name in (("pip", "user"), ("pip", "root-deb"), ("uv", "venv")):
        installers.install(by_name[name], site)
    home = site.scratch / "home"
    pip = {
        "PATH": os.defpath,
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUSERBASE": str(site.root),
        "PYTHONPATH": str(site.scratch / "pip-3.11"),
    }
    uv = {"UV_CACHE_DIR": str(site.scratch / "uv"), "UV_LINK_MODE": "copy"}
    expected = [
        pip,
        {**pip, "DEB_PYTHON_INSTALL_LAYOUT": "deb"},
        {"PATH": os.defpath, "HOME": str(home), **uv},
    ]
    assert [options["env"] for options in calls.options] == expected
    assert [options["cwd"] for options in calls.options] == [home] * 3
    assert home.is_dir()


def test_a_root_is_made_before_anything_is_installed(site: Site, calls: Calls) -> None:
    by_name = {(way.installer, way.layout): way for way in WAYS}
    installers.prepare(by_name["pip", "target"], site)
    assert site.root.is_dir()
    assert calls.commands == [["/usr/bin/python3", "-m", "pip", "--version"]]
    site.root.rmdir()
    installers.prepare(by_name["uv", "venv"], site)
    assert calls.commands[1:] == [
        ["/tools/uv", "--version"],
        ["/usr/bin/python3", "-I", "-m", "venv", "--without-pip", str(site.root)],
    ]
    # Another interpreter's is not there: the stand-in has made none.
    assert not site.root.exists()
    calls.answers = [done(), done(stderr="No module named venv\n", status=1)]
    with pytest.raises(LackingError, match=r"cannot make a venv: No module named venv"):
        installers.prepare(by_name["pip", "venv"], site)


def test_pip_comes_from_its_package_or_from_a_wheel_of_it(
    site: Site, calls: Calls, tmp_path: Path
) -> None:
    (way,) = (way for way in WAYS if (way.installer, way.layout) == ("pip", "target"))
    installers.install(way, site)
    assert (site.scratch / "pip-3.11" / "pip").resolve() == (tmp_path / "pip").resolve()
    with zipfile.ZipFile(tmp_path / "pip-1.whl", "w") as archive:
        archive.writestr("pip/__init__.py", "")
    packed = replace(site, python=replace(site.python, version="3.12", pip=tmp_path / "pip-1.whl"))
    installers.install(way, packed)
    assert (site.scratch / "pip-3.12" / "pip" / "__init__.py").is_file()
    # The folder is used again.
    installers.install(way, replace(site, python=replace(site.python, pip=None)))
    assert len(calls.commands) == 3
    without = replace(site, python=replace(site.python, version="3.13", pip=None))
    with pytest.raises(LackingError, match="has neither pip nor ensurepip"):
        installers.install(way, without)


def test_uv_is_the_pinned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned_tools, "TOOL_DIRECTORY", tmp_path)
    monkeypatch.setattr(pinned_tools, "pinned", {"uv": "1.2.3"}.__getitem__)
    with pytest.raises(LackingError, match=r"no uv in .*, not 1\.2\.3; run: "):
        installers.uv()
    program = tmp_path / "uv"
    program.touch(mode=0o755)
    for said, right in (("uv 1.2.3 (abc)", True), ("uv 1.2.4", False), ("", False)):
        asked = Calls(done(said))
        monkeypatch.setattr("wheelkit.install.installers.subprocess.run", asked)
        if right:
            assert installers.uv() == str(program)
        else:
            words = " ".join(said.split()) or "no uv"
            with pytest.raises(LackingError, match=rf"^{words} in .*, not 1\.2\.3"):
                installers.uv()
        assert asked.commands == [[str(program), "--version"]]


# ----------------------------------------------------------------------------- what is tried


def test_what_to_install_with_is_chosen() -> None:
    def names(python: Python, **options: Any) -> list[tuple[str, str]]:
        ways = trial.TrialOptions(**options).ways_for(python)
        return [(way.installer, way.layout) for way in ways]

    debian = replace(HERE, debian=True)
    assert names(debian) == list(OPTIONS)
    assert names(HERE) == [way for way in OPTIONS if way[1] != "root-deb"]
    assert names(HERE, installers=("uv",), ways=("target", "user")) == [("uv", "target")]
    assert names(HERE, installers=()) == names(HERE, ways=()) == []
    chosen = trial.chosen(("3.11",), ("pip",), ("venv",))
    assert chosen == trial.TrialOptions(("3.11",), ("pip",), ("venv",))
    with pytest.raises(MisusedError, match="--installers: no 'venv'; expected pip, uv"):
        trial.chosen(None, ("venv",), None)
    with pytest.raises(MisusedError, match="--ways: no 'pip'; expected prefix, root, root-deb"):
        trial.chosen(None, None, ("pip",))


def test_the_interpreters_are_those_of_the_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = tuple(replace(HERE, version=version) for version in ("3.10", "3.11", "3.12"))
    every = (*every, replace(every[1], debian=True))
    monkeypatch.setattr(pythons, "found", lambda: every)
    platforms = ["linux_x86_64"]
    monkeypatch.setattr("packaging.tags.platform_tags", lambda: iter(platforms))
    path = tiny_wheels.wheel(tmp_path / "in", {}, tag="cp311.cp312-abi3-linux_x86_64")
    opened = read_wheel(path, tmp_path / "out")

    def names(*versions: str) -> list[str]:
        options = trial.TrialOptions(versions or None)
        return [python.name for python in trial.fitting(opened, options)]

    assert names() == ["3.11", "3.12", "3.11 (Debian)"]
    assert names("3.11") == ["3.11", "3.11 (Debian)"]
    with pytest.raises(LackingError, match=r"no interpreter 3\.10, 3\.13 for cp311-abi3-"):
        names("3.10", "3.11", "3.13")
    platforms[:] = ["linux_aarch64"]
    with pytest.raises(LackingError, match=r"no interpreter for .*; found 3\.10, 3\.11, 3\.12"):
        names()


# ---------------------------------------------------------------------------- what came of it


def told(*needed: str, **more: Any) -> Elf:
    """Return what is read of a library."""
    known = {"machine": MACHINE, "soname": None, "needed": needed, "rpath": None, "runpath": None}
    return Elf(**{**known, "executable_stack": False, "is_program": False, **more})


class Machine:
    """Installs by unpacking, and loads as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = False
        self.lacks = False
        self.before: tuple[str, ...] = ("pyvenv.cfg",)
        self.leaves: tuple[str, ...] = ()
        self.places: Callable[[str], str | None] = lambda member: member
        self.error: dict[str, str] = {}
        self.mapped: dict[str, list[str]] = {}
        self.crashes: set[str] = set()
        self.loaded: list[tuple[str, ...]] = []
        self.removed: list[str] = []
        monkeypatch.setattr(installers, "prepare", self.prepare)
        monkeypatch.setattr(installers, "install", self.install)
        monkeypatch.setattr(installers, "uninstall", self.uninstall)
        monkeypatch.setattr("wheelkit.install.trial.subprocess.run", self.load)
        monkeypatch.setattr(pythons, "found", lambda: (HERE,))
        monkeypatch.setattr(Python, "tags", property(lambda _: Anything()))

    def prepare(self, _: Way, site: Site) -> None:
        if self.lacks:
            raise LackingError("no venv here")
        # What was installed before is gone: a large wheel in every way would fill the disk.
        others = site.root.parent.iterdir() if site.root.parent.is_dir() else ()
        assert [path.name for path in others if path != site.scratch] == []
        site.root.mkdir(parents=True)
        for name in self.before:
            (site.root / name).parent.mkdir(parents=True, exist_ok=True)
            (site.root / name).touch()

    def install(self, _: Way, site: Site, *wheels: Path) -> Done:
        if self.refuses:
            return done(stderr="ERROR: it is no wheel for this platform\n", status=1)
        for wheel in wheels:
            for member, data in tiny_wheels.members(wheel).items():
                name = member.replace("tiny-1.0.data/data/", "").replace("/RECORD", "/RECORD.new")
                place = self.places(name)
                if place is not None:
                    (site.root / place).parent.mkdir(parents=True, exist_ok=True)
                    (site.root / place).write_bytes(data)
        return done()

    def uninstall(self, _: Way, site: Site, *names: str) -> Done:
        self.removed += names
        for path in sorted(site.root.iterdir()):
            if path.name != "pyvenv.cfg":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in self.leaves:
            (site.root / name).parent.mkdir(parents=True, exist_ok=True)
            (site.root / name).touch() if not name.endswith("/") else (site.root / name).mkdir()
        return done()

    def load(self, command: list[str], **options: Any) -> Done:
        assert options["env"] == {}
        python, isolated, child, path, *before = command
        assert (isolated, child) == ("-I", trial.CHILD)
        self.loaded.append((Path(python).name, Path(path).name, *(Path(b).name for b in before)))
        name = Path(path).name
        if name in self.crashes:
            return done(stderr="Fatal Python error: Segmentation fault\n", status=-11)
        loaded = {Path(path).name for path in before}
        errors = self.error.get(name, "").split(" | ")
        error = next((e for e in errors if e and e.partition(":")[0] not in loaded), None)
        root = path[: path.index(f"/{name}")].rpartition("/")[0]
        mapped = [text.format(root=root) for text in self.mapped.get(name, [])]
        return done(json.dumps({"error": error, "mapped": [path, *mapped]}))


class Anything:
    """Tags that any wheel fits."""

    def isdisjoint(self, _: object) -> bool:
        return False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def opened(tmp_path: Path) -> Wheel:
    files = {"tiny/__init__.py": b"", MODULE: b"module", GRAFT: b"graft", OWN: b"own"}
    elves = {MODULE: told("libg-01234567.so.1", "libc.so.6"), GRAFT: told(), OWN: told()}
    wheel = read_wheel(tiny_wheels.wheel(tmp_path / "in", files), tmp_path / "out")
    return replace(wheel, elves=elves)


TARGET, VENV = ("target", "venv")


def tried(
    opened: Wheel, way: str = TARGET, installer: str = "pip", **options: Any
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return the id, the file and what was found of each fault, and the words of the matrix."""
    results: list[trial.Result] = []
    choice = trial.TrialOptions(installers=(installer,), ways=(way,), **options)
    faults = [(f.id, f.file, f.found) for f in trial.faults(opened, choice, results)]
    assert [result.row[:3] for result in results] == [("3.11", installer, way)]
    return faults, [result.result for result in results]


GRAFTED = ["{root}/tiny.libs/libg-01234567.so.1"]


def test_a_wheel_that_loads_is_right(opened: Wheel, machine: Machine) -> None:
    machine.mapped = {"_tiny.so": GRAFTED}
    for way in (TARGET, VENV):
        assert tried(opened, way) == ([], ["ok"])
    names = ["_tiny.so", "libg-01234567.so.1", "libtiny.so"]
    # In a virtual environment its own interpreter loads.
    own = HERE.path.name
    assert machine.loaded == [*((own, name) for name in names), *(("python", n) for n in names)]
    # pip cannot uninstall from the folder of --target.
    assert machine.removed == ["tiny"]


def test_only_libraries_of_this_machine_are_loaded(opened: Wheel, machine: Machine) -> None:
    other = ("EM_AARCH64" if MACHINE[0] != "EM_AARCH64" else "EM_X86_64", 64, True)
    elves = {MODULE: told(), GRAFT: told(machine=other), OWN: told(is_program=True)}
    assert tried(replace(opened, elves=elves)) == ([], ["ok"])
    assert [names[1] for names in machine.loaded] == ["_tiny.so"]


def test_what_is_not_at_its_place_is_found(opened: Wheel, machine: Machine) -> None:
    machine.mapped = {"_tiny.so": GRAFTED}
    lost = ("tiny/__init__.py", "own/libtiny.so")
    machine.places = lambda name: None if name in lost else name
    faults, words = tried(opened)
    place = "no file at its place (pip, target, Python 3.11)"
    assert sorted(faults) == [
        ("not-installed", OWN, place),
        ("not-installed", "tiny/__init__.py", place),
    ]
    assert words == ["not-installed"]
    # One that was there before is not the wheel's.
    machine.before = ("lib/tiny/__init__.py",)
    machine.places = lambda name: None if name == "tiny/__init__.py" else name
    assert [fault[:2] for fault in tried(opened)[0]] == [("not-installed", "tiny/__init__.py")]
    # A file of the name in another folder is another one, and so are other bytes.
    machine.places = lambda name: "else/libtiny.so" if name == "own/libtiny.so" else name
    assert [fault[:2] for fault in tried(opened)[0]] == [("not-installed", OWN)]
    opened.archive.file(OWN).write_bytes(b"others")
    machine.places = lambda name: name
    assert [fault[:2] for fault in tried(opened)[0]] == [("not-installed", OWN)]
    # Installers may change what is no machine code.
    opened.archive.file(OWN).write_bytes(b"own")
    opened.archive.file("tiny/__init__.py").write_bytes(b"changed")
    assert tried(opened)[0] == []


def test_a_wheel_that_is_refused_is_not_loaded(opened: Wheel, machine: Machine) -> None:
    machine.refuses = True
    faults, words = tried(opened)
    said = "pip, target, Python 3.11: ERROR: it is no wheel for this platform"
    assert faults == [("install-failed", opened.archive.path.name, said)]
    assert (words, machine.loaded) == (["install-failed"], [])


def test_what_the_machine_lacks_is_told_at_the_end(opened: Wheel, machine: Machine) -> None:
    machine.lacks = True
    results: list[trial.Result] = []
    with pytest.raises(LackingError, match=r"^no venv here$"):
        list(trial.faults(opened, trial.TrialOptions(installers=("uv",)), results))
    assert [result.result for result in results] == ["not done: no venv here"] * 4


@pytest.mark.parametrize(
    ("error", "options", "expected", "word"),
    [
        ("libx.so.1: cannot open shared object file", {}, "load-failed", "load-failed"),
        ("undefined symbol: x", {}, "load-failed", "load-failed"),
        (
            "libx.so.1: cannot open shared object file",
            {"preloaded": ("libx.so.1",)},
            None,
            "_tiny.so not loaded without libx.so.1",
        ),
        (
            "libout.so.1: cannot open shared object file",
            {},
            None,
            "_tiny.so not loaded without libout.so.1",
        ),
    ],
)
def test_a_library_that_does_not_load_is_a_fault_unless_that_is_declared(
    opened: Wheel,
    machine: Machine,
    error: str,
    options: dict[str, Any],
    expected: str | None,
    word: str,
) -> None:
    machine.error = {"_tiny.so": error}
    faults, words = tried(replace(opened, excluded=("libout.*",)), **options)
    found = f"pip, target, Python 3.11: {error}"
    assert faults == ([(expected, MODULE, found)] if expected else [])
    assert words == [word if expected else f"ok, {word}"]


def test_a_library_of_the_system_that_is_absent_is_no_fault_of_the_wheel(
    opened: Wheel, machine: Machine
) -> None:
    machine.error = {"_tiny.so": "libcuda.so.1: cannot open shared object file"}
    results: list[trial.Result] = []
    choice = trial.TrialOptions(installers=("pip",), ways=(TARGET,))
    with pytest.raises(LackingError, match=r"^libcuda\.so\.1, which _tiny\.so needs, is not in"):
        list(trial.faults(opened, choice, results))
    assert results[0].result.startswith("not done: libcuda.so.1")
    machine.error["libtiny.so"] = "libGL.so.1: cannot open shared object file"
    said = r"libcuda\.so\.1, which .* installed here; libGL\.so\.1, which libtiny\.so needs, is "
    with pytest.raises(LackingError, match=said):
        list(trial.faults(opened, choice, results))


def test_a_library_that_crashes_is_told_from_one_that_does_not_load(
    opened: Wheel, machine: Machine
) -> None:
    machine.mapped, machine.crashes = {"_tiny.so": GRAFTED}, {"libtiny.so"}
    faults, words = tried(opened)
    said = "pip, target, Python 3.11: Fatal Python error: Segmentation fault"
    assert (faults, words) == ([("load-crashed", OWN, said)], ["load-crashed"])


NONE = "cannot open shared object file"


def test_what_the_package_itself_loads_before_is_loaded_before(
    opened: Wheel, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "libg-01234567.so.1", "libtiny.so"
    machine.error = {"_tiny.so": f"{own[0]}: {NONE} | {own[1]}: {NONE}"}
    machine.mapped = {"_tiny.so": GRAFTED}
    asked: list[tuple[str, str]] = []

    def of_own(wheel: Wheel, member: str, name: str) -> str | None:
        assert wheel.elves == opened.elves
        asked.append((member, name))
        return "tiny/__init__.py" if name in own else None

    monkeypatch.setattr(loaded_before, "of_own", of_own)
    faults, words = tried(opened)
    assert faults == []
    assert words == [f"ok, _tiny.so loaded after {own[0]}, _tiny.so loaded after {own[1]}"]
    assert asked == [(MODULE, own[0]), (MODULE, own[1])]
    python = HERE.path.name
    assert machine.loaded[:3] == [(python, "_tiny.so", *own[:number]) for number in range(3)]
    # What the caller has declared is not tried.
    assert tried(opened, preloaded=own) == ([], [f"ok, _tiny.so not loaded without {own[0]}"])
    monkeypatch.setattr(loaded_before, "of_own", lambda *_: None)
    assert [fault[:2] for fault in tried(opened)[0]] == [("load-failed", MODULE)]


def test_a_library_of_a_companion_is_loaded_before_if_the_package_does(
    opened: Wheel, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, place = "libfar.so.1", "far/lib/libfar.so.1"
    path = tiny_wheels.wheel(tmp_path / "far", {place: b"far"}, name="far-1.0")
    far = Companion(path, "0", "far", "1.0", "platlib", (place,), {place: told()}, ())
    known = replace(opened, companions=Companions(found=(far,)))
    machine.error, machine.mapped = {"_tiny.so": f"{name}: {NONE}"}, {"_tiny.so": GRAFTED}
    code = {name: "tiny/__init__.py"}
    monkeypatch.setattr(loaded_before, "by_code", lambda wheel, of: wheel and code.get(of))
    assert tried(known) == ([], [f"ok, _tiny.so loaded after {name}"])
    assert machine.loaded[1] == (HERE.path.name, "_tiny.so", name)
    code.clear()
    assert [fault[:2] for fault in tried(known)[0]] == [("load-failed", MODULE)]
    machine.leaves = ("far/", "tiny/left")
    machine.error = {}
    # A directory that a companion leaves behind is not the fault of the wheel.
    assert [fault[2].rpartition(": ")[2] for fault in tried(known, VENV)[0]] == ["tiny, tiny/left"]
    assert machine.removed == ["tiny", "far"]


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        ([*GRAFTED, "/lib/libc.so.6", "/lib/libother.so.1"], []),
        ([], [("graft-not-mapped", "libg-01234567.so.1 mapped from nowhere")]),
        (
            ["/usr/lib/libg-01234567.so.1"],
            [
                ("graft-not-mapped", "libg-01234567.so.1 mapped from /usr/lib/libg-01234567.so.1"),
                ("mapped-from-outside", "/usr/lib/libg-01234567.so.1"),
            ],
        ),
        (
            ["/a/libg-01234567.so.1", "/b/libg-01234567.so.1"],
            [
                (
                    "graft-not-mapped",
                    "libg-01234567.so.1 mapped from /a/libg-01234567.so.1, /b/libg-01234567.so.1",
                ),
                ("mapped-from-outside", "/a/libg-01234567.so.1"),
                ("mapped-from-outside", "/b/libg-01234567.so.1"),
            ],
        ),
        # The same library under its own name, or with another hash.
        ([*GRAFTED, "/usr/lib/libg.so.1"], [("mapped-from-outside", "/usr/lib/libg.so.1")]),
        (
            [*GRAFTED, "/usr/lib/libg-89abcdef.so.1"],
            [("mapped-from-outside", "/usr/lib/libg-89abcdef.so.1")],
        ),
    ],
)
def test_what_a_library_needs_comes_from_the_wheel(
    opened: Wheel, machine: Machine, mapped: list[str], expected: list[tuple[str, str]]
) -> None:
    machine.mapped = {"_tiny.so": mapped}
    faults, _ = tried(opened)
    assert faults == [
        (one, MODULE, f"pip, target, Python 3.11: {found}") for one, found in expected
    ]


def test_what_a_graft_needs_in_turn_comes_from_the_wheel(opened: Wheel, machine: Machine) -> None:
    elves = {**opened.elves, GRAFT: told("libtiny.so", "libg-01234567.so.1")}
    machine.mapped = {"_tiny.so": GRAFTED, "libg-01234567.so.1": ["{root}/own/libtiny.so"]}
    faults, _ = tried(replace(opened, elves=elves))
    said = "pip, target, Python 3.11: libtiny.so mapped from nowhere"
    assert faults == [("graft-not-mapped", MODULE, said)]


@pytest.mark.parametrize(
    ("way", "installer", "leaves", "left"),
    [
        (VENV, "pip", (), ""),
        (VENV, "pip", ("tiny/x.pyc",), "tiny, tiny/x.pyc"),
        (VENV, "pip", ("tiny/",), "tiny"),
        # uv leaves empty directories, and its lock.
        (VENV, "uv", ("tiny/", ".lock"), ""),
        (VENV, "uv", ("tiny/x.pyc",), "tiny/x.pyc"),
        ("user", "pip", ("lib/", "lib/.lock"), ""),
        ("user", "pip", ("lib/x",), "lib/x"),
    ],
)
def test_nothing_is_left_after_uninstalling(
    opened: Wheel,
    machine: Machine,
    way: str,
    installer: str,
    leaves: tuple[str, ...],
    left: str,
) -> None:
    machine.mapped, machine.leaves = {"_tiny.so": GRAFTED}, leaves
    faults, _ = tried(opened, way, installer)
    found = f"{installer}, {way}, Python 3.11: {left}"
    assert faults == ([("left-behind", opened.archive.path.name, found)] if left else [])
