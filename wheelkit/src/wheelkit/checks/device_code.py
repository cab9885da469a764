"""Whether a wheel has device code for the GPUs that its project declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wheelkit.target.report import Fault
from wheelkit.wheel import device_images
from wheelkit.wheel.grafts import is_graft
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

TITLE = "declared device code"
IDS = (
    *("no-device-code", "device-code-unknown", "sass-missing", "sass-unexpected"),
    *("ptx-missing", "ptx-unexpected"),
)

REMEDY = "compile for the declared architectures, or change sass and ptx"


def faults(wheel: Wheel, settings: Settings) -> Iterator[Fault]:
    """Every file with device code has it for exactly the declared architectures."""
    if settings.sass is None and settings.ptx is None:
        return
    found = {member: device_images.read(wheel.archive.file(member)) for member in _own(wheel)}
    carriers = {member: code for member, code in found.items() if code}
    if not carriers and (settings.sass or settings.ptx):
        name = wheel.archive.path.name
        yield Fault(
            "no-device-code",
            name,
            found="none in any file",
            expected=_expected(settings),
            remedy=REMEDY,
        )
    for member, code in carriers.items():
        for message in sorted(code.unknown):
            expected = "device code whose architecture can be read"
            remedy = (
                "compile it again; if the compiler is newer than this version of wheelkit, report "
                "it"
            )
            yield Fault(
                "device-code-unknown", member, found=message, expected=expected, remedy=remedy
            )
        yield from _compare(member, "sass", "sm_", code.sass, settings.sass)
        yield from _compare(member, "ptx", "compute_", code.ptx, settings.ptx)


def _own(wheel: Wheel) -> Iterator[str]:
    """Return the members that the project compiles: grafts bring device code of their own."""
    prefix = f"{wheel.archive.dist_info}/"
    return (m for m in wheel.archive.members if not is_graft(m) and not m.startswith(prefix))


def _compare(
    member: str, kind: str, prefix: str, found: frozenset[int], declared: Iterable[int] | None
) -> Iterator[Fault]:
    if declared is None:
        return
    wanted = frozenset(declared)
    have, expected = _names(prefix, found), _names(prefix, wanted)
    if missing := wanted - found:
        message = f"no {_names(prefix, missing)}; only {have}"
        yield Fault(f"{kind}-missing", member, found=message, expected=expected, remedy=REMEDY)
    if surplus := found - wanted:
        yield Fault(
            f"{kind}-unexpected",
            member,
            found=_names(prefix, surplus),
            expected=expected,
            remedy=REMEDY,
        )


def _expected(settings: Settings) -> str:
    return f"{_names('sm_', settings.sass or ())}; {_names('compute_', settings.ptx or ())}"


def _names(prefix: str, architectures: Iterable[int]) -> str:
    return ", ".join(f"{prefix}{number}" for number in sorted(architectures)) or f"no {prefix}*"
