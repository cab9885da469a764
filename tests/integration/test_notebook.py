"""A notebook: a figure is shown once, and pyplot and the user's figures stay as they were."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parents[2]

MAKE = """\
import numpy as np
import cyfes
grid = cyfes.Grid(["-pi", "-pi"], ["pi", "pi"], 24, periodic=True)
x, y = np.meshgrid(*grid.axes, indexing="ij")
fes = cyfes.FreeEnergySurface(10 * (2 - np.cos(x) - np.cos(2 * y)), grid, ("phi", "psi"))
fes = fes.with_units("kJ/mol", 300)
"""

CELLS = [
    MAKE,
    # The first figure of the notebook, before pyplot is imported.
    "fes.plot()",
    "import sys; print('matplotlib.pyplot' in sys.modules)",
    "fes",
    # The user's own figure, which inline figures of pyplot show at the end of the cell.
    "import matplotlib.pyplot as plt\n"
    "mine, ax = plt.subplots(figsize=(2, 1))\n"
    "before = plt.isinteractive(), dict(plt.rcParams)\n"
    "other = fes.plot()\n"
    "print(plt.gcf() is mine, plt.get_fignums() == [mine.number], len(ax.get_children()))\n"
    "print((plt.isinteractive(), dict(plt.rcParams)) == before)",
    "fes.plot(minima=fes.minima(), path=fes.path(1, 2))",
    "drawn = fes.plot(vmax=20)",
    "fes.integrate_out('psi').plot()",
]

RUN = """\
import json, sys
import nbformat
from nbclient import NotebookClient

cells = [nbformat.v4.new_code_cell(source) for source in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
json.dump([cell.outputs for cell in notebook.cells], sys.stdout)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What each cell of the notebook shows."""
    pytest.importorskip("matplotlib", reason="no optional packages for this CPython")
    folder = tmp_path_factory.mktemp("notebook")
    packages = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    install += ["--only-binary=:all:", "--target", str(packages)]
    requirements = PROJECT / "requirements" / "notebook.txt"
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    # No backend is named, as in a notebook that a user opens.
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    environment.update(PYTHONPATH=str(packages), IPYTHONDIR=str(folder), HOME=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(CELLS),
        cwd=folder,
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    found: list[Any] = json.loads(done.stdout)
    return found


def pictures(outputs: list[Any]) -> list[np.ndarray]:
    """Return the pictures that a cell shows, as numbers from 0 to 255."""
    from PIL import Image

    data = [output["data"] for output in outputs if "data" in output]
    encoded = [one["image/png"] for one in data if "image/png" in one]
    images = (Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB") for one in encoded)
    return [np.asarray(image, dtype=float) for image in images]


def text(outputs: list[Any]) -> str:
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def expected(code: str) -> np.ndarray:
    """Return the picture of a figure that is made here, without a notebook."""
    from PIL import Image

    names: dict[str, Any] = {}
    exec(MAKE, names)  # noqa: S102 - the code of the notebook
    figure = eval(code, names)  # noqa: S307 - likewise
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        return np.asarray(image.convert("RGB"), dtype=float)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures look the same; a notebook may cut off empty edges."""
    crops = []
    for picture in (one, other):
        ink = np.argwhere((picture < 250).any(axis=2))
        (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
        crops.append(picture[top : bottom + 1, left : right + 1])
    sizes = np.abs(np.subtract(crops[0].shape, crops[1].shape))
    height, width = np.minimum(crops[0].shape, crops[1].shape)[:2] // 5
    # Means over squares, because a cut of another size moves all lines by parts of a pixel.
    means = [
        crop[: 5 * height, : 5 * width].reshape(height, 5, width, 5, 3).mean(axis=(1, 3))
        for crop in crops
    ]
    # Less than one square in a thousand has another colour: a mark of a minimum is twice that.
    changed = np.abs(means[0] - means[1]).max(axis=2) > 80.0
    return bool(sizes.max() <= 2 and changed.mean() < 0.001)


def test_pictures_that_differ_are_told_apart() -> None:
    one = np.full((40, 50, 3), 255.0)
    one[5:30, 10:40] = 100.0
    moved = np.full((44, 50, 3), 255.0)
    moved[9:34, 12:42] = 100.0
    assert same(one, moved)
    other = moved.copy()
    other[14:19, 22:27] = 200.0
    assert not same(one, other)
    moved[9:40, 12:42] = 100.0
    assert not same(one, moved)


@pytest.mark.network
@pytest.mark.slow
def test_the_first_figure_is_shown_once_without_pyplot(outputs: list[Any]) -> None:
    (shown,) = pictures(outputs[1])
    assert same(shown, expected("fes.plot()"))
    assert not same(shown, expected("fes.plot(minima=fes.minima())"))
    assert text(outputs[2]) == "False\n"


@pytest.mark.network
@pytest.mark.slow
def test_a_surface_is_shown_as_a_table_and_a_picture(outputs: list[Any]) -> None:
    (output,) = outputs[3]
    assert "<caption>FreeEnergySurface</caption>" in output["data"]["text/html"]
    (shown,) = pictures([output])
    assert same(shown, expected("fes.plot()"))


@pytest.mark.network
@pytest.mark.slow
def test_pyplot_and_the_figures_of_the_user_are_left_alone(outputs: list[Any]) -> None:
    assert text(outputs[4]).split("\n")[0].startswith("True True")
    assert text(outputs[4]).split("\n")[1] == "True"
    # The figure of the user alone, which is small.
    (shown,) = pictures(outputs[4])
    assert shown.shape[0] < 200
    assert outputs[6] == []


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (5, "fes.plot(minima=fes.minima(), path=fes.path(1, 2))"),
        (7, "fes.integrate_out('psi').plot()"),
    ],
)
def test_figures_are_shown_once_beside_pyplot(number: int, code: str, outputs: list[Any]) -> None:
    (shown,) = pictures(outputs[number])
    assert same(shown, expected(code))
