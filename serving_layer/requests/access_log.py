"""One line a request, in the form of the other log lines, for a fraction of what these cost.

1. the loop puts what is to be said into a list: half a microsecond;
2. a moment later it hands the list over, so that the writer is woken some times a second and not for each request;
3. the writer's thread makes the lines and writes them at once.

A list is bounded, and while the writer is busy with one, the next fills: with a reader of the log that does not read,
lines are left out and counted, and requests are answered all the same.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

__all__ = ["AccessLog", "RequestLine"]

_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
_HAND_OVER_S: Final = 0.05
_CLOSE_S: Final = 2.0
"""How long the last lines may take."""


class RequestLine(NamedTuple):
    """What is said of a request.

    ``generation``, ``epoch`` and ``input`` (by input partition: the offset below which everything was in the model)
    are None where it was answered without a model; ``broken_off`` says why the answer did not come to its end.
    """

    now_ms: int
    request_id: str
    method: str
    route: str
    path: str
    status: int
    ms: float
    generation: str | None = None
    epoch: int | None = None
    input: Mapping[int, int] | None = None
    broken_off: str | None = None

    def fields(self) -> dict[str, object]:
        """Return what a log line has of it, by name."""
        fields: dict[str, object] = {
            "request_id": self.request_id,
            "method": self.method,
            "route": self.route,
            "path": self.path,
            "status": self.status,
            "ms": self.ms,
        }
        if self.epoch is not None:
            fields["generation"] = self.generation
            fields["epoch"] = self.epoch
            fields["input"] = self.input
        if self.broken_off is not None:
            fields["broken_off"] = self.broken_off
        return fields

    def json(self) -> bytes:
        """Write it as `oryx_py.runtime.telemetry` does, with the line's end."""
        document = self.fields()
        document["event"] = "request"
        document["level"] = "info"
        document["logger"] = "serving"
        document["timestamp"] = f"{_second(self.now_ms // 1000)}.{self.now_ms % 1000:03}000Z"
        try:
            return orjson.dumps(document, option=_OPTIONS)
        except orjson.JSONEncodeError:  # a lone surrogate
            document["path"] = ascii(self.path)
            return orjson.dumps(document, option=_OPTIONS)


class AccessLog:
    """Takes lines on the loop, and writes them in a thread of its own.

    Args:
        write: writes lines, and blocks until they are written; called in the thread.
        dropped: called, in any thread, with the number of lines left out.
        capacity: how many lines may wait.
    """

    def __init__(
        self, write: Callable[[bytes], object], dropped: Callable[[int], object], *, capacity: int = 10_000
    ) -> None:
        self._write = write
        self._dropped = dropped
        self._capacity = capacity
        self._waiting: list[RequestLine] = []
        self._handing_over = False
        # One list is being written, another may wait: beyond, the list on the loop fills up.
        self._lists: queue.Queue[list[RequestLine] | None] = queue.Queue(1)
        self._thread = threading.Thread(target=self._serve, name="access-log", daemon=True)
        self._thread.start()

    def add(self, line: RequestLine) -> None:
        """Have a line written soon; on the loop."""
        if len(self._waiting) >= self._capacity:
            self._dropped(1)
            return
        self._waiting.append(line)
        if not self._handing_over:
            self._handing_over = True
            asyncio.get_running_loop().call_later(_HAND_OVER_S, self._hand_over)

    async def close(self) -> None:
        """Write what waits, as far as it can be written in a moment; nothing may be added afterwards."""
        waiting, self._waiting = self._waiting, []
        await asyncio.to_thread(self._finish, waiting)

    def _hand_over(self) -> None:
        try:
            self._lists.put_nowait(self._waiting)
        except queue.Full:
            asyncio.get_running_loop().call_later(_HAND_OVER_S, self._hand_over)
        else:
            self._waiting = []
            self._handing_over = False

    def _finish(self, waiting: list[RequestLine]) -> None:
        until = time.monotonic() + _CLOSE_S
        try:
            self._lists.put(waiting, timeout=_CLOSE_S)
            self._lists.put(None, timeout=max(0.0, until - time.monotonic()))
        except queue.Full:  # nobody reads: the thread ends with the process
            self._dropped(len(waiting))
        else:
            self._thread.join(max(0.0, until - time.monotonic()))

    def _serve(self) -> None:
        while (lines := self._lists.get()) is not None:
            try:
                self._write(b"".join([line.json() for line in lines]))
            except (OSError, ValueError):  # a pipe without a reader, a stream that was closed
                self._dropped(len(lines))


@lru_cache(4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
