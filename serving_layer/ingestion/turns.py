"""What all bulk writes share: turns of the loop, and room on the way to Kafka."""

import asyncio
from typing import Final

__all__ = ["Turns"]

_SENDING: Final = 64
"""Bulk writes that send at the same time, 500 records each: a third of what the producer's queue holds."""


class Turns:
    """Lets one bulk write at a time do a millisecond's work, and everything else of the loop in between.

    So a hundred of them hold up the other requests as long as one does; for one loop.

    Attributes:
        sending: to be held while records are sent, so that there is room for single writes, too.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.sending = asyncio.Semaphore(_SENDING)

    async def next(self) -> None:
        """Wait for the next turn; the caller then has it until it waits for anything."""
        async with self._lock:
            await asyncio.sleep(0)
