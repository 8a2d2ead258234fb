"""What a user did to an item, as the input topic carries it."""

from enum import Enum

import msgspec

__all__ = ["Action", "Interaction"]


class Action(Enum):
    """What an interaction does to the history."""

    ADD = "add"
    """Folds a strength into the pair's."""
    DELETE = "delete"
    """Resets the pair to "nothing"."""
    FORGET_USER = "forget user"
    """Removes all pairs of the user."""
    FORGET_ITEM = "forget item"
    """Removes all pairs of the item."""


class Interaction(msgspec.Struct, frozen=True, gc=False):
    """One record of the input topic; the record's offset, never its timestamp, gives the order.

    At least one of the IDs is not empty, and both where there is a strength; `parse_value` sees to that.

    Attributes:
        user: empty in a record that forgets an item.
        item: empty in a record that forgets a user.
        strength: finite, any sign; None deletes the pair or forgets the user or item.
        timestamp_ms: epoch milliseconds, 0 or above; None means the time of the Kafka record.
        kind: `view`, `buy`, …; None where the client named none.
    """

    user: str
    item: str
    strength: float | None
    timestamp_ms: int | None = None
    kind: str | None = None

    @property
    def action(self) -> Action:
        """What this does to the history."""
        if self.strength is not None:
            return Action.ADD
        if not self.item:
            return Action.FORGET_USER
        return Action.DELETE if self.user else Action.FORGET_ITEM
