"""The licence of each graft is in the wheel, as `wheelkit sbom` puts it there."""

from __future__ import annotations

import json
from collections.abc import Iterator

from wheelkit.checks.sbom import NAME
from wheelkit.target.report import WARNING, Fault
from wheelkit.wheel.grafts import LICENSES, is_graft, stem
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "licences of grafts"
IDS = ("graft-license-missing",)


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Check that the bill of materials names the licence of each graft, and its text is there.

    A wheel of which nothing is declared is not checked.
    """
    if settings.source is None:
        return
    listed = _listed(wheel)
    for member in filter(is_graft, wheel.elves):
        declared = settings.license_of(stem(member))
        if declared is None:
            expected = "the licence of the library, and its text"
            remedy = "declare it in graft-licenses of [tool.wheelkit], then run `wheelkit sbom`"
        else:
            expected, remedy = declared.license, "run `wheelkit sbom` after the repair"
        found = _missing_texts(wheel, stem(member), declared.names if declared else ())
        if member not in listed or (declared and listed[member] != declared.license):
            found.append(f"{NAME} says {listed.get(member, 'nothing of a licence')}")
        if found:
            what = "; ".join(found)
            yield Fault(
                IDS[0], member, found=what, expected=expected, remedy=remedy, severity=WARNING
            )


def _missing_texts(wheel: Wheel, graft: str, names: tuple[str, ...]) -> list[str]:
    """Return what is missing of the texts of a graft's licence: these files, or any."""
    folder = f"{wheel.archive.dist_info}/{LICENSES}/{graft}/"
    present = {m.removeprefix(folder) for m in wheel.archive.members if m.startswith(folder)}
    if names:
        return [f"no {folder}{name}" for name in names if name not in present]
    return [] if present else [f"no file in {folder}"]


def _listed(wheel: Wheel) -> dict[str, str]:
    """Return the licence of each graft that the bill of materials names; it may be damaged."""
    try:
        content = json.loads(wheel.archive.metadata(NAME).read_text(encoding="utf-8"))
        return {
            item["evidence"]["occurrences"][0]["location"]: item["licenses"][0]["expression"]
            for item in content["components"]
            if "licenses" in item
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        # Another check says so.
        return {}
