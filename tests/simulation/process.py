"""Somebody who can be killed between any two effects, and what a run can end with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Action", "Failure", "Killed", "Process"]

Action = tuple[float, str, Callable[[], None]]
"""How likely it is, beside the others; what it is called; what it does."""


class Killed(BaseException):
    """The process ended here; nothing of it is left but what is durable. No handler of errors may catch it."""


class Failure(AssertionError):
    """The run has shown that something does not hold."""


class Process:
    """One process; subclasses say what it can do next.

    Args:
        world: that it is in.
        name: for the trace.
    """

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.busy = False
        """On the stack: paused in the middle of something."""
        self.effects_left: int | None = None
        """Of a process that was replaced while it was paused, and wakes up: so many, then it dies. None: no bound."""

    @property
    def slot(self) -> str:
        """What it is started in the place of; its name where it has one of its own in a group."""
        return self.name.split(".")[0]

    def effect(self, what: str) -> None:
        """To be called before each call of a port.

        Raises:
            Killed: it does not happen any more.
        """
        self.world.effect(self, what)

    def actions(self) -> list[Action]:
        """What it can do now."""
        raise NotImplementedError

    def buried(self) -> None:
        """Forget all that was in its memory."""
