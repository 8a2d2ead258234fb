"""Whose turn it is among batch reads: of all of them only some search at a time, and what has begun goes first."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving_layer.http_semantics.problems import Problem

__all__ = ["BatchReadTurns"]


class BatchReadTurns:
    """Places for searches of batch reads; for one loop.

    A read takes a place for each block anew, so that none is kept while a slow client takes what was found.

    Args:
        places: how many search at the same time.
        most_waiting: of those that have not begun; more are refused.
    """

    def __init__(self, places: int, most_waiting: int) -> None:
        self._free = places
        self._most_waiting = most_waiting
        self._begun: deque[asyncio.Future[None]] = deque()
        self._new: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, begun: bool, limit_s: float) -> AsyncIterator[None]:
        """Wait for a place, and keep it.

        Args:
            begun: whether a block of this read was searched before: then it waits as long as it takes, which is no
                longer than the others of its like need for a block each.
            limit_s: how long another waits.

        Raises:
            Problem: too many wait to begin, 429; its turn did not come in time, 503.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(begun=begun, limit_s=limit_s)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, *, begun: bool, limit_s: float) -> None:
        waiting = self._begun if begun else self._new
        if not begun and len(waiting) >= self._most_waiting:
            raise Problem.busy(f"{len(waiting)} batch reads wait to begin: ask again in a moment")
        place = asyncio.get_running_loop().create_future()
        waiting.append(place)
        try:
            async with asyncio.timeout(None if begun else limit_s):
                await place
        except BaseException as error:
            if place in waiting:
                waiting.remove(place)
            elif place.done() and not place.cancelled():
                self._pass_on()
            if isinstance(error, TimeoutError):
                raise Problem.unavailable(f"no batch read could begin within {limit_s:g} s") from None
            raise

    def _pass_on(self) -> None:
        for waiting in (self._begun, self._new):
            while waiting:
                place = waiting.popleft()
                if not place.done():
                    place.set_result(None)
                    return
        self._free += 1
