"""File name, .dist-info, WHEEL and METADATA name the same distribution, version and tags."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.tags import Tag, parse_tag
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import FAULT, WARNING, Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.identity import Identity, headers
from wheelkit.wheel.reading import Wheel

RENAME = "rename the wheel with `wheel tags`, not by hand"
TITLE = "names and tags"
IDS = ("name-mismatch", "tag-mismatch", "wheel-version")


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Find where file name, .dist-info, WHEEL and METADATA contradict each other."""
    archive, identity = wheel.archive, wheel.identity
    declared = headers(archive, "WHEEL")
    stated = headers(archive, "METADATA")
    spelled, _, version = archive.dist_info.removesuffix(".dist-info").partition("-")
    yield from _same(identity, archive.dist_info, spelled, version)
    yield from _same(
        identity, f"{archive.dist_info}/METADATA", str(stated["Name"]), str(stated["Version"])
    )
    file = f"{archive.dist_info}/WHEEL"
    if str(declared["Wheel-Version"]).partition(".")[0] != "1":
        found = f"Wheel-Version: {declared['Wheel-Version']}"
        yield Fault("wheel-version", file, found=found, expected="1.x", remedy=REBUILD)
    if (build := str(declared.get("Build", ""))) != identity.build:
        found, expected = f"build tag {build!r}", f"{identity.build!r}, as in the file name"
        yield Fault(
            "tag-mismatch", file, found=found, expected=expected, remedy=RENAME, severity=WARNING
        )
    lines = list(map(str, declared.get_all("Tag", [])))
    try:
        tags = frozenset(tag for line in lines for tag in parse_tag(line))
    except ValueError as error:
        # packaging's InvalidTag is one.
        expected = "lines such as Tag: cp310-cp310-linux_x86_64"
        yield Fault(
            "tag-mismatch", file, found=f"Tag: {lines}: {error}", expected=expected, remedy=REBUILD
        )
        return
    if tags != identity.tags:
        found, expected = _sorted(tags), f"{_sorted(identity.tags)}, as in the file name"
        # Installers go by the file name; `pip check` goes by WHEEL, and a plain Linux tag fits too.
        severity = WARNING if all(_fits(tag, tags) for tag in identity.tags) else FAULT
        yield Fault(
            "tag-mismatch", file, found=found, expected=expected, remedy=RENAME, severity=severity
        )


def _fits(tag: Tag, stated: frozenset[Tag]) -> bool:
    """Whether a system that the tag of the file name admits is one of those that WHEEL admits."""
    platform = platforms.parse(tag.platform)
    for other in stated:
        same = (tag.interpreter, tag.abi) == (other.interpreter, other.abi)
        its = platforms.parse(other.platform)
        wider = (
            platform is not None
            and its is not None
            and ((its.version is None and its.arch == platform.arch) or its.covers(platform))
        )
        if same and (wider or tag.platform == other.platform):
            return True
    return False


def _sorted(tags: frozenset[Tag]) -> str:
    return ", ".join(sorted(map(str, tags))) or "no tag"


def _same(identity: Identity, file: str, name: str, version: str) -> Iterator[Fault]:
    try:
        same = canonicalize_name(name) == identity.name and Version(version) == identity.version
    except InvalidVersion:
        same = False
    if not same:
        expected = f"{identity.name} {identity.version}, as in the file name"
        yield Fault(
            "name-mismatch", file, found=f"{name} {version}", expected=expected, remedy=REBUILD
        )
