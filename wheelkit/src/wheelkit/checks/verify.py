"""Verifying wheels: every check runs, and the result of each is kept for table and summary."""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from wheelkit.base import progress
from wheelkit.checks import catalogue, companions
from wheelkit.checks.catalogue import OPENING, Check
from wheelkit.install import trial
from wheelkit.install.companion_wheels import Sources, with_companions
from wheelkit.target.report import FAULT, Fault, FaultyError, LackingError, MisusedError
from wheelkit.wheel import platforms, settings
from wheelkit.wheel.companions import Companion
from wheelkit.wheel.identity import identify
from wheelkit.wheel.layouts import LAYOUTS
from wheelkit.wheel.reading import Wheel, read_wheel
from wheelkit.wheel.settings import Settings

Rows = dict[str, tuple[Fault, ...] | None]


@dataclass(frozen=True)
class VerifyOptions:
    """What the caller wants to have verified.

    Attributes
    ----------
    plat
        The platform tag that the wheel must have, or a better one; None for any.
    layouts
        ``"none"``: the archive and the ELF files only; ``"static"``: also emulate the loader in
        every install layout; ``"install"``: also install the wheel and load every library.
    settings_file
        A file with the settings; None for those of the project in the working directory.
    companions_folder
        A folder with the wheels of companions; None for those of the index.
    options
        Settings that take the place of those of the file, by field; None where not given.
    strict
        Whether every warning is a fault, unless the settings accept it; the settings may say so
        too.
    trials
        What to install with and how.
    """

    plat: platforms.Platform | None = None
    layouts: str = "static"
    settings_file: Path | None = None
    companions_folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False
    trials: trial.TrialOptions = field(default_factory=trial.TrialOptions)

    def settings(self, distribution: str) -> Settings:
        """Return the settings for the wheels of a distribution."""
        declared = (
            settings.from_file(self.settings_file)
            if self.settings_file
            else settings.of_project(Path.cwd(), distribution)
        )
        return settings.overridden(declared, self.options)


