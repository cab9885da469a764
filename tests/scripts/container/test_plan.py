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
from wheelkit.containers.cibuildwheel import BUILDERS, Builder


@pytest.fixture(scope="module", params=BUILDERS, ids=lambda builder: builder.name)
def builder(request: pytest.FixtureRequest) -> Builder:
    if sys.version_info < run_cibuildwheel.OLDEST:
        pytest.skip(f"no CPython {'.'.join(map(str, run_cibuildwheel.OLDEST))} runs these tests")
    chosen: Builder = request.param
    return chosen


@pytest.fixture(scope="module")
def builder_python(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with that cibuildwheel."""
    return run_cibuildwheel.install_builder(builder, tmp_path_factory.mktemp("cibuildwheel"))


@pytest.mark.network
@pytest.mark.parametrize(
    "changes", [{}, {"CIBW_SKIP": ""}, {"CIBW_BUILD": "cp3{8,14}*-manylinux*"}], ids=str
)
def test_cibuildwheel_builds_what_the_plan_says(
    builder: Builder, builder_python: Path, changes: dict[str, str]
) -> None:
    planned = configuration.read(PROJECT, changes).pythons()
    own = {name: value for name, value in os.environ.items() if not name.startswith("CIBW_")}
    options = ["--platform", "linux", "--archs", "x86_64", "--print-build-identifiers"]
    done = subprocess.run(
        [builder_python, "-m", "cibuildwheel", *options, PROJECT],
        check=True,
        capture_output=True,
        text=True,
        env={**own, **changes},
    )
    listed = done.stdout.split()
    assert listed
    # 2.23 builds for newer CPythons too; those are left to the other.
    left = {cibuildwheel.identifier(v) for b in BUILDERS if b != builder for v in b.versions}
    own_part = [name for name in listed if name not in left]
    assert own_part == cibuildwheel.selection(builder.selected(planned)).split()
