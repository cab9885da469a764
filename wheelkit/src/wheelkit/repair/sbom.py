"""The bill of materials of a finished wheel: what is in it, and what it was built with.

It is a CycloneDX document in the .dist-info directory (PEP 770). Every graft is listed with the
hash of the very file in the wheel. Nothing in it depends on when or where it was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from wheelkit.target.report import MisusedError, sha256
from wheelkit.wheel.grafts import is_graft, stem
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import GraftLicense

Component = dict[str, Any]


@dataclass(frozen=True)
class BuildEnvironment:
    """What the wheel was built with, as far as the wheel itself does not say.

    `toolkit` is the version of the CUDA toolkit and `parts` the packages that it was made of, each
    with its version and sha256. `image` is the reference of the container image; without one,
    `system` names the operating system.
    """

    toolkit: str | None = None
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    image: str | None = None
    system: str | None = None


def toolkit(home: Path) -> tuple[str, Mapping[str, Mapping[str, str]]]:
    """Return the version of a CUDA toolkit, and the pinned packages that it was made of, if any.

    Raises
    ------
    MisusedError
        The folder has no version.json, or one of another form.
    """
    path = home / "version.json"
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
        return str(stamp["cuda"]["version"]), stamp.get("pins", {})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise MisusedError(
            f"{path} does not tell the version of a CUDA toolkit: {error!r}; name its folder"
        ) from None


def document(
    wheel: Wheel, environment: BuildEnvironment, licenses: Mapping[str, GraftLicense]
) -> dict[str, Any]:
    """Return the bill of materials of a wheel, with the licences of its grafts by their stems."""
    identity = wheel.identity
    itself = {
        **_component("library", identity.name, str(identity.version)),
        "bom-ref": wheel.archive.path.name,
        "purl": f"pkg:pypi/{identity.name}@{identity.version}",
    }
    members = [member for member in wheel.elves if is_graft(member)]
    inside = [_graft(wheel, member, licenses.get(stem(member))) for member in members]
    outside = [*_tools(environment), *_compilers(wheel)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": [*inside, *outside],
        "dependencies": [
            {"ref": itself["bom-ref"], "dependsOn": [item["bom-ref"] for item in inside]},
            *({"ref": item["bom-ref"]} for item in inside),
        ],
    }


def _component(kind: str, name: str, version: str = "") -> Component:
    """Return a component; `version` may be unknown."""
    known = {"version": version} if version else {}
    return {"type": kind, "bom-ref": f"{kind}:{name}:{version}", "name": name, **known}


def _graft(wheel: Wheel, member: str, declared: GraftLicense | None) -> Component:
    path = wheel.archive.file(member)
    return {
        **_component("library", stem(member)),
        "bom-ref": member,
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        **({"licenses": [{"expression": declared.license}]} if declared else {}),
        "evidence": {"occurrences": [{"location": member}]},
    }


def _tools(environment: BuildEnvironment) -> Iterator[Component]:
    """Return what was used and is not distributed: CycloneDX says ``excluded`` of it."""
    if environment.toolkit:
        yield {
            **_component("application", "CUDA toolkit", environment.toolkit),
            "scope": "excluded",
        }
    for name, pin in sorted(environment.parts.items()):
        yield {
            **_component("application", name, pin["version"]),
            "scope": "excluded",
            "purl": f"pkg:pypi/{name}@{pin['version']}",
            "hashes": [{"alg": "SHA-256", "content": pin["sha256"]}],
        }
    if environment.image:
        name, at, digest = environment.image.partition("@")
        yield {**_component("container", name, digest if at else ""), "scope": "excluded"}
    elif environment.system:
        yield {**_component("operating-system", environment.system), "scope": "excluded"}


def _compilers(wheel: Wheel) -> Iterator[Component]:
    """Return the compilers that the wheel's own libraries name."""
    own = [wheel.archive.file(m) for m in wheel.elves if not is_graft(m)]
    for name in sorted({name for path in own for name in compilers(path)}):
        yield {**_component("application", name), "scope": "excluded"}


def compilers(path: Path) -> Iterable[str]:
    """Return what the compilers and linkers of an ELF file have written into its comment."""
    with path.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".comment")
        text = section.data() if section is not None else b""
    return [part.decode("utf-8", "replace").strip() for part in text.split(b"\0") if part.strip()]
