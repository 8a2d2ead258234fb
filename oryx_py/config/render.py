"""Showing settings to people, without their secrets. Pure."""

from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from oryx_py.config.groups import plain
from oryx_py.config.loading import Loaded

__all__ = ["Row", "is_secret", "reference", "rows"]

SECRET = ("password", "secret", "key.pem", "token", "credential")


class Row(NamedTuple):
    """One setting as it is shown: its dotted key, its value as TOML has it, and where that came from."""

    key: str
    value: str
    origin: str


def rows(loaded: Loaded) -> list[Row]:
    """Return every setting in the order of the reference file; secrets as asterisks."""
    return [
        Row(key, "********" if is_secret(key) else _toml(value), loaded.origin(key)) for key, value in _pairs(loaded)
    ]


def reference() -> str:
    """Return the commented reference file, which has every key with its default and the reason for it."""
    return resources.files("oryx_py.config").joinpath("reference.toml").read_text("utf-8")


def is_secret(key: str) -> bool:
    """Say whether a key's value is never shown."""
    return key.startswith("kafka.client.") and any(word in key.lower() for word in SECRET)


def _pairs(loaded: Loaded) -> Iterator[tuple[str, object]]:
    for group, table in plain(loaded.settings).items():
        for name, value in table.items():
            if isinstance(value, dict):
                yield from ((f"{group}.{name}.{inner}", innermost) for inner, innermost in value.items())
            else:
                yield f"{group}.{name}", value


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
