"""Many records of the input topic at once; apart from `inbound`, as numba takes a second of whoever imports it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, InteractionColumns, parse_value
from oryx_py.events.plain_lines import read_plain
from oryx_py.messages.inbound import astray
from oryx_py.messages.partitions import homes_of

__all__ = ["ReadInputs", "read_inputs"]


class ReadInputs(NamedTuple):
    """What `oryx_py.messages.inbound.read_input` returns, or would raise, for each of many records.

    Attributes:
        numbers: int64[n], ascending: of the records that can be read.
        interactions: n of them.
        bad: by the numbers of the others, ascending: why.
    """

    numbers: NDArray[np.int64]
    interactions: InteractionColumns
    bad: dict[int, BadInteraction]


def read_inputs(values: Sequence[bytes | None], homes: Sequence[int], partitions: int) -> ReadInputs:
    """Parse many records' values, and check that each lies in its user's partition.

    Args:
        values: of the records.
        homes: by record, the partition that it was read from.
        partitions: how many the topic has.
    """
    parts = list(read_plain(values))
    bad: dict[int, BadInteraction] = {}
    if sum(len(numbers) for numbers, _ in parts) < len(values):
        parts.append(_one_by_one(values, set(range(len(values))).difference(*(numbers for numbers, _ in parts)), bad))
    found = np.array([number for numbers, _ in parts for number in numbers], np.int64)
    interactions = InteractionColumns.together([columns for _, columns in parts])
    if len(parts) > 1:
        order = np.argsort(found)
        found, interactions = found[order], interactions.at(order.tolist())
    expected = homes_of(interactions.users, partitions)
    wrong = expected != np.asarray(homes, np.int64)[found]
    if partitions > 1 and wrong.any():
        # An empty user, of those that forget an item, is in every partition.
        wrong &= np.array([bool(user) for user in interactions.users])
        for at in np.flatnonzero(wrong).tolist():
            number = int(found[at])
            bad[number] = astray(homes[number], int(expected[at]))
        right = np.flatnonzero(~wrong)
        found, interactions = found[right], interactions.at(right.tolist())
    return ReadInputs(found, interactions, dict(sorted(bad.items())))


def _one_by_one(
    values: Sequence[bytes | None], numbers: set[int], bad: dict[int, BadInteraction]
) -> tuple[list[int], InteractionColumns]:
    read: dict[int, Interaction] = {}
    for number in sorted(numbers):
        try:
            read[number] = parse_value(values[number])
        except BadInteraction as reason:
            bad[number] = reason
    return list(read), InteractionColumns.of(list(read.values()))
