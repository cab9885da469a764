"""Tables of the documentation that are made from the code, so that none of their rows is forgotten.

A page includes them from ``run/tables/``.
"""

from __future__ import annotations

from pathlib import Path

from wheelkit.wheel.layouts import LAYOUTS


def layouts() -> str:
    """Return the table of all install layouts, with the directories that they give to a scheme."""
    rows = ["| layout | who installs like this | platlib | data |", "|---|---|---|---|"]
    for layout in LAYOUTS:
        places = layout.directories("3.11", "NAME")
        platlib, data = (f"`<prefix>/{places[scheme]}`" for scheme in ("platlib", "data"))
        if layout.unpacked:
            platlib = data = "as in the archive"
        # Two underscores would begin bold text.
        source = layout.source.replace("__", r"\_\_")
        rows.append(f"| {layout.name} | {source} | {platlib} | {data} |")
    return "\n".join(rows) + "\n"


# The name of each table's file, and the function that makes the table.
TABLES = {"layouts.md": layouts}


def write_all(folder: Path) -> None:
    """Write every table into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in TABLES.items():
        (folder / name).write_text(table(), encoding="utf-8")
