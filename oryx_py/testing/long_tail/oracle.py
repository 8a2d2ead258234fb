"""What nobody can do better: the probabilities that the world was drawn by."""

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, IntVector
from oryx_py.testing.long_tail.world import BLOCK, LongTail, catalogue, people

__all__ = ["probabilities"]


def probabilities(world: LongTail, users: IntVector, at: float = 1.0) -> DoubleMatrix:
    """Return how likely each item is what a user meets next, were nothing met before; float64[n, items].

    Args:
        world: which.
        users: int64[n], ascending.
        at: when, in [0, 1].
    """
    known = catalogue(world)
    popularity = np.diff(known.cumulative)
    home = np.repeat(np.arange(world.clusters), np.diff(known.indptr))
    weights = np.diff(known.cumulative[known.indptr])
    found = np.empty((len(users), world.items))
    last, they = -1, None
    for row, user in enumerate(users.tolist()):
        block, place = divmod(user, BLOCK)
        if they is None or block != last:
            last, they = block, people(world, block)
        late = world.drift * at
        shares = np.zeros(world.clusters)
        for taste, share in ((they.early[place], 1 - late), (they.late[place], late)):
            liking = np.exp((known.kinds @ taste).astype(np.float64))
            shares += share * liking / (weights @ liking)
        found[row, known.members] = popularity * shares[home]
    return found
