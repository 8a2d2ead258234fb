"""How many bytes all bodies, or all spools, may take together."""

from serving_layer.http_semantics.problems import Problem

__all__ = ["ByteBudget"]


class ByteBudget:
    """Bytes that all bodies together may take; for one loop."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        """Take some.

        Raises:
            Problem: 429, there is not so much left.
        """
        if size > self._left:
            raise Problem.busy("too many large bodies are being read: send this again later")
        self._left -= size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._left += size
