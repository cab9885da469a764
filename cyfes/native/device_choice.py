"""The devices of this machine, and which of them a ``device=`` argument stands for."""

import math
import sys
import threading
import warnings
from functools import lru_cache
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from cyfes.errors import CyfesWarning, DeviceError, InputError
from cyfes.native.constants import CPU
from cyfes.native.extensions import wrapper


class Device(NamedTuple):
    """A device that can, or cannot, compute a surface."""

    #: What ``device=`` takes: "cpu", "cuda:0", …
    id: str
    name: str
    #: (major, minor); None for the CPU.
    compute_capability: Optional[Tuple[int, int]]
    #: Bytes; None for the CPU.
    memory: Optional[int]
    #: The code that runs on it: "sm_90", or "compute_90", which the driver compiles.
    image: Optional[str]
    usable: bool
    #: Why it is not usable; empty if it is.
    reason: str


def devices() -> List[Device]:
    """Return the devices of this machine, the CPU first.

    Returns
    -------
    list of Device
        CUDA devices that cannot be used are listed with the reason. Without a driver the list holds
        the CPU alone.

    Raises
    ------
    LibraryError
        If the compiled part of cyfes is missing.
    """
    found = [Device("cpu", "CPU", None, None, None, True, "")]
    try:
        count = wrapper("float64").device_count()
    except DeviceError:
        return found
    return found + [_cuda_device(ordinal) for ordinal in range(count)]


def _cuda_device(ordinal: int) -> Device:
    name, capability, _, memory, image = wrapper("float64").device_info(ordinal)
    reason = ""
    if not image:
        reason = "no code for compute capability {}.{}".format(*capability)
    return Device(f"cuda:{ordinal}", name, capability, memory, image or None, not reason, reason)


def cuda_versions() -> Dict[str, Optional[str]]:
    """Return the CUDA versions of the grafted runtime and of the driver, None for no driver."""
    numbers = zip(("runtime", "driver"), wrapper("float64").cuda_versions())
    return {
        name: f"{number // 1000}.{number % 1000 // 10}" if number else None
        for name, number in numbers
    }


class _Fallback:
    """Warns once in a process that ``device="auto"`` means the CPU here, and why."""

    warned = False
    _lock = threading.Lock()

    @classmethod
    def warn(cls, reason: str) -> None:
        with cls._lock:
            is_first, cls.warned = not cls.warned, True
        if is_first:
            message = 'computing on the CPU: {}. The device "cpu" turns this warning off'
            warnings.warn(message.format(reason), CyfesWarning, stacklevel=_users_level())


def _users_level() -> int:
    """Return the `stacklevel` at which the caller of this function names the user's own line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cyfes."):
        frame, level = frame.f_back, level + 1
    return level


# A sum that takes the CPU less, in seconds, is computed there. To create a CUDA context takes 0.1
# to 0.4 s; where there is one, the copies to the device and back take a millisecond or two.
_WORTH_A_CONTEXT = 0.3
_WORTH_COPIES = 0.002


def choose_all(device: str, seconds: float = math.inf) -> Tuple[int, ...]:
    """Return the numbers of the devices that a ``device=`` argument names.

    Parameters
    ----------
    device : str
        "cuda:all" (every usable CUDA device), "cuda:N,M" with two or more different numbers, or one
        device as for `choose`.
    seconds : float
        As for `choose`.

    Raises
    ------
    InputError
        If it is none of these, or a device is named twice.
    DeviceError
        If a CUDA device is absent or cannot be used.
    """
    if device == "cuda:all":
        return tuple(_usable_ones())
    kind, _, listed = str(device).partition(":")
    if kind != "cuda" or not _is_list(listed):
        return (choose(device, seconds),)
    numbers = [int(ordinal) for ordinal in listed.split(",")]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"device is {device!r}, expected each device once")
    return tuple(_usable(number) for number in numbers)


def _is_list(text: str) -> bool:
    return "," in text and all(word.isdecimal() for word in text.split(","))


def choose(device: str, seconds: float = math.inf) -> int:
    """Return the number of the only device that a ``device=`` argument names.

    Parameters
    ----------
    device : str
        "cpu", "cuda" (the first usable one), "cuda:N", or "auto": the CPU for a small sum, else the
        first usable CUDA device, or else the CPU, with a warning once in a process.
    seconds : float
        How long the sum is expected to take the CPU. For a small one CUDA is not even asked how
        many devices there are.

    Raises
    ------
    InputError
        If it is none of these.
    DeviceError
        If the CUDA device is absent or cannot be used.
    """
    if device == "cpu":
        return CPU
    if device == "auto":
        if is_small(seconds):
            return CPU
        try:
            return _first_usable()
        except DeviceError as error:
            _Fallback.warn(str(error))
            return CPU
    if device == "cuda":
        return _first_usable()
    kind, _, ordinal = str(device).partition(":")
    if kind == "cuda" and ordinal.isdecimal():
        return _usable(int(ordinal))
    raise InputError(
        f'device is {device!r}, expected "auto", "cpu", "cuda", "cuda:N" or, where several can '
        'share a sum, "cuda:N,M" or "cuda:all"'
    )


def is_small(seconds: float) -> bool:
    """Whether a sum is left to the CPU, from the seconds that the CPU takes for it."""
    started = _usable.cache_info().currsize > 0
    return seconds < (_WORTH_COPIES if started else _WORTH_A_CONTEXT)


def name(numbers: Sequence[int]) -> str:
    """Return the ``device=`` argument that stands for device numbers."""
    if CPU in numbers:
        return "cpu"
    return "cuda:" + ",".join(map(str, numbers))


def _first_usable() -> int:
    return next(_usable_ones())


def _usable_ones() -> Iterator[int]:
    """Yield the usable CUDA devices; raise the reasons if there is none."""
    found, reasons = False, []
    for ordinal in range(wrapper("float64").device_count()):
        try:
            yield _usable(ordinal)
            found = True
        except DeviceError as error:
            reasons.append(str(error))
    if not found:
        raise DeviceError("; ".join(reasons))


# Cached, because asking CUDA for the properties of a device takes longer than a small sum.
@lru_cache(maxsize=None)
def _usable(ordinal: int) -> int:
    device = _cuda_device(ordinal)
    if not device.usable:
        raise DeviceError(f"{device.id} ({device.name}) cannot be used: {device.reason}")
    return ordinal
