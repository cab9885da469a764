"""Patching ELF files: edits are collected, then each file is written once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from wheelkit.base import pinned_tools
from wheelkit.base.programs import last_words
from wheelkit.repair import folding
from wheelkit.target.report import Fault, FaultyError
from wheelkit.wheel import elf, integrity


class Patcher:
    """Collects edits and applies them, one call of patchelf per file.

    Each call may move sections to a new segment, so two calls could make a file grow twice.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rpaths: dict[str, tuple[str, ...]] = {}

    def set_rpath(self, member: str, entries: tuple[str, ...]) -> None:
        """Have DT_RPATH hold exactly `entries`; with none, the file gets no rpath."""
        self._rpaths[member] = entries

    def apply(self) -> None:
        """Write every collected edit.

        Raises
        ------
        LackingError
            The pinned patchelf is missing, or the disk is full.
        FaultyError
            patchelf failed on a file, or it changed more than it should.
        """
        while self._rpaths:
            member, entries = self._rpaths.popitem()
            path = self._root / member
            # Beside the file, because a rename is atomic only within one file system.
            patched = path.with_name(f"{path.name}.patched")
            self._patch(member, entries, patched)
            if faults := tuple(integrity.damage(path, patched, member)):
                raise FaultyError(faults)
            shutil.copymode(path, patched)
            patched.replace(path)

    def _patch(self, member: str, entries: tuple[str, ...], patched: Path) -> None:
        path = self._root / member
        left_out = folding.holes(path)
        folding.fold(path, patched, left_out)
        file = elf.read(patched)
        both = file is not None and file.rpath is not None and file.runpath is not None
        # Of two tags patchelf would change one. To remove them moves nothing in the file.
        if both or not entries:
            self._edit(member, patched, "--remove-rpath")
        if entries:
            # DT_RPATH, not DT_RUNPATH: LD_LIBRARY_PATH must not put another library in place of
            # a graft, and auditwheel does the same.
            self._edit(member, patched, "--force-rpath", "--set-rpath", ":".join(entries))
        folding.unfold(patched, path, left_out)

    @staticmethod
    def _edit(member: str, path: Path, *options: str) -> None:
        command = [pinned_tools.patchelf(), *options, str(path)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        pinned_tools.refuse_full_disk(answer)
        if answer.returncode != 0:
            remedy = "link the library again with an rpath, so that there is space for the new one"
            found, expected = last_words(answer), "a file that patchelf can patch"
            raise FaultyError(
                [Fault("patchelf", member, found=found, expected=expected, remedy=remedy)]
            )
