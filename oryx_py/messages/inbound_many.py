"""Many records of the input topic at once; apart from `inbound`, as numba takes a second of whoever imports it."""

from collections.abc import Sequence

import numpy as np

from oryx_py.errors import BadInteraction
from oryx_py.events.codec import parse_value
from oryx_py.events.interaction import Interaction
from oryx_py.messages.inbound import astray
from oryx_py.numerics.murmur2 import partitions_of

__all__ = ["read_inputs"]


def read_inputs(
    values: Sequence[bytes | None], homes: Sequence[int], partitions: int
) -> list[Interaction | BadInteraction]:
    """Parse many records' values: for each what `oryx_py.messages.inbound.read_input` returns, or would raise.

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
            found[at] = astray(homes[at], int(expected[at]))
    return found
