"""Correcting auditwheel's bill of materials, which names the file of the wheel and its grafts.

auditwheel writes a new one whenever it grafts something that a package of the system owns. Then
what an earlier run had listed is lost. And it leaves the old file name in it when nothing is new.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wheelkit.base.remedies import REBUILD
from wheelkit.target.report import Fault, FaultyError

NAME = "sboms/auditwheel.cdx.json"

Document = dict[str, Any]


def settle(path: Path, earlier: bytes | None, wheel_name: str) -> None:
    """Put the wheel's file name into the document at `path`, and back what an earlier one listed.

    Parameters
    ----------
    path
        The document; nothing happens if there is none.
    earlier
        The document that the wheel had before, if any.
    wheel_name
        The file name of the repaired wheel.

    Raises
    ------
    FaultyError
        It is none of auditwheel's.
    """
    if not path.exists():
        return
    given = path.read_bytes()
    try:
        document = _renamed(json.loads(given), wheel_name)
        if earlier is not None and earlier != given:
            _add(document, _renamed(json.loads(earlier), wheel_name))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        expected = "a CycloneDX document as auditwheel writes it"
        raise FaultyError(
            [Fault("sbom-malformed", NAME, found=found, expected=expected, remedy=REBUILD)]
        ) from error
    if document != json.loads(given):
        path.write_text(json.dumps(document), encoding="utf-8")


def _renamed(document: Document, wheel_name: str) -> Document:
    """Return the document with another wheel's file name in every place that refers to it."""
    old = document["metadata"]["component"]["bom-ref"]
    package = old.partition("?")[0]
    new = f"{package}?file_name={quote(wheel_name, safe='')}"
    renamed: Document = json.loads(json.dumps(document).replace(json.dumps(old), json.dumps(new)))
    return renamed


def _add(document: Document, earlier: Document) -> None:
    """Add the components of an earlier document, and that the wheel depends on them."""
    known = {component["bom-ref"] for component in document["components"]}
    added = [c for c in earlier["components"] if c["bom-ref"] not in known]
    document["components"] += added
    references = [component["bom-ref"] for component in added]
    wheel = document["metadata"]["component"]["bom-ref"]
    for dependency in document["dependencies"]:
        if dependency["ref"] == wheel:
            dependency["dependsOn"] += references
    document["dependencies"] += [{"ref": reference} for reference in references]
