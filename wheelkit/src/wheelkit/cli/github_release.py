"""Make the release of a tag on GitHub from the folder that `wheelkit gate --release` has made.

It needs only the program ``gh``, which GitHub's runners have. The release is a draft until all
files are attached and compared with the folder; then it is published. If it was interrupted, run it
again: it completes the draft. If the release is published already, it is only compared with the
folder, and nothing changes.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelkit.target.report import Fault, FaultyError, LackingError, MisusedError, Status, say

# A version in the normal form of the packaging standards, which the gates have compared with the
# files; group 1 is what makes it one before a release.
VERSION = re.compile(
    r"v(?:\d+!)?\d+(?:\.\d+)*((?:a|b|rc)\d+)?(?:\.post\d+)?(\.dev\d+)?(?:\+[a-z0-9.]+)?", re.ASCII
)
FIELDS = "isDraft,assets"
ABSENT = "release not found"


@dataclass(frozen=True)
class Published:
    """What GitHub has: whether it is a draft still, and the files by name."""

    is_draft: bool
    assets: Mapping[str, Mapping[str, Any]]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="wheelkit github-release", description=__doc__)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="what `wheelkit gate --release` has made")
    add("--tag", required=True, help="the git tag of the release; it must exist")
    return parser.parse_args(arguments)


def is_prerelease(tag: str) -> bool:
    """Tell whether a tag is of an alpha, a beta, a candidate or a development version.

    Raises
    ------
    MisusedError
        It is no tag of a version.
    """
    match = VERSION.fullmatch(tag)
    if match is None:
        raise MisusedError(f"--tag {tag!r} is no version; expected one as in v1.0 or v1.0rc1")
    return any(match.groups())


def attached_name(file: str) -> str:
    """Return the name that GitHub gives an attached file: it replaces some characters by dots."""
    return re.sub(r"[.!]+", ".", Path(file).name)


def gh(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one command of gh."""
    return subprocess.run(
        ["gh", *words], check=False, capture_output=True, text=True, errors="replace"
    )


def done(*words: str | Path) -> None:
    """Run one command of gh that must succeed.

    Raises
    ------
    LackingError
        It fails.
    """
    answer = gh("release", *words)
    if answer.returncode:
        remedy = "correct what it names, and run this again: it completes the release"
        raise LackingError(f"gh release {words[0]} failed: {answer.stderr.strip()}\n{remedy}")


def find(tag: str) -> Published | None:
    """Return the release of a tag, draft or not; None if there is none.

    Raises
    ------
    LackingError
        gh cannot say.
    """
    answer = gh("release", "view", tag, "--json", FIELDS)
    if answer.returncode and answer.stderr.strip() == ABSENT:
        return None
    if answer.returncode:
        raise LackingError(f"gh release view failed: {answer.stderr.strip()}")
    try:
        content = json.loads(answer.stdout)
        assets = {asset["name"]: asset for asset in content["assets"]}
        return Published(bool(content["isDraft"]), assets)
    except (ValueError, LookupError, TypeError) as error:
        raise LackingError(f"gh release view answers with something else: {error!r}") from None


def differences(
    published: Published, files: Mapping[str, Path], hashes: Mapping[str, str]
) -> Iterator[Fault]:
    """Compare the attached files with ours: their names, sizes, and hashes where GitHub has them.

    Parameters
    ----------
    files, hashes
        The path and the sha256 of each file, by its bare name.
    """
    remedy = "find out who changed the release; correct it by hand, or release another version"
    for name in sorted(published.assets.keys() - files.keys()):
        yield Fault(
            "asset-extra",
            name,
            found="attached",
            expected="only files of this release",
            remedy=remedy,
        )
    for name, path in files.items():
        asset = published.assets.get(name)
        expected = f"{path.stat().st_size} bytes, sha256:{hashes[name]}"
        if asset is None:
            yield Fault(
                "asset-missing", name, found="not attached", expected=expected, remedy=remedy
            )
        elif not is_same(asset, path, hashes[name]):
            found = f"{asset.get('size')} bytes, {asset.get('digest')}"
            yield Fault("asset-differs", name, found=found, expected=expected, remedy=remedy)


def is_same(asset: Mapping[str, Any], path: Path, sha256: str) -> bool:
    """Whether an attached file is whole and ours. An older gh does not tell hashes."""
    whole = asset.get("state", "uploaded") == "uploaded"
    return (
        whole
        and asset.get("size") == path.stat().st_size
        and asset.get("digest") in (None, "", f"sha256:{sha256}")
    )


def release(folder: Path, tag: str, files: Mapping[str, Path], hashes: Mapping[str, str]) -> None:
    """Make, complete or compare the release.

    Raises
    ------
    FaultyError
        GitHub has other files.
    """
    from wheelkit.release import release_folder

    kind = ("--prerelease", "--latest=false") if is_prerelease(tag) else ()
    published = find(tag)
    if published is None:
        text = ("--title", tag, "--notes-file", folder / release_folder.NOTES)
        # --verify-tag: without the tag, gh would make one at the tip of the default branch.
        done("create", tag, "--draft", "--verify-tag", *text, *kind)
        published = Published(is_draft=True, assets={})
    elif not published.is_draft:
        refuse(differences(published, files, hashes))
        say(f"{tag} is published already, with these {len(files)} files")
        return
    lacking = [
        path
        for name, path in files.items()
        if name not in published.assets or not is_same(published.assets[name], path, hashes[name])
    ]
    if lacking:
        # --clobber: an upload that was cut off has left a part of the file.
        done("upload", tag, "--clobber", *lacking)
    attached = find(tag)
    if attached is None:
        raise LackingError(f"the draft of {tag} is gone; run this again")
    refuse(differences(attached, files, hashes))
    # gh looks for the tag only where --tag names it; without it, GitHub would make a tag.
    done("edit", tag, "--draft=false", "--tag", tag, "--verify-tag", *kind)
    say(f"{tag} is published, with {len(files)} files, of which {len(lacking)} were attached now")


def refuse(faults: Iterator[Fault]) -> None:
    """Raise FaultyError if there are faults."""
    if found := list(faults):
        raise FaultyError(found)


def main(arguments: list[str] | None = None) -> int:
    """Make the release of the folder, which must be whole."""
    asked = parse(arguments)
    from wheelkit.release import release_folder

    is_prerelease(asked.tag)
    listed = release_folder.opened(asked.folder)
    attached = [
        name
        for name in listed
        if name.startswith((f"{release_folder.DIST}/", f"{release_folder.ATTACH}/"))
    ]
    files = {attached_name(name): asked.folder / name for name in attached}
    hashes = {attached_name(name): listed[name] for name in attached}
    if len(files) != len(attached):
        raise MisusedError(f"two files below {asked.folder} have the same name; rename one")
    if shutil.which("gh") is None:
        raise LackingError("gh is not installed; GitHub's runners have it")
    release(asked.folder, asked.tag, files, hashes)
    return Status.DONE
