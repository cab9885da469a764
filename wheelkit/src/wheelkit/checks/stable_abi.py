"""What a wheel for the stable ABI wants of Python is in every version that its tags name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from abi3info import DATAS, FUNCTIONS
from abi3info.models import Symbol

from wheelkit.base.cpythons import numbers
from wheelkit.checks import interpreters
from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel import elf_symbols, platforms
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel

TITLE = "stable ABI"
IDS = ("abi3-too-new", "abi3-not-stable")

_PYTHONS = re.compile(r"_?Py_?[A-Z]")
_VERSION_SPECIFIC = re.compile(r"\.(cpython-|pypy)\d+[^/]*\.so$")
# Functions that CPython exported before they became a part of the stable ABI, by the first version
# that has them: read from the symbols of CPython 3.7 to 3.13.
EXPORTED_SINCE = {
    (3, 7): "PyBuffer_FillContiguousStrides PyBuffer_FillInfo PyBuffer_FromContiguous "
    "PyBuffer_GetPointer PyBuffer_IsContiguous PyBuffer_Release PyBuffer_ToContiguous "
    "PyFrame_GetLineNumber PyImport_GetModule PyMem_RawCalloc PyMem_RawFree PyMem_RawMalloc "
    "PyMem_RawRealloc PyMemoryView_FromBuffer PyObject_CallFinalizerFromDealloc PyObject_CopyData "
    "PyObject_GenericGetDict PyObject_GetBuffer PyStructSequence_UnnamedField "
    "PyUnicode_AsUTF8AndSize Py_FileSystemDefaultEncodeErrors Py_GetArgcArgv Py_UTF8Mode",
    (3, 8): "PySys_Audit PyVectorcall_Call",
    (3, 9): "PyBuffer_SizeFromFormat PyFrame_GetCode PyModule_AddType PyObject_CallNoArgs "
    "PyObject_CheckBuffer PyObject_VectorcallMethod PyThreadState_GetFrame PyThreadState_GetID "
    "PyThreadState_GetInterpreter PyType_FromModuleAndSpec PyType_GetModule "
    "PyType_GetModuleState",
    (3, 11): "PyObject_Vectorcall PyType_GetModuleByDef",
    (3, 13): "PyCriticalSection2_Begin PyCriticalSection2_End PyCriticalSection_Begin "
    "PyCriticalSection_End PyDict_SetDefaultRef PyLong_AsNativeBytes PyLong_FromNativeBytes "
    "PyLong_FromUnsignedNativeBytes",
}
SINCE = {name: version for version, text in EXPORTED_SINCE.items() for name in text.split()}


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find functions that the oldest Python lacks, and such as a newer one may drop."""
    pythons = [p for p in interpreters.admitted(wheel) if not p.startswith("pypy")]
    if not pythons or not any(tag.abi == "abi3" for tag in wheel.identity.tags):
        return
    oldest = min(map(numbers, pythons))
    remedy = "define Py_LIMITED_API as this version, or build the wheel for newer Pythons only"
    for member, wanted in _wanted(wheel).items():
        known = {name: since for name in wanted if (since := _since(name)) is not None}
        late = {name: since for name, since in known.items() if since > oldest}
        if late:
            found = ", ".join(f"{name} ({_text(since)})" for name, since in sorted(late.items()))
            expected = (
                f"only functions of CPython {_text(oldest)}, the oldest that installs the wheel"
            )
            yield Fault("abi3-too-new", member, found=found, expected=expected, remedy=remedy)
        # A library of another distribution may have those of other names.
        unstable = [] if _needs_others(wheel, member) else sorted(wanted - known.keys())
        if unstable:
            expected = "only functions of the stable ABI; a newer CPython may not have the others"
            found = ", ".join(unstable)
            yield Fault(
                "abi3-not-stable",
                member,
                found=found,
                expected=expected,
                remedy=remedy,
                severity=WARNING,
            )


def _wanted(wheel: Wheel) -> dict[str, set[str]]:
    """Return the functions of Python that each file wants, and none of the wheel has."""
    files = [m for m in wheel.elves if not (is_graft(m) or _VERSION_SPECIFIC.search(m))]
    symbols = {member: elf_symbols.read(wheel.archive.file(member)) for member in files}
    offered = {name for of_one in symbols.values() for name in of_one.offered}
    found = {
        member: {name for name in of_one.wanted - offered if _PYTHONS.match(name)}
        for member, of_one in symbols.items()
    }
    return {member: wanted for member, wanted in found.items() if wanted}


def _needs_others(wheel: Wheel, member: str) -> bool:
    own, tags = {posixpath.basename(other) for other in wheel.elves}, wheel.identity.platforms
    return not all(n in own or platforms.is_system(n, tags) for n in wheel.elves[member].needed)


def _since(name: str) -> tuple[int, ...] | None:
    """Return the first CPython that has a function; None if it is not of the stable ABI."""
    entry = FUNCTIONS.get(Symbol(name)) or DATAS.get(Symbol(name))
    if entry is None:
        return None
    return min(SINCE.get(name, (4,)), (entry.added.major, entry.added.minor))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
