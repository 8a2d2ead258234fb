"""A log, a store and a registry in which a test plays the batch and the speed layer."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.messages import ModelRef, Progress, Update, encode
from oryx_py.model.checkpoints.checkpoint_files import Covered, write_checkpoint
from oryx_py.model.epochs.registry import EpochStarted, GenerationState
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Outgoing, TopicAdmin, TopicSpec
from oryx_py.runtime.checkpoints import Checkpoints, name_of
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from oryx_py.testing.memory_log import MemoryCommitLog
from serving_layer.epoch_sources.registry_source import RegistrySource
from serving_layer.following.follow_settings import FollowSettings
from serving_layer.following.model_manager import ModelManager
from serving_layer.metrics import Metrics
from tests.support.serving import INPUT_PARTITIONS, ITEMS, PAIRS, USERS, write_world

UPDATES = "up"
ALL_LIVE = dict.fromkeys(range(INPUT_PARTITIONS), True)


class Publisher:
    """Publishes generations and sends updates.

    Args:
        root: of the store.
        update_partitions: of the update topic.
        admin, append: another log than the fake one, and how to store a record in it.
        prefix: of the topics' names.
    """

    def __init__(
        self,
        root: Path,
        update_partitions: int = 1,
        *,
        admin: TopicAdmin | None = None,
        append: Callable[[Outgoing], object] | None = None,
        prefix: str = "",
    ) -> None:
        self.log = FakeLog()
        self.admin = admin or FakeAdmin(self.log)
        self.updates = prefix + UPDATES
        self.admin.create(TopicSpec(prefix + "in", INPUT_PARTITIONS, 1, {}))
        self.admin.create(TopicSpec(self.updates, update_partitions, 1, {}))
        self.update_partitions = update_partitions
        self._append = append or self.log.append
        self.store = LocalStore(root / "store")
        self.checkpoints = LocalStore(root / "checkpoints")
        self.registry = RegistryLog(MemoryCommitLog())
        self.metrics = Metrics(CollectorRegistry())

    def publish(
        self,
        name: str,
        *,
        items: Mapping[str, Sequence[float]] = ITEMS,
        users: Mapping[str, Sequence[float]] = USERS,
        covers: Mapping[int, int] | None = None,
        announce: bool = True,
    ) -> int:
        """Write a generation, start an epoch of it, and say so on the update topic; returns the epoch."""
        if name not in self.store.generations():
            self.write(name, items=items, users=users, covers=covers)
        return self.start_epoch(name, announce=announce)

    def write(
        self,
        name: str,
        *,
        items: Mapping[str, Sequence[float]] = ITEMS,
        users: Mapping[str, Sequence[float]] = USERS,
        covers: Mapping[int, int] | None = None,
    ) -> None:
        """Put a generation into the store."""
        write_world(self.store.stage(name), name, PAIRS, users, items, covers or {0: 10, 1: 20})
        self.store.commit(name)

    def start_epoch(self, name: str, *, announce: bool = True) -> int:
        """Start an epoch of a generation, be it in the store or not."""
        seen = self.registry.read()
        epoch, start = seen.next_epoch, self.admin.end_offsets(self.updates)
        self.registry.append(seen, [GenerationState(name, "published"), EpochStarted(epoch, name, start, 0)])
        if announce:
            self.send(ModelRef(self.store.uri(name), epoch, name, start))
        return epoch

    def send(self, update: Update, *partitions: int) -> None:
        """Put an update into these partitions of the update topic; into all if none is given."""
        message = encode(update)
        self.send_raw(message.key, message.value, message.headers, *partitions)

    def send_raw(self, key: bytes | None, value: bytes | None, headers: tuple, *partitions: int) -> None:
        """Put any record there."""
        for partition in partitions or range(self.update_partitions):
            self._append(Outgoing(self.updates, value, key, headers, partition))

    def go_live(self, epoch: int, *offsets: int) -> None:
        """Announce an epoch live in all input partitions, at these offsets."""
        self.send(Progress(dict(enumerate(offsets or (10, 20))), ALL_LIVE, epoch))

    def checkpoint(self, epoch: int, name: str, updates: Sequence[Update], covers: Mapping[int, int]) -> None:
        """Write what the speed layer knows after these updates, as it had sent them up to the update topic's end."""
        entry = self.registry.read().epochs[epoch - 1]
        state = ModelState(Generation.open(self.store.local(entry.generation)), epoch)
        for update in updates:
            state.apply(update)
        name = name_of(epoch, name)
        write_checkpoint(
            self.checkpoints.stage(name),
            name=name,
            epoch=epoch,
            generation=state.generation,
            created_ms=1,
            covered=Covered(dict(covers), sorted(ALL_LIVE), self.admin.end_offsets(self.updates)),
            changes=state.dump(),
            ids={},
        )
        self.checkpoints.commit(name)

    def manager(self, **settings: object) -> ModelManager:
        """Make a manager that looks often; to be started and closed by the test, on its loop."""
        follow = FollowSettings(
            UPDATES, self.update_partitions, INPUT_PARTITIONS, **{"look_s": 0.02, "retry_s": 0.05, **settings}
        )
        source = RegistrySource(
            registry=self.registry,
            store=self.store,
            admin=self.admin,
            new_consumer=lambda: FakeConsumer(self.log),
            clock=SystemClock(),
            topic=UPDATES,
            update_partitions=self.update_partitions,
            partitions=range(INPUT_PARTITIONS),
            require_live=follow.require_live,
            checkpoints=Checkpoints(self.checkpoints, self.store, range(INPUT_PARTITIONS)),
        )
        return ModelManager(
            source=source,
            admin=self.admin,
            new_consumer=lambda: FakeConsumer(self.log),
            settings=follow,
            clock=SystemClock(),
            metrics=self.metrics,
        )
