"""Load one library in this process and print what came with it; runs on CPython 3.7 and later.

Run as a program of its own, so that every library starts from a clean process.
"""

import ctypes
import json
import os
import sys


def mapped_files():
    # type: () -> list[str]
    """Return the files mapped into this process."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123
        fields = [line.rstrip("\n").split(None, 5) for line in maps]
    return sorted({field[5] for field in fields if len(field) == 6 and field[5][0] == "/"})


def main():
    # type: () -> None
    """Load the library that the first argument names, with every symbol bound at once.

    Those that the other arguments name are loaded before it.
    """
    before = mapped_files()
    error = None
    try:
        for first in sys.argv[2:]:
            ctypes.CDLL(first, mode=os.RTLD_NOW | os.RTLD_GLOBAL)
        ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)
    except OSError as problem:
        error = str(problem)
    mapped = [path for path in mapped_files() if path not in before]
    print(json.dumps({"error": error, "mapped": mapped}), flush=True)
    # Destructors of an extension that was opened and never imported may use an interpreter state
    # that is gone at the end; what is asked here is whether the library loads.
    os._exit(0)


if __name__ == "__main__":
    main()
