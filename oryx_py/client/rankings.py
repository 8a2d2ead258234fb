"""Ranked lists: ``howMany`` (at most 100,000), ``offset`` into the ranking, best first unless said otherwise."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from oryx_py.client.caller import Caller, ranking
from oryx_py.client.connection import Call
from oryx_py.client.encoding import ids_of, items_of, segment_of
from oryx_py.client.splitting import Array
from oryx_py.client.streams import Stream, pages
from oryx_py.client.values import After, Answered, Counted, Items, Scored
from oryx_py.errors import UserError

__all__ = ["Rankings", "users_a_request"]

_USERS_A_REQUEST: Final = 1000
"""Of a batch: enough for one product of matrices, and few enough for a body of 1 MB."""
_ROWS_A_REQUEST: Final = 10_000_000
"""Of all lists together: the most that the service gives."""


class Rankings(Caller):
    """What is recommended, what is similar, what is popular."""

    async def recommend(
        self,
        user: str,
        how_many: int = 10,
        *,
        offset: int = 0,
        consider_known_items: bool = False,
        rescorer_params: Sequence[str] = (),
        recall: str | float | None = None,
        after: After = None,
    ) -> list[Scored]:
        """Return the best items for a user by dot product; those known already are left out unless considered.

        Raises:
            NotFound: the user is unknown, or has no vector yet.
        """
        query = ranking(
            how_many,
            offset,
            rescorer_params=rescorer_params,
            recall=recall,
            consider_known_items=consider_known_items,
        )
        return await self._read(list[Scored], ["recommend", segment_of(user, "user")], query, after, [user])

    def recommend_batch(
        self,
        users: Iterable[str],
        how_many: int = 10,
        *,
        offset: int = 0,
        consider_known_items: bool = False,
        rescorer_params: Sequence[str] = (),
        after: After = None,
    ) -> Stream[Answered]:
        """Yield `recommend`'s answer for each of many users, in their order; far cheaper a user than single calls.

        An unknown user is a value with ``status`` 404. A thousand users go into a request, so that ``users`` may be
        any number of them.
        """
        settings = {
            "howMany": how_many,
            "offset": offset,
            "considerKnownItems": consider_known_items,
            "rescorerParams": list(rescorer_params),
        }
        if isinstance(users, str):
            raise UserError("users are several: give a list")
        return Stream(self._batches(iter(users), users_a_request(how_many, offset), settings, after))

    async def recommend_to_many(
        self,
        users: Sequence[str],
        how_many: int = 10,
        *,
        offset: int = 0,
        consider_known_items: bool = False,
        rescorer_params: Sequence[str] = (),
        recall: str | float | None = None,
        after: After = None,
    ) -> list[Scored]:
        """Return the best items by the mean of the users' vectors; what any of them knows is left out.

        Raises:
            NotFound: one of them is unknown, or has no vector yet.
        """
        query = ranking(
            how_many,
            offset,
            rescorer_params=rescorer_params,
            recall=recall,
            consider_known_items=consider_known_items,
        )
        names = [users] if isinstance(users, str) else list(users)
        return await self._read(list[Scored], ["recommendToMany", *ids_of(names, "user")], query, after, names)

    async def recommend_to_anonymous(
        self,
        items: Items,
        how_many: int = 10,
        *,
        offset: int = 0,
        rescorer_params: Sequence[str] = (),
        recall: str | float | None = None,
        after: After = None,
    ) -> list[Scored]:
        """Return the best items for whoever has just these, which are left out; unknown ones are ignored.

        Raises:
            Rejected: all of them are unknown.
        """
        query = ranking(how_many, offset, rescorer_params=rescorer_params, recall=recall)
        return await self._read(list[Scored], ["recommendToAnonymous", *_some(items_of(items))], query, after)

    async def recommend_with_context(
        self,
        user: str,
        items: Items,
        how_many: int = 10,
        *,
        offset: int = 0,
        consider_known_items: bool = False,
        rescorer_params: Sequence[str] = (),
        recall: str | float | None = None,
        after: After = None,
    ) -> list[Scored]:
        """Return the best items for a user who has these items too, for this call only; they are left out.

        Raises:
            NotFound: the user is unknown.
        """
        query = ranking(
            how_many,
            offset,
            rescorer_params=rescorer_params,
            recall=recall,
            consider_known_items=consider_known_items,
        )
        path = ["recommendWithContext", segment_of(user, "user"), *items_of(items)]
        return await self._read(list[Scored], path, query, after, [user])

    async def similarity(
        self,
        items: str | Sequence[str],
        how_many: int = 10,
        *,
        offset: int = 0,
        rescorer_params: Sequence[str] = (),
        recall: str | float | None = None,
        after: After = None,
    ) -> list[Scored]:
        """Return the items most like these, by cosine with the mean of their vectors; they are left out.

        Raises:
            NotFound: one of them is unknown, or has no vector yet.
        """
        query = ranking(how_many, offset, rescorer_params=rescorer_params, recall=recall)
        return await self._read(list[Scored], ["similarity", *ids_of(items, "item")], query, after)

    async def because(
        self, user: str, item: str, how_many: int = 10, *, offset: int = 0, after: After = None
    ) -> list[Scored]:
        """Return which of a user's known items are most like an item, by cosine; none for a user who knows nothing.

        Raises:
            NotFound: the item is unknown, or has no vector yet.
        """
        path = ["because", segment_of(user, "user"), segment_of(item, "item")]
        return await self._read(list[Scored], path, ranking(how_many, offset), after, [user])

    async def most_surprising(
        self, user: str, how_many: int = 10, *, offset: int = 0, after: After = None
    ) -> list[Scored]:
        """Return which of a user's known items suit the user least, by dot product, lowest first.

        Raises:
            NotFound: the user is unknown, or has no vector yet.
        """
        path = ["mostSurprising", segment_of(user, "user")]
        return await self._read(list[Scored], path, ranking(how_many, offset), after, [user])

    async def most_popular_items(
        self, how_many: int = 10, *, offset: int = 0, rescorer_params: Sequence[str] = (), after: After = None
    ) -> list[Counted]:
        """Return items by how many users know them."""
        query = ranking(how_many, offset, rescorer_params=rescorer_params)
        return await self._read(list[Counted], ["mostPopularItems"], query, after)

    async def most_active_users(
        self, how_many: int = 10, *, offset: int = 0, rescorer_params: Sequence[str] = (), after: After = None
    ) -> list[Counted]:
        """Return users by how many items they know."""
        query = ranking(how_many, offset, rescorer_params=rescorer_params)
        return await self._read(list[Counted], ["mostActiveUsers"], query, after)

    async def _batches(
        self, users: Iterator[str], count: int, settings: dict[str, object], after: After
    ) -> AsyncGenerator[list[Answered]]:
        while some := list(islice(users, count)):
            for user in some:
                segment_of(user, "user")  # which refuses what is no ID
            body = msgspec.json.encode({"users": some, **settings})
            call = Call("POST", ["recommend"], (), {"Content-Type": "application/json"}, body)
            of_these = pages(self._parts(call, after, some), Array(Answered))
            try:
                async for page in of_these:
                    yield page
            finally:
                await of_these.aclose()


def users_a_request(how_many: int, offset: int) -> int:
    """Return how many users go into one request of a batch."""
    return max(1, min(_USERS_A_REQUEST, _ROWS_A_REQUEST // max(1, how_many + offset)))


def _some(segments: list[str]) -> list[str]:
    if not segments:
        raise UserError("no item is given")
    return segments
