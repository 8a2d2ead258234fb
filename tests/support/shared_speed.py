"""Several speed processes in the test's own thread, on a log in memory, which share the input by a group."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import OryxError
from oryx_py.events import Interaction
from oryx_py.model.checkpoints.checkpoint_files import CheckpointManifest, decode_checkpoint
from oryx_py.ports import Consumer
from oryx_py.testing.fake_group import FakeGroup, FakeMembership
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from speed_layer.checkpoints.writer import NoCheckpoints, Writer
from speed_layer.group_member import GroupMember, MemberConsumer
from speed_layer.layer import SpeedLayer
from speed_layer.sharing.claiming import Ownership, Part, claim
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld

__all__ = ["BASE", "ITEMS", "PARTITIONS", "SharedWorld", "owned", "shared", "some"]


PARTITIONS = 4
ITEMS = ["p", "q", "r", "s"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}, "c": {"q": 1.0, "s": 3.0}, "d": {"p": 2.0}, "e": {"s": 1.0}}


class SharedWorld(SpeedWorld):
    """On a log in memory; processes with names share it, and say which records they read."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.log = FakeLog()
        super().__init__(
            folder,
            "shared",
            admin=FakeAdmin(self.log),
            producer=FakeProducer(self.log),
            new_consumer=lambda group: FakeConsumer(self.log, group),
            partitions=PARTITIONS,
            **how,
        )
        self.group = FakeGroup(self.log, self.settings.speed.group_id, PARTITIONS, lambda: 0.0)
        self.processes: dict[str, GroupMember] = {}
        self.folder = Path(self.settings.store_uri) / "checkpoints"

    def close(self) -> None:
        for process in self.processes.values():
            process.close()
        super().close()
        self.producer.close()

    def join(self, name: str) -> None:
        """Start a process under a name."""
        membership = FakeMembership(self.group, name)

        def outsider() -> Consumer:
            return self.new_consumer(self.settings.speed.group_id)

        def claimed(partitions: frozenset[int]) -> Ownership:
            topics = self.settings.items.topic, self.settings.update.topic
            return claim(outsider, self.admin, *topics, partitions, membership)

        def load(partitions: frozenset[int], ownership: Ownership) -> "Future[SpeedLayer]":
            found: Future[SpeedLayer] = Future()
            found.set_result(
                self.assembled(Part(partitions, ownership, lambda: MemberConsumer(outsider(), membership)))
            )
            return found

        self.processes[name] = GroupMember(membership, claimed, load, SystemClock())

    def assembled(self, part: Part) -> SpeedLayer:
        def writer(begun: Any, ownership: Ownership) -> Writer:
            made = self.writer(begun, ownership)
            made._items_end = lambda: self.admin.end_offsets(self.settings.items.topic)
            return made

        return self.put_together(
            stopping=lambda: False,
            checkpoints=self.checkpoints,
            writer=writer,
            part=part,
        )

    def kill(self, name: str) -> None:
        """End a process without a word; the group notices at once."""
        del self.processes[name]
        self.group.leave(name)

    def rounds(self, until: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Let each process do a step, again and again; what its threads load and write takes as long as it takes."""
        deadline = time.monotonic() + timeout_s
        while True:
            for process in self.processes.values():
                process.step(0.0)
            if until():
                return
            assert time.monotonic() < deadline, [process.waiting_for() for process in self.processes.values()]

    def layers(self) -> list[SpeedLayer]:
        return [layer for process in self.processes.values() for layer in process.layers]

    def rest(self, epoch: int) -> None:
        """Until every partition has an owner that has announced all, and nothing is stale."""
        end = self.admin.end_offsets(self.settings.input.topic)

        def rests() -> bool:
            told = {p: o for layer in self.layers() for run in layer.runs for p, o in run.announced.items()}
            return (
                all(told.get(p, -1) >= offset for p, offset in end.items())
                and not any(process.waiting_for() for process in self.processes.values())
                and not any(run.fold.stale or run.fold.pending for layer in self.layers() for run in layer.runs)
                and all(self._heard(layer) for layer in self.layers())
            )

        self.rounds(rests)
        self.producer.flush(30)

    def _heard(self, layer: SpeedLayer) -> bool:
        hearing = [run._listener for run in layer.runs if run._listener is not None]
        items = self.admin.end_offsets(self.settings.items.topic)
        return all(each.reached[p] >= items[p] for each in hearing for p in each.reached)

    def taken(self) -> None:
        """Until everything that came is in checkpoints."""
        end = self.admin.end_offsets(self.settings.input.topic)

        def covered() -> bool:
            found: dict[int, int] = {}
            for manifest in self.manifests():
                found |= manifest.covered.input
            return all(found.get(p, 0) >= offset for p, offset in end.items())

        self.rounds(covered)

    def manifests(self) -> list[CheckpointManifest]:
        """Of those that no process deletes meanwhile, the oldest first."""
        found = []
        for name in self.checkpoints.generations():
            with suppress(OryxError):
                found.append(decode_checkpoint(self.checkpoints.raw_manifest(name), name))
        return found

    def no_more_checkpoints(self) -> None:
        """Wait for those that are under way, and write none from now on."""
        for layer in self.layers():
            layer._checkpoints.close()
            layer._checkpoints = NoCheckpoints()


def some(seed: int, count: int = 60) -> list[Interaction]:
    """Interactions of old and new users with old and new items, deletes among them; then a user and an item go."""
    rng = np.random.default_rng(seed)
    users, items = [*BASE, *"mnopqrstu"], [*ITEMS, *"vwxyz"]
    told = [
        Interaction(
            user=str(rng.choice(users)),
            item=str(rng.choice(items)),
            strength=None if rng.random() < 0.2 else float(rng.integers(1, 4)),
        )
        for _ in range(count)
    ]
    return [*told, Interaction("m", "", None), Interaction("", str(rng.choice(["q", "x"])), None)]


def shared(world: SharedWorld, epoch: int, *names: str) -> None:
    """Start processes; until each has its part."""
    for name in names:
        world.join(name)
    world.rounds(lambda: all(process.layers for process in world.processes.values()) and owned(world) == PARTITIONS)
    world.rest(epoch)


def owned(world: SharedWorld) -> int:
    """How many partitions have an owner."""
    return sum(len(layer.partitions) for layer in world.layers())
