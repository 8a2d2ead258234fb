"""Rows of a world, by blocks of users or all at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatVector, IntVector
from oryx_py.testing.long_tail.kernel import meet
from oryx_py.testing.long_tail.world import BLOCK, LongTail, catalogue, counts, people, starts

__all__ = ["Rows", "draw", "draw_block"]

_HELD = 5
"""One in five of a test user's interactions is held out; who has fewer keeps all."""


class Rows(NamedTuple):
    """Interactions in parallel arrays, by users and then by time; each pair once.

    ``users`` int64[n] and ``items`` int32[n] from 0, ``strengths`` float32[n] whole numbers from 1 to 10,
    ``timestamps_ms`` int64[n], and ``held`` bool[n]: to be ranked, never to be trained on.
    """

    users: IntVector
    items: NDArray[np.int32]
    strengths: FloatVector
    timestamps_ms: IntVector
    held: BoolVector

    def __len__(self) -> int:
        return len(self.users)

    def where(self, chosen: BoolVector | slice) -> "Rows":
        """Return the rows of a mask or a slice."""
        return Rows(
            self.users[chosen],
            self.items[chosen],
            self.strengths[chosen],
            self.timestamps_ms[chosen],
            self.held[chosen],
        )


def draw_block(world: LongTail, block: int, edges: DoubleVector, *, test_users_only: bool = False) -> Rows:
    """Draw the rows of one block of users.

    Args:
        world: which.
        block: from 0, below ``world.blocks``.
        edges: of `starts`, float64[blocks + 1].
        test_users_only: leave the other users out, which costs nothing then.
    """
    they, known = people(world, block), catalogue(world)
    n = counts(they.activity, edges[block], edges[block + 1])
    users = block * BLOCK + np.arange(len(n), dtype=np.int64)
    tested = world.is_test_user(users)
    if test_users_only:
        n = np.where(tested, n, 0)
    rows = int(n.sum())
    items, when, strengths = np.empty(rows, np.int32), np.empty(rows), np.empty(rows, np.float32)
    weights = np.diff(known.cumulative[known.indptr])
    meet(
        they.keys,
        n,
        they.early,
        they.late,
        world.drift,
        known.kinds,
        weights,
        known.members,
        known.indptr,
        known.cumulative,
        items,
        when,
        strengths,
    )
    kept = np.where(tested, n - n // _HELD, n)
    place = np.arange(rows) - np.repeat(np.cumsum(n) - n, n)
    return Rows(
        users=np.repeat(users, n),
        items=items,
        strengths=strengths,
        timestamps_ms=world.start_ms + (when * world.span_ms).astype(np.int64),
        held=place >= np.repeat(kept, n),
    )


def draw(world: LongTail) -> Rows:
    """Draw a whole world in memory, 25 bytes a row; the same rows as the blocks together."""
    edges = starts(world)
    parts = [draw_block(world, block, edges) for block in range(world.blocks)]
    users, items, strengths, timestamps_ms, held = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Rows(users, items, strengths, timestamps_ms, held)
