"""Where the time of the layer's own thread goes, by stage."""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["Stages"]


class Stages:
    """CPU seconds of this thread by stage; what one stage calls of another counts to that other alone.

    ``samples`` has the wall seconds of each call of the stages that were asked for.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = 0.0
        self._undo: list[Callable[[], None]] = []

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count the time of a function or method to a stage, until `restore`.

        Raises:
            AttributeError: there is no such function.
        """
        original = getattr(owner, name)

        @wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._turn(stage)
            try:
                return original(*args, **kwargs)
            finally:
                self._turn(None)

        setattr(owner, name, timed)
        self._undo.append(lambda: setattr(owner, name, original))

    def restore(self) -> None:
        """Give everything back as it was."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def _turn(self, stage: str | None) -> None:
        now = time.thread_time()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        if stage is None:
            self._stack.pop()
        else:
            self._stack.append(stage)
        self._since = now
