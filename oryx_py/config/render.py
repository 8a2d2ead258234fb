"""Showing settings to people, without their secrets. Pure."""

from collections.abc import Iterator
from importlib import resources
from typing import Any, NamedTuple

from oryx_py.config.checks import advice
from oryx_py.config.groups import plain
from oryx_py.config.loading import Loaded
from oryx_py.config.masking import shown

__all__ = ["Row", "check", "reference", "rows"]


class Row(NamedTuple):
    """One setting as it is shown: its dotted key, its value as TOML has it, and where that came from."""

    key: str
    value: str
    origin: str


def rows(loaded: Loaded) -> list[Row]:
    """Return every setting in the order of the reference file; secrets as asterisks."""
    return [Row(key, shown(key, value), loaded.origin(key)) for key, value in _flat(plain(loaded.settings))]


def check(loaded: Loaded) -> list[str]:
    """Return what is allowed but probably not meant, a line each; what is wrong has kept `load` from returning."""
    return [*loaded.unread, *advice(loaded.settings, loaded.origins)]


def reference() -> str:
    """Return the commented reference file, which has every key with its default and the reason for it."""
    return resources.files("oryx_py.config").joinpath("reference.toml").read_text("utf-8")


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
