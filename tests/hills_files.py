"""Writes the HILLS files that tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEADER_2D = """\
#! FIELDS time phi psi sigma_phi sigma_psi height biasf
#! SET multivariate false
#! SET kerneltype stretched-gaussian
#! SET min_phi -pi
#! SET max_phi pi
#! SET min_psi -pi
#! SET max_psi pi
"""
ROWS_2D = """\
     1   -1.20    2.70   0.35   0.30   1.20   10
     2    0.50   -2.90   0.35   0.25   1.10   10
     3    3.10    3.00   0.30   0.30   1.00   10
"""

HEADER_1D = """\
#! FIELDS time d sigma_d height biasf
#! SET multivariate false
#! SET kerneltype stretched-gaussian
"""
ROWS_1D = """\
     1   1.50   0.10   1.20   1
     2   2.25   0.20   1.10   1
"""


def write_hills(path: Path, content: str = HEADER_2D + ROWS_2D) -> Path:
    """Write a file and return its path."""
    path.write_text(content, encoding="utf-8")
    return path
