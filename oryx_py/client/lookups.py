"""Single scores, what a user knows, all IDs, and whether the service is ready."""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from oryx_py.client.caller import Caller
from oryx_py.client.connection import Call
from oryx_py.client.encoding import ids_of, items_of, segment_of
from oryx_py.client.refusals import Unavailable, Unreadable
from oryx_py.client.splitting import Names
from oryx_py.client.streams import Stream, pages
from oryx_py.client.values import After, Items, Ready

__all__ = ["Lookups"]


class Lookups(Caller):
    """What is asked of the model one by one."""

    async def estimate(self, user: str, items: str | Sequence[str], *, after: After = None) -> list[float]:
        """Return the dot product of a user with each item, in order; 0 for an unknown item.

        Raises:
            NotFound: the user is unknown, or has no vector yet.
        """
        path = ["estimate", segment_of(user, "user"), *ids_of(items, "item")]
        return await self._read(list[float], path, [], after, [user])

    async def estimate_for_anonymous(self, to: str, items: Items, *, after: After = None) -> float:
        """Return the dot product of an item with whoever has just these items; 0 where nothing of them is known.

        Raises:
            NotFound: the item ``to`` is unknown, or has no vector yet.
        """
        path = ["estimateForAnonymous", segment_of(to, "item"), *items_of(items)]
        return await self._read(float, path, [], after)

    async def similarity_to_item(self, to: str, items: str | Sequence[str], *, after: After = None) -> list[float]:
        """Return the cosine of an item with each of these, in order; 0 for an unknown one.

        Raises:
            NotFound: the item ``to`` is unknown, or has no vector yet.
        """
        path = ["similarityToItem", segment_of(to, "item"), *ids_of(items, "item")]
        return await self._read(list[float], path, [], after)

    async def known_items(self, user: str, *, after: After = None) -> list[str]:
        """Return the items that a user knows; none for an unknown user."""
        return await self._read(list[str], ["knownItems", segment_of(user, "user")], [], after, [user])

    async def popular_representative_items(self, *, after: After = None) -> list[str]:
        """Return for each feature of the model the item that has most of it."""
        return await self._read(list[str], ["popularRepresentativeItems"], [], after)

    def item_ids(self, *, after: After = None) -> Stream[str]:
        """Yield the IDs of all items, as they come."""
        return Stream(self._names("item", after))

    def user_ids(self, *, after: After = None) -> Stream[str]:
        """Yield the IDs of all users, as they come."""
        return Stream(self._names("user", after))

    async def ready(self) -> Ready:
        """Return whether a model is served; asks once.

        Raises:
            Unreachable: nothing listens there.
            NoAnswer: none came.
        """
        try:
            answer = await self._connection.fetch(Call("GET", ["ready"]), once=True)
        except Unavailable as error:
            return _state({**error.members, "ready": False})
        try:
            return _state(msgspec.json.decode(answer.body, type=dict[str, object]))
        except (ValueError, RecursionError) as error:
            raise Unreadable(answer.status, str(error)) from None

    def _names(self, what: str, after: After) -> AsyncGenerator[list[str]]:
        call = Call("GET", [what, "allIDs"], (), {"Accept": "text/csv"})
        return pages(self._parts(call, after), Names())


def _state(members: dict[str, object]) -> Ready:
    try:
        return msgspec.convert(members, Ready)
    except ValueError:  # a balancer's own 503
        return Ready(detail=str(members.get("detail") or members.get("title") or ""))
