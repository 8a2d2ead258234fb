"""What a record of the input topic says; the one decision, shared by batch and speed, on which records count."""

from collections.abc import Iterable

from oryx_py.errors import BadInteraction
from oryx_py.events.codec import parse_value
from oryx_py.events.interaction import Action, Interaction
from oryx_py.messages.partition import partition_of

__all__ = ["astray", "id_of", "read_input"]


def id_of(headers: Iterable[tuple[str, bytes]]) -> bytes | None:
    """Return a record's idempotency key, the first header `id`; None where it has none, or an empty one."""
    return next((value for name, value in headers if name == "id"), None) or None


def read_input(value: bytes | None, partition: int, partitions: int) -> Interaction:
    """Parse one record's value, and check that it lies in its user's partition.

    A user's interactions have one order only within one partition, and one owner there; a record elsewhere would be
    counted by somebody who does not know the rest. To forget an item is said in every partition.

    Args:
        value: of the record.
        partition: that the record was read from.
        partitions: how many the topic has.

    Raises:
        BadInteraction: it cannot be read, or lies outside its user's partition: a dead letter.
    """
    interaction = parse_value(value)
    if partitions > 1 and interaction.action is not Action.FORGET_ITEM:
        home = partition_of(interaction.user, partitions)
        if home != partition:
            raise astray(partition, home)
    return interaction


def astray(partition: int, home: int) -> BadInteraction:
    """Return what is wrong with a record that lies outside its user's partition."""
    return BadInteraction(
        f"the record is in partition {partition}, its user's is {home}: "
        "send it with the user as key and the partitioner murmur2_random"
    )
