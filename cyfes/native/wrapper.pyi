from collections.abc import Callable
from typing import Any

def sum_points(
    device: int,
    kernel: int,
    centers: Any,
    sigmas: Any,
    heights: Any,
    periods: Any,
    points: Any,
    values: Any,
    path: int = ...,
    multivariate: bool = ...,
    progress: Callable[[float], object] | None = ...,
) -> tuple[int, str]: ...
def sum_grid(
    device: int,
    kernel: int,
    centers: Any,
    sigmas: Any,
    heights: Any,
    periods: Any,
    lower: Any,
    spacing: Any,
    points: Any,
    values: Any,
    gradient: Any = ...,
    path: int = ...,
    multivariate: bool = ...,
    progress: Callable[[float], object] | None = ...,
    boxes: Any = ...,
) -> tuple[int, str]: ...
def sum_points_at(
    device: int,
    kernel: int,
    counts: tuple[int, int, int],
    addresses: tuple[int, ...],
    periods: Any,
    stream: int,
    multivariate: bool = ...,
    progress: Callable[[float], object] | None = ...,
) -> tuple[int, str]: ...
def sum_grid_at(
    device: int,
    kernel: int,
    counts: tuple[int, int],
    addresses: tuple[int, ...],
    periods: Any,
    lower: Any,
    spacing: Any,
    points: Any,
    stream: int,
    path: int = ...,
    multivariate: bool = ...,
    progress: Callable[[float], object] | None = ...,
    boxes: int = ...,
) -> tuple[int, str]: ...
def library_version() -> str: ...
def cuda_versions() -> tuple[int, int]: ...
def device_count() -> int: ...
def device_info(device: int) -> tuple[str, tuple[int, int], int, int, str]: ...
def choose_image(major: int, minor: int) -> str | None: ...
