"""What other programs say."""

from __future__ import annotations

import subprocess


def last_words(answer: subprocess.CompletedProcess[str]) -> str:
    """Return the last thing that a tool said, which is why it failed."""
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return lines[-1].strip() if lines else f"exit status {answer.returncode}, and no message"
