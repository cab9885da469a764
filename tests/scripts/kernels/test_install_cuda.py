"""install_cuda.py with a folder of small wheels in place of those of PyPI."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from kernels import install_cuda
from wheelkit.target.report import LackingError

SCRIPTS = Path(install_cuda.__file__).parent
LARGE = 1 << 20

WHEELS = {
    "nvidia-cuda-runtime-cu12": {
        "nvidia/cuda_runtime/include/cuda_runtime_api.h": b"runtime",
        "nvidia/cuda_runtime/include/cooperative_groups/reduce.h": b"reduce",
        "nvidia/cuda_runtime/lib/libcudart.so.12": b"\0" * LARGE,
        "nvidia/cuda_runtime/lib/libcudart_static.a": b"not wanted",
    },
    "nvidia-cuda-nvrtc-cu12": {
        "nvidia/cuda_nvrtc/include/nvrtc.h": b"nvrtc",
        "nvidia/cuda_nvrtc/lib/libnvrtc.so.12": b"nvrtc library",
        "nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12": b"not wanted",
        "nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.9": b"builtins",
    },
    "nvidia-cuda-nvcc-cu12": {
        "nvidia/cuda_nvcc/include/crt/host_defines.h": b"crt",
        "nvidia/cuda_nvcc/bin/ptxas": b"not wanted",
    },
}


def write_wheel(folder: Path, name: str, members: dict[str, bytes], version: str = "12.9") -> str:
    """Write a wheel that pip accepts; return its line of a requirements file."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    members = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
        f"{info}/licenses/License.txt": b"licence of " + name.encode(),
    }
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Site:
    """A copy of the script with other pins, and the folder from which pip takes the wheels."""

    def __init__(self, root: Path) -> None:
        self.scripts = root / "scripts" / "kernels"
        self.scripts.mkdir(parents=True)
        shutil.copy(SCRIPTS / "install_cuda.py", self.scripts)
        shutil.copytree(SCRIPTS.parents[1] / "wheelkit" / "src", root / "wheelkit" / "src")
        self.pins = self.scripts / "cuda-toolkit.txt"
        self.served = root / "served"
        self.served.mkdir()
        self.serve(WHEELS)
        self.place = root / "place"
        self.place.mkdir()
        self.toolkit = self.place / "cuda"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        self.environment.update(
            PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1", PIP_FIND_LINKS=self.served.as_uri()
        )

    def serve(self, wheels: dict[str, dict[str, bytes]], version: str = "12.9") -> None:
        """Put these wheels into the folder and pin them."""
        lines = [write_wheel(self.served, *item, version) for item in wheels.items()]
        self.pins.write_text("".join(lines))

    def start(self, python: str = sys.executable, **options: Any) -> subprocess.Popen[str]:
        """Start the script on `toolkit`."""
        command = [python, str(self.scripts / "install_cuda.py"), str(self.toolkit)]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, **options: Any) -> tuple[int, str, str]:
        """Run the script on `toolkit`; return status, output and errors."""
        process = self.start(**options)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def contents(self) -> dict[str, bytes]:
        """Return every file below `place`, hidden files included."""
        files = (path for path in self.place.rglob("*") if path.is_file())
        return {path.relative_to(self.place).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_toolkit_holds_exactly_what_a_build_needs(site: Site) -> None:
    status, out, err = site.run()
    assert (status, err) == (0, "")
    assert out == f"CUDA toolkit installed: {site.toolkit}\n"
    files = {
        path.relative_to(site.toolkit).as_posix()
        for path in site.toolkit.rglob("*")
        if path.is_file()
    }
    assert files == {
        "EULA.txt",
        "include/cuda_runtime_api.h",
        "include/cooperative_groups/reduce.h",
        "include/nvrtc.h",
        "include/crt/host_defines.h",
        "lib64/libcudart.so",
        "lib64/libcudart.so.12",
        "lib64/libnvrtc.so",
        "lib64/libnvrtc.so.12",
        "lib64/libnvrtc-builtins.so.12.9",
        "licenses/nvidia_cuda_runtime_cu12/License.txt",
        "licenses/nvidia_cuda_nvrtc_cu12/License.txt",
        "licenses/nvidia_cuda_nvcc_cu12/License.txt",
        "version.json",
    }
    assert (site.toolkit / "lib" / "libnvrtc.so").read_bytes() == b"nvrtc library"
    eula = (site.toolkit / "EULA.txt").read_bytes()
    assert eula == b"licence of nvidia-cuda-runtime-cu12"
    assert list(site.place.iterdir()) == [site.toolkit]


def test_toolkit_without_a_link_is_laid_out_anew(site: Site) -> None:
    assert site.run()[0] == 0
    (site.toolkit / "EULA.txt").unlink()
    stamp = json.loads((site.toolkit / "version.json").read_text())
    del stamp["files"]["EULA.txt"]
    (site.toolkit / "version.json").write_text(json.dumps(stamp))
    status, out, _ = site.run()
    assert (status, out) == (0, f"CUDA toolkit installed: {site.toolkit}\n")
    assert (site.toolkit / "EULA.txt").is_file()


def test_stamp_records_the_pins(site: Site) -> None:
    assert site.run()[0] == 0
    stamp = json.loads((site.toolkit / "version.json").read_text())
    pinned = site.pins.read_text()
    assert stamp["cuda"]["version"] == "12.9"
    assert sorted(stamp["pins"]) == sorted(WHEELS)
    hashes = [sha256 for pin in stamp["pins"].values() for sha256 in pin["sha256"]]
    assert len(hashes) == len(WHEELS)
    assert all(sha256 in pinned for sha256 in hashes)


def test_toolkit_of_another_machine_is_replaced(site: Site) -> None:
    """A folder may be seen by machines of two kinds, such as a container under an emulator."""
    assert site.run()[0] == 0
    stamp = json.loads((site.toolkit / "version.json").read_text())
    stamp["machine"] = "riscv64"
    (site.toolkit / "version.json").write_text(json.dumps(stamp))
    assert site.run() == (0, f"CUDA toolkit installed: {site.toolkit}\n", "")


def test_second_run_needs_no_index_and_changes_nothing(site: Site) -> None:
    assert site.run()[0] == 0
    before = (site.toolkit.stat().st_ino, site.contents())
    shutil.rmtree(site.served)
    assert site.run() == (0, f"CUDA toolkit already there: {site.toolkit}\n", "")
    assert (site.toolkit.stat().st_ino, site.contents()) == before


def test_wrong_hash_is_refused_with_both_hashes(site: Site) -> None:
    pinned = site.pins.read_text()
    right = pinned.split("sha256:")[1][:64]
    wrong = "0" * 64
    site.pins.write_text(pinned.replace(right, wrong))
    status, out, err = site.run()
    assert (status, out) == (3, "")
    assert err.count("\n") == 1
    assert f"sha256 {right}" in err
    assert f"pins {wrong}" in err
    assert site.contents() == {}


def test_each_of_several_hashes_is_accepted(site: Site) -> None:
    """A package has one wheel for each machine, so that pip takes one of several hashes."""
    other = f"--hash=sha256:{'0' * 64}"
    lines = site.pins.read_text().splitlines()
    site.pins.write_text("".join(f"{line} \\\n    {other}\n" for line in lines))
    status, out, _ = site.run()
    assert (status, out) == (0, f"CUDA toolkit installed: {site.toolkit}\n")


def test_hash_that_is_none_of_several_is_refused_and_all_are_named(site: Site) -> None:
    wrong = ["0" * 64, "1" * 64]
    right = site.pins.read_text().split("sha256:")[1][:64]
    hashes = " ".join(f"--hash=sha256:{sha256}" for sha256 in wrong)
    site.pins.write_text(site.pins.read_text().replace(f"--hash=sha256:{right}", hashes))
    status, _, err = site.run()
    assert status == 3
    assert f"sha256 {right}" in err
    assert f"pins {wrong[0]} or {wrong[1]}" in err


def test_wheels_without_an_essential_file_are_refused(site: Site) -> None:
    site.serve({**WHEELS, "nvidia-cuda-nvcc-cu12": {"nvidia/cuda_nvcc/bin/ptxas": b""}})
    status, _, err = site.run()
    assert status == 3
    assert "lack include/crt/host_defines.h" in err
    assert site.contents() == {}


def test_unreachable_index_has_status_3(site: Site) -> None:
    del site.environment["PIP_NO_INDEX"], site.environment["PIP_FIND_LINKS"]
    site.environment.update(PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    status, out, err = site.run()
    assert (status, out) == (3, "")
    assert err.count("\n") == 1
    assert "check the network" in err
    assert site.contents() == {}


def test_python_without_pip_has_status_3(site: Site, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    status, _, err = site.run(python=str(tmp_path / "bare" / "bin" / "python"))
    assert status == 3
    assert "has no pip" in err
    assert site.contents() == {}


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "aarch64"), ("Linux", "ppc64le")])
def test_error_on_other_platforms_names_cuda_home(
    system: str, machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(LackingError, match=f"this is {system} {machine}.*CUDA_HOME"):
        install_cuda.install(tmp_path / "cuda")


@pytest.mark.parametrize(
    "files",
    [
        {"cuda": b"a file"},
        {"cuda/precious.txt": b"mine"},
        {"cuda/version.json": b'{"cuda": {"name": "CUDA SDK", "version": "12.9.1"}}'},
        {"cuda/version.json": b"[]", "cuda/lib64/libcudart.so.12": b"mine"},
    ],
)
def test_folder_with_other_files_is_refused_and_kept(site: Site, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = site.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    status, out, err = site.run()
    assert (status, out) == (2, "")
    assert "name another place" in err
    assert site.contents() == files


def test_foreign_file_in_an_outdated_toolkit_is_kept(site: Site) -> None:
    assert site.run()[0] == 0
    (site.toolkit / "notes.txt").write_text("mine")
    site.serve(WHEELS, version="12.10")
    status, _, err = site.run()
    assert status == 2
    assert "notes.txt" in err
    assert (site.toolkit / "notes.txt").read_text() == "mine"


def test_damaged_toolkit_is_replaced(site: Site) -> None:
    assert site.run()[0] == 0
    whole = site.contents()
    (site.toolkit / "lib64" / "libnvrtc.so.12").unlink()
    assert site.run() == (0, f"CUDA toolkit installed: {site.toolkit}\n", "")
    assert site.contents() == whole


def test_toolkit_of_other_pins_is_replaced(site: Site) -> None:
    assert site.run()[0] == 0
    site.serve(WHEELS, version="12.10")
    assert site.run()[0] == 0
    assert json.loads((site.toolkit / "version.json").read_text())["cuda"]["version"] == "12.10"
    assert list(site.place.iterdir()) == [site.toolkit]


def test_empty_directory_is_filled(site: Site) -> None:
    site.toolkit.mkdir()
    assert site.run()[0] == 0


def limit_file_size() -> None:
    """Imitate a full disk: the wheels fit on it, but not the unpacked files."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, LARGE // 2))


def test_full_disk_leaves_nothing(site: Site) -> None:
    status, out, err = site.run(preexec_fn=limit_file_size)
    assert (status, out) == (3, "")
    assert "cannot write the toolkit" in err
    assert site.contents() == {}


def test_killed_run_leaves_no_toolkit_and_does_not_hinder_the_next(site: Site) -> None:
    offline = dict(site.environment)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        del site.environment["PIP_NO_INDEX"], site.environment["PIP_FIND_LINKS"]
        port = silent.getsockname()[1]
        site.environment["PIP_INDEX_URL"] = f"http://127.0.0.1:{port}/simple"
        process = site.start(start_new_session=True)
        silent.settimeout(30)
        connection, _ = silent.accept()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        connection.close()
    assert not site.toolkit.exists()
    site.environment = offline
    assert site.run()[0] == 0


def test_two_runs_at_once_both_succeed(site: Site) -> None:
    processes = [site.start(), site.start()]
    outcomes = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    assert list(site.place.iterdir()) == [site.toolkit]


def test_missing_argument_is_wrong_usage(site: Site) -> None:
    command = [sys.executable, str(site.scripts / "install_cuda.py")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "DIR" in done.stderr


def test_every_requirement_is_read_as_a_pin() -> None:
    lines = install_cuda.PINS.read_text().splitlines()
    names = [line.split("==")[0] for line in lines if "==" in line]
    assert list(install_cuda.read_pins(install_cuda.PINS)) == names
    assert sorted(names) == sorted(WHEELS)
    pins = install_cuda.read_pins(install_cuda.PINS).values()
    assert [len(pin["sha256"]) for pin in pins] == [len(install_cuda.MACHINES)] * len(names)


@pytest.mark.network
def test_pinned_toolkit_can_be_downloaded(tmp_path: Path) -> None:
    assert install_cuda.install(tmp_path / "cuda") == "installed"
    assert install_cuda.install(tmp_path / "cuda") == "already there"
