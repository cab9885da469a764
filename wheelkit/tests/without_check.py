"""A pytest plugin that takes a check, or one of its fault ids, away from verify_wheel.

``WITHOUT="title or id" pytest -p without_check`` runs the wrong wheels that only this one finds:
each must then go undetected, or the tests would not notice that the check is gone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import pytest
from wheelkit.checks import catalogue
from wheelkit.checks.catalogue import Check
from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

GONE = os.environ["WITHOUT"]


def without(check: Check) -> Check:
    """Return the check as it is without GONE; its ids stay known."""

    def rest(wheel: Wheel) -> Iterator[Fault]:
        if check.title != GONE:
            yield from (fault for fault in check.faults(wheel) if fault.id != GONE)

    return dataclasses.replace(check, faults=rest)


def pytest_configure() -> None:
    every = catalogue.checks

    def checks(settings: Settings, plat: platforms.Platform | None) -> tuple[Check, ...]:
        return tuple(without(check) for check in every(settings, plat))

    catalogue.checks = checks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    gone = {i for c in catalogue.checks(Settings(), None) if c.title == GONE for i in c.ids}
    items[:] = [item for item in items if expected(item) in gone | {GONE}]


def expected(item: pytest.Item) -> str:
    """Return the fault that a test expects; empty if it is none of a wrong wheel."""
    callspec = getattr(item, "callspec", None)
    wrong = callspec.params.get("wrong") if callspec else None
    return wrong.expected if wrong else ""
