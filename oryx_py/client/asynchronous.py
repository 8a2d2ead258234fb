"""The client for asyncio."""

from oryx_py.client.lookups import Lookups
from oryx_py.client.rankings import Rankings
from oryx_py.client.writes import Writes

__all__ = ["AsyncClient"]


class AsyncClient(Rankings, Lookups, Writes):
    """A client of the REST interface, for the event loop of its first call.

    Each endpoint is a method. What passes (no connection, 429, 502, 503, 504) is repeated, a write only because it has
    an idempotency key; all else raises, by what to do next (`oryx_py.client.refusals`)::

        async with AsyncClient("http://127.0.0.1:8080") as oryx:
            written = await oryx.pref("ann", "solaris")
            for item in await oryx.recommend("ann", 3, after=written):
                print(item.id, item.value)
            async for answer in oryx.recommend_batch(["ann", "bob"], 3):
                print(answer.user, answer.items)
    """
