"""Platform tags, and what a library may need from outside of its wheel.

The policies are those of the pinned auditwheel, read from its data files.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from wheelkit.target.report import MisusedError

FAMILIES = ("manylinux", "musllinux")

# Part of the NVIDIA driver: they must match the running kernel module, so a wheel never has them.
DRIVER_STEMS = ("libcuda", "libnvidia-ml")
DRIVER_GLOBS = tuple(f"{stem}.so*" for stem in DRIVER_STEMS)

# The dynamic loader itself, and musl's C library, which is its own loader.
LOADER_GLOBS = ("ld-linux*.so.*", "ld64.so.*", "ld-musl-*.so.1", "libc.musl-*.so.1")

# A graft's file name has 8 hexadecimal digits of its source's hash after the stem.
_STEM = re.compile(r"^(?P<stem>.+?)(-[0-9a-f]{8})?\.so(\.|$)")


@dataclass(frozen=True)
class Platform:
    """A Linux platform tag, taken apart; `version` is None for plain ``linux_ARCH``."""

    family: str
    version: tuple[int, int] | None
    arch: str

    def __str__(self) -> str:
        """Return the tag in its PEP 600 form."""
        version = "".join(f"_{number}" for number in self.version or ())
        return f"{self.family}{version}_{self.arch}"

    def covers(self, other: Platform) -> bool:
        """Whether a wheel with this tag runs wherever one tagged `other` must run."""
        if (self.family, self.arch) != (other.family, other.arch):
            return False
        return (
            self.version is not None
            and other.version is not None
            and (self.version <= other.version)
        )


UNKNOWN = Platform("linux", None, "")


@functools.cache
def _policies(family: str) -> tuple[dict[str, Any], ...]:
    text = resources.files("auditwheel.policy").joinpath(f"{family}-policy.json").read_text("utf-8")
    return tuple(policy for policy in json.loads(text) if policy["name"] != "linux")


def _version(name: str) -> tuple[int, int]:
    major, minor = name.split("_")[1:3]
    return int(major), int(minor)


@functools.cache
def _aliases() -> dict[str, str]:
    every = (policy for family in FAMILIES for policy in _policies(family))
    return {alias: policy["name"] for policy in every for alias in policy["aliases"]}


def parse(tag: str) -> Platform | None:
    """Take a platform tag apart; None if it is no Linux tag.

    An alias (``manylinux2014_x86_64``) is the same platform as what it stands for.
    """
    if tag.startswith("linux_"):
        return Platform("linux", None, tag.removeprefix("linux_"))
    for alias, name in _aliases().items():
        if tag.startswith(f"{alias}_"):
            tag = name + tag.removeprefix(alias)
    match = re.fullmatch(rf"({'|'.join(FAMILIES)})_(\d+)_(\d+)_(\w+)", tag)
    if match is None:
        return None
    return Platform(match[1], (int(match[2]), int(match[3])), match[4])


def wanted(plat: str | None) -> Platform | None:
    """Take the value of --plat apart; None if it was not given."""
    return None if plat is None else required(plat)


def required(plat: str) -> Platform:
    """Take the value of --plat apart.

    Raises
    ------
    MisusedError
        It is no manylinux or musllinux tag.
    """
    platform = parse(plat)
    if platform is None or platform.version is None:
        raise MisusedError(f"--plat is {plat!r}; expected manylinux_2_17_x86_64 or alike")
    return platform


def allowed(platforms: Iterable[Platform]) -> frozenset[str]:
    """Return the SONAMEs that every system of all these platforms has.

    No platform, or a plain ``linux_ARCH``, says nothing of the system: what the newest policy has
    is taken then.
    """
    lists = [_allowed(platform) for platform in platforms] or [_allowed(UNKNOWN)]
    return frozenset.intersection(*lists)


def _allowed(platform: Platform) -> frozenset[str]:
    family = platform.family if platform.family in FAMILIES else FAMILIES[0]
    policies = sorted(_policies(family), key=lambda policy: _version(policy["name"]))
    newest = platform.version or _version(policies[-1]["name"])
    met = [policy for policy in policies if _version(policy["name"]) <= newest]
    return frozenset(met[-1]["lib_whitelist"]) if met else frozenset()


def is_system(name: str, platforms: Iterable[Platform], excluded: Iterable[str] = ()) -> bool:
    """Whether the NEEDED entry `name` may, and should, come from outside the wheel."""
    globs = (*DRIVER_GLOBS, *LOADER_GLOBS, *excluded)
    return name in allowed(platforms) or any(fnmatchcase(name, glob) for glob in globs)


def stem(name: str) -> str:
    """Return the name of a library without version and graft hash: libcudart, libgomp."""
    match = _STEM.match(name)
    return match["stem"] if match else name
