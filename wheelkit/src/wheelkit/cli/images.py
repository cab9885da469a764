"""List the container images that the pyproject.toml of the current folder names, and their digests.

With --update, docker or podman looks up the digest that each tag has today. The digest is written
into pyproject.toml as ``name:tag@sha256:…``; nothing else in the file changes. Use a tag such as
``latest`` to follow newer images. The tag of a release keeps naming the same image.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelkit.target.report import LackingError, MisusedError, Status

if TYPE_CHECKING:
    from wheelkit.containers.engines import Engine
    from wheelkit.containers.images import Reference


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit images", description=__doc__)
    parser.add_argument(
        "--update",
        action="store_true",
        help="pin every image to the digest that its tag has today; docker or podman looks it up",
    )
    return parser.parse_args(arguments)


def uses(project: Path) -> dict[str, str]:
    """Return what each image that a project names is for.

    Raises
    ------
    MisusedError
        It names none, or its pyproject.toml has a fault.
    """
    from wheelkit.containers import configuration
    from wheelkit.wheel import settings
    from wheelkit.wheel.platforms import X86_64

    found = dict.fromkeys(configuration.read(project).images(), "builds wheels")
    for declared in settings.of_folder(project).test_images:
        pythons = f"tries wheels of {', '.join(declared.pythons)}"
        earlier = found.get(declared.image)
        found[declared.image] = f"{earlier}; {pythons}" if earlier else pythons
    if not found:
        key = configuration.image_key(X86_64)
        raise MisusedError(
            f"{project / 'pyproject.toml'} names no image; write {key} in {configuration.TABLE}, "
            f"or {settings.TEST_IMAGES} in {settings.TABLE}"
        )
    return found


def todays_digest(engine: Engine, image: Reference) -> str:
    """Pull what a tag has today; return its digest.

    Raises
    ------
    LackingError
        The engine cannot pull it, or does not tell a digest.
    """
    import json
    from dataclasses import replace

    from wheelkit.base.programs import last_words

    tagged = str(replace(image, digest=""))
    pulled = engine.run("pull", "--quiet", tagged)
    if pulled.returncode:
        raise LackingError(f"{tagged} cannot be pulled: {last_words(pulled)}")
    inspected = engine.run("image", "inspect", tagged)
    try:
        names = json.loads(inspected.stdout)[0]["RepoDigests"]
        digests = [digest for _, _, digest in (name.partition("@") for name in names)]
    except (ValueError, LookupError, TypeError, AttributeError):
        digests = []
    if not digests or not all(digest.startswith("sha256:") for digest in digests):
        raise LackingError(
            f"{engine.name} does not tell the digest of {tagged}; its answer to `image inspect` "
            f"is {inspected.stdout.strip()[:200]!r} {last_words(inspected)}"
        )
    # An image for several machines has the digest of the list as well as its own.
    return image.digest if image.digest in digests else digests[0]


def newer(engine: Engine, images: list[str]) -> dict[str, str]:
    """Return by what each image that is not pinned to what its tag has today must be replaced.

    Raises
    ------
    MisusedError
        An image has no tag.
    LackingError
        Some cannot be asked for; the message names each.
    """
    from dataclasses import replace

    from wheelkit.containers.images import Reference

    parsed = {image: Reference.parse(image) for image in images}
    if untagged := [image for image, reference in parsed.items() if not reference.tag]:
        raise MisusedError(
            f"{', '.join(untagged)}: no tag says where a newer one comes from; write name:tag, or "
            "name:tag@sha256:…"
        )
    found, reasons = {}, []
    for image, reference in parsed.items():
        print(f"wheelkit images: {image}", file=sys.stderr, flush=True)
        try:
            pinned = str(replace(reference, digest=todays_digest(engine, reference)))
        except LackingError as error:
            reasons.append(str(error))
            continue
        if pinned != image:
            found[image] = pinned
    if reasons:
        raise LackingError("; ".join(reasons))
    return found


def rewritten(text: str, changes: Mapping[str, str]) -> str:
    """Return a TOML text with other strings in place of some, and the same bytes elsewhere.

    Raises
    ------
    MisusedError
        A string is not found as it is, because the file spells it in another way.
    """
    import tomli

    lines = text.splitlines(keepends=True)
    # A comment may say what an image was before.
    result = "".join(
        line if line.lstrip().startswith("#") else _in_line(line, changes) for line in lines
    )
    if tomli.loads(result) != _replaced(tomli.loads(text), changes):
        raise MisusedError(
            f"pyproject.toml does not have each of {', '.join(changes)} as a plain string on one "
            "line; write them so"
        )
    return result


def _in_line(line: str, changes: Mapping[str, str]) -> str:
    for quote in ('"', "'"):
        for old, new in changes.items():
            line = line.replace(f"{quote}{old}{quote}", f"{quote}{new}{quote}")
    return line


def _replaced(value: Any, changes: Mapping[str, str]) -> Any:
    """Return a value of a TOML document with other strings in place of some."""
    if isinstance(value, dict):
        return {key: _replaced(item, changes) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, changes) for item in value]
    return changes.get(value, value) if isinstance(value, str) else value


def update(project: Path, images: list[str]) -> dict[str, str]:
    """Pin each image to what its tag has today; return what was changed into what."""
    from wheelkit.containers import engines

    changes = newer(engines.find_engine(), images)
    path = project / "pyproject.toml"
    # As bytes, so that line ends stay as they are.
    before = path.read_bytes()
    path.write_bytes(rewritten(before.decode("utf-8"), changes).encode("utf-8"))
    return changes


def main(arguments: list[str] | None = None) -> int:
    """List the images, or update them and print each change."""
    from wheelkit.containers.images import Reference

    asked = parse(arguments)
    project = Path.cwd()
    found = uses(project)
    if not asked.update:
        for image, use in found.items():
            pin = "pinned by digest" if Reference.parse(image).digest else "not pinned"
            print(f"{image}: {pin}, {use}")
        return Status.DONE
    changes = update(project, list(found))
    for old, new in changes.items():
        print(f"{old} → {new}")
    if not changes:
        print("nothing to do: every image is pinned to what its tag has today")
    return Status.DONE
