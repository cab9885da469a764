"""What was verified: plain text for a terminal, Markdown for a job summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wheelkit.base import github
from wheelkit.checks.verify import Verdict
from wheelkit.target.report import WARNING, Fault

HEADER = ("Python", "installer", "layout", "result")


def text(verdicts: Iterable[Verdict]) -> str:
    """Return a table of the checks, and of the trial installations, for each wheel."""
    lines: list[str] = []
    for verdict in verdicts:
        lines += [verdict.wheel.name, f"  {_declaration(verdict)}"]
        lines += _columns([(title, word(faults)) for title, faults in verdict.rows.items()])
        if verdict.trials:
            lines += ["", *_columns([HEADER, *(result.row for result in verdict.trials)])]
    return "\n".join(lines)


def word(faults: Sequence[Fault] | None) -> str:
    """Return the verdict of one check."""
    if faults is None:
        return "not run"
    counting = {fault.id for fault in faults if fault.counts}
    # What has both kinds is listed as a fault.
    mere = {f"{fault.id} ({WARNING})" for fault in faults if fault.id not in counting}
    return ", ".join([*sorted(counting), *sorted(mere)]) or "ok"


def _declaration(verdict: Verdict) -> str:
    accepted = ", ".join(sorted({f"{fault.id} ({why})" for fault, why in verdict.accepted}))
    source = verdict.settings.source or "none"
    return f"declared in: {source}" + (f"; accepted: {accepted}" if accepted else "")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def markdown(verdicts: Iterable[Verdict]) -> str:
    """Return the same as Markdown, with every finding."""
    lines: list[str] = []
    for verdict in verdicts:
        mark = "✅" if verdict.is_green else "❌"
        lines += [f"### {mark} `{verdict.wheel.name}`", "", _declaration(verdict), ""]
        rows = [(title, word(faults)) for title, faults in verdict.rows.items()]
        lines += [*table(("check", "result"), rows), ""]
        if verdict.trials:
            lines += [*table(HEADER, [result.row for result in verdict.trials]), ""]
        if verdict.faults:
            header = ("severity", "id", "file", "found", "expected", "remedy")
            rows = [tuple(getattr(fault, name) for name in header) for fault in verdict.faults]
            lines += [*table(header, rows), ""]
        if verdict.lacking:
            lines += [f"Not verified: {cell(verdict.lacking)}", ""]
    return "\n".join(lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(map(cell, line)) + " |" for line in lines]


def cell(content: str) -> str:
    """Return text that neither ends the cell nor is taken for HTML."""
    escaped = content.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())


def append_to_job(verdicts: Iterable[Verdict]) -> None:
    """Append the Markdown to the summary of the GitHub Actions job, if this is one."""
    github.add_summary(markdown(verdicts))
