"""What the global options of one call say, and the settings that they lead to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from oryx_py.cli.screen import Screen

if TYPE_CHECKING:
    from oryx_py.config import Loaded, Settings

__all__ = ["Invocation", "invocation"]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options; ``config`` None: ``./oryx.toml`` where it exists, else the defaults alone."""

    config: Path | None = None
    debug: bool = False
    screen: Screen = field(default_factory=Screen)

    def load(self) -> "Loaded":
        """Read the settings and where each comes from.

        Raises:
            ConfigError: the file or a variable of the environment is wrong.
        """
        from oryx_py.config import load

        return load(self.config)

    def settings(self) -> "Settings":
        """Read the settings.

        Raises:
            ConfigError: the file or a variable of the environment is wrong.
        """
        return self.load().settings


def invocation(context: typer.Context) -> Invocation:
    """Return what `main` left in the context."""
    found = context.find_object(Invocation)
    assert found is not None
    return found
