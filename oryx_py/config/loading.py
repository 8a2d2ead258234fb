"""Reading the settings: the file first, the environment above it, every value with its origin."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from oryx_py.config.checks import conflict
from oryx_py.config.groups import Settings
from oryx_py.config.schema import checked, member, open_table
from oryx_py.config.sources import Entry, entries_of_environment, entries_of_file, unread_variables
from oryx_py.errors import ConfigError

__all__ = ["DEFAULT_FILE", "Loaded", "load"]

DEFAULT_FILE = "oryx.toml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and by dotted key where each value that is no default came from.

    Attributes:
        settings: all of them.
        origins: `file:line`, or the name of the environment's variable.
        sources: the file and the variables that were read.
        unread: a line for each variable that may have been meant for a setting.
    """

    settings: Settings
    origins: Mapping[str, str]
    sources: tuple[str, ...]
    unread: tuple[str, ...] = ()

    def origin(self, key: str) -> str:
        """Return where a key's value came from: `default`, `file:line`, or the environment's variable."""
        return self.origins.get(key, "default")


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings.

    Args:
        path: the file; None for `oryx.toml` of the present folder, where there is one.
        environ: the environment; None for the process's own.

    Raises:
        ConfigError: a key is unknown, a value is not what the key takes, or two do not go together; one line.
    """
    environ = os.environ if environ is None else environ
    if path is None and Path(DEFAULT_FILE).exists():
        path = Path(DEFAULT_FILE)
    of_file = entries_of_file(path) if path else []
    of_environment = entries_of_environment(environ)
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for entry in (*of_file, *of_environment):
        values[entry.key] = checked(*entry)
        origins[entry.key] = entry.origin
    settings = _settings(values, base=path.parent if path else Path())
    wrong = conflict(settings)
    if wrong:
        raise ConfigError(wrong)
    return Loaded(settings, origins, _sources(path, of_environment), tuple(unread_variables(environ)))


def _sources(path: Path | None, entries: Iterable[Entry]) -> tuple[str, ...]:
    return (*([str(path)] if path else []), *dict.fromkeys(entry.origin for entry in entries))


def _settings(values: Mapping[str, object], base: Path) -> Settings:
    nested: dict[str, Any] = {"base": str(base)}
    for key, value in values.items():
        table, found = open_table(key), member(key)
        if found:  # names of one's own may have dots
            above, name = [*found.table.split("."), found.group], found.key
        elif table:
            above, name = table.split("."), key[len(table) + 1 :]
        else:
            *above, name = key.split(".")
        group = nested
        for part in above:
            group = group.setdefault(part, {})
        group[name] = value
    return msgspec.convert(nested, Settings)
