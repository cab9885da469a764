"""What the reports of the stages prove of a release, and what they leave unproven."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from wheelkit import __version__
from wheelkit.checks import verify
from wheelkit.install import installers
from wheelkit.release import seal
from wheelkit.release.gpu_runners import GpuRunner
from wheelkit.release.seal import Sealed
from wheelkit.target.report import WARNING, Fault, FaultyError, MisusedError
from wheelkit.wheel.identity import identify
from wheelkit.wheel.platforms import Platform
from wheelkit.wheel.settings import Settings

VERIFIED = "verify_wheel"
SMOKED = "smoke_test"
TOOLS = (VERIFIED, SMOKED)
AGAIN = "run the stage again on the sealed files"

Entry = dict[str, Any]


@dataclass(frozen=True)
class Required:
    """What must be proven of every wheel.

    Attributes
    ----------
    device
        The kind of device on which its kernels must have run.
    places
        The machines on which they must have run there: on each of a wheel's own architecture.
    platforms
        The platform for which it must have been verified, one for each architecture.
    settings
        What the project declares: the kernels, the layouts, and the faults that it accepts.
    """

    device: str
    places: tuple[GpuRunner, ...]
    platforms: tuple[Platform, ...]
    settings: Settings

    def platform_of(self, wheel: str) -> Platform:
        """Return the platform of a wheel's architecture; of another one, the first."""
        architecture = _architecture(wheel)
        own = [platform for platform in self.platforms if platform.arch == architecture]
        return [*own, *self.platforms][0]

    def places_of(self, wheel: str) -> list[str]:
        """Return the names of the machines on which a wheel must have run."""
        architecture = _architecture(wheel)
        return [p.label for p in self.places if architecture in (p.architecture, None)]


def _architecture(wheel: str) -> str | None:
    """Return what a wheel is for; None where its name does not tell."""
    try:
        return identify(wheel).architecture
    except FaultyError:
        return None


@dataclass
class Reports:
    """The reports of some folders.

    `files` has the path and the hash of each file, `entries` what they say, `faults` those of
    folders that are not what was sealed and of files that cannot be read, and `missing` the folders
    that no job made.
    """

    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    missing: list[Path] = field(default_factory=list)


# ------------------------------------------------------------------------------------- reading


def read(folders: Iterable[Sealed]) -> Reports:
    """Read every file of the folders, each of which must be what its job has sealed.

    A job that did not run has handed on no seal and has made no folder.
    """
    found = Reports()
    for sealed in folders:
        if not sealed.folder.exists():
            found.missing.append(sealed.folder)
        elif not sealed.seal:
            expected = "a folder with the seal that its job has printed"
            remedy = "find out who made this folder; every job passes on the seal of its reports"
            title = sealed.folder.name
            found.faults.append(
                Fault("reports-unsealed", title, found="no seal", expected=expected, remedy=remedy)
            )
        else:
            _read_folder(sealed, found)
    return found


def _read_folder(sealed: Sealed, found: Reports) -> None:
    try:
        hashes = seal.opened(sealed.folder, sealed.seal, seal.REPORTS)
    except FaultyError as error:
        found.faults += error.faults
        return
    for name, sha256 in hashes.items():
        if name in found.files:
            expected = "a name of its own for each report"
            remedy = "give each place a name of its own"
            found.faults.append(
                Fault("report-twice", name, found="two reports", expected=expected, remedy=remedy)
            )
        found.files[name] = sealed.folder / name, sha256
        try:
            found.entries += parse((sealed.folder / name).read_bytes())
        except (ValueError, RecursionError) as error:
            # A value that is wrong may be long.
            text = f"{type(error).__name__}: {error}"[:200]
            found.faults.append(
                Fault(
                    "report-unreadable", name, found=text, expected="a whole report", remedy=AGAIN
                )
            )


