"""Starting Spark in a way that can be given up: it takes seconds, on a machine that is busy a minute."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

from batch_layer.engine import Cancelled

__all__ = ["started"]

_LOOK_S = 0.1
_END_S = 5.0


def started(start: Callable[[], SparkSession], cancelled: threading.Event) -> SparkSession:
    """Open a session, in a thread that is left to itself, without its JVM, where nobody wants it any more.

    Args:
        start: opens it, and raises what is wrong.
        cancelled: set by another thread when it is no longer wanted.

    Raises:
        Cancelled: it was set before the session was there.
    """
    opened: list[SparkSession] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            opened.append(start())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failed.append(error)

    thread = threading.Thread(target=run, name="start-spark", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_S)
        if cancelled.is_set():
            _end_children(thread)
            thread.join(_END_S)
            raise Cancelled
    if failed:
        raise failed[0]
    return opened[0]


def _end_children(thread: threading.Thread) -> None:
    """Kill the JVM that a thread has started; PySpark tells of it only when it answers."""
    with suppress(OSError):  # only Linux says who started whom
        for pid in Path(f"/proc/self/task/{thread.native_id}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    gateway = SparkContext._gateway
    if gateway is not None:
        with suppress(OSError):
            gateway.proc.kill()
