"""What describes a world, what follows for its items, and how many interactions each of its users has."""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import UserError
from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatMatrix, IntVector

__all__ = ["BLOCK", "Catalogue", "LongTail", "People", "catalogue", "counts", "people", "starts"]

BLOCK: Final = 4096
"""Users that are drawn together; part of what a seed means."""

_EXPONENT: Final = 0.9
_FLATTENED: Final = 30
"""Popularity is ``(rank + 30)^-0.9``: of 40 thousand items the first has .3 % of what happens, as in MovieLens."""

_ACTIVITY: Final = 1.0
_LEAST: Final = 0.15
"""Activity is log-normal with σ = 1, and no user has less than 15 % of the mean."""

_ITEMS_A_CLUSTER: Final = 16
_MOST_CLUSTERS: Final = 1024
_LARGEST_SHARE: Final = 8
"""The mean user may meet an eighth of all items, the most active one half of them."""


class LongTail(msgspec.Struct, frozen=True, kw_only=True):
    """A world: how large, and by what seed.

    ``interactions`` counts all rows, held out ones among them. Of ``test_users`` users, spread evenly, the last fifth
    of what they did is held out. ``rank`` is the length of the vectors of taste, ``sharpness`` the standard deviation
    of ``x · z`` over clusters. Times are epoch milliseconds.

    Raises:
        UserError: on construction, where such a world cannot be.
    """

    users: int
    items: int
    interactions: int
    seed: int = 1
    test_users: int = 10_000
    rank: int = 16
    sharpness: float = 3.0
    drift: float = 0.3
    start_ms: int = 1_700_000_000_000
    span_ms: int = 90 * 24 * 3_600_000

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name in ("users", "items", "interactions"):
            if getattr(self, name) < 1:
                raise UserError(f"a world needs at least one of {name}, not {getattr(self, name)}")
        if self.items > np.iinfo(np.int32).max:
            raise UserError(f"{self.items:,} items are more than row numbers have room for (2^31)")
        if self.interactions * _LARGEST_SHARE > self.users * self.items:
            most = self.users * self.items // _LARGEST_SHARE
            raise UserError(
                f"{self.interactions:,} interactions are too many for {self.users:,} users and {self.items:,} items, "
                f"each of which a user meets once: take at most {most:,}"
            )

    @property
    def blocks(self) -> int:
        """How many blocks of users there are."""
        return -(-self.users // BLOCK)

    @property
    def clusters(self) -> int:
        """How many kinds of items there are."""
        return max(1, min(_MOST_CLUSTERS, self.items // _ITEMS_A_CLUSTER))

    def is_test_user(self, users: IntVector) -> BoolVector:
        """Say of which users something is held out, bool[n]."""
        among = min(self.test_users, self.users)
        return (users + 1) * among // self.users > users * among // self.users


class Catalogue(NamedTuple):
    """The items: ``members`` int32[items] sorted by cluster, cluster ``c`` from ``indptr[c]`` to ``indptr[c + 1]``.

    ``cumulative`` float64[items + 1] sums their popularities in that order. ``kinds`` float32[clusters, rank].
    """

    members: NDArray[np.int32]
    indptr: IntVector
    cumulative: DoubleVector
    kinds: FloatMatrix


@lru_cache(maxsize=2)
def catalogue(world: LongTail) -> Catalogue:
    """Return the world's items; some 30 bytes each."""
    rng = np.random.default_rng([world.seed, 0])
    popularity = (rng.permutation(world.items) + float(_FLATTENED)) ** -_EXPONENT
    home = rng.permutation(world.items) % world.clusters
    members = np.argsort(home, kind="stable").astype(np.int32)
    kinds = rng.standard_normal((world.clusters, world.rank), dtype=np.float32)
    return Catalogue(
        members=members,
        indptr=np.concatenate([[0], np.cumsum(np.bincount(home, minlength=world.clusters))]).astype(np.int64),
        cumulative=np.concatenate([[0.0], np.cumsum(popularity[members])]),
        kinds=kinds * np.float32(world.sharpness / np.sqrt(world.rank)),
    )


class People(NamedTuple):
    """Users of a block: ``activity`` float64[n] of mean about 1, vectors of taste float32[n, rank], and a key each.

    ``early`` is the taste at the beginning and ``late`` the one it drifts to; ``keys`` uint64[n] seed their draws.
    """

    activity: DoubleVector
    early: FloatMatrix
    late: FloatMatrix
    keys: NDArray[np.uint64]


def people(world: LongTail, block: int) -> People:
    """Return the users of a block."""
    rng, size = _block(world, block)
    activity = _activity(world, rng, size)
    early, late = (rng.standard_normal((size, world.rank), dtype=np.float32) for _ in range(2))
    return People(activity, early, late, rng.integers(0, 2**64, size, dtype=np.uint64, endpoint=False))


def starts(world: LongTail) -> DoubleVector:
    """Return where in all interactions each block's begin, float64[blocks + 1], the last one being their number.

    A user's interactions are the whole numbers that its share of the sum passes, so that the rows are exactly as many
    as asked for. Takes 30 ns a user and no memory to speak of.
    """
    sums = np.empty(world.blocks)
    for block in range(world.blocks):
        rng, size = _block(world, block)
        sums[block] = _activity(world, rng, size).sum()
    edges: DoubleVector = np.concatenate([[0.0], np.cumsum(sums)])
    return np.asarray(edges * (world.interactions / edges[-1]), np.float64)


def counts(activity: DoubleVector, first: float, last: float) -> IntVector:
    """Return how many interactions each user of a block has, int64[n], between its edges in `starts`."""
    reached = first + np.cumsum(activity) * ((last - first) / activity.sum())
    reached[-1] = last  # what rounding has left would be lost, or counted by two blocks
    edges = np.floor(np.concatenate([[first], reached]) + 0.5).astype(np.int64)
    found: IntVector = np.diff(edges)
    return found


def _block(world: LongTail, block: int) -> tuple[np.random.Generator, int]:
    return np.random.default_rng([world.seed, 1, block]), min(BLOCK, world.users - block * BLOCK)


def _activity(world: LongTail, rng: np.random.Generator, size: int) -> DoubleVector:
    """Log-normal, bounded so that nobody meets more than half of all items."""
    drawn = rng.lognormal(-(_ACTIVITY**2) / 2, _ACTIVITY, size)
    mean = world.interactions / world.users
    bounded: DoubleVector = np.minimum(_LEAST + (1 - _LEAST) * drawn, world.items / (4 * mean))
    return bounded
