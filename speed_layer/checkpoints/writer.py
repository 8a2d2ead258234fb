"""What the layer needs of whoever writes checkpoints."""

from collections.abc import Sequence
from typing import Protocol

from speed_layer.epochs.run import EpochRun

__all__ = ["NoCheckpoints", "Writer"]


class Writer(Protocol):
    """What the layer needs of whoever writes checkpoints."""

    def step(self, runs: Sequence[EpochRun]) -> None:
        """Do what is due, between two steps of the layer."""
        ...

    def close(self, *, wait: bool = True) -> None:
        """Begin nothing new, and wait for what is under way if asked to."""
        ...


class NoCheckpoints:
    """Writes none."""

    def step(self, runs: Sequence[EpochRun]) -> None:
        """Do nothing."""

    def close(self, *, wait: bool = True) -> None:
        """Do nothing."""
