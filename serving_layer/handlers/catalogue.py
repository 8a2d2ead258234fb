"""What there is: known items, the most popular and the most active, representatives, all IDs."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
from aiohttp import web

from serving_layer.api.answers import Counted, Names, StreamedNames
from serving_layer.api.arguments import After, Paging, RescorerParams, User
from serving_layer.api.operation import operation
from serving_layer.queries.lookups import known_handles
from serving_layer.queries.ranked_answers import names_of, ranked_counts
from serving_layer.queries.read_your_writes import take_model
from serving_layer.requests import app_keys

__all__ = [
    "all_items",
    "all_users",
    "known_items",
    "most_active_users",
    "most_popular_items",
    "popular_representative_items",
]

_TAG = "Catalogue"
_BLOCK = 2_000
"""IDs between two turns of the loop, about a millisecond."""


@operation("GET", "/knownItems/{user}", tag=_TAG)
async def known_items(
    request: web.Request,
    user: User,
    after: After = {},  # noqa: B006
) -> Names:
    """The items that a user knows.

    Ascending, bytewise; none for an unknown user.
    """
    model = await take_model(request, after, user)
    # By handle most of them are in order: then sorting takes little time.
    names = await names_of(request, model.state.items, np.sort(known_handles(model, user)))
    names.sort()  # Python's order of strings is that of their bytes
    return Names(names)


@operation("GET", "/mostPopularItems", tag=_TAG)
async def most_popular_items(
    request: web.Request,
    paging: Paging,
    rescorer_params: RescorerParams = (),
    after: After = {},  # noqa: B006
) -> Counted:
    """The items that most users know.

    With how many know them, largest first, ties by ID; items that nobody knows are left out.
    """
    model = await take_model(request, after)
    rescoring = await request.app[app_keys.PLUGINS].rescoring("popular_items", rescorer_params)
    return await ranked_counts(request, model, "items", paging, rescoring)


@operation("GET", "/mostActiveUsers", tag=_TAG)
async def most_active_users(
    request: web.Request,
    paging: Paging,
    rescorer_params: RescorerParams = (),
    after: After = {},  # noqa: B006
) -> Counted:
    """The users who know most items.

    With how many they know, largest first, ties by ID; users who know nothing are left out.
    """
    model = await take_model(request, after)
    rescoring = await request.app[app_keys.PLUGINS].rescoring("active_users", rescorer_params)
    return await ranked_counts(request, model, "users", paging, rescoring)


@operation("GET", "/popularRepresentativeItems", tag=_TAG)
async def popular_representative_items(
    request: web.Request,
    after: After = {},  # noqa: B006
) -> Names:
    """An item for each feature: that with the largest component.

    In the order of the features, ties by ID; the same item may stand for several.
    """
    model = await take_model(request, after)
    return Names(model.state.items.ids(await model.representatives.now(request.app[app_keys.POOL])))


@operation("GET", "/item/allIDs", tag=_TAG, paced=True)
async def all_items(
    request: web.Request,
    after: After = {},  # noqa: B006
) -> StreamedNames:
    """The IDs of all items.

    Those with a vector, or that somebody knows; those of the generation first, ascending. Streamed.
    """
    model = await take_model(request, after)
    state = model.state

    def is_there(handle: int) -> bool:
        return state.item_vector(handle) is not None or state.popularity()[handle] > 0

    return StreamedNames(_blocks(len(state.items), state.items.id, is_there))


@operation("GET", "/user/allIDs", tag=_TAG, paced=True)
async def all_users(
    request: web.Request,
    after: After = {},  # noqa: B006
) -> StreamedNames:
    """The IDs of all users.

    Those with a vector, or who know an item; those of the generation first, ascending. Streamed.
    """
    model = await take_model(request, after)
    state = model.state

    def is_there(handle: int) -> bool:
        return state.user_vector(handle) is not None or state.activity()[handle] > 0

    return StreamedNames(_blocks(len(state.users), state.users.id, is_there))


async def _blocks(count: int, name: Callable[[int], str], is_there: Callable[[int], bool]) -> AsyncIterator[list[str]]:
    """Name the handles below ``count`` that are there; those that come meanwhile are not looked at."""
    for start in range(0, count, _BLOCK):
        handles = range(start, min(start + _BLOCK, count))
        yield [name(handle) for handle in handles if is_there(handle)]
        await asyncio.sleep(0)
