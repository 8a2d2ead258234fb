"""Waiting on the loop for something that another thread brings about."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

__all__ = ["until"]


async def until(condition: Callable[[], object | Awaitable[object]], timeout_s: float = 60.0) -> None:
    """Wait until a condition, or what it returns to be awaited, is true.

    Raises:
        TimeoutError: it does not become so in time.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if await found if isawaitable(found) else found:
                return
            await asyncio.sleep(0.005)
