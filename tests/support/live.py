"""The application listening in a thread of its own, for clients that block."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.support.serving import Harness

__all__ = ["listening"]


@contextmanager
def listening(make: Callable[[], Harness]) -> Iterator[str]:
    """Yield the address of an application that is there as long as the context is."""
    address: list[str] = []
    started = Event()

    async def serve() -> None:
        stop = asyncio.Event()
        async with make() as client:
            address.append(str(client.make_url("/")).rstrip("/"))
            ended.append(lambda: loop.call_soon_threadsafe(stop.set))
            loop = asyncio.get_running_loop()
            started.set()
            await stop.wait()

    ended: list[Callable[[], object]] = []
    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(30), "the application did not start"
    try:
        yield address[0]
    finally:
        ended[0]()
        thread.join(30)
        assert not thread.is_alive(), "the application did not stop"
