"""What ``oryx forget --verify`` found: values. Pure."""

import msgspec

__all__ = ["Held", "Left", "Proof"]


class Held(msgspec.Struct):
    """What one place has of somebody forgotten: how often, and the newest Kafka timestamp of it, -1 for none.

    ``again``: how often it has what came after the forget, which is as it should be.
    """

    count: int = 0
    newest_ms: int = -1
    again: int = 0

    def add(self, timestamp_ms: int = -1, count: int = 1) -> None:
        """Count some more."""
        self.count += count
        self.newest_ms = max(self.newest_ms, timestamp_ms)


class Left(msgspec.Struct, frozen=True):
    """A place that still has something, what that is, and until when."""

    place: str
    what: str
    until: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome; ``forgotten`` by input partition the offset of the newest forget; ``looked_at`` in words,
    and ``not_looked_into``, of which nothing is proven.

    ``again``: records since the forget, by which it was learned anew. ``proven``: it was forgotten or never known, and
    nothing has it.
    """

    kind: str
    id: str
    proven: bool
    forgotten: dict[int, int]
    left: tuple[Left, ...]
    again: int
    looked_at: tuple[str, ...]
    not_looked_into: tuple[str, ...]
    notes: tuple[str, ...] = ()
