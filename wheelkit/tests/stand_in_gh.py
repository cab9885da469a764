"""A stand-in for gh, with one release in a file: it answers and refuses as the real one does.

What it does is what the sources of gh 2 say, and GitHub's documentation of its API and of immutable
releases. Run as a program, with the state in $GH_STATE.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

STATE = Path(os.environ.get("GH_STATE", "state.json"))


def end(message: str, status: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


def sanitized(name: str) -> str:
    """Return the name that GitHub gives an attached file."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9_+@-]+", ".", name)).strip(".")


def view(asked: argparse.Namespace, state: dict[str, Any]) -> None:
    release = state["release"] or end("release not found")
    assets = [
        asset if state["digests"] else {k: v for k, v in asset.items() if k != "digest"}
        for asset in release["assets"]
    ]
    known = {**release, "assets": assets, "tagName": asked.tag}
    print(json.dumps({key: known[key] for key in asked.json.split(",")}))


def create(asked: argparse.Namespace, state: dict[str, Any]) -> None:
    if asked.verify_tag and asked.tag not in state["tags"]:
        end(f"tag {asked.tag} doesn't exist in the repo o/r, aborting due to --verify-tag flag")
    if state["release"] and not state["release"]["isDraft"]:
        end("HTTP 422: Validation Failed\nRelease.tag_name already exists")
    state["release"] = {
        "isDraft": asked.draft,
        "isPrerelease": asked.prerelease,
        "latest": asked.latest,
        "name": asked.title,
        "body": Path(asked.notes_file).read_text(),
        "assets": [],
    }


def upload(asked: argparse.Namespace, state: dict[str, Any]) -> None:
    release = state["release"] or end("release not found")
    names = {sanitized(Path(file).name) for file in asked.files}
    if taken := [a["name"] for a in release["assets"] if a["name"] in names]:
        if not asked.clobber:
            end(f"asset under the same name already exists: {taken}")
        release["assets"] = [a for a in release["assets"] if a["name"] not in names]
    if not release["isDraft"]:
        # The old ones are gone before the new ones are refused.
        end("HTTP 422: Cannot upload assets to an immutable release.")
    for file in asked.files:
        data = Path(file).read_bytes()
        asset = {
            "name": sanitized(Path(file).name),
            "size": len(data),
            "state": "uploaded",
            "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        }
        if state["uploads_left"] == 0:
            release["assets"].append({**asset, "size": 0, "state": "starter", "digest": None})
            state["uploads_left"] = None
            STATE.write_text(json.dumps(state))
            end("HTTP 502: the connection was cut off")
        if state["uploads_left"] is not None:
            state["uploads_left"] -= 1
        if state["corrupts"] == asset["name"]:
            asset["digest"] = f"sha256:{'0' * 64}"
        release["assets"].append(asset)


def edit(asked: argparse.Namespace, state: dict[str, Any]) -> None:
    release = state["release"] or end("release not found")
    if asked.verify_tag and asked.new_tag and asked.new_tag not in state["tags"]:
        end(f"tag {asked.new_tag} doesn't exist in the repo o/r, aborting due to --verify-tag flag")
    if asked.draft is not None:
        release["isDraft"] = asked.draft
    if asked.prerelease is not None:
        release["isPrerelease"] = asked.prerelease
    if asked.latest is not None:
        release["latest"] = asked.latest


def yes(text: str) -> bool:
    return {"true": True, "false": False}[text]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gh")
    parser.add_argument("noun", choices=["release"])
    verbs = parser.add_subparsers(dest="verb", required=True)
    of = {name: verbs.add_parser(name) for name in ("view", "create", "upload", "edit")}
    for verb in of.values():
        verb.add_argument("tag")
    of["view"].add_argument("--json", required=True)
    of["upload"].add_argument("files", nargs="+")
    of["upload"].add_argument("--clobber", action="store_true")
    for name in ("create", "edit"):
        default = False if name == "create" else None
        for flag in ("--draft", "--prerelease"):
            of[name].add_argument(flag, nargs="?", const=True, default=default, type=yes)
        of[name].add_argument("--latest", nargs="?", const=True, type=yes)
        of[name].add_argument("--verify-tag", action="store_true")
    of["edit"].add_argument("--tag", dest="new_tag")
    of["create"].add_argument("--title")
    of["create"].add_argument("--notes-file", required=True)
    return parser.parse_args()


def main() -> None:
    asked = parse()
    state = json.loads(STATE.read_text())
    state["calls"].append(sys.argv[2])
    STATE.write_text(json.dumps(state))
    if asked.verb in state["fails"]:
        end("To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN variable.", 4)
    {"view": view, "create": create, "upload": upload, "edit": edit}[asked.verb](asked, state)
    STATE.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
