"""Libraries from elsewhere that a wheel brings along: grafts, as auditwheel calls them."""

from __future__ import annotations

import posixpath

# Ends the name of auditwheel's directory, NAME.libs in site-packages; .libs beside a library.
DIRECTORY = ".libs"


def is_graft(member: str) -> bool:
    """Tell whether a member is in a directory for grafts."""
    return posixpath.basename(posixpath.dirname(member)).endswith(DIRECTORY)
