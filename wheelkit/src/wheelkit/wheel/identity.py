"""What a wheel says of itself in its file name and in WHEEL."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from wheelkit.base.cpythons import CPYTHONS, FREE_THREADED
from wheelkit.target.report import Fault, FaultyError
from wheelkit.wheel import platforms
from wheelkit.wheel.archive import UnpackedArchive

# The versions of CPython that a tag for several of them (abi3, py3) stands for.
PYTHONS = (*CPYTHONS, *FREE_THREADED)


@dataclass(frozen=True)
class Identity:
    """What the file name of a wheel says.

    `spelling` is the distribution's name as written; `name` is normalised.
    """

    spelling: str
    name: str
    version: Version
    build: str
    tags: frozenset[Tag]

    @property
    def platforms(self) -> tuple[platforms.Platform, ...]:
        """The Linux platforms among the tags."""
        parsed = (platforms.parse(tag) for tag in sorted({tag.platform for tag in self.tags}))
        return tuple(platform for platform in parsed if platform is not None)

    @property
    def architecture(self) -> str | None:
        """The architecture that the tags name; None if they name none, or several."""
        found = {platform.arch for platform in self.platforms}
        return found.pop() if len(found) == 1 else None

    @property
    def python(self) -> str:
        """The first CPython version that the tags name; the running one's if they name none."""
        exact = sorted(
            f"{tag.interpreter[2]}.{tag.interpreter[3:]}{'t' if tag.abi.endswith('t') else ''}"
            for tag in self.tags
            if tag.interpreter.startswith("cp") and tag.interpreter[3:].isdigit()
        )
        return exact[0] if exact else running_python()

    @property
    def pythons(self) -> tuple[str, ...]:
        """Every version of Python that the tags name; the running one's if they name none.

        Versions newer than `PYTHONS` are not known here.
        """
        named = {python for tag in self.tags for python in _pythons(tag)}
        return tuple(python for python in PYTHONS if python in named) + tuple(
            sorted(named.difference(PYTHONS))
        ) or (running_python(),)


def _pythons(tag: Tag) -> Iterator[str]:
    """Return the versions that a tag names, by the rules of PEP 425 and PEP 703."""
    match = re.fullmatch(r"(cp|py|pp)(\d)_?(\d*)", tag.interpreter)
    if match is None:
        return
    kind, oldest = match[1], f"{match[2]}.{match[3] or 0}"
    if kind == "pp":
        yield f"pypy{oldest}"
    elif kind == "py" or tag.abi == "abi3":
        known = [python for python in PYTHONS if python.startswith(f"{match[2]}.")]
        since = [python for python in known if Version(python.rstrip("t")) >= Version(oldest)]
        # The stable ABI is not that of free-threaded interpreters.
        yield from (p for p in since if tag.abi != "abi3" or not p.endswith("t"))
    else:
        yield f"{oldest}t" if tag.abi.endswith("t") else oldest


def running_python() -> str:
    """Return the version of this interpreter: ``"3.11"``, or ``"3.13t"`` if free-threaded."""
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{sys.version_info.major}.{sys.version_info.minor}{threaded}"


def identify(file_name: str) -> Identity:
    """Take a wheel's file name apart.

    Raises
    ------
    FaultyError
        The name is not one of a wheel.
    """
    try:
        name, version, build, tags = parse_wheel_filename(file_name)
    except InvalidWheelFilename as error:
        expected = "NAME-VERSION(-BUILD)-PYTHON-ABI-PLATFORM.whl"
        remedy = "give the file the name that its build backend chose"
        fault = Fault(
            "wheel-filename", file_name, found=str(error), expected=expected, remedy=remedy
        )
        raise FaultyError([fault]) from error
    number = "".join(map(str, build))
    return Identity(file_name.partition("-")[0], name, version, number, tags)


def root_scheme(archive: UnpackedArchive) -> str:
    """Return the scheme of the members outside the .data directory."""
    pure = str(headers(archive, "WHEEL").get("Root-Is-Purelib", "false"))
    return "purelib" if pure.lower() == "true" else "platlib"


def headers(archive: UnpackedArchive, name: str) -> Message:
    """Return the fields of a file of the .dist-info directory, such as WHEEL."""
    with archive.metadata(name).open("rb") as stream:
        return BytesParser().parse(stream, headersonly=True)
