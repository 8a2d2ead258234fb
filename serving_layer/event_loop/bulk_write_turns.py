"""What all bulk writes share: turns of the loop, and room on the way to Kafka."""

import asyncio
from collections import deque
from typing import Final

__all__ = ["PASS_US", "BulkWriteTurns"]

PASS_US: Final = 1_000
"""Microseconds of work that all bulk writes together do in a pass of the loop, and one of them at a time."""
_SENDING: Final = 64
"""Bulk writes that send at the same time, 500 records each: a third of what the producer's queue holds."""


class BulkWriteTurns:
    """Lets bulk writes do a millisecond's work in a pass of the loop, and everything else of the loop in between.

    So a hundred large ones hold up the other requests as long as one does, and a hundred of a few lines each don't wait
    for each other; for one loop.

    Attributes:
        sending: to be held while records are sent, so that there is room for single writes, too.
    """

    def __init__(self) -> None:
        self.sending = asyncio.Semaphore(_SENDING)
        self._left = PASS_US
        """Of this pass; what is begun may take more."""
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._renewed_next = False

    async def next(self, cost_us: int = PASS_US) -> None:
        """Wait for a pass with time left, after all who wait already; the caller then has it until it waits itself.

        Args:
            cost_us: about how long the work takes.
        """
        loop = asyncio.get_running_loop()
        if not self._renewed_next:
            self._renewed_next = True
            loop.call_soon(self._renew)
        if self._left > 0 and not self._waiting:
            self._left -= cost_us
            return
        turn = loop.create_future()
        self._waiting.append((turn, cost_us))
        await turn

    def _renew(self) -> None:
        """Begin a pass with those who waited longest."""
        self._left = PASS_US
        while self._waiting and self._left > 0:
            turn, cost_us = self._waiting.popleft()
            if not turn.done():  # its request may have been cut off
                turn.set_result(None)
                self._left -= cost_us
        self._renewed_next = self._left < PASS_US
        if self._renewed_next:
            asyncio.get_running_loop().call_soon(self._renew)
