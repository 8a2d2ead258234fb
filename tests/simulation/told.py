"""What was put on the input topic, as its sender knows it."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Told", "What"]

What = Literal["add", "delete", "forget user", "forget item", "unreadable"]


@dataclass(frozen=True, slots=True)
class Told:
    """One record; the value that carried it is of no concern to who judges the outcome."""

    partition: int
    offset: int
    kafka_ms: int
    what: What
    user: str = ""
    item: str = ""
    strength: float = 0.0
    time_ms: int | None = None
    kind: str | None = None
    id: bytes | None = None
    value: bytes | None = None
