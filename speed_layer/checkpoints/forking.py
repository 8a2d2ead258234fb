"""Work on the process's memory as it is at one moment, while it goes on changing."""

import gc
import os
import select
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from oryx_py.errors import StoreUnavailable

__all__ = ["forked", "unforked"]

_NICE = 10
_WORDS = 1000


def forked(work: Callable[[], object], limit_s: float = 600.0) -> Callable[[], None]:
    """Do some work in a copy of this process; returns what waits for its end, in any thread.

    The system copies a page of memory when either of the two changes it, so the caller loses no more time than it takes
    to copy the tables of pages. The copy has one thread, this one. So `work` may use memory and files, and nothing that
    needs another thread or its locks: no Kafka, no log. It gets no sockets: of a process that was killed the next one
    needs the ports.

    Args:
        work: what to do.
        limit_s: so long what waits waits, and then ends the copy: one that hangs would never let this process stop.

    Raises:
        StoreUnavailable: the system has no room for another process, or, from what waits, the work failed.
    """
    reading, writing = os.pipe()
    try:
        with warnings.catch_warnings():
            # From 3.12 on Python warns of forking beside threads; see above for what keeps it safe.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise StoreUnavailable(f"the process cannot be forked: {error.strerror}") from error
    if child == 0:
        _work(work, writing)
    os.close(writing)

    def wait() -> None:
        ended = select.poll()
        ended.register(reading, select.POLLIN)
        in_time = bool(ended.poll(limit_s * 1000))
        if not in_time:
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading, "rb") as pipe:
            words = pipe.read().decode(errors="replace")
        _, status = os.waitpid(child, 0)
        if not in_time:
            raise StoreUnavailable(f"it was not written within {limit_s:g} s")
        if status != 0:
            raise StoreUnavailable(words or f"the process that wrote it ended with {os.waitstatus_to_exitcode(status)}")

    return wait


def unforked(work: Callable[[], object]) -> Callable[[], None]:
    """Do some work now, in the place of `forked`, where nothing else goes on meanwhile."""
    work()
    return lambda: None


def _work(work: Callable[[], object], writing: int) -> NoReturn:
    status = 1
    try:
        gc.disable()  # a collection would write to every object, and so copy all of memory
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, writing)
        os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
        os.nice(_NICE)
        work()
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, this must not go on as if it were the other
        with suppress(OSError):
            os.write(writing, f"{error}"[:_WORDS].encode())
    finally:
        os._exit(status)
