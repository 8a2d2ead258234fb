"""What users say of new items, as messages to these items' owners. Pure."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages.item_state import ItemState
from oryx_py.model.state.model_state import ModelState

__all__ = ["inputs_of", "states_of"]

Handles = NDArray[np.int64]


def states_of(
    state: ModelState,
    users: Handles,
    inputs: Handles,
    feeds: NDArray[np.bool_],
    pairs: tuple[Handles, Handles, NDArray[np.float64]],
) -> list[ItemState]:
    """Return what users say of new items.

    Args:
        state: whose handles these are; has the users' vectors.
        users: int64[m].
        inputs: int64[m], offset of each one's newest interaction.
        feeds: bool[m], who is of level 1.
        pairs: int64[n] places in `users`, int64[n] items, float64[n] strengths; NaN for pairs that are gone.
    """
    owners, items, strengths = pairs
    w, t, _ = state.generation.manifest.objective.weights(strengths)
    there = feeds[owners] & ~np.isnan(strengths)
    found: list[ItemState] = []
    names, of_items = state.users.ids(users), state.items.ids(items)
    columns = zip(owners.tolist(), of_items, w.tolist(), t.tolist(), there.tolist(), strict=True)
    for owner, item, weight, target, counts in columns:
        user, offset, vector = names[owner], int(inputs[owner]), None
        if counts:
            vector = state.user_vector(int(users[owner]))
        if vector is None:
            found.append(ItemState(item, user, state.epoch, offset))
        else:
            found.append(ItemState(item, user, state.epoch, offset, weight, target, vector))
    return found


def inputs_of(state: ModelState, users: Handles) -> Handles:
    """Return int64[n]: the offset of each one's newest interaction, 0 where the epoch has had none."""
    return np.array([state.user_input(user) or 0 for user in users.tolist()], np.int64)
