"""A micro-batch's users as messages. Pure."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import UserGone, UserVector
from oryx_py.messages.blocks import UserVectors
from oryx_py.model.state.model_state import ModelState
from speed_layer.micro_batches.micro_batch import MicroBatch

__all__ = ["block_of", "gone_from", "without_vector"]

Handles = NDArray[np.int64]


def gone_from(state: ModelState, batch: MicroBatch) -> list[UserGone]:
    """Return the pairs and users that are gone; also those that were not known: readers may know them.

    Not those of who is swept (`speed_layer.folding.removals`).
    """
    gone = np.isnan(batch.strengths)
    concerned = batch.forgotten.copy()
    concerned[batch.owners()[gone]] = True
    concerned &= ~batch.swept
    updates: list[UserGone] = []
    for at in np.flatnonzero(concerned).tolist():
        pairs = slice(batch.indptr[at], batch.indptr[at + 1])
        items = None if batch.forgotten[at] else tuple(state.items.ids(batch.items[pairs][gone[pairs]]))
        updates.append(UserGone(state.users.id(int(batch.users[at])), items, state.epoch, int(batch.inputs[at])))
    return updates


def block_of(
    state: ModelState, batch: MicroBatch, places: Handles, others: Handles, vectors: NDArray[np.float32]
) -> UserVectors:
    """Return the vectors of a batch's users and of others, with the items whose strength the batch has set.

    Args:
        state: whose handles these are.
        batch: whose users come first.
        places: int64[p], positions in the batch, ascending.
        others: int64[q], handles of users beside it.
        vectors: float32[p + q, k].
    """
    users = np.concatenate([batch.users[places], others])
    chosen = np.zeros(len(batch), np.bool_)
    chosen[places] = True
    owners = batch.owners()
    kept = np.flatnonzero(chosen[owners] & ~np.isnan(batch.strengths)) if len(owners) else owners
    counts = np.bincount(owners[kept], minlength=len(batch))[places]
    indptr = np.zeros(len(users) + 1, np.int64)
    np.cumsum(counts, out=indptr[1 : len(places) + 1])
    indptr[len(places) + 1 :] = indptr[len(places)]
    items = batch.items[kept]
    known = [state.user_input(user) for user in others.tolist()]
    inputs = np.array([-1 if offset is None else offset for offset in known], np.int64)
    return UserVectors(
        users=state.users.ids(users),
        handles=users,
        vectors=vectors,
        indptr=indptr,
        items=state.items.ids(items),
        item_handles=items,
        strengths=batch.strengths[kept],
        epoch=state.epoch,
        inputs=np.concatenate([batch.inputs[places], inputs]),
        at_ms=np.concatenate([batch.at_ms[places], np.full(len(others), -1, np.int64)]),
    )


def without_vector(state: ModelState, batch: MicroBatch, at: int) -> UserVector:
    """Return the message of a batch's user, by position, who has no vector."""
    pairs = slice(batch.indptr[at], batch.indptr[at + 1])
    known = ~np.isnan(batch.strengths[pairs])
    at_ms = int(batch.at_ms[at])
    return UserVector(
        user=state.users.id(int(batch.users[at])),
        vector=None,
        items=tuple(state.items.ids(batch.items[pairs][known])),
        strengths=tuple(batch.strengths[pairs][known].tolist()),
        epoch=state.epoch,
        input=int(batch.inputs[at]),
        at_ms=None if at_ms < 0 else at_ms,
    )
