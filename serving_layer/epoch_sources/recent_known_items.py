"""What came to be known in an epoch, for the one after it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from oryx_py.model.state.model_state import ModelState

__all__ = ["RecentKnownItems", "recently_known"]

RecentKnownItems: TypeAlias = Mapping[str, Sequence[str]]
"""By user, items."""

_USERS_AT_ONCE = 200


async def recently_known(state: ModelState) -> RecentKnownItems:
    """Return what users know and did not when the epoch was loaded; on the state's loop, which goes on meanwhile."""
    recent = {}
    for number, user in enumerate(state.histories.changed()):
        added = state.histories.added(user)
        if len(added):
            recent[state.users.id(user)] = state.items.ids(added)
        if number % _USERS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return recent
