"""Draws trees of files with arrows between them, as SVG: the pictures of the page on the repair.

A drawing is 420 units wide, so that its text can be read on a phone. It has a background of its
own, so that it can be read on a light page and on a dark one.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, TOP, ROW, INDENT = 420, 44, 26, 18
INK, MUTED, GOOD, BAD = "#1c1e21", "#5c6370", "#1a7f37", "#c62828"
# Where the arrows run, right of the names.
RAIL = 382


@dataclass(frozen=True)
class Row:
    """A file or a folder: its depth in the tree, its name, and a remark below it."""

    depth: int
    name: str
    remark: str = ""


@dataclass(frozen=True)
class Drawing:
    """A tree and the way that the loader takes in it.

    `start` and `end` are rows: that of the library which needs another one, and that of the folder
    to which its rpath leads. Without an end, the rpath leads out of the tree.
    """

    title: str
    rows: tuple[Row, ...]
    start: int
    end: int | None
    result: str


PACKAGE = Row(1, "cyfes/")
DRAWINGS = {
    "built.svg": Drawing(
        "1. The wheel as it was built",
        (
            Row(0, "cyfes-5.0.whl"),
            PACKAGE,
            Row(1, "cyfes-5.0.data/data/cufes/"),
            Row(2, "libcufes.so", "needs libcudart.so.12, which is not here"),
        ),
        start=3,
        end=None,
        result="Users without a CUDA toolkit cannot load it.",
    ),
    "archive.svg": Drawing(
        "2. The wheel after auditwheel repair",
        (
            Row(0, "cyfes-5.0.whl"),
            PACKAGE,
            Row(1, "cyfes.libs/"),
            Row(2, "libcudart.so.12", "the copy that auditwheel has made"),
            Row(1, "cyfes-5.0.data/data/cufes/"),
            Row(2, "libcufes.so", "rpath: $ORIGIN/../../../cyfes.libs"),
        ),
        start=5,
        end=2,
        result="In the archive, the rpath leads to cyfes.libs.",
    ),
    "broken.svg": Drawing(
        "3. The same wheel, installed",
        (
            Row(0, "venv/"),
            Row(1, "lib/python3.11/site-packages/"),
            Row(2, "cyfes/"),
            Row(2, "cyfes.libs/"),
            Row(3, "libcudart.so.12"),
            Row(1, "cufes/"),
            Row(2, "libcufes.so", "rpath: $ORIGIN/../../../cyfes.libs"),
        ),
        start=6,
        end=None,
        result="The rpath leads out of the venv: not found.",
    ),
    "repaired.svg": Drawing(
        "4. The wheel of wheelkit repair, installed",
        (
            Row(0, "venv/"),
            Row(1, "lib/python3.11/site-packages/"),
            Row(2, "cyfes/"),
            Row(1, "cufes/"),
            Row(2, "libcufes.so", "rpath: $ORIGIN/.cyfes.libs"),
            Row(2, ".cyfes.libs/"),
            Row(3, "libcudart.so.12"),
        ),
        start=4,
        end=5,
        result="The two move together: found in every layout.",
    ),
}


def text(x: float, y: float, words: str, style: str, **given: object) -> str:
    """Return a text element."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in given.items())
    return f'<text x="{x:g}" y="{y:g}" class="{style}"{more}>{escape(words)}</text>'


def heights(rows: tuple[Row, ...]) -> list[int]:
    """Return the height of each row's name; a remark takes a line of its own."""
    places, y = [], TOP + 22
    for row in rows:
        places.append(y)
        y += ROW + (16 if row.remark else 0)
    return [*places, y]


def branches(rows: tuple[Row, ...], places: list[int]) -> list[str]:
    """Return the lines that join each file or folder to the folder that it is in."""
    lines = []
    for number, row in enumerate(rows):
        if row.depth:
            parent = max(k for k in range(number) if rows[k].depth == row.depth - 1)
            x, y = 22 + (row.depth - 1) * INDENT, places[number] - 5
            lines.append(f'<path class="branch" d="M{x} {places[parent] + 4}V{y}h12"/>')
    return lines


def arrow(drawing: Drawing, places: list[int]) -> list[str]:
    """Return the arrow from the library to the place where its rpath leads."""
    y = places[drawing.start] - 5
    x = 22 + drawing.rows[drawing.start].depth * INDENT + 8 * len(drawing.rows[drawing.start].name)
    if drawing.end is None:
        way, kind = f"M{x + 6} {y}H{RAIL}V14", "bad"
    else:
        row = drawing.rows[drawing.end]
        end = 28 + row.depth * INDENT + 8 * len(row.name)
        way, kind = f"M{x + 6} {y}H{RAIL}V{places[drawing.end] - 5}H{end}", "good"
    return [f'<path class="way {kind}" d="{way}" marker-end="url(#{kind})"/>']


def svg(drawing: Drawing) -> str:
    """Return a drawing as the text of an SVG file."""
    places = heights(drawing.rows)
    height = places[-1] + 16
    kind = "bad" if drawing.end is None else "good"
    sign = "✗" if drawing.end is None else "✓"
    markers = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
        for name, colour in (("good", GOOD), ("bad", BAD))
    )
    style = f"""
text {{ font: 13px "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: {INK}; }}
.title, .result {{ font: bold 14px "DejaVu Sans", Helvetica, Arial, sans-serif; }}
.remark {{ font-size: 11.5px; fill: {MUTED}; }}
.branch {{ fill: none; stroke: {MUTED}; }}
.way {{ fill: none; stroke-width: 2; }}
.way.good {{ stroke: {GOOD}; }}
.way.bad {{ stroke: {BAD}; stroke-dasharray: 6 4; }}
.result.good {{ fill: {GOOD}; }}
.result.bad {{ fill: {BAD}; }}"""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(drawing.title)}. {escape(drawing.result)}</title>",
        f"<style>{style}</style><defs>{markers}</defs>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#f7f8fa" stroke="#c9ced6"/>',
        text(14, 26, drawing.title, "title"),
        *branches(drawing.rows, places),
    ]
    for row, y in zip(drawing.rows, places, strict=False):
        x = 22 + row.depth * INDENT
        parts.append(text(x, y, row.name, "name"))
        if row.remark:
            parts.append(text(x, y + 16, row.remark, "remark"))
    parts += arrow(drawing, places)
    parts.append(text(14, height - 12, f"{sign} {drawing.result}", f"result {kind}"))
    return "\n".join([*parts, "</svg>", ""])


def write_all(folder: Path) -> None:
    """Write every drawing into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in DRAWINGS.items():
        (folder / name).write_text(svg(drawing), encoding="utf-8")
