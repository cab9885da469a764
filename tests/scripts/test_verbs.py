"""``python scripts VERB``: each verb can be run, and an unknown verb is an error."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def load_verbs() -> tuple[tuple[str, str, str], ...]:
    """Return the table of verbs of scripts/__main__.py, which cannot be imported by name."""
    spec = importlib.util.spec_from_file_location("scripts_main", SCRIPTS / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = path
    found: tuple[tuple[str, str, str], ...] = module.VERBS
    return found


VERBS = load_verbs()


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS), *words], check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("verb", [verb for verb, _, _ in VERBS])
def test_each_verb_has_a_help_text(verb: str) -> None:
    done = call(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: scripts {verb} " in done.stdout


def test_each_module_that_has_a_main_is_a_verb() -> None:
    folders = [path for path in SCRIPTS.iterdir() if path.is_dir() and path.name != "kernels"]
    modules = [path for folder in folders for path in folder.glob("*.py")]
    with_main = {
        f"{path.parent.name}.{path.stem}"
        for path in modules
        if "\ndef main(" in path.read_text(encoding="utf-8")
    }
    # No verbs: nox runs steps.py and plain_words.py, and the stand-in image has the linker.
    programs = {"shared.steps", "develop.plain_words", "container.standin_linker"}
    assert with_main - programs == {module for _, module, _ in VERBS}


@pytest.mark.parametrize(
    ("words", "status", "printed"),
    [
        ((), 2, "verbs:"),
        (("--help",), 0, "verbs:"),
        (("wheels",), 2, "no verb 'wheels'; expected one of install-wheelkit, build, wheel"),
    ],
)
def test_unknown_verb_is_wrong_usage(words: tuple[str, ...], status: int, printed: str) -> None:
    done = call(*words)
    assert done.returncode == status
    assert printed in done.stdout + done.stderr
