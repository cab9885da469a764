"""Find sentences that are too long, and words that readers did not understand.

    python scripts/develop/plain_words.py FILE...

In Markdown files, the text is checked; in Python files, the docstrings, messages and help texts.
Code, tables and quotations are left out. The exit status is 1 if something was found.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Longer sentences were the ones that readers had to read twice.
MOST_WORDS = 40

# A word that readers did not understand at once, as a regular expression, and a plainer one.
PLAINER = {
    "anew|afresh": "again",
    "hence|thus": "therefore",
    "laid": "deposited (of hills), or put",
    "lest": "so that … not",
    "likewise": "also",
    "sought": "searched for",
    "wherein|whereof|whereupon|whereby": "in which, of which",
}
UNCLEAR = re.compile(rf"\b({'|'.join(PLAINER)})\b", re.IGNORECASE)


class Finding(NamedTuple):
    """Something to rewrite, and the number of the line where its paragraph begins."""

    line: int
    text: str


def paragraphs_of_markdown(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs and items of a page, each with the number of its first line."""
    fenced = re.compile(r"^( *)(```+|:::+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
    for block in (r"^---\n.*?^---\n", r"<!--.*?-->"):
        text = re.sub(block, _empty_lines, text, flags=re.MULTILINE | re.DOTALL)
    # Only blocks of code are no text; other directives are a frame around it.
    text = fenced.sub(lambda m: _empty_lines(m) if m[2].startswith("`") else m[0], text)
    yield from _paragraphs(text, re.compile(r"\s*(\||#|:::|\$ )"))


def _paragraphs(text: str, skip: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    start, lines = 0, list[str]()
    begins = re.compile(r"^\s*([-*:>]|\d+\.)\s")
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        ends = not line.strip() or skip.match(line) is not None
        if lines and (ends or begins.match(line)):
            yield start, " ".join(lines)
            lines = []
        if not ends:
            start = start if lines else number
            lines.append(begins.sub("", line).strip())


def _empty_lines(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def paragraphs_of_python(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of docstrings, and each other string of several words."""
    # Examples, underlines, rows of tables, and commands in help texts are no sentences.
    skip = re.compile(r"\s*(>>>|\.\.\.|-+$|=+( =+)*$|``\S+``.*  )|\s+(cyfes|python) ")
    parts = set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            parts.update(map(id, node.values))
            words = (v.value if isinstance(v, ast.Constant) else "VALUE" for v in node.values)
            yield node.lineno, "".join(map(str, words))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [] if id(node) in parts else _paragraphs(node.value, skip)
            for start, paragraph in found:
                # One or two words are a name or a key.
                if len(paragraph.split()) > 2:
                    yield node.lineno + start - 1, paragraph


def sentences(paragraph: str) -> Iterator[str]:
    """Yield the sentences of a paragraph; code, addresses and quotations count as one word."""
    plain = re.sub(r"`+[^`]*`+|\"[^\"]*\"|\$[^$]*\$", "CODE", paragraph)
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", plain)
    yield from re.split(r"(?<=[.!?:;])\s+", plain)


def findings(path: Path) -> Iterator[Finding]:
    """Yield what is to be rewritten in a file."""
    text = path.read_text(encoding="utf-8")
    read = paragraphs_of_python if path.suffix == ".py" else paragraphs_of_markdown
    for line, paragraph in read(text):
        for sentence in sentences(paragraph):
            count = len(sentence.split())
            if count > MOST_WORDS:
                start = " ".join(sentence.split()[:8])
                yield Finding(
                    line, f"a sentence of {count} words, expected {MOST_WORDS}: {start} …"
                )
            for word in UNCLEAR.findall(sentence):
                plainer = next(
                    plain for rule, plain in PLAINER.items() if re.fullmatch(rule, word, re.I)
                )
                yield Finding(line, f"{word!r}, expected a plainer word, such as {plainer}")


def main() -> int:
    """Print the findings of all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    found = [(path, one) for path in parser.parse_args().files for one in findings(path)]
    for path, (line, text) in found:
        print(f"{path}:{line}: {text}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
