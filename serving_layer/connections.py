"""The connections there are: how many, how large their answers that nobody takes, how slow."""

import asyncio
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from oryx_py.config import Connections
from serving_layer.at_once import NOTHING_AT_ONCE, AnswersAtOnce
from serving_layer.bounded_connection import BoundedConnection, Place
from serving_layer.written_at_once import NO_WRITES_AT_ONCE, WritesAtOnce

__all__ = ["Registered"]

_LOOK_S: Final = 1.0


class Registered:
    """All connections; for the loop.

    Args:
        settings: their bounds.
        registry: of what is counted.
        new_request_id: makes up the ID of what is refused before it is a request.
    """

    def __init__(self, settings: Connections, registry: CollectorRegistry, new_request_id: Callable[[], str]) -> None:
        self.settings = settings
        self.new_request_id = new_request_id
        self.refused: Callable[[str, int], None] = lambda request_id, status: None  # noqa: ARG005
        """Counts and logs, by ID and status, answers that are given where there is no request to observe."""
        self.at_once: AnswersAtOnce = NOTHING_AT_ONCE
        """Answers what is quickly answered; None for everything else."""
        self.writes_at_once: WritesAtOnce = NO_WRITES_AT_ONCE
        self._open: set[BoundedConnection] = set()
        self._refused: set[BoundedConnection] = set()
        self._unsent: dict[BoundedConnection, None] = {}
        """Those whose answers are not taken, the eldest first."""
        self._count = Gauge("oryx_serving_connections", "Connections of clients", registry=registry)
        self._count.set_function(lambda: len(self._open))
        self._ended = Counter(
            "oryx_serving_connections_ended",
            "Connections ended by this side, by reason",
            ("reason",),
            registry=registry,
        )

    def admit(self, connection: BoundedConnection) -> Place:
        """Take a new one in, if need be in the place of the one idle longest."""
        if len(self._open) >= self.settings.max:
            idle = [(since, id(other), other) for other in self._open if (since := other.idle_since) is not None]
            if not idle:
                self.ended("no_place")
                if len(self._refused) >= self.settings.max:
                    return Place.NONE
                self._refused.add(connection)
                return Place.REFUSED
            *_, longest = min(idle)
            self.forget(longest)
            self.ended("made_room")
            longest.force_close()
        self._open.add(connection)
        return Place.TAKEN

    def forget(self, connection: BoundedConnection) -> None:
        """Let go of one that has ended."""
        self._open.discard(connection)
        self._refused.discard(connection)
        self._unsent.pop(connection, None)

    def clogged(self, connection: BoundedConnection) -> None:
        """Remember that an answer is not taken; where they are too large together, the eldest breaks off."""
        self._unsent[connection] = None
        while len(self._unsent) > 1 and sum(other.unsent for other in self._unsent) > self.settings.max_unsent_bytes:
            eldest = next(iter(self._unsent))
            self.ended("unsent")
            eldest.abort()

    def flows(self, connection: BoundedConnection) -> None:
        """Forget that an answer was not taken."""
        self._unsent.pop(connection, None)

    def ended(self, reason: str) -> None:
        """Count a connection that is ended."""
        self._ended.labels(reason).inc()

    async def watch(self) -> None:
        """Look at every connection once a second, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            for connection in list(self._open):
                connection.look(now)
