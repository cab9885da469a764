"""Values of options that several verbs take."""

from __future__ import annotations

import argparse
import json

from wheelkit.release.seal import Sealed, parse_sealed


def sealed(text: str) -> Sealed:
    """Read a folder and its seal, ``DIR=SEAL``; the seal of a job that did not run is empty."""
    try:
        return parse_sealed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def words(text: str) -> tuple[str, ...]:
    """Read a JSON list of strings, which is how workflows hand lists on; empty is an empty list."""
    try:
        content = json.loads(text or "[]")
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from None
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON list of strings")
    return tuple(content)
