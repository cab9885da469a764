"""What the caller of a repair asks for, and the wheel while it is repaired."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wheelkit.install.companion_wheels import Sources
from wheelkit.wheel import platforms, settings
from wheelkit.wheel.identity import identify
from wheelkit.wheel.layouts import VENV
from wheelkit.wheel.reading import Wheel
from wheelkit.wheel.settings import Settings

# The strategies, and the layouts in which a wheel must load if its project does not say: a list of
# rpath entries cannot reach every layout.
STRATEGIES: Mapping[str, tuple[str, ...] | None] = {"colocate": None, "rpath": (VENV.name,)}


@dataclass(frozen=True)
class RepairOptions:
    """What the caller asked for.

    Without `plat`, auditwheel chooses the platform tag. `exclude` are globs of SONAMEs that must
    not be grafted, `companions` distributions whose libraries the wheel uses, with their wheels in
    `companions_folder`. `strategy` is one of `STRATEGIES`. `settings_file` is the file that
    declares what the options do not say.

    `also` are words LIB=BESIDE, for libraries that BESIDE opens by name. `platlib` moves machine
    code out of purelib, and `copy_across` copies a library that is needed in another scheme than
    the one it is in. `strip`, `isa_check` and `ldpaths` are auditwheel's options; `compression`
    is the level of the archive.
    """

    wheel: Path
    destination: Path
    plat: platforms.Platform | None = None
    exclude: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    companions_folder: Path | None = None
    strategy: str = "colocate"
    also: tuple[str, ...] = ()
    platlib: bool = False
    copy_across: bool = False
    strip: bool = False
    isa_check: bool = True
    ldpaths: str | None = None
    compression: int | None = None
    settings_file: Path | None = None

    @functools.cached_property
    def declared(self) -> Settings:
        """What is declared for the wheel, by the options or by the file."""
        if self.settings_file is not None:
            found = settings.from_file(self.settings_file)
        else:
            found = settings.of_project(Path.cwd(), identify(self.wheel.name).name)
        exclude = self.exclude or found.exclude
        return replace(found, exclude=exclude, companions=self.companions or found.companions)

    @functools.cached_property
    def settings(self) -> Settings:
        """What the repaired wheel is measured by: what is declared, and what the strategy can."""
        layouts = self.declared.layouts or STRATEGIES[self.strategy]
        return replace(self.declared, layouts=layouts)

    @property
    def sources(self) -> Sources:
        """Where the wheels of companions are."""
        return Sources(self.declared.companions, self.companions_folder)


@dataclass
class RepairedWheel:
    """A wheel on its way through the steps of the repair.

    `given` stays as it was; each step replaces `wheel`. `folder` is private to this repair.
    """

    options: RepairOptions
    given: Wheel
    wheel: Wheel
    folder: Path
