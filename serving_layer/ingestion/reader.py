"""What the readers of a bulk body have in common."""

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from oryx_py.errors import BadInteraction
from oryx_py.events import Action, Interaction, encode_csv

__all__ = ["MAX_LINE_BYTES", "BadLine", "Reader", "Slice", "value_of"]

MAX_LINE_BYTES: Final = 65_536
"""Of a line, or an object: three IDs of 1,024 bytes, each byte escaped as ``\\u00xx``, take a third of it."""


class BadLine(NamedTuple):
    """A line that cannot be used, by its number from 1, and why."""

    number: int
    reason: str


class Slice(NamedTuple):
    """What was read next, at most a millisecond's work.

    Attributes:
        values: for each line read one, as it goes to Kafka, ended by a line feed; an empty one for a line that is blank
            or bad. So lines keep their numbers.
        bad: the lines that cannot be used.
        broken: nothing after this can be read; the last of ``bad`` says why.
    """

    values: bytes
    bad: tuple[BadLine, ...] = ()
    broken: bool = False


class Reader(Protocol):
    """Reads one body, or one file in it, in pieces of any size; a form of bulk bodies."""

    unit: str
    """What it numbers: lines or objects."""

    def feed(self, data: bytes, *, last: bool) -> Iterator[Slice]:
        """Read some more; not to be called again after a slice that is ``broken``, or after the last one."""
        ...


def value_of(interaction: Interaction, now_ms: int) -> bytes:
    """Return the value of the input topic; an interaction without a time is of now.

    Raises:
        BadInteraction: it forgets a whole user or item, which a stray comma must not do.
    """
    if interaction.action in {Action.FORGET_USER, Action.FORGET_ITEM}:
        empty = "item" if interaction.user else "user"
        raise BadInteraction(f"{empty} is empty; to forget a user or an item, DELETE /user/… or /item/…")
    if interaction.timestamp_ms is None:
        interaction = msgspec.structs.replace(interaction, timestamp_ms=now_ms)
    return encode_csv(interaction)
