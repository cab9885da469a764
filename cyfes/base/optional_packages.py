"""Packages that only some functions need, which are imported when one of these is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cyfes.errors import MissingDependencyError

# The extra of this package that installs each; the same as in pyproject.toml.
_EXTRAS = {
    "matplotlib": "plot",
    "xarray": "xarray",
    "pandas": "pandas",
    "pymbar": "mbar",
    "scipy": "netcdf",
    "tqdm": "progress",
    "shtab": "completion",
    "finufft": "nufft",
    "cupy": "nufft-cuda",
    "cufinufft": "nufft-cuda",
    "dask": "dask",
}


def need(module: str, what: str) -> Any:
    """Return an optional module.

    Parameters
    ----------
    module : str
        Its full name.
    what : str
        What needs it, for the message.

    Raises
    ------
    MissingDependencyError
        If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{what} needs {package}, which cannot be imported here ({error}); install it with: "
            f"pip install 'cyfes[{_EXTRAS[package]}]'"
        ) from error
