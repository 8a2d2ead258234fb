"""Long work on many objects, cut up: one step of the interpreter holds all other threads until it ends."""

from collections.abc import Iterator
from typing import Any, TypeAlias

__all__ = ["PIECE", "Collection", "pieces"]

Collection: TypeAlias = dict[Any, Any] | list[Any]
"""What may have very many entries."""

PIECE = 5_000
"""Objects in a piece, at most; putting as many into a dictionary takes a millisecond."""


def pieces(count: int) -> Iterator[slice]:
    """Iterate over slices that are 0 … count - 1 together."""
    return (slice(start, min(start + PIECE, count)) for start in range(0, count, PIECE))
