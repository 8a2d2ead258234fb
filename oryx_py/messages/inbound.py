"""What a record of the input topic says; the one decision, shared by batch and speed, on which records count."""

from collections.abc import Iterable, Sequence

import numpy as np

from oryx_py.errors import BadInteraction
from oryx_py.events.codec import parse_value
from oryx_py.events.interaction import Action, Interaction
from oryx_py.messages.partition import partition_of
from oryx_py.numerics.murmur2 import partitions_of

__all__ = ["id_of", "read_input", "read_inputs"]


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
            raise _astray(partition, home)
    return interaction


def read_inputs(
    values: Sequence[bytes | None], homes: Sequence[int], partitions: int
) -> list[Interaction | BadInteraction]:
    """Parse many records' values: for each what `read_input` returns, or would raise.

    Args:
        values: of the records.
        homes: by record, the partition that it was read from.
        partitions: how many the topic has.
    """
    found: list[Interaction | BadInteraction] = []
    for value in values:
        try:
            found.append(parse_value(value))
        except BadInteraction as bad:
            found.append(bad)
    if partitions > 1:
        # An empty user, of those that forget an item, is in every partition.
        users = [read.user.encode() if isinstance(read, Interaction) else b"" for read in found]
        ends = np.zeros(len(users) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, users), np.int64, len(users)), out=ends[1:])
        expected = partitions_of(np.frombuffer(b"".join(users), np.uint8), ends, partitions)
        for at in np.flatnonzero((expected != np.asarray(homes, np.int64)) & (np.diff(ends) > 0)).tolist():
            found[at] = _astray(homes[at], int(expected[at]))
    return found


def _astray(partition: int, home: int) -> BadInteraction:
    return BadInteraction(
        f"the record is in partition {partition}, its user's is {home}: "
        "send it with the user as key and the partitioner murmur2_random"
    )
