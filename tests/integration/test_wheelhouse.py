"""Both cibuildwheels accept the configuration of the release wheels, and one builds a wheel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import tomli
from container import leftovers, run_cibuildwheel, standin_image
from shared.ledger import PROJECT
from wheelkit.base.cpythons import CPYTHONS
from wheelkit.containers import cibuildwheel, engines
from wheelkit.containers.cibuildwheel import BUILDERS, Builder
from wheelkit.target.report import LackingError

SCRIPTS = PROJECT / "scripts"
# Validates a [tool.cibuildwheel] table with the schema that is part of cibuildwheel.
VALIDATE = """
import json, sys
from importlib.resources import files
import fastjsonschema
schema = files("cibuildwheel").joinpath("resources/cibuildwheel.schema.json").read_text()
fastjsonschema.compile(json.loads(schema))(json.load(sys.stdin))
"""


@pytest.fixture(scope="module", params=BUILDERS, ids=lambda builder: builder.pins)
def builder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Builder, Path]:
    """A cibuildwheel, and the Python of the environment in which it is installed."""
    python = run_cibuildwheel.install_builder(request.param, tmp_path_factory.mktemp("builders"))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "fastjsonschema"], check=True)
    return request.param, python


def validate(python: Path, table: object) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-c", VALIDATE]
    return subprocess.run(
        command, input=json.dumps(table), check=False, capture_output=True, text=True
    )


@pytest.mark.network
def test_schema_accepts_the_configuration(
    builder: tuple[Builder, Path], project_root: Path
) -> None:
    table = tomli.loads((project_root / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    done = validate(builder[1], table)
    assert done.returncode == 0, done.stderr
    assert validate(builder[1], {**table, "test-command-of-mine": "true"}).returncode != 0


@pytest.mark.network
def test_identifiers_are_those_of_the_matrix(
    builder: tuple[Builder, Path], project_root: Path
) -> None:
    chosen, python = builder
    command = [str(python), "-m", "cibuildwheel", "--platform", "linux"]
    command.append("--print-build-identifiers")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CIBW_")}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=project_root, env=environment
    )
    wanted = {cibuildwheel.identifier(version) for version in chosen.selected(CPYTHONS)}
    found = set(done.stdout.split())
    assert wanted <= found
    # cibuildwheel 2.23 lists some newer CPythons too, for which the project does not use it.
    assert all(name.endswith("-manylinux_x86_64") and "t-" not in name for name in found)


@pytest.fixture
def engine() -> engines.Engine:
    try:
        return engines.find_engine()
    except LackingError as error:
        pytest.skip(f"no container engine: {error}")


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.usefixtures("engine")
def test_one_wheel_is_built_and_copied_to_the_folder(tmp_path: Path) -> None:
    version = "3.12"
    command = [sys.executable, str(SCRIPTS), "wheelhouse", "--python", version]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl" in wheel.name
    # The kernels are compiled before the build of the wheel, the extensions during it.
    before, _, after = done.stderr.partition("Building cp312-manylinux_x86_64 wheel")
    assert "Compiling the CUDA kernels" in before or "compile_kernels.py" in before
    assert "compile_kernels.py" not in after
    assert "Cythonizing wrapper.pyx" in after
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith("data/cufes/libcufes.so") for name in archive.namelist())


@pytest.fixture(scope="module")
def standin() -> tuple[engines.Engine, str]:
    """The stand-in image, whether or not the real one could be pulled."""
    engine = engines.runnable_engine()
    return engine, standin_image.build(engine, ["3.12"])


@pytest.mark.container
@pytest.mark.network
@pytest.mark.parametrize(("numpy", "status"), [("2.4.6", 1), ("2.2.6", 0)])
def test_standin_image_refuses_a_pin_without_a_wheel_for_manylinux2014(
    standin: tuple[engines.Engine, str], numpy: str, status: int
) -> None:
    """NumPy 2.4.6 was pinned once; it has wheels for glibc 2.27 and newer."""
    engine, image = standin
    pip = engines.pip_settings()
    command = ["/opt/python/cp312-cp312/bin/python", "-m", "pip", "download", "--no-deps"]
    command += ["--only-binary=:all:", "--dest=/tmp/wheels", f"numpy=={numpy}"]
    done = engine.run_container(image, pip.mounts, pip.variables, command)
    assert done.returncode == status, done.stderr
    refused = f"No matching distribution found for numpy=={numpy}"
    assert (refused in done.stderr) == bool(status)


@pytest.mark.container
def test_a_container_sees_no_other_files_of_this_machine(
    standin: tuple[engines.Engine, str], project_root: Path
) -> None:
    engine, image = standin
    pip = engines.pip_settings()
    command = ["find", "/host", "-mindepth", "1", "-maxdepth", "1"]
    done = engine.run_container(image, pip.mounts, {}, command)
    assert set(done.stdout.split()) == {f"/host/{path.parts[1]}" for path in pip.files}
    seen = engine.run_container(image, pip.mounts, {}, ["ls", f"/host{project_root}"])
    assert seen.returncode != 0


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_behind(
    engine: engines.Engine, number: int, tmp_path: Path
) -> None:
    command = [sys.executable, str(SCRIPTS), "wheelhouse", "--python", "3.12"]
    command += ["--out", str(tmp_path / "dist")]
    errors = tmp_path / "errors"
    before = set(engine.containers(leftovers.LABEL))
    with errors.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
    # Until cibuildwheel works in its container.
    while "Running before_all" not in errors.read_text():
        assert process.poll() is None, errors.read_text()[-4000:]
        time.sleep(0.2)
    (mine,) = set(engine.containers(leftovers.LABEL)) - before
    folder = Path(engine.labels(mine)[leftovers.LABEL])
    assert [path.name for path in folder.glob("sources-*")] == ["sources-cibuildwheel"]
    assert list(folder.glob("cibw-run-*"))
    process.send_signal(number)
    process.wait(timeout=120)
    if number == signal.SIGKILL:
        assert folder.is_dir()
        leftovers.remove_leftovers(folder.parent, engine)
    assert mine not in engine.containers(leftovers.LABEL)
    assert not folder.exists()
    said = errors.read_text()
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert said.endswith("\ninterrupted\n")
    assert not (tmp_path / "dist").exists()


@pytest.mark.container
def test_image_without_the_wanted_interpreter_is_refused(
    engine: engines.Engine, tmp_path: Path
) -> None:
    image = "localhost/cyfes-test-without-python:1"
    root = tmp_path / "root.tar"
    # The smallest image in which a command runs: this machine's shell and the libraries that it
    # loads.
    files = ["/bin/sh", "/bin/ls", "/bin/true", *libraries("/bin/ls", "/bin/sh")]
    command = ["tar", "--dereference", "-cPf", str(root), *files]
    subprocess.run(command, check=True)
    assert engine.run("import", root, image).returncode == 0
    try:
        command = [sys.executable, str(SCRIPTS), "wheelhouse", "--python", "3.8"]
        command += ["--image", image, "--out", str(tmp_path / "dist")]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    finally:
        engine.run("rmi", image)
    assert done.returncode == 3, done.stderr
    assert f"{image} has no CPython 3.8 in /opt/python (it has: none)" in done.stderr
    assert not (tmp_path / "dist").exists()


def libraries(*programs: str) -> list[str]:
    """Return the shared libraries that programs load, and the loader."""
    said = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    return sorted({word for word in said.split() if word.startswith("/") and word[-1] != ":"})
