"""The world: broker, store, clock, and who takes the next step. Everything in it is a function of the seed."""

import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.config import Settings, load
from oryx_py.errors import Transient
from oryx_py.messages import partition_of
from oryx_py.model.epochs.registry import Registry
from oryx_py.ports import Outgoing, Record, TopicSpec
from oryx_py.testing.fake_broker import FakeLog
from oryx_py.testing.fake_group import FakeGroup
from oryx_py.testing.memory_log import MemoryCommitLog
from tests.simulation.batch import BatchProcess, first_recipe
from tests.simulation.checkpointing import damage_one
from tests.simulation.checks import Checks
from tests.simulation.clients import Clients
from tests.simulation.clock import SimClock
from tests.simulation.engine import Made
from tests.simulation.plan import Plan, draw
from tests.simulation.process import Failure, Killed, Process
from tests.simulation.serving import ServingProcess
from tests.simulation.speed import SpeedProcess
from tests.simulation.stale import stale_message
from tests.simulation.told import Told
from tests.simulation.trace import Trace

__all__ = ["World", "folder_of_a_run"]

_MOST_EFFECTS = 200_000
_ROUNDS = 400
_QUIET_ROUNDS = 30
_ROUND_S = 0.2
_SENDING = 3
_DEPTH = 2
"""How many processes may be paused at once, the one in the midst of the other's pause."""


class Slot:
    """A place that always has a process, but for the time after one was killed."""

    def __init__(self, name: str, make: Callable[[str], Process]) -> None:
        self.name, self._make = name, make
        self._count = 0
        self.current: Process | None = None
        self.not_before = 0.0
        self.is_out = False
        """Whether nobody is to be there for the time being."""

    def fill(self) -> Process:
        """Start a new process."""
        self._count += 1
        self.current = self._make(f"{self.name}.{self._count}")
        return self.current


