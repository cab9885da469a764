"""What the caller of a repair asks for, and the wheel while it is repaired."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

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
    not be grafted, `strategy` is one of `STRATEGIES`. `settings_file` is the file that declares
    what the options do not say.
    """

    wheel: Path
    destination: Path
    plat: platforms.Platform | None = None
    exclude: tuple[str, ...] = ()
    strategy: str = "colocate"
    settings_file: Path | None = None

    @functools.cached_property
    def settings(self) -> Settings:
        """What is declared for the wheel; an option takes the place of a key."""
        if self.settings_file is not None:
            declared = settings.from_file(self.settings_file)
        else:
            declared = settings.of_project(Path.cwd(), identify(self.wheel.name).name)
        layouts = declared.layouts or STRATEGIES[self.strategy]
        return replace(declared, exclude=self.exclude or declared.exclude, layouts=layouts)


@dataclass
class RepairedWheel:
    """A wheel on its way through the steps of the repair.

    `given` stays as it was; each step replaces `wheel`. `folder` is private to this repair.
    """

    options: RepairOptions
    given: Wheel
    wheel: Wheel
    folder: Path
