"""Frees what has very many entries a few at a time: in one step it would hold the loop."""

import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Final

from oryx_py.model.pieces import Collection

__all__ = ["FEW", "drain", "free_in_pieces"]

FEW: Final = 1_000
"""Entries that go in one step; that takes about 0.1 ms."""
_PAUSE_S: Final = 0.001


def free_in_pieces(owned: Iterable[tuple[object, Sequence[Collection]]]) -> None:
    """Let another thread empty collections when nobody has their owner any more.

    Args:
        owned: owners, and of each the collections that it has as long as it lives, and nobody without it.
    """
    for owner, collections in owned:
        # Whatever runs when an owner goes must take no lock; putting into this queue takes none.
        weakref.finalize(owner, _to_free().put, collections).atexit = False


def drain(collections: Sequence[Collection], pause: Callable[[float], object] = time.sleep) -> None:
    """Empty collections, no more than `FEW` entries between two pauses."""
    for one in collections:
        while one:
            if isinstance(one, list):
                del one[-FEW:]
            else:
                for _ in range(min(FEW, len(one))):
                    one.popitem()
            pause(_PAUSE_S)


@cache
def _to_free() -> SimpleQueue[Sequence[Collection]]:
    queue = SimpleQueue[Sequence[Collection]]()

    def free() -> None:
        while True:
            drain(queue.get())

    # Nobody waits for it, not even the process when it ends.
    Thread(target=free, name="free", daemon=True).start()
    return queue
