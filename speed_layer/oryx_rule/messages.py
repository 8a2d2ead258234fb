"""The users of a micro-batch that was folded interaction by interaction, as messages. Pure."""

from oryx_py.messages import UserGone, UserVector
from oryx_py.messages.update import Vector
from oryx_py.model.state.model_state import ModelState
from speed_layer.oryx_rule.pending import Pending

__all__ = ["removals", "user_update"]


def removals(state: ModelState, batch: Pending) -> list[UserGone]:
    """Return the pairs and users that are gone; also those that were not known: readers may know them."""
    updates: list[UserGone] = []
    for user, pairs in batch.pairs.items():
        gone = tuple(state.items.ids(item for item, strength in pairs.items() if strength is None))
        everything = user in batch.forgotten_users
        if gone or everything:
            items = None if everything else gone
            updates.append(UserGone(state.users.id(user), items, state.epoch, batch.inputs[user]))
    return updates


def user_update(state: ModelState, batch: Pending, user: int, vector: Vector) -> UserVector:
    """Return a user's vector, float32[k] or none, with the items whose strength the batch has set."""
    changed = {item: s for item, s in batch.pairs.get(user, {}).items() if s is not None}
    return UserVector(
        user=state.users.id(user),
        vector=vector,
        items=tuple(state.items.ids(changed)),
        strengths=tuple(changed.values()),
        epoch=state.epoch,
        input=batch.inputs.get(user, state.user_input(user)),
    )