def parse(data: bytes) -> list[Entry]:
    """Return the entries of a report, one for each wheel.

    Raises
    ------
    ValueError, RecursionError
        It is not of the form that this version of wheelkit writes.
    """
    content = json.loads(
        data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
    )
    entries = content if isinstance(content, list) else [content]
    if not entries:
        raise ValueError("it is an empty list")
    for entry in entries:
        _check_form(entry)
    return entries


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of two keys of one name, a reader would see one or the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {max(names, key=names.count)!r} is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_form(entry: Any) -> None:
    """Raise ValueError if a key that the gates read is missing, or of another type."""
    _check_keys(entry, {"tool": str, "version": str, "wheel": dict, "ok": bool, "faults": list})
    _check_keys(entry["wheel"], {"name": str, "sha256": str})
    if entry["tool"] not in TOOLS:
        raise ValueError(f"tool is {entry['tool']!r}; expected {' or '.join(TOOLS)}")
    if entry["version"] != __version__:
        raise ValueError(f"version is {entry['version']!r}; this is wheelkit {__version__}")
    for fault in [*entry["faults"], *_list(entry.get("accepted", []), "accepted")]:
        _check_keys(fault, {"id": str})
    if not entry["ok"]:
        # A stage that could not do its work has nothing more to say.
        return
    if entry["tool"] == VERIFIED:
        _check_keys(entry, {"platform": (str, type(None)), "layouts": dict, "checks": dict})
        _check_keys(entry["layouts"], {"how": str, "names": list})
        for trial in _list(entry.get("trials", []), "trials"):
            _check_keys(trial, {"python": str, "installer": str, "layout": str, "result": str})
    else:
        _check_keys(entry, {"device": dict, "kernels": list, "place": str})
        _check_keys(entry["device"], {"id": str})
        for kernel in entry["kernels"]:
            _check_keys(kernel, {"name": str, "max_error": (int, float, bool, type(None))})


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {value!r}")
    return value


def _check_keys(found: Any, types: Mapping[str, type | tuple[type, ...]]) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{found!r} is no object")
    for key, kind in types.items():
        if key not in found:
            raise ValueError(f"it has no {key!r}")
        if not isinstance(found[key], kind):
            raise ValueError(f"{key!r} is {found[key]!r}")


# ------------------------------------------------------------------------------------- judging


def faults_of(
    entries: Sequence[Entry], hashes: Mapping[str, str], required: Required
) -> Iterator[Fault]:
    """Find reports with faults, reports on other bytes, and what no report shows."""
    if not required.settings.kernels:
        raise MisusedError(
            "no kernels are declared; name those that every smoke test must run, in "
            "[tool.wheelkit.kernels] of pyproject.toml in the current folder"
        )
    yield from _place_faults(required)
    for entry in entries:
        yield from _entry_faults(entry, hashes, required)
    for name, sha256 in hashes.items():
        own = [
            entry
            for entry in entries
            if entry["ok"] and (entry["wheel"]["name"], entry["wheel"]["sha256"]) == (name, sha256)
        ]
        yield from _gaps(name, own, required)


def _place_faults(required: Required) -> Iterator[Fault]:
    """Find architectures whose wheels no machine is named to try, unless that is declared."""
    several = len(required.platforms) > 1
    for platform in required.platforms:
        named = any(place.architecture == platform.arch for place in required.places)
        if not named and platform.arch not in required.settings.without_gpu:
            remedy = (
                "name the runners, in --places; a project has them in a variable of its repository"
            )
            where = f" of {platform.arch}" if several else ""
            if several:
                remedy += ". Or declare in without-gpu of [tool.wheelkit] that there is none"
            expected = f"a runner{where} on which {required.device} is tried"
            yield Fault(
                "no-place",
                f"{required.device}{where}",
                found="none is named",
                expected=expected,
                remedy=remedy,
            )


def _entry_faults(entry: Entry, hashes: Mapping[str, str], required: Required) -> Iterator[Fault]:
    name, sha256 = entry["wheel"]["name"], entry["wheel"]["sha256"]
    title = f"{entry['tool']} of {name}"
    if hashes.get(name) != sha256:
        expected = f"sha256 {hashes[name]}" if name in hashes else "a file of this release"
        yield Fault(
            "report-for-other-bytes",
            title,
            found=f"sha256 {sha256}",
            expected=expected,
            remedy=AGAIN,
        )
    # A warning makes no report red.
    red = [finding for finding in entry["faults"] if finding.get("severity") != WARNING]
    if not entry["ok"] or red or entry.get("lacking") is not None:
        ids = sorted({fault["id"] for fault in red})
        found = ", ".join(ids) or str(entry.get("lacking", "not ok"))
        yield Fault(
            "report-red",
            title,
            found=found,
            expected="no faults",
            remedy="correct what the report names",
        )
        return
    for finding in entry.get("accepted", []):
        if not any(accepted.covers(_finding(finding)) for accepted in required.settings.accept):
            expected = "only findings that the project accepts with accept in [tool.wheelkit]"
            remedy = "correct it, or accept it"
            yield Fault(
                "fault-not-accepted", title, found=finding["id"], expected=expected, remedy=remedy
            )
    if entry["tool"] == VERIFIED:
        yield from _verification_faults(entry, title, required)
    else:
        yield from _kernel_faults(entry, title, required.settings)


def _finding(content: Mapping[str, Any]) -> Fault:
    """Return what a report says of a finding; only the id and the file are compared."""
    return Fault(content["id"], str(content.get("file", "")), found="", expected="", remedy="")


