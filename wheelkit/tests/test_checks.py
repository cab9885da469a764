"""What each check decides, of wheels whose ELF files are told and not built."""

from __future__ import annotations

import ast
import inspect
import io
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_wheels
from elftools.elf.elffile import ELFFile
from tiny_wheels import core_metadata, wheel_metadata
from wheelkit.checks import (
    build_paths,
    companions,
    declared_grafts,
    device_code,
    elf_scheme,
    excluded,
    executable_stack,
    extension_names,
    library_files,
    machines,
    member_names,
    modes,
    names_and_tags,
    needed_libraries,
    no_driver,
    platform_tag,
    record,
    requires_python,
    rpath_entries,
    rpath_targets,
    single_libraries,
    size,
    soname_and_needed,
    stable_abi,
    version_needs,
)
from wheelkit.checks import (
    core_metadata as metadata_check,
)
from wheelkit.install import trial
from wheelkit.target.report import Fault
from wheelkit.wheel import device_images, elf_symbols, platforms
from wheelkit.wheel.companions import Companions
from wheelkit.wheel.elf import Elf
from wheelkit.wheel.elf_symbols import Symbols
from wheelkit.wheel.reading import Wheel, read_wheel
from wheelkit.wheel.settings import Settings

PLATFORM, INFO = "manylinux_2_17_x86_64", "tiny-1.0.dist-info"
MODULE, GRAFT = "tiny/_tiny.so", "tiny.libs/libg-01234567.so.1"
DATA = "tiny-1.0.data/data/own"
X86_64 = ("EM_X86_64", 64, True)

Build = Callable[..., Wheel]


