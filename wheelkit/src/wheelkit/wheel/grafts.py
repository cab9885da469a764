"""Libraries from elsewhere that a wheel brings along: grafts, as auditwheel calls them."""

from __future__ import annotations

import posixpath

from wheelkit.wheel import platforms

# The folder of the .dist-info directory with the texts of licences. A folder in it, which has the
# name of a library, has those of this graft.
LICENSES = "licenses"
# Ends the name of every directory of grafts: auditwheel's NAME.libs in site-packages, and
# .NAME.libs beside a library of another scheme, whose directories distributions may share.
DIRECTORY = ".libs"


def is_graft(member: str) -> bool:
    """Tell whether a member is in a directory for grafts."""
    return posixpath.basename(posixpath.dirname(member)).endswith(DIRECTORY)


def stem(member: str) -> str:
    """Return the name of the library that a member is, as in libcudart."""
    return platforms.stem(posixpath.basename(member))


def beside(member: str, distribution: str) -> str:
    """Return the directory for what a displaced library needs; grafts lie beside each other.

    It has a name of the distribution's own: another one may have a library in the same directory.
    A wheel has no member of this name in site-packages, which some layouts merge with the data.
    """
    if is_graft(member):
        return posixpath.dirname(member)
    return posixpath.join(posixpath.dirname(member), f".{distribution}{DIRECTORY}")