def _verification_faults(entry: Entry, title: str, required: Required) -> Iterator[Fault]:
    """Find what `wheelkit verify` was not asked to do, or did not do."""
    settings, layouts = required.settings, entry["layouts"]
    platform = required.platform_of(entry["wheel"]["name"])
    tried = {(trial["installer"], trial["layout"]) for trial in entry.get("trials", [])}
    ways = [(way.installer, way.layout) for way in installers.WAYS if not way.debian_only]
    titles = verify.titles(settings, platform)
    absent = {
        "every check": [title for title in titles if entry["checks"].get(title) is not True],
        "every layout": [n for n in verify.layouts_of(settings) if n not in layouts["names"]],
        "every way to install": [" ".join(way) for way in ways if way not in tried],
    }
    for expected, names in absent.items():
        if names:
            found = f"without {some(names)}"
            yield Fault(
                "verification-incomplete", title, found=found, expected=expected, remedy=AGAIN
            )
    if layouts["how"] != "install":
        found, expected = f"--layouts {layouts['how']}", "--layouts install"
        yield Fault("verification-incomplete", title, found=found, expected=expected, remedy=AGAIN)
    if entry["platform"] != str(platform):
        found, expected = f"--plat {entry['platform']}", f"--plat {platform}"
        yield Fault("verification-incomplete", title, found=found, expected=expected, remedy=AGAIN)


def some(names: Sequence[str], shown: int = 3) -> str:
    """Return the first names and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _kernel_faults(run: Entry, title: str, settings: Settings) -> Iterator[Fault]:
    """Compare the kernels that ran with those that the project declares."""
    declared = {kernel.name: kernel for kernel in settings.kernels}
    names = [kernel["name"] for kernel in run["kernels"]]
    where = f"{title} on {device_of(run)}, {run['place']}"
    if missing := [name for name in declared if name not in names]:
        found = f"{len(missing)} of {len(declared)} did not run: {some(missing)}"
        yield Fault(
            "kernels-missing", where, found=found, expected="every declared kernel", remedy=AGAIN
        )
    for name in names:
        if name not in declared or names.count(name) > 1:
            found = f"{name}, {names.count(name)} times"
            remedy = "correct the kernels, or [tool.wheelkit.kernels]"
            yield Fault(
                "kernel-unexpected",
                where,
                found=found,
                expected="each declared kernel once",
                remedy=remedy,
            )
    for kernel in run["kernels"]:
        expected = declared.get(kernel["name"])
        if expected is not None and kernel.get("dtype", expected.dtype) != expected.dtype:
            found = f"{kernel['name']} in {kernel['dtype']}"
            yield Fault("kernel-dtype", where, found=found, expected=expected.dtype, remedy=AGAIN)
        if expected is not None and not is_error_within(kernel["max_error"], expected.tolerance):
            found = f"{kernel['name']}: max_error {kernel['max_error']!r}"
            limit = f"a number from 0 to {expected.tolerance:g}"
            yield Fault(
                "kernel-error", where, found=found, expected=limit, remedy="find out why it differs"
            )


def is_error_within(error: object, tolerance: float) -> bool:
    """Whether it is a number of the range: not a nan, and not a bool, which Python takes for 1."""
    return isinstance(error, (int, float)) and type(error) is not bool and 0 <= error <= tolerance


def _gaps(name: str, entries: Sequence[Entry], required: Required) -> Iterator[Fault]:
    """Find what no green report says of one file."""
    if name.endswith(".whl") and not any(entry["tool"] == VERIFIED for entry in entries):
        expected = f"a report of {VERIFIED} without faults for the hash of this file"
        yield Fault("not-verified", name, found="none", expected=expected, remedy=AGAIN)
    runs = [entry for entry in entries if entry["tool"] == SMOKED]
    if not any(device_of(run) == "cpu" for run in runs):
        expected = "a report without faults of kernels that ran on a CPU"
        yield Fault("not-run-on-cpu", name, found="none", expected=expected, remedy=AGAIN)
    if not name.endswith(".whl"):
        return
    ran = {run["place"] for run in runs if device_of(run) == required.device}
    for place in required.places_of(name):
        if place not in ran:
            expected = (
                f"a report without faults of kernels that ran on {required.device}, from {place}"
            )
            yield Fault(
                f"not-run-on-{required.device}", name, found="none", expected=expected, remedy=AGAIN
            )


def device_of(run: Mapping[str, Any]) -> str:
    """Return the kind of device on which a smoke test ran: ``cuda:0`` is ``cuda``."""
    device = run.get("device")
    return str(device.get("id")).partition(":")[0] if isinstance(device, dict) else "none"


def kernels_of(run: Mapping[str, Any]) -> int:
    """Count the kernels that gave a number."""
    kernels = run.get("kernels")
    ran = [k for k in kernels if isinstance(k, dict)] if isinstance(kernels, list) else []
    return sum(type(kernel.get("max_error")) in (int, float) for kernel in ran)
