"""Tells pip which glibc the stand-in image stands for: this module is its ``_manylinux`` (PEP 600).

It lies in the standard library of each CPython of the image, where environments see it too. Without
it, pip would install packages there that need the image's newer glibc. It is that of manylinux2014,
or what STANDIN_GLIBC says, where the image stands for a newer one.
"""

import os

GLIBC = tuple(map(int, os.environ.get("STANDIN_GLIBC", "2.17").split(".")))


def manylinux_compatible(major, minor, architecture):  # type: ignore[no-untyped-def] # noqa: ARG001
    """Tell whether wheels for a glibc can be installed."""
    return (major, minor) <= GLIBC
