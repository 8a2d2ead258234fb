"""The ports as one process sees them: every call is an effect, and may meet an outage."""

from collections.abc import Mapping, Sequence
from typing import Any

from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.adapters.file_systems.reading import open_reading
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.errors import BrokerUnavailable, ConfigError, OryxError, StoreUnavailable
from oryx_py.messages import partition_of
from oryx_py.ports import Delivery, EndOfPartition, Headers, OnDelivery, OnFailure, Outgoing, Partition, Record
from oryx_py.ports.membership import Changes
from oryx_py.ports.store import Commit
from oryx_py.testing.fake_group import FakeMembership
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer
from oryx_py.testing.sending import send_each
from tests.simulation.process import Killed, Process

__all__ = ["Ports", "SimConsumer", "SimMembership", "SimProducer"]

_READ_WITHOUT_AN_ANSWER_S = 0.01


class Effects:
    """Passes calls on to what it stands for, each after an effect.

    Args:
        process: whose calls these are.
        target: what answers.
        word: for the trace.
        stored: whether the store must be reachable.
    """

    def __init__(self, process: Process, target: object, word: str, *, stored: bool = False) -> None:
        self._process, self._target, self._word, self._stored = process, target, word, stored

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found) or name in {"uri", "exclusive"}:
            return found

        def call(*arguments: Any, **words: Any) -> Any:
            self._process.effect(f"{self._word} {name}")
            if self._stored and self._process.world.store_is_down:
                raise StoreUnavailable("the simulated store is down")
            return found(*arguments, **words)

        return call


class Commits(Effects):
    """A commit log of which an answer may get lost: the commit is there, and its writer does not know."""

    def append(self, number: int, payload: bytes) -> None:
        """Add a commit."""
        self.__getattr__("append")(number, payload)
        world = self._process.world
        if world.chance(world.plan.give_up):
            world.note(self._process.name, "answer lost", commit=f"{self._word} {number}")
            raise StoreUnavailable("the simulated store has not answered")

    def read(self, after: int = 0) -> list[Commit]:
        """The commits from there on."""
        found: list[Commit] = self.__getattr__("read")(after)
        return found


class SimProducer:
    """Stores records when it is flushed, each after an effect; those of one partition in the order sent.

    Now and then one is given up: stored or not, its delivery has the error, as the port allows.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._queue: list[tuple[Outgoing, OnDelivery | None]] = []

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        """Queue one record."""
        if partition is None:
            count = len(self._process.world.log.topic(topic).partitions)
            partition = partition_of((key or b"").decode(), count)
        self._queue.append((Outgoing(topic, value, key, tuple(headers), partition), on_delivery))

    def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
        """Queue records."""
        return send_each(self, records, on_failure)

    def flush(self, timeout_s: float) -> None:
        """Store what is queued."""
        world, failure = self._process.world, None
        if world.log.down:
            world.clock.sleep(timeout_s)
            self._effect("flush")
            if world.log.down:
                raise BrokerUnavailable("the simulated broker is down")
        while self._queue:
            record, on_delivery = self._next()
            self._effect(f"produce {record.topic}[{record.partition}]")
            self._queue.remove((record, on_delivery))
            error: OryxError | None = None
            place = (-1, -1)
            given_up = world.chance(world.plan.give_up)
            if not given_up or world.chance(0.5):
                place = world.append(record, self._process)
            if given_up:
                world.note(self._process.name, "record given up", key=record.key, stored=place != (-1, -1))
                place, error = (record.partition or 0, -1), BrokerUnavailable("given up by the simulation")
                failure = failure or error
            if on_delivery is not None:
                on_delivery(Delivery(*place, error))
        if failure is not None:
            raise failure

    def close(self, timeout_s: float = 5.0) -> None:
        """Give up what is queued."""
        self._queue.clear()

    def _next(self) -> tuple[Outgoing, OnDelivery | None]:
        """Return the first record of a partition that chance chooses: each partition has a leader of its own."""
        heads: dict[tuple[str, int | None], tuple[Outgoing, OnDelivery | None]] = {}
        for entry in self._queue:
            heads.setdefault((entry[0].topic, entry[0].partition), entry)
        return self._process.world.rng.choice(list(heads.values()))

    def _effect(self, what: str) -> None:
        try:
            self._process.effect(what)
        except Killed:
            # What was under way to the broker may still have reached it: of each partition, what came first.
            while self._queue and not self._process.world.log.down and self._process.world.chance(0.5):
                record, on_delivery = self._next()
                self._queue.remove((record, on_delivery))
                self._process.world.append(record, self._process)
            self._queue.clear()
            raise


class SimConsumer(FakeConsumer):
    """Reads the log; sees little or nothing of it now and then, and partitions in any order."""

    def __init__(self, process: Process, group_id: str | None = None) -> None:
        super().__init__(process.world.log, group_id)
        self._process = process

    def poll(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        """Return what is there; time passes where that is nothing."""
        world = self._process.world
        self._process.effect("poll")
        if world.log.down:
            world.clock.sleep(timeout_s)
            return []
        if not world.calm:
            order = list(self._positions.items())
            world.rng.shuffle(order)
            self._positions = dict(order)
            if world.chance(world.plan.short_poll):
                if world.chance(0.2):
                    world.clock.sleep(timeout_s)
                    return []
                max_records = min(max_records, world.rng.randint(1, 4))
        events = self._read(max_records)  # there is nobody to wait for
        if not events:
            if self._error is not None:
                raise self._error
            world.clock.sleep(min(timeout_s, _READ_WITHOUT_AN_ANSWER_S))
        return events

    def _read_partition(self, where: Partition, max_records: int, events: list[Record | EndOfPartition]) -> None:
        log = self._log.partition(*where)
        if not log.open and self._positions[where] == log.end == self._ends_told.get(where):
            return  # as most polls find it
        super()._read_partition(where, max_records, events)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions."""
        self._process.effect("commit")
        if self._process.world.group.members:
            raise ConfigError("others are members of this group")
        super().commit(positions)
        self._process.world.checks.commits(self._process, positions)


class SimMembership(FakeMembership):
    """A member whose calls are effects."""

    def __init__(self, process: Process, name: str) -> None:
        super().__init__(process.world.group, name)
        self._process = process

    def poll(self) -> Changes:
        """Return at once with what has changed."""
        self._process.effect("group poll")
        return super().poll()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions."""
        self._process.effect("commit")
        super().commit(positions)
        self._process.world.checks.commits(self._process, positions)


class Ports:
    """Everything that a process reaches the world by."""

    def __init__(self, process: Process) -> None:
        world = process.world
        self._process = process
        self.clock = world.clock
        self.admin: Any = Effects(process, FakeAdmin(world.log), "admin")
        self.producer = SimProducer(process)
        self.store: Any = Effects(process, world.store, "store", stored=True)
        self.checkpoints: Any = Effects(process, world.checkpoints, "checkpoints", stored=True)
        self.registry = RegistryLog(Commits(process, world.registry_log, "registry", stored=True))
        self.files: Any = Effects(process, world.files, "history", stored=True)
        self.history = HistoryLog(Commits(process, world.history_log, "history", stored=True))
        self.past = HistoryRecords(self.history, world.INPUT, lambda path: open_reading(self.files, path))

    def new_consumer(self, group: str | None = None) -> SimConsumer:
        """Make a consumer whose positions are kept under this name, or nowhere."""
        return SimConsumer(self._process, group)
