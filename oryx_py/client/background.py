"""An event loop in a thread of its own, for code that is none of asyncio's."""

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from oryx_py.errors import UserError

__all__ = ["Background"]

T = TypeVar("T")


class _Closable(Protocol):
    async def close(self) -> None: ...


R = TypeVar("R", bound=_Closable)

_FORKED: Final[list[object]] = []
"""What belonged to the parent of this process: kept, so that nobody closes the parent's connections."""


class Background(Generic[R]):
    """Runs coroutines of one resource in a thread, from any thread.

    The thread starts with the first call and ends with `close`, with the last reference, or with the interpreter. A
    child made by fork starts its own, with a resource of its own.

    Args:
        make: makes the resource, in the thread.
        name: of the thread.
    """

    def __init__(self, make: Callable[[], R], name: str) -> None:
        self._make, self._name = make, name
        self._lock = threading.Lock()
        self._running: _Running[R] | None = None
        self._closed = False
        _ALL.add(self)

    def run(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> T:
        """Do something with the resource and wait for it; an interruption of the wait cancels it.

        Raises:
            UserError: it was closed.
        """
        running = self._started()
        if threading.get_ident() == running.thread.ident:
            raise UserError("a Client cannot wait in its own thread: use AsyncClient there")
        future = running.submit(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise UserError("this client was closed before the answer came") from None
        finally:
            future.cancel()

    def close(self) -> None:
        """Close the resource and end the thread; what is on its way is cancelled."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, None
        if running is not None:
            running.end()

    def _started(self) -> "_Running[R]":
        with self._lock:
            if self._closed:
                raise UserError("this client is closed")
            if self._running is None:
                self._running = _Running(self._make, self._name)
                weakref.finalize(self, self._running.end)
            return self._running

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._running is not None:
            _FORKED.append(self._running)
            self._running = None


class _Running(Generic[R]):
    """One thread with its loop and resource."""

    def __init__(self, make: Callable[[], R], name: str) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._ended = False
        started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, R, asyncio.Event]] = (
            concurrent.futures.Future()
        )
        self.thread = threading.Thread(target=_live, args=(make, started), name=name, daemon=True)
        self.thread.start()
        self._loop, self._resource, self._stop = started.result()

    def submit(self, work: Callable[[R], Coroutine[Any, Any, T]]) -> "concurrent.futures.Future[T]":
        """Begin something.

        Raises:
            UserError: it has ended.
        """
        with self._lock:
            if self._ended:
                raise UserError("this client is closed")
            return asyncio.run_coroutine_threadsafe(work(self._resource), self._loop)

    def end(self) -> None:
        """End the thread; waits for it, unless called in it, as the garbage collector may."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._ended:
                return
            self._ended = True
        # The loop comes to this after all that was submitted: it knows of every task that it has to cancel.
        self._loop.call_soon_threadsafe(self._stop.set)
        if threading.get_ident() != self.thread.ident:
            self.thread.join()


def _live(
    make: Callable[[], R],
    started: "concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, R, asyncio.Event]]",
) -> None:
    """Run a loop with a resource until it is told to stop."""

    async def live() -> None:
        stop = asyncio.Event()
        try:
            resource = make()
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller
            started.set_exception(error)
            return
        started.set_result((loop, resource, stop))
        await stop.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await loop.shutdown_asyncgens()
        await resource.close()

    # Not asyncio.run, which starts a thread to clean up: at the end of the interpreter none can be started any more.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(live())
    finally:
        loop.close()


_ALL: "Final[weakref.WeakSet[Background[Any]]]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for background in list(_ALL):
        background._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
