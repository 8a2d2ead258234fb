"""An event loop without a selector or threads: the world turns it, and does its executors' work."""

import asyncio
from asyncio import events
from collections.abc import Callable
from typing import Any

from oryx_py.ports import Clock

__all__ = ["Loop"]


class _NothingToSelect:
    def select(self, timeout: float | None) -> list[Any]:
        return []

    def close(self) -> None:
        pass


class Loop(asyncio.BaseEventLoop):
    """Runs what is ready when it is turned; its time is the world's.

    `work` has what was given to executors, by executor, in order.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._world_clock = clock
        self._selector = _NothingToSelect()
        self.work: dict[int, list[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]]] = {}
        self.failed: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _loop, context: self.failed.append(context))

    def time(self) -> float:
        """The world's time."""
        return self._world_clock.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Keep a call until the world does it."""
        future = self.create_future()
        self.work.setdefault(id(executor) if executor is not None else 0, []).append((future, func, args))
        return future

    def turn(self, first: Callable[[], object] = lambda: None) -> None:
        """Do ``first`` on the loop, and then what is ready and due."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            first()
            for _ in range(1_000):
                self._run_once()  # type: ignore[attr-defined]  # how run_forever turns it
                if not self._ready:  # type: ignore[attr-defined]
                    return
            raise AssertionError("the loop never comes to rest")
        finally:
            events._set_running_loop(before)

    def drop(self) -> None:
        """End without a word, as the process that it was in."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task.get_coro().close()  # type: ignore[union-attr]
        self.work.clear()
        self.close()

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
