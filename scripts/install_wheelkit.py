"""Install wheelkit of this checkout into an environment, and what it needs by hash.

pip compares no folder with a hash, so the requirements come first, with the build back end of
wheelkit among them, and then the folder alone.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from ledger import PROJECT
from wheelkit.target.report import LackingError

WHEELKIT = PROJECT / "wheelkit"
REQUIREMENTS = WHEELKIT / "src" / "wheelkit" / "requirements.txt"


def install(python: Path, *requirements: Path) -> None:
    """Install requirements, which hold all that wheelkit needs, and wheelkit.

    Raises
    ------
    LackingError
        pip could not install something, or what is installed does not fit together.
    """
    pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    hashed = ["install", "--require-hashes", "--only-binary=:all:"]
    listed = [f"--requirement={file}" for file in requirements]
    alone = ["install", "--no-deps", "--no-build-isolation", WHEELKIT]
    for arguments in ([*hashed, *listed], alone, ["check"]):
        if subprocess.run([*pip, *arguments], check=False).returncode:
            names = " and ".join(str(file.relative_to(PROJECT)) for file in requirements)
            raise LackingError(f"pip could not install {names}, then wheelkit; see its messages")
