"""The bill of materials of `wheelkit sbom`, if there is one, lists the grafts of the wheel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from wheelkit.target.report import Fault, sha256
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel

TITLE = "bill of materials"
IDS = ("sbom-untrue", "sbom-unreadable")

# Within the .dist-info directory, where PEP 770 wants such documents.
NAME = "sboms/wheelkit.cdx.json"


def faults(wheel: Wheel) -> Iterator[Fault]:
    """Check that the bill of materials, if there is one, lists every graft with its hash."""
    path = wheel.archive.metadata(NAME)
    if not path.is_file():
        return
    remedy = "run `wheelkit sbom` again after the last change of the wheel"
    try:
        listed = dict(_listed(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        expected = "a CycloneDX document as `wheelkit sbom` writes it"
        yield Fault("sbom-unreadable", NAME, found=repr(error), expected=expected, remedy=remedy)
        return
    present = {m: sha256(wheel.archive.file(m)) for m in wheel.elves if is_graft(m)}
    for member in sorted({*listed, *present}):
        told, actual = listed.get(member, "not listed"), present.get(member, "not in the wheel")
        if told != actual:
            yield Fault("sbom-untrue", member, found=told, expected=actual, remedy=remedy)


def _listed(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for item in content["components"]:
        if item.get("scope") == "required":
            yield item["evidence"]["occurrences"][0]["location"], item["hashes"][0]["content"]