@dataclass(frozen=True)
class Verdict:
    """What was found out about a wheel: the findings of each check, in the order of the checks.

    A check that was not asked for, or that could not be done, has None. `lacking` says what the
    environment lacks for one, `accepted` are the findings that the settings accept, each with the
    reason, `trials` the matrix of the trial installations. `companions` are the distributions whose
    libraries the wheel uses: their wheels, or the names of those that were not looked at.
    """

    wheel: Path
    settings: Settings
    rows: Rows
    accepted: tuple[tuple[Fault, str], ...] = ()
    trials: tuple[trial.Result, ...] = ()
    companions: tuple[Companion | str, ...] = ()
    lacking: str | None = None

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The findings of all checks, warnings too."""
        return tuple(fault for faults in self.rows.values() for fault in faults or ())

    @property
    def is_green(self) -> bool:
        """Whether every check that was asked for was done, and none found a fault."""
        return self.lacking is None and not any(fault.counts for fault in self.faults)


def verify(wheel: Path, wanted: VerifyOptions) -> Verdict:
    """Run every check on a wheel.

    Raises
    ------
    MisusedError
        The settings have a fault.
    """
    trials: list[trial.Result] = []
    try:
        chosen = wanted.settings(identify(wheel.name).name)
    except FaultyError as error:
        return Verdict(wheel, Settings(), {OPENING: error.faults})
    trial_options = replace(wanted.trials, preloaded=chosen.preloaded)
    every = (*catalogue.checks(chosen, wanted.plat), trial_check(trial_options, trials))
    _refuse_unknown_ids(chosen, every)
    rows: Rows = dict.fromkeys(titles(chosen, wanted.plat))
    verdict = Verdict(wheel, chosen, rows)
    with tempfile.TemporaryDirectory() as folder, progress.line():
        progress.show(f"{wheel.name}: {OPENING}")
        try:
            opened = read_wheel(wheel, Path(folder), chosen.exclude)
        except FaultyError as error:
            rows[OPENING] = error.faults
            return verdict
        rows[OPENING] = ()
        if wanted.layouts != "none":
            sources = Sources(chosen.companions, wanted.companions_folder)
            opened = with_companions(opened, sources)
            verdict = replace(verdict, companions=tuple(companions.counted_on(opened)))
        chosen_checks = [check for check in every if check.title not in _left_out(wanted)]
        missing = [
            _run(check, opened, rows, n / len(chosen_checks))
            for n, check in enumerate(chosen_checks)
        ]
    lacking = "; ".join(filter(None, missing)) or None
    judged = _accept(replace(verdict, trials=tuple(trials), lacking=lacking))
    return _strict(judged) if wanted.strict or chosen.strict else judged


def titles(settings: Settings, plat: platforms.Platform | None) -> tuple[str, ...]:
    """Return the rows of the table of a wheel on which every check ran."""
    return (OPENING, *(check.title for check in catalogue.checks(settings, plat)), trial.TITLE)


def layouts_of(settings: Settings) -> tuple[str, ...]:
    """Return the names of the install layouts in which the wheels of a project must load."""
    every = tuple(layout.name for layout in LAYOUTS)
    return every if settings.layouts is None else settings.layouts


def trial_check(options: trial.TrialOptions, results: list[trial.Result]) -> Check:
    """Return the check that installs the wheel; the matrix is appended to `results`."""
    return Check(trial.TITLE, trial.IDS, partial(trial.faults, options=options, results=results))


def _left_out(wanted: VerifyOptions) -> set[str]:
    loading = {check.title for check in catalogue.layout_checks(Settings())}
    return {"none": {*loading, trial.TITLE}, "static": {trial.TITLE}, "install": set()}[
        wanted.layouts
    ]


def _run(check: Check, wheel: Wheel, rows: Rows, done: float) -> str | None:
    """Fill the row of a check; return what the environment lacks for it, if anything."""
    progress.show(f"{wheel.archive.path.name}: {done:4.0%} {check.title}")
    found: list[Fault] = []
    lacking = None
    try:
        found.extend(_declared(check, wheel))
    except LackingError as error:
        lacking = str(error)
    if found or lacking is None:
        # Two reasons to say the same are one finding.
        rows[check.title] = tuple(dict.fromkeys(found))
    return lacking


def _declared(check: Check, wheel: Wheel) -> Iterator[Fault]:
    """Run a check; an id that it does not declare could be neither accepted nor looked up."""
    for fault in check.faults(wheel):
        if fault.id not in check.ids:
            raise ValueError(f"the check {check.title!r} does not declare {fault.id!r}")
        yield fault


def _refuse_unknown_ids(chosen: Settings, every: Iterable[Check]) -> None:
    # What keeps a wheel from being opened cannot be accepted.
    known = sorted({i for check in every for i in check.ids})
    for accepted in chosen.accept:
        if accepted.id not in known:
            where = chosen.source or "--accept"
            close = difflib.get_close_matches(accepted.id, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else "correct or remove it"
            raise MisusedError(f"{where}: no check finds {accepted.id!r}; {hint}")


def _accept(verdict: Verdict) -> Verdict:
    """Take out of the rows what the settings accept."""
    reasons: dict[Fault, str] = {}
    for finding in verdict.faults:
        for accepted in verdict.settings.accept:
            if accepted.covers(finding):
                reasons.setdefault(finding, accepted.reason)
    rows: Rows = {
        title: faults if faults is None else tuple(f for f in faults if f not in reasons)
        for title, faults in verdict.rows.items()
    }
    return replace(verdict, rows=rows, accepted=tuple(reasons.items()))


def _strict(verdict: Verdict) -> Verdict:
    """Make a fault of every warning."""
    rows: Rows = {
        title: faults if faults is None else tuple(replace(f, severity=FAULT) for f in faults)
        for title, faults in verdict.rows.items()
    }
    return replace(verdict, rows=rows)
