"""Several speed processes on a real broker: whoever comes, goes or dies, the vectors are those of one alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.errors import OryxError
from oryx_py.events import Interaction
from oryx_py.model.checkpoints.checkpoint_files import decode_checkpoint
from oryx_py.model.state.model_state import ModelState
from tests.support.answers import assert_state
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld
from tests.support.system import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PARTITIONS = 6
ITEMS = ["p", "q", "r", "s"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}, "c": {"q": 1.0, "s": 3.0}, "d": {"p": 2.0}, "e": {"s": 1.0}}
SESSION_S = 6
"""The least that brokers allow."""


class Processes:
    """Speed layers of a world, each a process of its own."""

    def __init__(self, world: SpeedWorld, servers: str, folder: Path) -> None:
        self._folder = folder
        settings = world.settings
        self._environment = {
            **os.environ,
            "ORYX__KAFKA__BOOTSTRAP_SERVERS": servers,
            "ORYX__LOCAL__DIR": settings.local.dir,
            "ORYX__INPUT__TOPIC": settings.input.topic,
            "ORYX__UPDATE__TOPIC": settings.update.topic,
            "ORYX__ITEMS__TOPIC": settings.items.topic,
            "ORYX__SPEED__GROUP_ID": settings.speed.group_id,
            "ORYX__SPEED__EPOCH_OVERLAP_S": "0",
            "ORYX__SPEED__CHECKPOINT_INTERVAL_S": "0.5",
            "PYTHONUNBUFFERED": "1",
        }
        self.session_s = SESSION_S
        """Of those that are started from now on."""
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one under a name; the empty one is of who is alone."""
        with (self._folder / f"speed-{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "oryx_py.cli", "speed"],
                env={
                    **self._environment,
                    "ORYX__SPEED__SESSION_S": str(self.session_s),
                    "ORYX__SPEED__INSTANCE": name,
                },
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, name: str, how: signal.Signals) -> None:
        """End one, and wait for its end."""
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(60)

    def replayed(self, name: str) -> list[int]:
        """How many records one has read for each part that it took over, as it says in its log."""
        return [said["records"] for said in self._said(name) if said.get("event") == "input_replayed"]

    def owned(self, name: str) -> set[int]:
        """The input partitions that one has since it was started last, as it says in its log."""
        partitions = set[int]()
        for said in self._said(name):
            match said.get("event"):
                case "speed_started":
                    partitions = set()
                case "partitions_gained":
                    partitions |= {*said["partitions"]}
                case "partitions_lost":
                    partitions -= {*said["partitions"]}
        return partitions

    def _said(self, name: str) -> Iterator[dict[str, Any]]:
        for line in (self._folder / f"speed-{name}.log").read_text(errors="replace").splitlines():
            with suppress(ValueError):
                yield json.loads(line)

    def close(self) -> None:
        for name in list(self.running):
            self.end(name, signal.SIGKILL)
        for log in sorted(self._folder.glob("speed-*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")


@pytest.fixture
def world(kafka_broker: Any, tmp_path: Path) -> Iterator[SpeedWorld]:
    servers = kafka_broker.bootstrap_servers
    producer = KafkaProducer(servers, {})
    made = SpeedWorld(
        tmp_path,
        f"shared-{os.getpid()}-{time.time_ns()}",
        admin=KafkaAdmin(servers, {}),
        producer=producer,
        new_consumer=lambda group: KafkaConsumer(servers, {}, group),
        partitions=PARTITIONS,
    )
    yield made
    made.close()
    producer.close()


@pytest.fixture
def processes(world: SpeedWorld, kafka_broker: Any, tmp_path: Path) -> Iterator[Processes]:
    made = Processes(world, kafka_broker.bootstrap_servers, tmp_path)
    yield made
    made.close()


def some(seed: int, count: int = 60) -> list[Interaction]:
    """Interactions of old and new users with old and new items, deletes among them."""
    rng = np.random.default_rng(seed)
    users, items = [*BASE, *"mnopqrstu"], [*ITEMS, *"vwxyz"]
    return [
        Interaction(
            user=str(rng.choice(users)),
            item=str(rng.choice(items)),
            strength=None if rng.random() < 0.2 else float(rng.integers(1, 4)),
        )
        for _ in range(count)
    ]


def announced(world: SpeedWorld, epoch: int) -> bool:
    ends = world.admin.end_offsets(world.settings.input.topic)
    told = world.reader("g1", epoch).progress()
    return all(told.get(partition, 0) >= end for partition, end in ends.items())


def settled(world: SpeedWorld, epoch: int) -> ModelState:
    """Wait until all is announced and nothing is sent any more; return a reader's state."""
    eventually(lambda: announced(world, epoch), 120)
    state: list[ModelState] = []

    def rests() -> bool:
        state[:] = [world.reader("g1", epoch)]
        try:
            assert_state(world, "g1", BASE, state[0])
        except AssertionError:
            return False
        return True

    try:
        eventually(rests, 30)
    except AssertionError:
        assert_state(world, "g1", BASE, state[0])
        raise
    return state[0]


def assert_alike(one: ModelState, other: ModelState) -> None:
    for space, vector in (("users", "user_vector"), ("items", "item_vector")):
        names = {getattr(state, space).id(row) for state in (one, other) for row in range(len(getattr(state, space)))}
        for name in sorted(names):
            vectors = [getattr(state, vector)(getattr(state, space).find(name)) for state in (one, other)]
            assert (vectors[0] is None) == (vectors[1] is None), name
            if vectors[0] is not None:
                error = np.linalg.norm(vectors[0] - vectors[1]) / np.linalg.norm(vectors[0])
                assert error <= 1e-5, f"{name}: {error}"


def wait_for_owners(processes: Processes, world: SpeedWorld, names: Sequence[str]) -> None:
    """Wait until something is announced of all input partitions, and each of the processes has some of them.

    By what they say they own: of those that are gained at the same time the terms may be equal.
    """

    def shared() -> bool:
        announced = {p for said in world.progress() if said.input for p in said.partitions}
        owned = [processes.owned(name) for name in names]
        return len(announced) == PARTITIONS == sum(map(len, owned)) == len(set().union(*owned)) and all(owned)

    eventually(shared, 120)


def test_one_two_and_three_end_in_the_same_vectors_whoever_comes_goes_or_dies(
    world: SpeedWorld, processes: Processes
) -> None:
    """One that is alone begins; named ones take over, a second and a third come, one is killed, one leaves."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    processes.start("")
    world.send(*some(1))
    settled(world, epoch)
    processes.end("", signal.SIGTERM)
    world.send(*some(2))

    processes.start("one")
    settled(world, epoch)
    processes.start("two")
    world.send(*some(3))
    wait_for_owners(processes, world, ["one", "two"])
    world.send(*some(4))
    settled(world, epoch)
    processes.start("three")
    for seed in range(5, 9):
        world.send(*some(seed))
    wait_for_owners(processes, world, ["one", "two", "three"])
    world.send(*some(9))
    settled(world, epoch)
    world.send(*some(10))
    processes.end("two", signal.SIGKILL)
    world.send(*some(11))
    settled(world, epoch)
    processes.end("three", signal.SIGTERM)
    for seed in range(12, 15):
        world.send(*some(seed))
    shared = settled(world, epoch)
    processes.end("one", signal.SIGTERM)

    # One alone, from the beginning, in an epoch of its own.
    time.sleep(SESSION_S)
    again = world.begin("g1")
    processes.start("")
    assert_alike(shared, settled(world, again))


def test_a_restart_in_time_moves_nothing(world: SpeedWorld, processes: Processes) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    processes.session_s = 20  # more than a start takes on a busy machine
    processes.start("one")
    processes.start("two")
    wait_for_owners(processes, world, ["one", "two"])
    world.send(*some(2))
    settled(world, epoch)  # so that what was announced last is announced by the owners of now
    before = {p: said.term for said in world.progress() if said.input for p in said.partitions}
    owned_by_two = {}
    processes.end("two", signal.SIGKILL)
    processes.start("two")
    world.send(*some(1))
    settled(world, epoch)

    def claimed_anew() -> bool:
        after = {p: said.term for said in world.progress() if said.input for p in said.partitions}
        owned_by_two.clear()
        owned_by_two.update({p: term for p, term in after.items() if term != before[p]})
        return bool(owned_by_two)

    eventually(claimed_anew, 60)
    time.sleep(processes.session_s + 2)
    claimed_anew()
    kept = {p for p in before if p not in owned_by_two}
    assert kept, "the other's partitions moved, too"
    assert len({before[p] for p in kept}) == len({before[p] for p in owned_by_two}) == 1


def test_who_takes_over_from_one_that_was_killed_reads_the_tail_alone(world: SpeedWorld, processes: Processes) -> None:
    """What its checkpoints have of its partitions is not folded again; the vectors are those of one alone."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    processes.start("one")
    processes.start("two")
    wait_for_owners(processes, world, ["one", "two"])
    for seed in range(1, 9):
        world.send(*some(seed))
    settled(world, epoch)
    end = world.admin.end_offsets(world.settings.input.topic)
    eventually(lambda: covered(world, end), 60)
    world.send(*some(9, 20))
    settled(world, epoch)
    before = processes.replayed("one")
    processes.end("two", signal.SIGKILL)
    world.send(*some(10, 20))
    shared = settled(world, epoch)
    eventually(lambda: len(processes.replayed("one")) > len(before), 30)
    read = sum(processes.replayed("one")[len(before) :])
    tail = sum(world.admin.end_offsets(world.settings.input.topic).values()) - sum(end.values())
    assert read <= tail < sum(end.values()) / 10
    processes.end("one", signal.SIGTERM)

    time.sleep(SESSION_S)
    again = world.begin("g1")
    processes.start("")
    assert_alike(shared, settled(world, again))


def covered(world: SpeedWorld, end: Mapping[int, int]) -> bool:
    """Whether checkpoints have all of the input below these offsets."""
    found: dict[int, int] = {}
    for name in world.checkpoints.generations():
        with suppress(OryxError):  # its writer has deleted it meanwhile
            found |= decode_checkpoint(world.checkpoints.raw_manifest(name), name).covered.input
    return all(found.get(partition, 0) >= offset for partition, offset in end.items())
