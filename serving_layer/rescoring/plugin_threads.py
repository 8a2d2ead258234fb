"""Threads for plug-ins: few, counted, and apart from those that search, so that one that hangs holds up its like."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import faiss
from prometheus_client import Gauge

__all__ = ["PluginThreads"]

T = TypeVar("T")


class PluginThreads:
    """Runs functions that may never come back; for one loop.

    A place is free again only when its function has ended, whether somebody still waits for it or not. Its threads are
    daemons, so that they don't keep a process from ending.

    Args:
        places: how many run at the same time; more wait, as long as their requests may.
        running: shows how many do.
    """

    def __init__(self, places: int, running: Gauge) -> None:
        self._places = asyncio.Semaphore(places)
        self._running = running

    async def run(self, function: Callable[[], T]) -> T:
        """Return what the function does; its exceptions are the caller's."""
        await self._places.acquire()
        self._running.inc()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def ended(result: T | None, error: BaseException | None) -> None:
            self._running.dec()
            self._places.release()
            if outcome.cancelled():
                return
            if error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)  # type: ignore[arg-type]  # None only if T has it

        def work() -> None:
            faiss.omp_set_num_threads(1)  # a query is one core's work
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - whoever waits gets it
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(ended, result, error)

        try:
            threading.Thread(target=work, name="rescorer", daemon=True).start()
        except BaseException:  # there is no memory for it, or too many run
            self._running.dec()
            self._places.release()
            raise
        return await outcome
