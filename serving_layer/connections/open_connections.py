"""The connections there are: how many, how large their answers that nobody takes, how slow."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from oryx_py.config import Connections
from serving_layer.connections.fast_reads import NO_FAST_READS, FastReads
from serving_layer.connections.fast_writes import NO_FAST_WRITES, FastWrites

__all__ = ["OpenConnection", "OpenConnections", "Place"]

_LOOK_S: Final = 1.0


class Place(Enum):
    """What there is for a new connection."""

    TAKEN = auto()
    """It may ask."""
    REFUSED = auto()
    """It may read why not."""
    NONE = auto()
    """Not even that: too many are reading it."""


class OpenConnection(Protocol):
    """What the others see of a connection (`serving_layer.connections.bounded_connection.BoundedConnection`)."""

    @property
    def unsent(self) -> int:
        """How many bytes of answers wait for the client to take them."""
        ...

    @property
    def idle_since(self) -> float | None:
        """When it was last busy, in the loop's time; None while it is."""
        ...

    def look(self, now: float) -> None:
        """End it where the client is too slow."""
        ...

    def abort(self) -> None:
        """End it at once, with whatever waits to be sent."""
        ...

    def force_close(self) -> None:
        """End it when what was written is sent."""
        ...


class OpenConnections:
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
        self.fast_reads: FastReads = NO_FAST_READS
        """Answers what is quickly answered; None for everything else."""
        self.fast_writes: FastWrites = NO_FAST_WRITES
        self._open: set[OpenConnection] = set()
        self._refused: set[OpenConnection] = set()
        self._unsent: dict[OpenConnection, None] = {}
        """Those whose answers are not taken, the eldest first."""
        self._count = Gauge("oryx_serving_connections", "Connections of clients", registry=registry)
        self._count.set_function(lambda: len(self._open))
        self._ended = Counter(
            "oryx_serving_connections_ended",
            "Connections ended by this side, by reason",
            ("reason",),
            registry=registry,
        )

    def admit(self, connection: OpenConnection) -> Place:
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

    def forget(self, connection: OpenConnection) -> None:
        """Let go of one that has ended."""
        self._open.discard(connection)
        self._refused.discard(connection)
        self._unsent.pop(connection, None)

    def clogged(self, connection: OpenConnection) -> None:
        """Remember that an answer is not taken; where they are too large together, the eldest breaks off."""
        self._unsent[connection] = None
        while len(self._unsent) > 1 and sum(other.unsent for other in self._unsent) > self.settings.max_unsent_bytes:
            eldest = next(iter(self._unsent))
            self.ended("unsent")
            eldest.abort()

    def flows(self, connection: OpenConnection) -> None:
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
