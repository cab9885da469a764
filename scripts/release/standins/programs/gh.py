"""Stand-in of gh, GitHub's command line: keeps releases in the folder REHEARSAL_RELEASES.

It knows the commands that `wheelkit github-release` uses. A release that is published cannot be
changed, as in a repository with immutable releases.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

# Options that are true or false. As gh does, they take a value after "=" only.
FLAGS = ("--draft", "--prerelease", "--verify-tag", "--clobber")


def parse() -> argparse.Namespace:
    """Read the command line: gh release VERB TAG …, with options and files in any order."""
    parser = argparse.ArgumentParser(prog="gh")
    parser.add_argument("topic", choices=["release"])
    parser.add_argument("verb", choices=["view", "create", "upload", "edit"])
    parser.add_argument("tag")
    parser.add_argument("files", nargs="*", type=Path)
    for option in (*FLAGS, "--tag", "--title", "--notes-file", "--json", "--latest"):
        parser.add_argument(option)
    words = [f"{word}=true" if word in FLAGS else word for word in sys.argv[1:]]
    return parser.parse_intermixed_args(words)


def show(state: dict[str, object], folder: Path, fields: str) -> None:
    """Print the fields of a release as JSON."""
    files = [path for path in sorted(folder.iterdir()) if path.name != "state.json"]
    assets = [{"name": path.name, "size": path.stat().st_size} for path in files]
    known = {**state, "assets": assets}
    print(json.dumps({field: known[field] for field in fields.split(",")} if fields else known))


def main() -> int:
    """Run the command."""
    asked = parse()
    folder = Path(os.environ["REHEARSAL_RELEASES"]) / asked.tag
    path = folder / "state.json"
    if asked.verb == "create":
        folder.mkdir(parents=True)
        notes = Path(asked.notes_file).read_text(encoding="utf-8")
        state = {"isDraft": asked.draft == "true", "isPrerelease": asked.prerelease == "true"}
        path.write_text(json.dumps({**state, "tagName": asked.tag, "body": notes}))
        return 0
    if not path.exists():
        print("release not found", file=sys.stderr)
        return 1
    state = json.loads(path.read_text())
    if asked.verb == "view":
        show(state, folder, asked.json)
        return 0
    if not state["isDraft"]:
        print("HTTP 422: Cannot modify an immutable release", file=sys.stderr)
        return 1
    for file in asked.files:
        shutil.copy(file, folder)
    if asked.verb == "edit":
        state["isDraft"] = asked.draft != "false"
        path.write_text(json.dumps(state))
    return 0


if __name__ == "__main__":
    sys.exit(main())
