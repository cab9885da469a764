"""Platform tags, and what a library may need from outside of its wheel.

The policies are those of the pinned auditwheel, read from its data files.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from wheelkit.target.report import MisusedError

FAMILIES = ("manylinux", "musllinux")
# The architectures for which releases are made; without a declaration, for the first alone.
X86_64, AARCH64 = ARCHITECTURES = ("x86_64", "aarch64")

# The NVIDIA driver: its libraries must match the running kernel module, so a wheel never has them.
# They are those that NVIDIA's container runtime takes from the host (libnvidia-container,
# src/nvc_info.c: utility, compute, video, graphics and ngx); libnvidia-* are too many, and change.
DRIVER_GLOBS = (
    *("libcuda.so*", "libcudadebugger.so*", "libnvidia-*.so*", "libnvcuvid.so*", "libnvoptix*.so*"),
    *("libGLX_nvidia.so*", "libEGL_nvidia.so*", "libGLESv1_CM_nvidia.so*", "libGLESv2_nvidia.so*"),
    *("libvdpau_nvidia.so*", "libdxcore.so*"),
)
# These hand every call on to the graphics driver, and find it by files of the system.
DISPATCHER_GLOBS = (
    *("libGL.so*", "libGLX.so*", "libGLdispatch.so*", "libOpenGL.so*", "libEGL.so*"),
    *("libGLESv1_CM.so*", "libGLESv2.so*", "libvulkan.so*"),
)
# What the repair never grafts, and no check misses.
OUTSIDE_GLOBS = (*DRIVER_GLOBS, *DISPATCHER_GLOBS)

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


def every_tag(arch: str, family: str = FAMILIES[0]) -> tuple[str, ...]:
    """Return every platform tag that a wheel for this machine may have, aliases too."""
    names = [p["name"] for p in _policies(family)]
    aliases = [alias for p in _policies(family) for alias in p["aliases"]]
    return tuple(f"{name}_{arch}" for name in (*names, *aliases, "linux"))


def allowed(platforms: Iterable[Platform]) -> frozenset[str]:
    """Return the SONAMEs that every system of all these platforms has.

    No platform, or a plain ``linux_ARCH``, says nothing of the system: what the newest policy has
    is taken then.
    """
    lists = [_allowed(platform) for platform in platforms] or [_allowed(UNKNOWN)]
    return frozenset.intersection(*lists)


def _allowed(platform: Platform) -> frozenset[str]:
    policy = policy_of(platform)
    return frozenset(policy["lib_whitelist"]) if policy else frozenset()


@functools.cache
def policy_of(platform: Platform) -> Mapping[str, Any] | None:
    """Return what a platform promises, as auditwheel has it; None if it is older than all.

    It is the newest policy that the platform's version meets.
    """
    family = platform.family if platform.family in FAMILIES else FAMILIES[0]
    policies = sorted(_policies(family), key=lambda policy: _version(policy["name"]))
    newest = platform.version or _version(policies[-1]["name"])
    met = [policy for policy in policies if _version(policy["name"]) <= newest]
    return met[-1] if met else None


def promises(platform: Platform, version: str) -> bool:
    """Whether every system of a platform has a version of symbols, as in ``GLIBC_2.17``.

    Of libraries that are not in its policy, nothing is known: they are allowed.
    """
    name, _, number = version.partition("_")
    policy = policy_of(platform)
    listed = policy["symbol_versions"].get(platform.arch, {}) if policy else {}
    if name not in listed:
        return True
    if name == "GLIBC" and re.fullmatch(r"[\d.]+", number) and platform.version is not None:
        # The version of a manylinux platform is that of glibc, listed or not (PEP 600).
        return tuple(map(int, number.split(".")))[:2] <= platform.version
    return number in listed[name]


def is_system(name: str, platforms: Iterable[Platform], excluded: Iterable[str] = ()) -> bool:
    """Whether the NEEDED entry `name` may, and should, come from outside the wheel."""
    globs = (*OUTSIDE_GLOBS, *LOADER_GLOBS, *excluded)
    return name in allowed(platforms) or any(fnmatchcase(name, glob) for glob in globs)


def is_driver(name: str) -> bool:
    """Whether a library of this name, as grafted or not, is part of the NVIDIA driver."""
    plain = f"{stem(name)}.so"
    return any(fnmatchcase(plain, glob) for glob in DRIVER_GLOBS)


def is_renamed(name: str) -> bool:
    """Whether a library has a name that a repair made up for a graft, which no other wheel has."""
    match = _STEM.match(name)
    return match is not None and match[2] is not None


def stem(name: str) -> str:
    """Return the name of a library without version and graft hash: libcudart, libgomp."""
    match = _STEM.match(name)
    return match["stem"] if match else name
