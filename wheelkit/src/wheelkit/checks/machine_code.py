"""What is required of every ELF file by itself, rpaths aside."""

from __future__ import annotations

from collections.abc import Iterator

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_DT_FLAGS

from wheelkit.target.report import Fault
from wheelkit.wheel import device_images
from wheelkit.wheel.reading import Subject
from wheelkit.wheel.settings import Settings


def readable(subject: Subject) -> Iterator[Fault]:
    """Every file that claims to be an ELF file can be read as one."""
    yield from subject.unreadable


def scheme(subject: Subject) -> Iterator[Fault]:
    """Machine code is in a scheme for machine code."""
    for member in subject.elves:
        if subject.place(member).scheme == "purelib":
            remedy = "build it as a platform wheel: Root-Is-Purelib: false"
            yield Fault("elf-in-purelib", member, "machine code in purelib", "platlib", remedy)


def stack(subject: Subject) -> Iterator[Fault]:
    """No library asks for an executable stack."""
    for member, file in subject.elves.items():
        if file.executable_stack:
            remedy = "link with -z noexecstack; in assembler, add a .note.GNU-stack section"
            expected = "PT_GNU_STACK without PF_X: newer glibc refuses to load it"
            yield Fault("executable-stack", member, "an executable stack", expected, remedy)


def text_relocations(subject: Subject) -> Iterator[Fault]:
    """No library has its code changed while it is loaded."""
    for member in subject.elves:
        if _has_text_relocations(subject, member):
            expected = "none: the code is writable while they are applied, and never shared"
            remedy = "compile everything that goes into it with -fPIC"
            yield Fault("text-relocations", member, "DT_TEXTREL", expected, remedy)


def _has_text_relocations(subject: Subject, member: str) -> bool:
    with subject.wheel.file(member).open("rb") as stream:
        segments = ELFFile(stream).iter_segments("PT_DYNAMIC")
        tags = [
            tag.entry for s in segments if isinstance(s, DynamicSegment) for tag in s.iter_tags()
        ]
    flags = [tag.d_val for tag in tags if tag.d_tag == "DT_FLAGS"]
    marked = any(value & ENUM_DT_FLAGS["DF_TEXTREL"] for value in flags)
    return marked or any(tag.d_tag == "DT_TEXTREL" for tag in tags)


def plain_names(subject: Subject) -> Iterator[Fault]:
    """SONAME and NEEDED are file names; a path in them is one of the build machine."""
    for member, file in subject.elves.items():
        for name in (*file.needed, file.soname or ""):
            if "/" in name:
                kind = "SONAME" if name == file.soname else "NEEDED"
                remedy = "link with -L and -l, and give the other library a SONAME"
                expected = "a file name: the loader would look nowhere but at this path"
                yield Fault("path-as-name", member, f"{kind} {name}", expected, remedy)


def build_paths(subject: Subject, settings: Settings) -> Iterator[Fault]:
    """No file mentions a folder of the build machine."""
    for member in subject.elves if settings.build_paths else ():
        with subject.wheel.file(member).open("rb") as stream:
            found = {
                path
                for _, block in device_images.blocks(stream)
                for path in settings.build_paths
                if path.encode() in block
            }
        for path in sorted(found):
            remedy = "compile with -ffile-prefix-map, and strip debugging information"
            expected = "nothing of the machine that built it: two builds give the same bytes"
            yield Fault("build-path", member, f"mentions {path}", expected, remedy)
