"""One run at a time: who wants to begin another one waits, or is told who is at it.

The lock lies beside the registry. Where that is a folder, it is the kernel's on a file, which ends with its process
(`batch_layer.locking.file_lock`); elsewhere it is a lease (`batch_layer.locking.file_lease`). It saves work, no more:
that only one publishes does not hang on it, as the commits of history and registry refuse whoever has not seen the
newest, and whoever clears away what others have written commits first (`batch_layer.history.orphan_files`).
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import msgspec
import structlog

from oryx_py.errors import Transient, UserError
from oryx_py.ports import Clock

__all__ = ["Holder", "RunLock", "holding", "this_process"]

log = structlog.get_logger("batch")

_POLL_S = 1.0


class Holder(msgspec.Struct, frozen=True):
    """Who is at work; ``since_ms`` since 1970, UTC, by that machine's clock."""

    host: str
    pid: int
    since_ms: int

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since_ms / 1000))
        return f"process {self.pid} on {self.host}, since {since}"


def this_process(clock: Clock) -> Holder:
    """Return this process as a holder."""
    return Holder(socket.gethostname(), os.getpid(), clock.now_ms())


class RunLock(Protocol):
    """A lock that at most one process holds; one thread calls it. It ends with its holder, at once or after a while.

    Raises, from every method:
        StoreUnavailable: the place does not answer.
    """

    def attempt(self, holder: Holder) -> Holder | None:
        """Take it for ``holder``: None where that succeeded, else who has it."""
        ...

    def lost(self) -> bool:
        """Whether it was held and somebody else has taken it over since."""
        ...

    def release(self) -> None:
        """Give it back; nothing happens where it is not held."""
        ...


@contextmanager
def holding(
    lock: RunLock, clock: Clock, *, wait: Callable[[float], bool], patient: bool = True, poll_s: float = _POLL_S
) -> Iterator[bool]:
    """Hold the lock for a block; whether it does is what the block gets: False where one was asked to stop before.

    Args:
        lock: which.
        clock: for the time since when.
        wait: waits so many seconds; True as soon as the process is asked to stop.
        patient: wait for whoever has it.
        poll_s: how often to look.

    Raises:
        UserError: somebody else has it, and nobody wants to wait.
    """
    told: Holder | None = None
    while (other := lock.attempt(this_process(clock))) is not None:
        if not patient:
            raise UserError(f"a batch layer is at work: {other}; without --no-wait this one begins when it has ended")
        if other != told:
            log.info("waiting_for_another_run", holder=str(other), hint="--no-wait ends at once")
            told = other
        if wait(poll_s):
            yield False
            return
    log.debug("lock_taken")
    try:
        yield True
    finally:
        with suppress(Transient):  # it ends by itself
            lock.release()
