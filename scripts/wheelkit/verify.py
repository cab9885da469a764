"""Verifying wheels: every check runs, and a table says what was looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wheelkit import contract, policy
from wheelkit.report import Fault, FaultyError, LackingError
from wheelkit.subject import Subject, study
from wheelkit.trial import trial_faults

OPENING = "opens safely"
TRIAL = contract.Check("installs, loads, uninstalls", trial_faults)


@dataclass(frozen=True)
class Verdict:
    """What was found out about a wheel: the faults of each check, in the order of the checks.

    A check that was not asked for, or that could not be done, has None; `lacking` says what the
    environment lacks for it.
    """

    wheel: Path
    rows: dict[str, tuple[Fault, ...] | None]
    lacking: str | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults of all checks."""
        return tuple(fault for faults in self.rows.values() for fault in faults or ())


def verify(wheel: Path, plat: str | None, layouts: str) -> Verdict:
    """Run every check on a wheel.

    Parameters
    ----------
    wheel
        The finished wheel.
    plat
        The platform tag that it must have, or a better one.
    layouts
        ``"none"``: the archive and the ELF files only; ``"static"``: also follow every rpath in
        the layout of a virtual environment; ``"install"``: also install it in one and load
        every library.

    Raises
    ------
    MisusedError
        `plat` is no platform tag.
    """
    checks = (*contract.checks(policy.wanted(plat)), TRIAL)
    left_out = {"none": (*contract.LOADING, TRIAL), "static": (TRIAL,), "install": ()}[layouts]
    rows: dict[str, tuple[Fault, ...] | None] = dict.fromkeys([OPENING, *(c.title for c in checks)])
    with tempfile.TemporaryDirectory() as folder:
        try:
            subject = study(wheel, Path(folder))
        except FaultyError as error:
            return Verdict(wheel, {**rows, OPENING: error.faults})
        rows[OPENING] = ()
        missing = [_run(check, subject, rows) for check in checks if check not in left_out]
    return Verdict(wheel, rows, "; ".join(filter(None, missing)) or None)


def _run(
    check: contract.Check, subject: Subject, rows: dict[str, tuple[Fault, ...] | None]
) -> str | None:
    """Fill the row of a check; return what the environment lacks for it, if anything."""
    try:
        rows[check.title] = tuple(check.faults(subject))
    except LackingError as error:
        return str(error)
    return None


def table(verdicts: Iterable[Verdict]) -> str:
    """Return what was verified, as plain text."""
    lines: list[str] = []
    for verdict in verdicts:
        width = max(map(len, verdict.rows))
        lines.append(verdict.wheel.name)
        lines += [f"  {title:<{width}}  {_word(faults)}" for title, faults in verdict.rows.items()]
    return "\n".join(lines)


def _word(faults: tuple[Fault, ...] | None) -> str:
    if faults is None:
        return "not run"
    return ", ".join(sorted({fault.id for fault in faults})) or "ok"
