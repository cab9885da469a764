"""Libraries from elsewhere that a wheel brings along: grafts, as auditwheel calls them."""

from __future__ import annotations

import posixpath

from wheelkit.wheel import platforms

# The folder of the .dist-info directory with the texts of licences. A folder in it, which has the
# name of a library, has those of this graft.
LICENSES = "licenses"
# Ends the name of auditwheel's directory, NAME.libs in site-packages; .libs beside a library.
DIRECTORY = ".libs"


def is_graft(member: str) -> bool:
    """Tell whether a member is in a directory for grafts."""
    return posixpath.basename(posixpath.dirname(member)).endswith(DIRECTORY)


def stem(member: str) -> str:
    """Return the name of the library that a member is, as in libcudart."""
    return platforms.stem(posixpath.basename(member))
