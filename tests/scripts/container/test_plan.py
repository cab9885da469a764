"""`wheelkit plan` says of this project what both pinned cibuildwheels say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from container import run_cibuildwheel
from shared.ledger import PROJECT
from wheelkit.containers import cibuildwheel, configuration
from wheelkit.containers.cibuildwheel import BUILDERS


@pytest.mark.network
@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.name)
@pytest.mark.parametrize(
    "changes", [{}, {"CIBW_SKIP": ""}, {"CIBW_BUILD": "cp3{8,14}*-manylinux*"}], ids=str
)
def test_cibuildwheel_builds_what_the_plan_says(
    tmp_path_factory: pytest.TempPathFactory,
    builder: cibuildwheel.Builder,
    changes: dict[str, str],
) -> None:
    python = installed(builder, tmp_path_factory)
    planned = configuration.read(PROJECT, changes).pythons()
    command: list[str | Path] = [python, "-m", "cibuildwheel", "--platform", "linux"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("CIBW_")}
    done = subprocess.run(
        [*command, "--archs", "x86_64", "--print-build-identifiers", PROJECT],
        check=True,
        capture_output=True,
        text=True,
        env={**own, **changes},
    )
    listed = done.stdout.split()
    assert listed
    every = [version for b in BUILDERS for version in b.versions]
    others = {cibuildwheel.identifier(v) for v in every} - {
        cibuildwheel.identifier(v) for v in builder.versions
    }
    # 2.23 builds for newer CPythons too; those are left to the other.
    own_part = [name for name in listed if name not in others]
    assert own_part == cibuildwheel.selection(builder.selected(planned)).split()


INSTALLED: dict[str, Path] = {}


def installed(builder: cibuildwheel.Builder, factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with a cibuildwheel, which is made only once."""
    if sys.version_info < run_cibuildwheel.OLDEST:
        pytest.skip(f"no CPython {'.'.join(map(str, run_cibuildwheel.OLDEST))} runs these tests")
    if builder.name not in INSTALLED:
        INSTALLED[builder.name] = run_cibuildwheel.install_builder(builder, factory.mktemp("cibw"))
    return INSTALLED[builder.name]
