"""Libraries that are in the process before another file needs them, and findings said once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tiny_wheels import (
    LOAD,
    core_metadata,
    extension,
    install,
    library,
    load,
    wheel,
)
from wheelkit.checks import companions, needed_libraries
from wheelkit.install import trial
from wheelkit.install.companion_wheels import Sources, with_companions
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import layouts
from wheelkit.wheel.identity import running_python
from wheelkit.wheel.reading import Wheel, read_wheel
from wheelkit.wheel.settings import Settings

HOST, PLUGIN = "libhost7.so", "libplug.so"
NEEDING = {"tiny/_tiny.so": extension("_tiny", HOST), f"tiny/lib/{HOST}": library(HOST)}
# A library that has the name of another one in it, as one that opens it has.
OPENING = library(HOST, code=f'const char *plugin(void) {{ return "{PLUGIN}"; }}')


def made(tmp_path: Path, files: Mapping[str, bytes], requires: str = "") -> Wheel:
    texts = {"METADATA": core_metadata(more=f"Requires-Python: >=3.7\n{requires}")}
    path = wheel(tmp_path / "in", files, metadata=texts)
    (tmp_path / "beside").mkdir(exist_ok=True)
    read = read_wheel(path, tmp_path / "read")
    return with_companions(read, Sources(folder=tmp_path / "beside"))


def found(tmp_path: Path, files: Mapping[str, bytes], requires: str = "") -> list[Fault]:
    return list(needed_libraries.faults(made(tmp_path, files, requires), Settings()))


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("", FAULT),
        ("import ctypes\nctypes.CDLL(f'{here}/lib/libhost7.so')", WARNING),
        ("from ctypes import cdll\ncdll.LoadLibrary(path / 'libhost7.so')", WARNING),
        ("import torch\ntorch.ops.load_library(f'libhost{number}.so')", WARNING),
        ("import ctypes\nctypes.CDLL('libhost' + number)", WARNING),
        ("import ctypes\nctypes.CDLL('libhost%d.so' % number)", WARNING),
        # What a newer Python reads.
        ("import ctypes\nctypes.CDLL('libhost7.so')\nfun new syntax:", WARNING),
        ("import ctypes\n# libhost7.so is there\nctypes.CDLL('other')", FAULT),
        ("'''Opens libhost7.so.'''\nimport ctypes\nctypes.CDLL('other')", FAULT),
        ("def f():\n    'Opens libhost7.so.'\nimport ctypes\nctypes.CDLL('other')", FAULT),
        ("import ctypes\nctypes.CDLL('libhost77.so')", FAULT),
        ("import ctypes\nctypes.CDLL('libhostess.so')", FAULT),
        ("raise ImportError('no libhost7.so')", FAULT),
        ("import libhost7", FAULT),
    ],
)
def test_code_that_loads_a_library_of_the_wheel(tmp_path: Path, code: str, severity: str) -> None:
    (one,) = found(tmp_path, {**NEEDING, "tiny/__init__.py": code.encode()})
    assert (one.id, one.file, one.severity) == ("needed-not-found", "tiny/_tiny.so", severity)
    said = f"tiny/__init__.py loads {HOST} before this file" in one.expected
    assert said == (severity == WARNING)


def plugin(place: str, host: bytes, **more: bytes) -> dict[str, bytes]:
    files = {f"tiny/lib/{HOST}": host, place: library(PLUGIN, HOST)}
    return {**files, **{name.replace("__", "/"): data for name, data in more.items()}}


CODE = b"import ctypes\nctypes.CDLL('libplug.so')\n"


@pytest.mark.parametrize(
    ("files", "severity"),
    [
        (plugin(f"tiny/lib/{PLUGIN}", OPENING), WARNING),
        (plugin(f"tiny/lib/{PLUGIN}", library(HOST)), FAULT),
        (plugin(f"tiny/lib/below/{PLUGIN}", library(HOST)), WARNING),
        (plugin(f"tiny/other/{PLUGIN}", library(HOST)), FAULT),
        (plugin(f"tiny/library/{PLUGIN}", library(HOST)), FAULT),
        ({**plugin(f"tiny/lib/below/{PLUGIN}", library(HOST)), "tiny/a.py": CODE}, FAULT),
        (plugin(f"tiny-1.0.data/data/tinylib/{PLUGIN}", library(HOST)), FAULT),
        # Python imports this one by itself.
        ({f"tiny/lib/{HOST}": OPENING, "tiny/lib/x/_tiny.so": NEEDING["tiny/_tiny.so"]}, FAULT),
    ],
)
def test_a_library_that_opens_its_plugins(
    tmp_path: Path, files: dict[str, bytes], severity: str
) -> None:
    (one,) = found(tmp_path, files)
    assert (one.id, one.severity) == ("needed-not-found", severity)
    said = f"tiny/lib/{HOST} opens this file" in one.expected
    assert said == (severity == WARNING)


def test_a_plugin_in_the_data_scheme_counts_only_if_it_is_named(tmp_path: Path) -> None:
    """Programs of others are linked with what is there."""
    root = "tiny-1.0.data/data/tinylib"
    for number, (host, severity) in enumerate([(library(HOST), FAULT), (OPENING, WARNING)]):
        files = {f"{root}/{HOST}": host, f"{root}/below/{PLUGIN}": library(PLUGIN, HOST)}
        (one,) = found(tmp_path / str(number), files)
        assert one.severity == severity


def test_code_does_not_load_a_graft_nor_help_a_program(tmp_path: Path) -> None:
    graft = "libhost-0badcafe.so.7"
    code = b"import ctypes\nctypes.CDLL('libhost.so')\nctypes.CDLL('libhost7.so')\n"
    needing = library("libneeding.so", graft)
    files = {"tiny/a.py": code, "tiny/libneeding.so": needing, f"tiny.libs/{graft}": library(graft)}
    (one,) = found(tmp_path / "graft", files)
    assert one.severity == FAULT
    interpreter = 'const char i[] __attribute__((section(".interp"))) = "/lib64/ld.so";'
    program = library("program", HOST, code=interpreter)
    files = {"tiny/a.py": code, "tiny/bin/program": program, f"tiny/lib/{HOST}": library(HOST)}
    (one,) = found(tmp_path / "program", files)
    assert (one.file, one.severity) == ("tiny/bin/program", FAULT)


def test_the_real_loader_takes_what_is_loaded_already(tmp_path: Path) -> None:
    """The wheel of a warning works, and its file by itself does not load."""
    where = layouts.venv(running_python(), "tiny")
    paths = install(made(tmp_path, NEEDING).archive.path, tmp_path / "venv", where)
    assert "cannot open shared object file" in load(paths["tiny/_tiny.so"])[0]
    first = f"import ctypes; ctypes.CDLL({str(paths[f'tiny/lib/{HOST}'])!r})\n"
    command = [sys.executable, "-I", "-S", "-c", first + LOAD, str(paths["tiny/_tiny.so"])]
    subprocess.run(command, check=True, capture_output=True, env={})


@pytest.mark.parametrize("code", [b"", b"import ctypes\nctypes.CDLL(here + 'libhost7.so')\n"])
def test_a_trial_loads_first_what_the_package_loads_first(tmp_path: Path, code: bytes) -> None:
    given = made(tmp_path, {**NEEDING, "tiny/__init__.py": code})
    results: list[trial.Result] = []
    options = trial.TrialOptions((running_python(),), ("pip",), ("venv",))
    ids = {fault.id for fault in trial.faults(given, options, results)}
    assert ids == (set() if code else {"load-failed"})
    assert (f"_tiny.so loaded after {HOST}" in results[0].result) == bool(code)


# ----------------------------------------------------------------------------- said only once


def test_libraries_that_lack_in_the_same_way_are_one_finding(tmp_path: Path) -> None:
    names = ("libone.so", "libtwo.so")
    own = {f"tiny/lib/{name}": library(name) for name in names}
    files = {**own, "tiny/_a.so": extension("_a", *names, "libgone.so", "libfar.so")}
    findings = found(tmp_path, {**files, "tiny/_b.so": extension("_b", *names)})
    assert [(one.id, one.file) for one in findings] == [
        ("needed-not-in-wheel", "tiny/_a.so"),
        ("needed-not-found", "tiny/_a.so"),
        ("needed-not-found", "tiny/_b.so"),
    ]
    assert findings[0].found.startswith("NEEDED libfar.so, libgone.so, rpath none")
    assert findings[1].found.startswith("NEEDED libone.so, libtwo.so, rpath none")
    assert (
        findings[1].expected == "an rpath that leads to tiny/lib/libone.so and tiny/lib/libtwo.so"
    )


def test_libraries_that_are_found_in_other_layouts_are_other_findings(tmp_path: Path) -> None:
    data = "tiny-1.0.data/data/tinylib"
    entries = "$ORIGIN:$ORIGIN/../../../../tinylib"
    needing = library("_a.so", "libone.so", "libtwo.so", rpath=entries)
    files = {"tiny/_a.so": needing, f"{data}/libone.so": library("libone.so")}
    findings = found(tmp_path, {**files, "other/libtwo.so": library("libtwo.so")})
    assert [one.found.split(",")[0] for one in findings] == ["NEEDED libone.so", "NEEDED libtwo.so"]
    assert "venv" not in findings[0].found.split(", ")
    assert "venv" in findings[1].found


def test_what_is_not_proven_is_one_finding(tmp_path: Path) -> None:
    files = {
        f"tiny/_{letter}.so": extension(f"_{letter}", "libcublas.so.12", "libcudart.so.12")
        for letter in "abcd"
    }
    requires = (
        "Requires-Dist: nvidia-cublas-cu12>=12.1\nRequires-Dist: nvidia-cuda-runtime-cu12\n"
        "Requires-Dist: numpy\nRequires-Dist: nvidia-cufft-cu12"
    )
    (one,) = found(tmp_path, files, requires)
    assert (one.id, one.severity) == ("companion-not-proven", WARNING)
    assert one.file == "tiny-1.0.dist-info/METADATA"
    start = (
        "NEEDED libcublas.so.12, libcudart.so.12, in tiny/_a.so, tiny/_b.so, tiny/_c.so and 1 more"
    )
    assert one.found.startswith(f"{start}; nvidia-cublas-cu12: no wheel of it in ")
    # The name of the distribution says which has the library.
    assert "numpy" not in one.found + one.remedy
    assert "nvidia-cufft" not in one.found + one.remedy
    assert "'nvidia-cublas-cu12>=12.1' 'nvidia-cuda-runtime-cu12', then" in one.remedy


def test_any_requirement_may_have_a_library_that_no_name_claims(tmp_path: Path) -> None:
    files = {"tiny/_a.so": extension("_a", "libfar.so.1")}
    requires = "Requires-Dist: numpy\nRequires-Dist: nvidia-cufft-cu12"
    (one,) = found(tmp_path, files, requires)
    assert "; numpy: no wheel" in one.found
    assert "nvidia-cufft" not in one.found


def test_nobody_else_has_a_library_with_the_name_of_a_graft(tmp_path: Path) -> None:
    """As in a wheel whose grafts were removed by hand, because its companions have them."""
    entry = "$ORIGIN/../nvidia/cublas/lib"
    name = "libcublas-18a5df54.so.12.8.5.5"
    files = {"tiny/_a.so": extension("_a", name, rpath=entry)}
    given = made(tmp_path, files, "Requires-Dist: nvidia-cublas-cu12")
    (one,) = needed_libraries.faults(given, Settings())
    assert (one.id, one.severity) == ("needed-not-in-wheel", FAULT)
    # That the entry leads to a companion which nobody looked at is still said.
    assert [other.id for other in companions.faults(given)] == ["companion-not-proven"]


def test_an_entry_to_a_companion_is_not_said_again(tmp_path: Path) -> None:
    entry = "$ORIGIN/../nvidia/cublas/lib"
    files = {"tiny/_a.so": extension("_a", "libcublas.so.12", rpath=entry)}
    given = made(tmp_path, files, "Requires-Dist: nvidia-cublas-cu12")
    assert [one.id for one in needed_libraries.faults(given, Settings())] == [
        "companion-not-proven"
    ]
    assert list(companions.faults(given)) == []


def test_the_graft_of_a_companion_is_no_other_version(tmp_path: Path) -> None:
    """As in scikit-learn, which LightGBM requires, and which has a libgomp of its own."""
    far = {"far/far.so": library("far.so"), "far.libs/libomp-0badcafe.so.1": library("libomp.so")}
    wheel(tmp_path / "beside", far, name="far-1.0")
    files = {"tiny/_a.so": extension("_a", "libomp.so.1")}
    (one,) = found(tmp_path, files, "Requires-Dist: far")
    assert (one.id, one.severity) == ("needed-not-in-wheel", FAULT)


def unfit_numbers(tmp_path: Path, needed: str) -> list[str]:
    """Verify a wheel whose requirement the wheel that lies there does not meet; return the ids."""
    wheel(tmp_path / "beside", {"numbers.py": b""}, name="numbers-1.0", tag="py3-none-any")
    files = {"tiny/_a.so": extension("_a", needed), "tiny/libown.so": library("libown.so")}
    given = made(tmp_path, files, "Requires-Dist: numbers>2")
    both = (*needed_libraries.faults(given, Settings()), *companions.faults(given))
    assert {one.severity for one in both if one.id.startswith("companion")} <= {WARNING}
    return [one.id for one in both]


def test_an_unfit_wheel_matters_if_it_may_have_what_lacks(tmp_path: Path) -> None:
    found_by_id = unfit_numbers(tmp_path / "lacking", "libfar.so.1")
    assert found_by_id == ["companion-not-proven", "companion-unfit"]
    assert unfit_numbers(tmp_path / "own", "libown.so") == ["needed-not-found"]