class World:
    """One run."""

    INPUT, UPDATE, DEAD, ITEMS = "in", "up", "in.dead-letter", "items"
    OVERLAP_S = 1.0

    def __init__(self, seed: int, folder: Path, trace: Trace) -> None:
        self.seed = seed
        self.plan: Plan = draw(seed)
        self.rng = random.Random(seed)
        self.clock = SimClock()
        self.folder = folder
        self.trace = trace
        self.log = FakeLog(self.clock)
        self.settings = _settings(folder)
        for topic, partitions in (
            (self.INPUT, self.plan.partitions),
            (self.UPDATE, self.plan.update_partitions),
            (self.DEAD, 1),
            (self.ITEMS, self.plan.partitions),
        ):
            self.log.create(TopicSpec(topic, partitions, 1, {}))
        self.registry_log, self.history_log = MemoryCommitLog(), MemoryCommitLog()
        self._registry = RegistryLog(self.registry_log)
        self.store, self.checkpoints = LocalStore(folder / "store"), LocalStore(folder / "checkpoints")
        self.files = LocalFiles(folder / "history")
        self.rows: dict[str, list[dict[str, Any]]] = {}
        """The history's rows by file, so that they need not be read again and again."""
        self.archive: dict[str, list[Record]] = {}
        """All that was ever stored, by topic: trimming takes nothing from here."""
        self.told: list[Told] = []
        self.made: dict[str, Made] = {}
        self.home = {f"u{n}": partition_of(f"u{n}", self.plan.partitions) for n in range(self.plan.users)}
        self.recipe = first_recipe(self)
        self.calm = False
        self.store_is_down = False
        self._up_at = 0.0
        self._effects = 0
        self._steps = 0
        self.runs = 0
        """Of the batch layer so far."""
        self._depth = 0
        self.checks = Checks(self)
        self._clients = Clients(self)
        self.group = FakeGroup(
            self.log,
            self.settings.speed.group_id,
            self.plan.partitions,
            self.clock.monotonic,
            self.plan.session_s,
        )
        self._speeds = [Slot(f"speed{n}", lambda name: SpeedProcess(self, name)) for n in range(self.plan.speeds)]
        self._batch = Slot("batch", lambda name: BatchProcess(self, name))
        self._serving = [
            Slot(f"serving{n}", lambda name: ServingProcess(self, name)) for n in range(self.plan.replicas)
        ]
        self._slots = [*self._speeds, self._batch, *self._serving]
        self._woken: list[Process] = []

    def run(self) -> None:
        """Let everything happen, let it come to rest, and check.

        Raises:
            Failure: something does not hold.
        """
        while self._steps < self.plan.steps:
            self._one()
        self._come_to_rest()
        self.checks.at_rest()
        if self.plan.starts_again:
            self._start_again()
            self.checks.at_rest()

    def end(self) -> None:
        """Let go of every process."""
        for process in [slot.current for slot in self._slots if slot.current is not None] + self._woken:
            process.buried()

    def chance(self, probability: float) -> bool:
        """Throw the dice; never in calm."""
        return not self.calm and probability > 0 and self.rng.random() < probability

    def note(self, who: str, what: str, **words: object) -> None:
        """Put a line into the trace."""
        self.trace.note(self.clock.monotonic(), who, what, words)

    def replicas(self) -> list[ServingProcess]:
        """The serving processes that run."""
        return [slot.current for slot in self._serving if isinstance(slot.current, ServingProcess)]

    def registry(self) -> Registry:
        """The registry as it is."""
        return self._registry.read()

    def generations(self) -> list[str]:
        """The complete generations of the store."""
        return self.store.generations()

    def rubbish(self) -> tuple[list[str], list[str]]:
        """What the store and the history have that nobody has committed."""
        named = {file.path.split("/")[1] for file in HistoryLog(self.history_log).read().files}
        return self.store.incomplete(), sorted(set(self.files.names("data")) - named)

    def missing(self) -> list[str]:
        """The files that the history names and does not have."""
        named = [file.path for file in HistoryLog(self.history_log).read().files]
        return [path for path in named if not (self.folder / "history" / path).is_file()]

    def append(self, record: Outgoing, process: Process) -> tuple[int, int]:
        """Store a record of a process, if it may send it."""
        self.checks.sends(process, record)
        place = self.log.append(record)
        stored = self.log.partition(record.topic, place[0]).records[-1]
        self.archive.setdefault(record.topic, []).append(stored)
        if self.trace.is_kept:
            self.note(
                process.name,
                f"stored {record.topic}[{place[0]}]@{place[1]}",
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
        return place

    def tell(self, told: Told, record: Outgoing) -> Told:
        """Store a record of the clients."""
        partition, offset = self.append(record, self._clients)
        stored = replace(told, partition=partition, offset=offset, kafka_ms=self.clock.now_ms())
        self.told.append(stored)
        return stored

    def effect(self, process: Process, what: str) -> None:
        """What happens before each effect: nothing, a death, or others for a while.

        Raises:
            Killed: the process ends here.
        """
        self._effects += 1
        if self._effects > _MOST_EFFECTS:
            raise Failure(f"{process.name} never comes to an end: {what}")
        self.clock.sleep(0.001)
        self._end_outages()
        if process.effects_left is not None:
            process.effects_left -= 1
            process.alive = process.alive and process.effects_left > 0
        if process.alive and not self.calm and process is not self._clients:
            dice = self.rng.random()
            # What matters most is what was sent of something and what was not.
            kill = self.plan.kill * (_SENDING if what.startswith("produce") else 1)
            if dice < kill:
                process.alive = False
            elif dice < kill + self.plan.pause and self._depth < _DEPTH:
                self._pause(process, what)
        if not process.alive:
            self.note(process.name, "killed before", effect=what)
            raise Killed

    def _pause(self, process: Process, what: str) -> None:
        self.note(process.name, "paused before", effect=what)
        slot = next((slot for slot in (*self._speeds, self._batch) if slot.current is process), None)
        if slot is not None and self.chance(self.plan.asleep if slot is self._batch else self.plan.zombie):
            process.effects_left = self.rng.randint(1, 60)
            self._woken.append(process)
            slot.current = None
        self._depth += 1
        for _ in range(self.rng.choice([1, 1, 2, 3, 5, 15])):
            self._one()
        self._depth -= 1
        self.note(process.name, "goes on", effect=what)

    def _one(self) -> None:
        """One step of somebody."""
        rng, clock = self.rng, self.clock
        self._steps += 1
        clock.sleep(rng.expovariate(30.0))
        if rng.random() < 0.02:
            clock.sleep(rng.uniform(0.5, 4.0))
        self._begin_outages()
        if self.chance(self.plan.stale) and not self.log.down and (message := stale_message(self)) is not None:
            self.append(message, self._clients)
        if self.chance(self.plan.damage):
            damage_one(self, self.folder / "checkpoints")
        if self.chance(self.plan.kill):
            self._kill_somebody()
        if self.chance(self.plan.leave):
            self._come_or_leave()
        ready = [(weight, process, word, act) for process in self._ready() for weight, word, act in process.actions()]
        _, process, word, act = rng.choices(ready, [weight for weight, *_ in ready])[0]
        self._do(process, word, act)

    def _ready(self) -> list[Process]:
        for slot in self._slots:
            if slot.current is None and not slot.is_out and self.clock.monotonic() >= slot.not_before:
                self.note(slot.name, "started")
                slot.fill()
        found = [self._clients, *(slot.current for slot in self._slots if slot.current is not None), *self._woken]
        return [process for process in found if not process.busy]

    def _do(self, process: Process, word: str, act: Callable[[], None]) -> None:
        process.busy = True
        try:
            if not process.alive:
                raise Killed
            act()
        except Killed:
            self._bury(process)
        except (Failure, KeyboardInterrupt):
            raise
        except Exception as error:
            raise Failure(f"{process.name} {word}: {error!r}") from error
        finally:
            process.busy = False

    def _kill_somebody(self) -> None:
        victims = [slot.current for slot in self._slots if slot.current is not None]
        if not victims:
            return
        victim = self.rng.choice(victims)
        self.note(victim.name, "is killed")
        if isinstance(victim, SpeedProcess) and not victim.busy and self.rng.random() < 0.3:
            self._do(victim, "stop", victim.stop)
        victim.alive = False
        if not victim.busy:
            self._bury(victim)

    def _come_or_leave(self) -> None:
        """Another speed process is put into service, or one is taken out of it; one always stays."""
        slot = self.rng.choice(self._speeds)
        if slot.is_out:
            slot.is_out = False
        elif sum(not slot.is_out for slot in self._speeds) > 1:
            slot.is_out = True
            self.note(slot.name, "leaves")
            process = slot.current
            if process is None:
                return
            if not process.busy and self.rng.random() < 0.5:
                assert isinstance(process, SpeedProcess)
                self._do(process, "stop", process.stop)
            process.alive = False
            if not process.busy:
                self._bury(process)

    def _bury(self, process: Process) -> None:
        process.alive = False
        process.buried()
        if process in self._woken:
            self._woken.remove(process)
        for slot in self._slots:
            if slot.current is process:
                slot.current = None
                slot.not_before = self.clock.monotonic() + self.rng.choice([0.0, 0.2, 3.0])

    def _begin_outages(self) -> None:
        if self.chance(self.plan.outage) and not (self.log.down or self.store_is_down):
            broker = self.rng.random() < 0.6
            self._up_at = self.clock.monotonic() + self.rng.choice([0.3, 2.0, 2.0, 40.0])
            self.note("broker" if broker else "store", "is down", until=self._up_at)
            self.log.down, self.store_is_down = broker, not broker

    def _end_outages(self) -> None:
        if self.clock.monotonic() >= self._up_at:
            self.log.down = self.store_is_down = False

    def _come_to_rest(self) -> None:
        self.calm, self._up_at = True, 0.0
        self._end_outages()
        for process in list(self._woken):
            self._bury(process)
        self.note("world", "calm")
        self._ready_all()
        batch = self._batch.current
        assert isinstance(batch, BatchProcess)
        if not self.plan.rest_on_log:
            for _ in range(3):
                with suppress(Transient):
                    batch.run()
                    break
        batch.recover()
        self._wait_for_rest(_QUIET_ROUNDS)

    def _start_again(self) -> None:
        """Everything that was only in memory is gone, and has to come from checkpoints and topics as it was."""
        self.note("world", "starts again")
        for slot in (*self._speeds, *self._serving):
            if slot.current is not None:
                self._bury(slot.current)
        self._ready_all()
        self._wait_for_rest(5)

    def _wait_for_rest(self, rounds: int) -> None:
        """Wait until nothing has moved for so many rounds."""
        quiet = 0
        for _ in range(_ROUNDS):
            self._round()
            quiet = quiet + 1 if self._is_at_rest() else 0
            if quiet == rounds:
                return
        waits = [replica.manager.readiness().reason for replica in self.replicas()]
        speeds = [process.running and process.running.waiting_for() for process in self._processes()]
        raise Failure(f"does not come to rest: speed {speeds}, serving {waits}")

    def _processes(self) -> list[SpeedProcess]:
        """The speed processes that run."""
        return [slot.current for slot in self._speeds if isinstance(slot.current, SpeedProcess)]

    def _ready_all(self) -> None:
        for slot in self._slots:
            if slot.current is None and not slot.is_out:
                slot.fill()

    def _round(self) -> None:
        self.clock.sleep(_ROUND_S)
        self._ready_all()  # who has ended by itself is started again
        for slot in self._slots:
            process = slot.current
            if process is None or process is self._batch.current:
                continue
            for _, word, act in process.actions():
                self._do(process, word, act)

    def _is_at_rest(self) -> bool:
        newest = self.registry().newest_epoch
        owned = frozenset[int]().union(*(process.partitions for process in self._processes()))
        if any(process.is_at_work for process in self._processes()) or len(owned) < self.plan.partitions:
            return False
        if newest is None:
            return True
        ends = {p: log.end - 1 for p, log in enumerate(self.log.topic(self.INPUT).partitions) if log.end}
        served = [replica.served() for replica in self.replicas()]
        return all(
            model is not None and model.epoch == newest.epoch and model.state.covers(None, ends) for model in served
        )


_LOADED: list[Settings] = []


def _settings(folder: Path) -> Settings:
    if not _LOADED:
        _LOADED.append(
            load(
                None,
                {
                    "ORYX__INPUT__TOPIC": World.INPUT,
                    "ORYX__UPDATE__TOPIC": World.UPDATE,
                    "ORYX__ITEMS__TOPIC": World.ITEMS,
                    "ORYX__SPEED__GROUP_ID": "speed",
                    "ORYX__SPEED__EPOCH_OVERLAP_S": str(World.OVERLAP_S),
                },
            ).settings
        )
    return _LOADED[0]


@contextmanager
def folder_of_a_run() -> Any:
    """A folder in memory, where there is such a place, for one run."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="oryx-simulation-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
