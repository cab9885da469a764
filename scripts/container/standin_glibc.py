"""Tells programs which glibc the stand-in image stands for: this module is its ``sitecustomize``.

It lies in the standard library of each CPython of the image, so that environments import it too.
pip, uv and auditwheel ask `os.confstr` for the glibc; without this, they would take what needs the
image's newer one. (They ask the module ``_manylinux`` of PEP 600 too, but uv only once, with the
true version.) The file beside it has the version: that of manylinux2014, or for CPythons for which
NumPy needs a newer one, that.
"""

import os

with open(os.path.join(os.path.dirname(__file__), "standin_glibc.txt")) as file:  # noqa: PTH118, PTH120, PTH123
    GLIBC = file.read().strip()
TRUE_CONFSTR = os.confstr


def confstr(name):  # type: ignore[no-untyped-def]
    """Return a setting of the system."""
    return f"glibc {GLIBC}" if name == "CS_GNU_LIBC_VERSION" else TRUE_CONFSTR(name)


os.confstr = confstr
