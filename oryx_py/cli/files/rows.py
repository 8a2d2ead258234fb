"""What every reader of a file yields, and how columns and times are understood."""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from oryx_py.cli.choices import Unit
from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction

__all__ = ["ORDER", "SECONDS_BELOW", "Row", "Times", "columns_of", "is_header", "is_number", "plain_name"]

Row: TypeAlias = tuple[int, Interaction | BadInteraction]
"""A line's (in Parquet: a row's) number, from 1, and what it says, or why it cannot be used."""

SECONDS_BELOW = 100_000_000_000
"""As milliseconds this is March 1973, as seconds the year 5138."""

_NAMES: Final = {
    "user": {"user", "userid", "customer", "customerid", "visitor", "visitorid"},
    "item": {"item", "itemid", "movie", "movieid", "artist", "artistid", "product", "productid"},
    "strength": {"strength", "rating", "weight", "value", "count", "plays"},
    "timestamp": {"timestamp", "timestampms", "time", "ts"},
    "event": {"event", "kind", "eventtype"},
}
ORDER: Final = ("user", "item", "strength", "timestamp", "event")
"""What the columns are where nothing names them."""


def columns_of(names: Sequence[str]) -> list[str | None]:
    """Return for each column's name what it holds (`ORDER`), None for what is not used; the first of a kind counts."""
    found: list[str | None] = []
    for name in names:
        plain = plain_name(name)
        meaning = next((meaning for meaning, spellings in _NAMES.items() if plain in spellings), None)
        found.append(None if meaning in found else meaning)
    return found


def plain_name(name: str) -> str:
    """Return a column's name as names are compared: small letters and digits alone, so that `user7` is no `user`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_header(fields: Sequence[str]) -> bool:
    """Say whether a file's first line names its columns: it names a user's and an item's, and has no number."""
    return {"user", "item"} <= set(columns_of(fields)) and not any(map(is_number, fields))


def is_number(field: str) -> bool:
    """Say whether a field has a number, which no column is called."""
    try:
        float(field)
    except ValueError:
        return False
    return True


class Times:
    """Brings a file's timestamps to milliseconds."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def to_ms(self, interaction: Interaction) -> Interaction:
        """Return the interaction with its timestamp in milliseconds."""
        if interaction.timestamp_ms is None:
            return interaction
        if self.unit == "auto":
            self.unit = "s" if interaction.timestamp_ms < SECONDS_BELOW else "ms"
        if self.unit == "ms":
            return interaction
        return msgspec.structs.replace(interaction, timestamp_ms=interaction.timestamp_ms * 1000)
