"""pyproject.toml declares the architectures that CMakeLists.txt builds."""

from __future__ import annotations

import re
from pathlib import Path

from wheelkit.wheel import settings


def test_declared_architectures_are_those_that_are_built(project_root: Path) -> None:
    declared = settings.from_file(project_root / "pyproject.toml")
    text = (project_root / "CMakeLists.txt").read_text()
    for variable, listed in (("CUFES_SASS", declared.sass), ("CUFES_PTX", declared.ptx)):
        match = re.search(rf"set\({variable} ([\d ]+) CACHE", text)
        assert match is not None
        assert tuple(map(int, match[1].split())) == listed