def elf(*needed: str, **more: Any) -> Elf:
    """Return what is read of a library."""
    known = {"machine": X86_64, "soname": None, "needed": needed, "rpath": None, "runpath": None}
    return Elf(**{**known, "executable_stack": False, "is_program": False, **more})


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A function that makes a wheel and reads it; its ELF files are those that it is told."""

    def made(
        elves: Mapping[str, Elf] | None = None,
        files: Mapping[str, bytes] | None = None,
        tag: str = f"py3-none-{PLATFORM}",
        **more: Any,
    ) -> Wheel:
        number = len(list(tmp_path.iterdir()))
        every = {**dict.fromkeys(elves or {}, b""), **(files or {})}
        path = tiny_wheels.wheel(tmp_path / f"{number}-in", every, tag=tag, **more)
        return replace(read_wheel(path, tmp_path / f"{number}-out"), elves=dict(elves or {}))

    return made


CHECKS = (
    *(build_paths, metadata_check, declared_grafts, device_code, elf_scheme, excluded),
    *(executable_stack, extension_names, library_files, machines, member_names, modes),
    *(names_and_tags, needed_libraries, no_driver, platform_tag, record, requires_python),
    *(rpath_entries, rpath_targets, single_libraries, size, soname_and_needed, stable_abi),
    *(version_needs, trial),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.rpartition(".")[2])
def test_a_check_declares_the_ids_of_what_it_finds(check: Any) -> None:
    """Whoever accepts a finding names its id."""
    calls = [n for n in ast.walk(ast.parse(inspect.getsource(check))) if isinstance(n, ast.Call)]
    first = [call.args[0] for call in calls if getattr(call.func, "id", None) == "Fault"]
    ids = {str(one.value) for one in first if isinstance(one, ast.Constant)}
    for one in first:
        if isinstance(one, ast.JoinedStr):
            ids |= {f"{kind}{ast.unparse(one)[8:-1]}" for kind in ("sass", "ptx")}
    if check is needed_libraries:
        ids |= set(companions.LIBRARY_IDS)
    assert ids
    assert sorted(check.IDS) == sorted(ids)


def told(faults: Iterable[Fault]) -> list[tuple[str, str, bool]]:
    """Return the id and the file of each finding, and whether it counts."""
    return [(fault.id, fault.file, fault.counts) for fault in faults]


def found(faults: Iterable[Fault]) -> list[str]:
    """Return what was found."""
    return [fault.found for fault in faults]


# --------------------------------------------------------------------------------- machines

# e_machine, the class and whether the lowest byte comes first: from the System V ABI and from the
# supplement of each processor.
ABI = {
    "x86_64": (62, 64, True),
    "i686": (3, 32, True),
    "aarch64": (183, 64, True),
    "armv7l": (40, 32, True),
    "ppc64le": (21, 64, True),
    "ppc64": (21, 64, False),
    "s390x": (22, 64, False),
    "riscv64": (243, 64, True),
    "loongarch64": (258, 64, True),
}


def machine_of(number: int, bits: int, little: bool) -> tuple[str, int, bool]:
    """Return what is read of the header of an ELF file."""
    ident = b"\x7fELF" + bytes([bits // 32, 1 if little else 2, 1]) + bytes(9)
    form = ("<" if little else ">") + ("HHIQQQIHHHHHH" if bits == 64 else "HHIIIIIHHHHHH")
    file = ELFFile(io.BytesIO(ident + struct.pack(form, 3, number, 1, *(10 * [0]))))
    return file["e_machine"], file.elfclass, file.little_endian


@pytest.mark.parametrize("arch", ABI)
def test_a_file_is_for_the_machine_of_the_tag(
    build: Build, monkeypatch: pytest.MonkeyPatch, arch: str
) -> None:
    files = {f"tiny/{name}.so": elf(machine=machine_of(*of)) for name, of in ABI.items()}
    opened = build(files, tag=f"py3-none-manylinux_2_36_{arch}")
    offered = {"i686.so": {"PyInit_i686", "more"}, "s390x.so": {"InitPyInit_"}}
    monkeypatch.setattr(
        elf_symbols,
        "read",
        lambda path: Symbols(wanted=frozenset(), offered=frozenset(offered.get(path.name, ()))),
    )
    faults = list(machines.faults(opened))
    # A module cannot be imported; a library may be meant for another machine.
    others = [name for name in files if name != f"tiny/{arch}.so"]
    assert told(faults) == [("other-machine", name, name == "tiny/i686.so") for name in others]
    assert found(faults) == [f"machine code for {Path(name).stem}" for name in others]
    both = build(files, tag=f"py3-none-manylinux_2_36_{arch}.manylinux_2_36_mips64")
    assert (
        f"code for {', '.join(sorted([arch, 'mips64']))}, as"
        in next(machines.faults(both)).expected
    )


def test_a_machine_without_a_tag_is_told_by_its_number(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elf_symbols, "read", lambda _: Symbols(frozenset(), frozenset()))
    # x32: the machine of x86-64 with the class of 32 bits.
    files = {"tiny/x32.so": elf(machine=machine_of(62, 32, True))}
    assert found(machines.faults(build(files))) == ["machine code for EM_X86_64"]
    assert not list(machines.faults(build(files, tag="py3-none-any")))
    assert not list(machines.faults(build(files, tag="py3-none-manylinux_2_36_mips64")))


# ------------------------------------------------------------------ files named as libraries

# How files of other systems begin: Mach-O of 64 and of 32 bits, of several processors, the PE of
# Windows, WebAssembly.
FOREIGN = ["cffaedfe", "cefaedfe", "cafebabe", "4d5a", "0061736d"]


@pytest.mark.parametrize("start", FOREIGN)
def test_a_library_of_another_system_is_right_in_a_wheel_for_it(build: Build, start: str) -> None:
    files = {"tiny/x.so": bytes.fromhex(start) + bytes(60)}
    assert told(library_files.faults(build(files=files))) == [
        ("library-is-no-elf", "tiny/x.so", False)
    ]
    assert not list(library_files.faults(build(files=files, tag="py3-none-macosx_11_0_arm64")))
    assert len(list(library_files.faults(build(files=files, tag="py3-none-any")))) == 1
    text = {"tiny/x.so": b"x" + bytes.fromhex(start)}
    tag = "py3-none-macosx_11_0_arm64"
    assert told(library_files.faults(build(files=text, tag=tag))) == [
        ("library-is-no-elf", "tiny/x.so", True)
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x7fELF", None),
        (b"/* GNU ld script */\nINPUT(libx.so.1)\n", None),
        (b"GROUP ( libx.so.1 )\n", None),
        (b"OUTPUT_FORMAT(elf64-x86-64)\n", None),
        (b"MYINPUT(libx.so.1)\n", "19 bytes that begin with b'MYINPUT(libx.so.'"),
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ],
)
@pytest.mark.parametrize("name", ["libx.so", "libx.so.1", "libx.so.1.2.30"])
def test_a_file_named_as_a_library_is_one(
    build: Build, name: str, data: bytes, said: str | None
) -> None:
    files = {f"tiny/{name}": data}
    faults = list(library_files.faults(build(files=files)))
    assert found(faults) == ([said] if said else [])
    assert told(faults) == [("library-is-no-elf", f"tiny/{name}", True)] * len(faults)
    for remedy in (fault.remedy for fault in faults):
        assert ("git lfs pull" in remedy) == data.startswith(b"version")


@pytest.mark.parametrize("name", ["libx.so.txt", "libx.so.1a", "x.so.d/y", ".so", "libxso"])
def test_another_name_is_none_of_a_library(build: Build, name: str) -> None:
    assert not list(library_files.faults(build(files={f"tiny/{name}": b"text"})))


# ----------------------------------------------------------------------------- names and tags


@pytest.mark.parametrize(
    ("tag", "stated", "counts"),
    [
        # The wheel was renamed by a repair, and WHEEL kept the tag of before.
        (f"py3-none-{PLATFORM}", ["py3-none-linux_x86_64"], False),
        (f"py3-none-{PLATFORM}", ["py3-none-linux_aarch64"], True),
        # WHEEL admits more systems, or fewer.
        (f"py3-none-{PLATFORM}", ["py3-none-manylinux_2_5_x86_64"], False),
        (f"py3-none-{PLATFORM}", ["py3-none-manylinux_2_28_x86_64"], True),
        (f"py3-none-{PLATFORM}", [f"py3-none-{PLATFORM}", "py3-none-any"], False),
        (f"py3-none-{PLATFORM}", ["py3-none-any"], True),
        (f"py3-none-{PLATFORM}", [f"cp311-none-{PLATFORM}"], True),
        (f"py3-none-{PLATFORM}", [f"py3-abi3-{PLATFORM}"], True),
        (f"py3-none-{PLATFORM}", [], True),
        (f"py3-none-{PLATFORM}", [f"py3-none-{PLATFORM}"], None),
        # An alias is another spelling of the same tag.
        ("py3-none-manylinux2014_x86_64", [f"py3-none-{PLATFORM}"], False),
        ("py2.py3-none-any", ["py2-none-any", "py3-none-any"], None),
        ("py2.py3-none-any", ["py2.py3-none-any"], None),
        ("py2.py3-none-any", ["py3-none-any"], True),
        ("py3-none-win_amd64", ["py3-none-win_amd64", "py3-none-win32"], False),
        ("py3-none-win_amd64", ["py3-none-win32"], True),
    ],
)
def test_wheel_has_the_tags_of_the_file_name(
    build: Build, tag: str, stated: list[str], counts: bool | None
) -> None:
    head = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
    text = head + "".join(f"Tag: {line}\n" for line in stated)
    opened = build(tag=tag, metadata={"WHEEL": text.encode()})
    faults = list(names_and_tags.faults(opened))
    expected = [] if counts is None else [("tag-mismatch", "tiny-1.0.dist-info/WHEEL", counts)]
    assert told(faults) == expected
    if faults:
        assert found(faults) == [", ".join(sorted(stated)) or "no tag"]


@pytest.mark.parametrize(
    ("version", "right"),
    [("1.0", True), ("1.9", True), ("1", True), ("2.0", False), ("10.0", False), ("0.1", False)],
)
def test_the_first_version_of_the_format_is_known(build: Build, version: str, right: bool) -> None:
    text = wheel_metadata(f"py3-none-{PLATFORM}").replace(b"1.0", version.encode(), 1)
    faults = list(names_and_tags.faults(build(metadata={"WHEEL": text})))
    expected = ("wheel-version", "tiny-1.0.dist-info/WHEEL", True)
    assert told(faults) == ([] if right else [expected])
    assert found(faults) == ([] if right else [f"Wheel-Version: {version}"])
    assert [fault.expected for fault in faults] == ([] if right else ["1.x"])


@pytest.mark.parametrize(
    ("name", "version", "right"),
    [
        ("tiny", "1.0", True),
        ("Tiny", "1", True),
        ("tiny", "1.0.0", True),
        ("tiny_", "1.0", False),
        ("tiny", "1.1", False),
        ("tiny", "one", False),
        ("other", "1.0", False),
    ],
)
def test_metadata_names_what_the_file_name_does(
    build: Build, name: str, version: str, right: bool
) -> None:
    opened = build(metadata={"METADATA": core_metadata(name, version)})
    faults = list(names_and_tags.faults(opened))
    expected = ("name-mismatch", "tiny-1.0.dist-info/METADATA", True)
    assert told(faults) == ([] if right else [expected])
    assert found(faults) == ([] if right else [f"{name} {version}"])


def test_the_dist_info_directory_and_the_build_tag_are_compared(
    build: Build, tmp_path: Path
) -> None:
    path = tiny_wheels.wheel(tmp_path / "a", {"tiny/__init__.py": b""})
    renamed = path.rename(path.with_name(path.name.replace("tiny-1.0-", "tiny-1.1-7-")))
    opened = read_wheel(renamed, tmp_path / "renamed")
    assert told(names_and_tags.faults(opened)) == [
        ("name-mismatch", "tiny-1.0.dist-info", True),
        ("name-mismatch", "tiny-1.0.dist-info/METADATA", True),
        ("tag-mismatch", "tiny-1.0.dist-info/WHEEL", False),
    ]
    text = wheel_metadata(f"py3-none-{PLATFORM}", more="Build: 7\n")
    path = tiny_wheels.wheel(tmp_path / "b", {"tiny/__init__.py": b""}, metadata={"WHEEL": text})
    path = path.rename(path.with_name(path.name.replace("tiny-1.0-", "tiny-1.0-7-")))
    assert not list(names_and_tags.faults(read_wheel(path, tmp_path / "built")))
    text = wheel_metadata(f"py3-none-{PLATFORM}", more="Tag: nonsense\n")
    assert told(names_and_tags.faults(build(metadata={"WHEEL": text}))) == [
        ("tag-mismatch", "tiny-1.0.dist-info/WHEEL", True)
    ]


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("Requires-Dist: ??", True),
        ("Requires-Python: ??", True),
        ("Provides-Extra: ??", True),
        ("License-Expression: ???", False),
        ("Description-Content-Type: ???", False),
        ("Keywords: a", None),
    ],
)
def test_what_installers_read_of_metadata_must_be_right(
    build: Build, line: str, counts: bool | None
) -> None:
    text = core_metadata(more=line).replace(b"Version: 2.1", b"Version: 2.4")
    faults = told(metadata_check.faults(build(metadata={"METADATA": text})))
    file = "tiny-1.0.dist-info/METADATA"
    assert faults == ([] if counts is None else [("metadata-invalid", file, counts)])


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (b"Metadata-Version: 9.9\nName: tiny\nVersion: 1.0\n", 1),
        (b"Metadata-Version: 2.1\nName: _\nVersion: 1.0\n", 1),
        (b"Metadata-Version: 2.1\nName: tiny\nVersion: one\n", 1),
        (b"Metadata-Version: 2.1\n", 2),
    ],
)
def test_the_head_of_metadata_is_what_installers_read(
    build: Build, text: bytes, fields: int
) -> None:
    faults = list(metadata_check.faults(build(metadata={"METADATA": text})))
    assert [fault.counts for fault in faults] == fields * [True]


@pytest.mark.parametrize(
    ("python", "stated", "expected"),
    [
        ("cp39-cp39", ">=3.9", []),
        ("cp39-cp39", ">=3.9.1", []),
        ("cp39-cp39", ">=3.10", [True]),
        ("cp313-cp313t", ">=3.13", []),
        ("cp313-cp313t", "<3.13", [True]),
        ("cp38-abi3", ">=3.15", []),
        ("pp310-pypy310_pp73", ">=3.10", []),
        ("pp310-pypy310_pp73", ">=3.11", [True]),
        # That it is invalid is the finding of another check.
        ("cp39-cp39", "??", []),
        ("cp39-cp39", None, [False]),
    ],
)
def test_requires_python_admits_one_of_the_tags(
    build: Build, python: str, stated: str | None, expected: list[bool]
) -> None:
    text = core_metadata(more=f"Requires-Python: {stated}" if stated else "Keywords: a")
    opened = build(tag=f"{python}-{PLATFORM}", metadata={"METADATA": text})
    faults = list(requires_python.faults(opened))
    file = "tiny-1.0.dist-info/METADATA"
    assert told(faults) == [("requires-python", file, counts) for counts in expected]
    assert found(faults) == [stated or "none" for _ in expected]


def test_a_range_without_any_of_the_tags_names_them(build: Build) -> None:
    text = core_metadata(more="Requires-Python: >=3.11")
    opened = build(tag=f"cp39.cp310-none-{PLATFORM}", metadata={"METADATA": text})
    (fault,) = requires_python.faults(opened)
    assert fault.expected == "a range that contains 3.9, 3.10, as the tags say"


# ----------------------------------------------------------------- names of extension modules


@pytest.mark.parametrize(
    ("tag", "names", "counts"),
    [
        ("cp311-cp311", ["_a.cpython-311-x86_64-linux-gnu.so"], None),
        ("cp311-cp311", ["_a.cpython-312-x86_64-linux-gnu.so"], True),
        ("cp311-cp311", ["_a.cpython-311d-x86_64-linux-gnu.so"], None),
        ("cp313-cp313t", ["_a.cpython-313t-x86_64-linux-gnu.so"], None),
        ("cp313-cp313t", ["_a.cpython-313-x86_64-linux-gnu.so"], False),
        ("cp314-cp314t", ["_a.cpython-314-x86_64-linux-gnu.so"], True),
        ("cp311-cp311", ["_a.cpython-312-x86_64-linux-gnu.so", "_a.abi3.so"], None),
        ("cp311-cp311", ["_a.cpython-312-x86_64-linux-gnu.so", "_a.so"], None),
        ("cp311-cp311", ["_a.cpython-312-x86_64-linux-gnu.so", "_b.so"], True),
        ("pp311-pypy311_pp73", ["_a.pypy311-pp73-x86_64-linux-gnu.so"], None),
        ("pp310-pypy310_pp73", ["_a.pypy311-pp73-x86_64-linux-gnu.so"], True),
        ("cp311-cp311", ["_a.abi3.so", "_b.so", "lib.so.1"], None),
    ],
)
def test_a_module_has_a_name_that_the_interpreter_looks_for(
    build: Build, tag: str, names: list[str], counts: bool | None
) -> None:
    files = {f"tiny/deep.er/{name}": elf() for name in names}
    text = core_metadata(more="Requires-Python: >=3.7")
    opened = build(files, tag=f"{tag}-{PLATFORM}", metadata={"METADATA": text})
    faults = list(extension_names.faults(opened))
    expected = ("extension-name", f"tiny/deep.er/{names[0]}", counts)
    assert told(faults) == ([] if counts is None else [expected])


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (">=3.7", "a module for 3.10, 3.11 alone; 3.9, 3.12 cannot import it"),
        (">=3.10", "a module for 3.10, 3.11 alone; 3.12 cannot import it"),
        (">=3.10,<3.12", None),
        # What is invalid excludes nothing.
        ("??", "a module for 3.10, 3.11 alone; 3.9, 3.12 cannot import it"),
    ],
)
def test_each_python_that_installs_the_wheel_needs_a_module(
    build: Build, stated: str, said: str | None
) -> None:
    names = [f"tiny/_a.cpython-3{n}-x86_64-linux-gnu.so" for n in (10, 11)]
    tag = f"cp39.cp310.cp311.cp312-none-{PLATFORM}"
    text = core_metadata(more=f"Requires-Python: {stated}")
    opened = build(dict.fromkeys(names, elf()), tag=tag, metadata={"METADATA": text})
    faults = list(extension_names.faults(opened))
    assert found(faults) == ([said] if said else [])
    for fault in faults:
        assert fault.expected.endswith(": cp310-none, cp311-none, cp312-none, cp39-none")


# --------------------------------------------------------------------------------- the stable ABI


@pytest.mark.parametrize(
    ("oldest", "wanted", "expected"),
    [
        # The versions are those of CPython's documentation of each function.
        ("cp38", "PyLong_FromLong", []),
        ("cp38", "PyErr_GetRaisedException", [("abi3-too-new", True)]),
        ("cp312", "PyErr_GetRaisedException", []),
        ("cp37", "PySys_Audit", [("abi3-too-new", True)]),
        ("cp38", "PySys_Audit", []),
        ("cp38", "PyBuffer_Release", []),
        ("cp312", "PyLong_AsNativeBytes", [("abi3-too-new", True)]),
        ("cp313", "PyLong_AsNativeBytes", []),
        ("cp38", "_PyLong_Sign", [("abi3-not-stable", False)]),
        ("cp38", "_Py_Dealloc", []),
        ("cp38", "Pythonic", []),
        ("cp38", "myPyLong_FromLong", []),
    ],
)
def test_functions_of_the_stable_abi_have_a_first_version(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    oldest: str,
    wanted: str,
    expected: list[tuple[str, bool]],
) -> None:
    symbols = Symbols(wanted=frozenset({wanted}), offered=frozenset())
    monkeypatch.setattr(elf_symbols, "read", lambda _: symbols)

    def ids(files: dict[str, Elf], abi: str = "abi3") -> list[tuple[str, bool]]:
        opened = build(files, tag=f"{oldest}-{abi}-{PLATFORM}")
        return [(fault.id, fault.counts) for fault in stable_abi.faults(opened)]

    assert ids({"tiny/_a.abi3.so": elf()}) == expected
    # Neither a module for one Python, nor a graft, nor a wheel for one Python promises it.
    assert ids({"tiny/_a.cpython-311-x86_64-linux-gnu.so": elf(), GRAFT: elf()}) == []
    assert ids({"tiny/_a.abi3.so": elf()}, oldest) == []
    # What another library may have is not known to be lacking.
    some = [one for one in expected if one[0] == "abi3-too-new"]
    assert ids({"tiny/_a.abi3.so": elf("libother.so.1")}) == some
    own = {"tiny/_a.abi3.so": elf("libc.so.6", "libown.so"), "tiny/libown.so": elf()}
    assert ids(own) == [*expected, *expected]


def test_every_function_is_named_with_its_version(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"PyErr_GetRaisedException", "PyLong_AsNativeBytes", "_PyLong_Sign", "_PyLong_Copy"}
    symbols = Symbols(wanted=frozenset(wanted), offered=frozenset())
    monkeypatch.setattr(elf_symbols, "read", lambda _: symbols)
    # One of several tags is for the stable ABI; PyPy has none.
    for python, abi in (("cp38", "abi3"), ("cp38", "abi3.none"), ("cp38.pp38", "abi3")):
        opened = build({"tiny/_a.abi3.so": elf()}, tag=f"{python}-{abi}-{PLATFORM}")
        faults = list(stable_abi.faults(opened))
        assert found(faults) == [
            "PyErr_GetRaisedException (3.12), PyLong_AsNativeBytes (3.13)",
            "_PyLong_Copy, _PyLong_Sign",
        ]
        assert faults[0].expected.startswith("only functions of CPython 3.8, ")


# ------------------------------------------------------------------------------------ device code


@pytest.mark.parametrize(
    ("sass", "ptx", "expected"),
    [
        ((80, 90), (90,), []),
        (None, None, []),
        ((80,), None, [("sass-unexpected", "sm_90")]),
        ((80, 86, 90), None, [("sass-missing", "no sm_86; only sm_80, sm_90")]),
        (None, (), [("ptx-unexpected", "compute_90")]),
        (None, (80, 90), [("ptx-missing", "no compute_80; only compute_90")]),
        (
            (70, 80),
            (90,),
            [("sass-missing", "no sm_70; only sm_80, sm_90"), ("sass-unexpected", "sm_90")],
        ),
    ],
)
def test_a_file_has_the_declared_architectures(
    build: Build,
    sass: tuple[int, ...] | None,
    ptx: tuple[int, ...] | None,
    expected: list[tuple[str, str]],
) -> None:
    def cubin(arch: int) -> bytes:
        ident = b"\x7fELF\x02\x01\x01\x33\x07" + bytes(7)
        flags = arch | arch << 16 | 0x500
        return ident + struct.pack("<HHIQQQIHHHHHH", 2, 190, 1, 0, 0, 0, flags, 64, *(5 * [0]))

    code = cubin(80) + cubin(90) + b"\n.version 8.8\n.target sm_90\n.address_size 64\n\0"
    # A graft has code of its own, and metadata are no code.
    others = {GRAFT: cubin(50), "tiny/x.py": b""}
    opened = build(files={"tiny/x.so": code, **others}, metadata={"x.bin": cubin(50)})
    declared = Settings(sass=sass, ptx=ptx)
    faults = list(device_code.faults(opened, declared))
    assert [(fault.id, fault.found) for fault in faults] == expected
    assert {fault.file for fault in faults} <= {"tiny/x.so"}
    names = [f"sm_{one}" for one in sass or ()], [f"compute_{one}" for one in ptx or ()]
    texts = [
        ", ".join(some) or f"no {one}*"
        for some, one in zip(names, ("sm_", "compute_"), strict=True)
    ]
    for fault in faults:
        assert fault.expected == texts[fault.id.startswith("ptx")]
    without = list(device_code.faults(build(files=others), declared))
    assert [(fault.id, fault.expected) for fault in without] == (
        [("no-device-code", "; ".join(texts))] if sass or ptx else []
    )


# --------------------------------------------------------------------------- single ELF files


@pytest.mark.parametrize(
    ("check", "right", "wrong", "expected", "counts"),
    [
        (executable_stack, elf(), elf(executable_stack=True), "executable-stack", True),
        (
            executable_stack,
            elf(executable_stack=True, is_program=True),
            elf(executable_stack=True),
            "executable-stack",
            True,
        ),
        (soname_and_needed, elf("a.so"), elf("/build/a.so"), "path-as-name", True),
        (
            soname_and_needed,
            elf(soname="a.so"),
            elf(soname="/build/a.so"),
            "path-as-name",
            False,
        ),
        (
            no_driver,
            elf(soname="liba.so"),
            elf(soname="libcuda.so.1"),
            *("driver-library-grafted", True),
        ),
    ],
)
def test_each_file_is_judged_by_itself(
    build: Build, check: Any, right: Elf, wrong: Elf, expected: str, counts: bool
) -> None:
    opened = build({"tiny/right.so": right, "tiny/wrong.so": wrong, "tiny/last.so": right})
    faults = list(check.faults(opened))
    assert told(faults) == [(expected, "tiny/wrong.so", counts)]
    if check is soname_and_needed:
        kind = "SONAME" if wrong.soname else "NEEDED"
        assert found(faults) == [f"{kind} /build/a.so"]


def test_a_part_of_the_driver_is_known_by_its_file_name_too(build: Build) -> None:
    files = {"tiny.libs/libcuda-01234567.so.1": elf(), MODULE: elf(soname="_tiny.so")}
    faults = list(no_driver.faults(build(files)))
    assert told(faults) == [("driver-library-grafted", "tiny.libs/libcuda-01234567.so.1", True)]


def test_machine_code_in_purelib_is_said(build: Build) -> None:
    pure = "tiny-1.0.data/purelib/tiny/pure.so"
    assert told(elf_scheme.faults(build({MODULE: elf(), pure: elf()}))) == [
        ("elf-in-purelib", pure, False)
    ]
    text = wheel_metadata(f"py3-none-{PLATFORM}", purelib=True)
    opened = build({MODULE: elf()}, metadata={"WHEEL": text})
    (fault,) = elf_scheme.faults(opened)
    assert (fault.id, fault.file, fault.expected) == ("elf-in-purelib", MODULE, "platlib")


def test_what_must_be_single_is_known_by_file_name_and_soname(build: Build) -> None:
    names = ["tiny.libs/libcudart-01234567.so.12", "tiny/b.so", "tiny/libgomp.so.1"]
    sonames = [None, "libcudart.so.11", "libgomp.so.1"]
    files = {name: elf(soname=soname) for name, soname in zip(names, sonames, strict=True)}
    faults = list(single_libraries.faults(build(files)))
    assert told(faults) == [("graft-twice", names[0], False)]
    assert found(faults) == ["b.so, libcudart-01234567.so.12"]
    assert faults[0].expected == "one version of libcudart"
    two = {f"tiny/{number}/libgomp-{number}1234567.so.1": elf() for number in (0, 1)}
    (fault,) = single_libraries.faults(build(two))
    assert (fault.file, fault.expected) == (next(iter(two)), "one version of libgomp")
    # The same file in two places, as co-location makes it, is one.
    same = ["tiny.libs/libgomp-01234567.so.1", f"{DATA}/.tiny.libs/libgomp-01234567.so.1"]
    assert not list(single_libraries.faults(build(dict.fromkeys(same, elf()))))


def test_an_exclusion_excludes_something(build: Build) -> None:
    opened = replace(
        build({MODULE: elf("libb.so", "liba.so")}), excluded=("liba.*", "LIBB.*", "none")
    )
    faults = list(excluded.faults(opened))
    assert told(faults) == [("exclude-unmatched", opened.archive.path.name, False)] * 2
    assert found(faults) == [
        f"exclude {glob} matches no NEEDED of liba.so, libb.so" for glob in ("LIBB.*", "none")
    ]
    opened = replace(build({MODULE: elf()}), excluded=("liba.*",))
    assert found(excluded.faults(opened)) == ["exclude liba.* matches no NEEDED of none"]


def test_the_grafts_are_those_that_are_declared(build: Build) -> None:
    files = {MODULE: elf(), GRAFT: elf(), "tiny.libs/libz.so.1": elf()}
    opened = build(files)
    assert not list(declared_grafts.faults(opened, Settings()))
    assert not list(declared_grafts.faults(opened, Settings(grafts=("libg", "libz"))))
    faults = list(declared_grafts.faults(opened, Settings(grafts=("libz", "libx"))))
    assert [(fault.id, fault.file, fault.expected) for fault in faults] == [
        ("graft-unexpected", GRAFT, "libz, libx"),
        ("graft-missing", opened.archive.path.name, "libz, libx"),
    ]
    assert found(faults) == ["a graft, libg", "no libx among libg, libz"]
    (fault,) = declared_grafts.faults(build({GRAFT: elf()}), Settings(grafts=()))
    assert (fault.id, fault.expected) == ("graft-unexpected", "none")
    (fault,) = declared_grafts.faults(build({}), Settings(grafts=("libg",)))
    assert fault.found == "no libg among no grafts"


def test_device_code_that_cannot_be_read_is_said(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = device_images.Images(sass=frozenset({80}), unknown=frozenset({"b", "a"}))
    monkeypatch.setattr(device_images, "read", lambda _: images)
    faults = list(device_code.faults(build({MODULE: elf()}), Settings(sass=(80,))))
    # Every file but metadata is looked at.
    assert told(faults)[:2] == [("device-code-unknown", MODULE, True)] * 2
    assert found(faults) == ["a", "b"]


def test_a_folder_of_the_build_machine_is_found_in_machine_code(build: Build) -> None:
    opened = build({MODULE: elf()}, files={MODULE: b"\0/build/a/x.c\0", "tiny/x.txt": b"/build/b"})
    paths = Settings(build_paths=("/build/b", "/build/a", "/build"))
    faults = list(build_paths.faults(opened, paths))
    assert told(faults) == [("build-path", MODULE, True)] * 2
    assert found(faults) == ["mentions /build", "mentions /build/a"]
    assert not list(build_paths.faults(opened, Settings()))


def test_a_wheel_may_be_as_large_as_declared(build: Build) -> None:
    opened = build()
    bytes_of_it = opened.archive.path.stat().st_size
    assert not list(size.faults(opened, Settings()))
    assert not list(size.faults(opened, Settings(max_size=bytes_of_it)))
    (fault,) = size.faults(opened, Settings(max_size=bytes_of_it - 1))
    assert (fault.id, fault.file) == ("too-large", opened.archive.path.name)


@pytest.mark.parametrize(
    ("library", "needed", "right"),
    [
        ("liba.so.1", (), False),
        ("liba.so.1", ("liba.so.1",), True),
        ("liba.so.1", ("libown.so",), True),
        ("liba.so.1", ("libplain.so",), True),
        ("libm.so.6", ("libstdc++.so.6",), True),
        ("libgcc_s.so.1", ("libstdc++.so.6",), True),
        ("libgcc_s.so.1", ("libm.so.6",), False),
        # These are there before anything is loaded.
        ("libc.so.6", (), True),
        ("ld-linux-x86-64.so.2", (), True),
        ("ld-linux-aarch64.so.1", (), True),
        ("ld64.so.2", (), True),
        ("libc.musl-x86_64.so.1", (), True),
        ("libpthread.so.0", (), False),
    ],
)
def test_a_library_of_which_versions_are_wanted_is_loaded(
    build: Build, library: str, needed: tuple[str, ...], right: bool
) -> None:
    needs = ((library, "V_1"), (library, "V_2"))
    own = {
        "tiny/own-file.so": elf("liba.so.1", soname="libown.so"),
        "tiny/libplain.so": elf("liba.so.1"),
    }
    faults = list(version_needs.faults(build({MODULE: elf(*needed, version_needs=needs), **own})))
    assert told(faults) == ([] if right else [("version-without-needed", MODULE, True)])
    if not right:
        assert found(faults) == [f"needs V_1, V_2 of {library}, which is not NEEDED"]


# ------------------------------------------------------------------------------------- rpaths


@pytest.mark.parametrize(
    ("entry", "expected", "harmful"),
    [
        ("", "rpath-empty-entry", True),
        ("build", "rpath-absolute", True),
        ("/tmp/x", "rpath-absolute", True),  # noqa: S108 - no file is made there
        ("/var/tmp/x", "rpath-absolute", True),  # noqa: S108
        ("/dev/shm/x", "rpath-absolute", True),  # noqa: S108
        ("/tmpx", "rpath-absolute", False),  # noqa: S108
        ("/opt/x", "rpath-absolute", False),
        ("$LIB/x", "rpath-absolute", False),
        ("$ORIGIN", None, False),
        ("${ORIGIN}/x", None, False),
    ],
)
def test_an_entry_where_others_may_write_is_a_fault_if_the_loader_looks_there(
    build: Build, entry: str, expected: str | None, harmful: bool
) -> None:
    def check(*needed: str, **paths: tuple[str, ...]) -> list[tuple[str, str, bool]]:
        opened = replace(build({MODULE: elf(*needed, **paths)}), excluded=("libfar.*",))
        faults = list(rpath_entries.faults(opened))
        absolute = [fault for fault in faults if fault.id == "rpath-absolute"]
        assert all((fault.found, fault.expected) == (entry, "$ORIGIN/…") for fault in absolute)
        return told(faults)

    one = (expected, MODULE)
    assert check("libfar.so.1", rpath=(entry,)) == ([(*one, harmful)] if expected else [])
    assert check("libfar.so.1", runpath=(entry, entry)) == ([(*one, harmful)] if expected else [])
    assert check(rpath=(entry,)) == ([(*one, False)] if expected else [])
    # Beside RUNPATH, RPATH does not count.
    both = check("libfar.so.1", rpath=(entry,), runpath=("$ORIGIN",))
    assert both == [
        ("rpath-and-runpath", MODULE, False),
        *([(*one, False)] if expected else []),
    ]


@pytest.mark.parametrize(
    ("member", "entry", "expected"),
    [
        ("tiny/x.so", "$ORIGIN/../tiny.libs", None),
        ("tiny/x.so", "$ORIGIN/../none", "rpath-dangling"),
        ("tiny/x.so", "$ORIGIN" + "/.." * 9 + "/x", "rpath-escapes"),
        # In a virtual environment the data scheme is the prefix itself.
        (f"{DATA}/x.so", "$ORIGIN/../lib/python3.11/site-packages/tiny", None),
        (f"{DATA}/x.so", "$ORIGIN/../lib/python3.12/site-packages/tiny", "rpath-dangling"),
        (f"{DATA}/x.so", "$ORIGIN/../../x", "rpath-escapes"),
        (f"{DATA}/x.so", "/opt/x", None),
    ],
)
def test_an_entry_leads_to_a_directory_of_the_wheel(
    build: Build, member: str, entry: str, expected: str | None
) -> None:
    others = {GRAFT: elf(), "tiny/y.so": elf()}
    tag = f"cp311-cp311-{PLATFORM}"

    def check(*needed: str) -> list[tuple[str, str, bool]]:
        opened = build({member: elf(*needed, rpath=(entry,)), **others}, tag=tag)
        opened = replace(opened, excluded=("libfar.*",))
        return told(rpath_targets.faults(opened, Settings()))

    dangling = expected == "rpath-dangling"
    assert check() == ([(expected, member, False)] if expected else [])
    assert check("libfar.so.1") == ([(expected, member, not dangling)] if expected else [])


def test_an_entry_may_lead_to_a_distribution_that_the_wheel_requires(build: Build) -> None:
    opened = build({MODULE: elf(rpath=("$ORIGIN/../far/lib",))})
    dangling = [("rpath-dangling", MODULE, False)]
    for unseen, expected in (({"far": "why"}, []), ({"near": "why"}, dangling), ({}, dangling)):
        known = replace(opened, companions=Companions(unseen=unseen))
        assert told(rpath_targets.faults(known, Settings())) == expected


def test_what_lies_beside_a_folder_of_target_belongs_to_its_user(build: Build) -> None:
    # In a virtual environment it is lib/python3.11/x, which the wheel does not have.
    files = {MODULE: elf("libfar.so.1", rpath=("$ORIGIN/../../x",))}
    opened = replace(build(files, tag=f"cp311-cp311-{PLATFORM}"), excluded=("libfar.*",))

    def check(*names: str) -> list[tuple[str, str, bool]]:
        return told(rpath_targets.faults(opened, Settings(layouts=names)))

    assert check("pip --target") == [("rpath-escapes", MODULE, False)]
    assert check("venv") == [("rpath-dangling", MODULE, False)]
    assert check("venv", "pip --target") == [("rpath-escapes", MODULE, False)]


# ------------------------------------------------------------------------------ needed libraries


@pytest.mark.parametrize(
    ("member", "counts"),
    [
        ("tiny/x.so", True),
        ("tiny/libxPlugin.so", False),
        ("tiny/plugins/x.so", False),
        ("tiny/plugins/deep/x.so", False),
        ("tiny/qml/x.so", False),
        ("tiny/myplugins/x.so", True),
        ("plugins.d/x.so", True),
    ],
)
def test_a_plugin_may_lack_what_its_host_has_loaded(
    build: Build, member: str, counts: bool
) -> None:
    opened = build({member: elf("liba.so.1", "libc.so.6"), "tiny/y.so": elf()})
    faults = list(needed_libraries.faults(opened, Settings(layouts=("venv",))))
    assert told(faults) == [("needed-not-in-wheel", member, counts)]
    assert found(faults) == ["NEEDED liba.so.1, rpath none, not found in venv"]
    # What the package has loaded before need not be found.
    settings = Settings(layouts=("venv",), preloaded=("liba.so.1",))
    assert not list(needed_libraries.faults(opened, settings))


def test_a_library_of_the_wheel_that_is_not_found_is_told_from_one_that_is_not_there(
    build: Build,
) -> None:
    files = {
        "tiny/x.so": elf("liba.so.1", rpath=("$ORIGIN/none", "/opt")),
        "tiny/lib/liba.so.1": elf(),
        "tiny/y.so": elf("x.so", rpath=("$ORIGIN",)),
    }
    faults = list(needed_libraries.faults(build(files), Settings(layouts=("venv", "prefix"))))
    # Two libraries lack it, and the one that needs it is named once.
    assert told(faults) == [("needed-not-found", "tiny/x.so", True)]
    assert found(faults) == ["NEEDED liba.so.1, rpath $ORIGIN/none:/opt, not found in venv, prefix"]
    assert faults[0].expected == "an rpath that leads to tiny/lib/liba.so.1"
    (fault,) = needed_libraries.faults(
        build({**files, "tiny/z/liba.so.1": elf()}), Settings(layouts=("venv",))
    )
    assert fault.expected == "an rpath that leads to tiny/lib/liba.so.1 or tiny/z/liba.so.1"
    files["tiny/x.so"] = elf("liba.so.1", rpath=("$ORIGIN/none", "$ORIGIN/lib"))
    assert not list(needed_libraries.faults(build(files), Settings()))


def test_what_is_left_to_a_distribution_that_nobody_has_seen_is_said(build: Build) -> None:
    needed = ("libfar.so.1", "libc.so.6", "libcuda.so.1")
    opened = build({MODULE: elf(*needed)})
    unseen = {"far": "not in the folder"}
    opened = replace(opened, excluded=("lib*.so.1",), companions=Companions(unseen=unseen))
    faults = list(needed_libraries.faults(opened, Settings(layouts=("venv",))))
    assert told(faults) == [("companion-not-proven", f"{INFO}/METADATA", False)]
    assert found(faults) == [f"NEEDED libfar.so.1, in {MODULE}; far: not in the folder"]


@pytest.mark.parametrize(
    ("rpath", "requires"),
    [
        ("$ORIGIN/../nvidia/cublas/lib", True),
        ("$ORIGIN/../far/lib", False),
        ("/nvidia/cublas/lib", False),
    ],
)
def test_an_rpath_to_a_folder_of_nvidia_asks_for_a_distribution(
    build: Build, rpath: str, requires: bool
) -> None:
    opened = build({"tiny/x.so": elf("libcublas.so.12", rpath=(rpath,))})
    (fault,) = needed_libraries.faults(opened, Settings(layouts=("venv",)))
    assert fault.id == "needed-not-in-wheel"
    assert ("nvidia-cublas-cu12" in fault.remedy) == requires


# ----------------------------------------------------------------------------- the platform tag


def of_tag(opened: Wheel, plat: str | None = None) -> list[tuple[str, str, bool]]:
    """Return what the check of the platform tag finds."""
    return told(platform_tag.faults(opened, platforms.wanted(plat)))


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ([("libc.so.6", "GLIBC_2.17")], None),
        ([("libc.so.6", "GLIBC_2.18")], "GLIBC_2.18 of libc.so.6"),
        ([("libc.so.6", "GLIBC_2.9"), ("libc.so.6", "GLIBC_2.30")], "GLIBC_2.30 of libc.so.6"),
        # The largest number, not the last text.
        ([("libm.so.6", "GLIBC_2.29"), ("libm.so.6", "GLIBC_2.100")], "GLIBC_2.100 of libm.so.6"),
        ([("libstdc++.so.6", "GLIBCXX_3.4.19")], None),
        ([("libstdc++.so.6", "GLIBCXX_3.4.20")], "GLIBCXX_3.4.20 of libstdc++.so.6"),
        # The wheel's own library may have any.
        ([("libown.so", "GLIBC_2.99")], None),
        ([("libother.so", "OTHER_9")], None),
    ],
)
def test_a_tag_promises_the_versions_of_its_policy(
    build: Build, needs: list[tuple[str, str]], said: str | None
) -> None:
    files = {"tiny/x.so": elf(version_needs=tuple(needs)), "tiny/libown.so": elf()}
    faults = list(platform_tag.faults(build(files), None))
    assert told(faults) == ([("platform-tag", "tiny/x.so", True)] if said else [])
    for text in found(faults):
        assert text == f"needs {said}, which {PLATFORM} does not promise, in tiny/x.so"
    # A plain tag promises nothing.
    opened = build(files, tag="py3-none-linux_x86_64")
    assert not list(platform_tag.too_new(opened))


@pytest.mark.parametrize(("count", "more"), [(1, ""), (3, ""), (4, " and 1 more")])
def test_some_of_many_files_are_listed(build: Build, count: int, more: str) -> None:
    new = elf(version_needs=(("libc.so.6", "GLIBC_2.30"),))
    names = [f"tiny/{number}.so" for number in range(count)]
    (fault,) = platform_tag.faults(build(dict.fromkeys(names, new)), None)
    assert fault.found.endswith(f"in {', '.join(names[:3])}{more}")


def test_each_family_of_versions_is_a_finding(build: Build) -> None:
    needs = (("libc.so.6", "GLIBC_2.30"), ("libstdc++.so.6", "GLIBCXX_3.4.30"))
    opened = build({MODULE: elf(version_needs=needs)})
    assert of_tag(opened) == [("platform-tag", MODULE, True)] * 2


@pytest.mark.parametrize(
    ("tag", "plat", "remedy"),
    [
        ("any", None, "repair"),
        ("linux_x86_64", None, "repair"),
        ("win_amd64", None, "verify this wheel with another"),
        (f"{PLATFORM}.win_amd64", None, "verify this wheel with another"),
        ("any.linux_x86_64", None, "repair"),
        (PLATFORM, None, None),
        (PLATFORM, "manylinux_2_17_x86_64", None),
        (PLATFORM, "manylinux_2_28_x86_64", None),
        (PLATFORM, "manylinux_2_12_x86_64", "older system"),
        (PLATFORM, "manylinux_2_17_aarch64", "older system"),
        (PLATFORM, "musllinux_1_2_x86_64", "older system"),
    ],
)
def test_machine_code_has_a_tag_for_linux_that_is_old_enough(
    build: Build, tag: str, plat: str | None, remedy: str | None
) -> None:
    opened = build({MODULE: elf()}, tag=f"py3-none-{tag}")
    faults = list(platform_tag.faults(opened, platforms.wanted(plat)))
    name = opened.archive.path.name
    assert told(faults) == ([("platform-tag", name, True)] if remedy else [])
    assert all(remedy and remedy in fault.remedy for fault in faults)
    if plat is None and remedy:
        assert found(faults) == [", ".join(part for part in tag.split(".") if part != PLATFORM)]


def test_a_wheel_without_machine_code_is_for_every_system(build: Build) -> None:
    pure = build(files={"tiny/__init__.py": b"x"}, tag="py3-none-any")
    assert of_tag(pure) == []
    assert of_tag(pure, PLATFORM) == [("platform-tag", pure.archive.path.name, True)]
    tagged = build(files={"tiny/__init__.py": b"x"})
    assert of_tag(tagged) == [("platform-tag", tagged.archive.path.name, False)]
    two = build(files={"tiny/__init__.py": b"x"}, tag=f"py3-none-{PLATFORM}.manylinux2014_x86_64")
    texts = f"manylinux2014_x86_64, {PLATFORM}, no machine code"
    assert found(platform_tag.faults(two, None)) == [texts]
    # A static program is machine code too, although the loader has nothing to do with it.
    static = {"tiny/run": b"\x7fELF" + bytes(60)}
    assert of_tag(build(files=static)) == []
    opened = build(files=static, tag="py3-none-any")
    assert of_tag(opened) == [("platform-tag", opened.archive.path.name, True)]


@pytest.mark.parametrize(
    ("level", "counts"), [(0, None), (1, None), (2, False), (3, True), (4, True)]
)
def test_every_processor_since_2009_has_level_2(
    build: Build, level: int, counts: bool | None
) -> None:
    faults = list(platform_tag.faults(build({MODULE: elf(isa_level=level)}), None))
    assert told(faults) == ([] if counts is None else [("isa-level", MODULE, counts)])
    assert found(faults) == ([] if counts is None else [f"marked to need x86-64-v{level}"])


@pytest.mark.parametrize(
    ("platform", "needed", "wrong"),
    [
        (PLATFORM, "libc.so.6", False),
        (PLATFORM, "libc.musl-x86_64.so.1", True),
        ("musllinux_1_2_x86_64", "libc.musl-x86_64.so.1", False),
        ("musllinux_1_2_x86_64", "libc.so.6", True),
        ("musllinux_1_2_x86_64", "libc.so", False),
    ],
)
def test_the_c_library_is_that_of_the_platform(
    build: Build, platform: str, needed: str, wrong: bool
) -> None:
    faults = list(
        platform_tag.faults(build({MODULE: elf(needed)}, tag=f"py3-none-{platform}"), None)
    )
    assert told(faults) == ([("platform-tag", MODULE, True)] if wrong else [])
    assert found(faults) == ([f"NEEDED {needed}"] if wrong else [])


def test_symbols_that_a_library_has_lost_are_found(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    # auditwheel's policy says so: zlib 1.2.7, of CentOS 7, has it, and newer ones have not.
    wanted = frozenset({"inflate_fast", "_tr_align", "deflate"})
    symbols = Symbols(wanted=wanted, offered=frozenset())
    monkeypatch.setattr(elf_symbols, "read", lambda _: symbols)
    faults = list(platform_tag.faults(build({MODULE: elf("libz.so.1"), "a.so": elf()}), None))
    assert told(faults) == [("platform-tag", MODULE, True)]
    assert found(faults) == ["needs _tr_align, inflate_fast of libz.so.1"]


# ----------------------------------------------------------------------- RECORD and the archive

SHA256 = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of nothing, as coreutils says
SHA384 = "sha384=OLBgp1GsljhM2TJ-sbHjaiH9txEUvgdDTAzHv2P24donTt6_529l-9Ua0vFImLlb"
SHA512 = (
    "sha512=z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8XYXysP-DGNKHfuwvY7kxvUdBeoGlODJ6-SfaPg"
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (f"tiny/x,{SHA256},0", []),
        (f"tiny/x,{SHA256},", []),
        (f"tiny/x,{SHA384},0", []),
        (f"tiny/x,{SHA512},0", []),
        ("tiny/x,sha512=AAAA,0", ["record-hash"]),
        ("tiny/x,sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk,0", ["record-hash"]),
        ("tiny/x,md5=1B2M2Y8AsgTpgAmY7PhCfg,0", ["record-hash"]),
        ("tiny/x,,0", ["record-hash"]),
        (f"tiny/x,{SHA256},1", ["record-size"]),
        (f"tiny/x,{SHA256},00", ["record-size"]),
        (f"tiny/x,{SHA256}", ["record-malformed"]),
        (f"tiny/x,{SHA256},0,more", ["record-malformed"]),
        ('tiny/x,"a"b,0', ["record-malformed"]),
        (f"../tiny/x,{SHA256},0", ["record-unsafe-path", "record-missing"]),
        (f"/tiny/x,{SHA256},0", ["record-unsafe-path", "record-missing"]),
        (f"tiny/y,{SHA256},0", ["record-extra", "record-missing"]),
        (f"tiny/x,{SHA256},0\ntiny/x,{SHA256},0", ["record-duplicate"]),
        ("", ["record-missing", "record-malformed"]),
    ],
)
def test_record_lists_every_member(build: Build, row: str, expected: list[str]) -> None:
    rows = [f"{INFO}/{name},{{}},{{}}" for name in ("METADATA", "WHEEL")]
    texts = [core_metadata(), wheel_metadata(f"py3-none-{PLATFORM}")]
    filled = [
        line.format(tiny_wheels.digest(text), len(text))
        for line, text in zip(rows, texts, strict=True)
    ]
    text = "\n".join([row, *filled, f"{INFO}/RECORD,,", ""])
    opened = build(files={"tiny/x": b""}, metadata={"RECORD": text.encode()})
    faults = list(record.faults(opened))
    assert [fault.id for fault in faults] == expected
    files = {"record-malformed": f"{INFO}/RECORD", "record-missing": "tiny/x"}
    named = row.partition(",")[0]
    assert [fault.file for fault in faults] == [files.get(one, named) for one in expected]
    words = {fault.id: (fault.found, fault.expected) for fault in faults}
    if row == "tiny/x,,0":
        assert words["record-hash"] == ("no hash", "one of sha256, sha384, sha512")
    if row.startswith("tiny/x,sha1="):
        assert words["record-hash"][0] == row.split(",")[1]
    if "record-duplicate" in words:
        assert words["record-duplicate"] == ("2 rows", "one")


def test_record_is_text(build: Build) -> None:
    opened = build(metadata={"RECORD": b"tiny/\xff,,\n"})
    assert told(record.faults(opened)) == [("record-malformed", f"{INFO}/RECORD", True)]


def test_signatures_of_record_are_not_listed_in_it(build: Build) -> None:
    def unlisted(*names: str) -> list[str]:
        drop = {f"{INFO}/{name}" for name in names}
        opened = build(
            metadata=dict.fromkeys(names, b""),
            record=lambda rows: [row for row in rows if row[0] not in drop],
        )
        return [fault.file for fault in record.faults(opened)]

    assert unlisted("RECORD.jws", "RECORD.p7s") == []
    assert unlisted("RECORD.txt") == [f"{INFO}/RECORD.txt"]


def test_names_fall_together_on_some_file_systems(build: Build) -> None:
    names = ["tiny/STRASSE", "tiny/stra\u00dfe", "tiny/\u00c9", "tiny/e\u0301", "tiny/e"]
    faults = list(member_names.faults(build(files=dict.fromkeys(names, b""))))
    assert told(faults) == [
        ("name-collision", "tiny/STRASSE", False),
        ("name-collision", "tiny/e\u0301", False),
    ]
    assert found(faults) == [", ".join(names[:2]), "tiny/e\u0301, tiny/\u00c9"]
    names = ["tiny/x", "tiny-1.0.data/purelib/tiny/x", "tiny-1.0.data/data/x"]
    faults = list(member_names.faults(build(files=dict.fromkeys(names, b""))))
    assert told(faults) == [("place-collision", "tiny-1.0.data/purelib/tiny/x", True)]
    assert found(faults) == ["tiny-1.0.data/purelib/tiny/x, tiny/x"]


@pytest.mark.parametrize(
    ("member", "data", "mode", "wrong"),
    [
        ("tiny-1.0.data/scripts/run", b"#!/bin/sh\n", 0o644, True),
        ("tiny-1.0.data/scripts/run", b"\x7fELF", 0o655, True),
        ("tiny-1.0.data/scripts/run", b"#!/bin/sh\n", 0o744, False),
        ("tiny-1.0.data/scripts/run", b"#!/bin/sh\n", 0o755, False),
        ("tiny-1.0.data/scripts/run", b" #!/bin/sh\n", 0o644, False),
        ("tiny-1.0.data/scripts/run", b"", 0o644, False),
        ("tiny-1.0.data/data/bin/run", b"#!/bin/sh\n", 0o644, False),
        ("tiny/run", b"#!/bin/sh\n", 0o644, False),
    ],
)
def test_a_program_may_be_run(
    build: Build, member: str, data: bytes, mode: int, wrong: bool
) -> None:
    opened = build(files={member: data})
    with zipfile.ZipFile(opened.archive.path) as archive:
        contents = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(opened.archive.path, "w") as archive:
        for info, content in contents:
            if info.filename == member:
                info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, content)
    faults = list(modes.faults(opened))
    assert told(faults) == ([("not-executable", member, True)] if wrong else [])
    assert found(faults) == ([f"mode {mode:o}"] if wrong else [])
