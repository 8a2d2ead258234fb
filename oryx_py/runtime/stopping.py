"""Ending a process when it is asked to: SIGTERM and SIGINT."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Stopping"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME_WISH_S = 0.5  # one Ctrl-C may arrive twice: from the terminal, and from a program that passes it on


class Stopping:
    """Whether this process was asked to stop; any thread may ask and wait.

    ``with stopping.on_signals():`` in the main thread makes the first SIGTERM or SIGINT a request, and a second one,
    half a second later or more, the end of the process at once.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def requested(self) -> bool:
        """Whether it was asked to stop."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask to stop."""
        self._event.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until asked to stop, or for ``timeout_s``; returns ``requested``."""
        return self._event.wait(timeout_s)

    def on_signals(self, *, abort: Callable[[int], None] = os._exit) -> "_Signals":
        """Listen within a ``with`` block of the main thread; ``abort`` gets the exit code when the second one comes."""
        return _Signals(self, abort)


class _Signals:
    """Passes signals to a thread of its own.

    Python's handlers run in the main thread, between its instructions: setting an event there can deadlock with the
    wait for that very event, and nothing runs while the main thread is inside compiled code. The interpreter's wake-up
    descriptor has neither trouble: the signal's number is written to it at once.
    """

    def __init__(self, stopping: Stopping, abort: Callable[[int], None]) -> None:
        self._stopping = stopping
        self._abort = abort
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        receiver, sender = socket.socketpair()
        sender.setblocking(False)  # noqa: FBT003 - the standard library's way
        thread = threading.Thread(target=self._listen, args=(receiver,), name="signals", daemon=True)
        with contextlib.ExitStack() as undo:  # undone from the last to the first
            undo.callback(receiver.close)
            thread.start()
            undo.callback(thread.join)
            undo.callback(sender.close)
            undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False))
            for number in _SIGNALS:
                undo.callback(signal.signal, number, signal.signal(number, _handled_elsewhere))
            self._restore = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore.close()

    def _listen(self, receiver: socket.socket) -> None:
        first: float | None = None
        while numbers := receiver.recv(1):
            if numbers[0] not in _SIGNALS:
                continue
            now = time.monotonic()
            if first is None:
                first = now
                self._stopping.request()
            elif now - first >= _SAME_WISH_S:
                self._abort(128 + numbers[0])


def _handled_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """A handler must exist, or the signal keeps its default effect and nothing is written to the descriptor."""
