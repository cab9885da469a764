"""The grafts are those that the project declares."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel import platforms
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "declared grafts"
IDS = ("graft-unexpected", "graft-missing")


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Check that the grafts are those that the project declares."""
    if settings.grafts is None:
        return
    grafts = {m: platforms.stem(posixpath.basename(m)) for m in wheel.elves if is_graft(m)}
    expected = ", ".join(settings.grafts) or "none"
    for member, stem in grafts.items():
        if stem not in settings.grafts:
            remedy = (
                "find out which library needs it; then declare it, exclude it, or link without it"
            )
            yield Fault(
                "graft-unexpected",
                member,
                found=f"a graft, {stem}",
                expected=expected,
                remedy=remedy,
            )
    for stem in settings.grafts:
        if stem not in grafts.values():
            found = f"no {stem} among {', '.join(sorted(set(grafts.values()))) or 'no grafts'}"
            remedy = (
                "find out whether it was linked statically or excluded; repair the wheel again, or "
                "remove it from grafts"
            )
            yield Fault(
                "graft-missing",
                wheel.archive.path.name,
                found=found,
                expected=expected,
                remedy=remedy,
            )
