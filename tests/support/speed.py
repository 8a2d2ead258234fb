"""A speed layer in the test's own thread, with topics, store and registry of its own."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.places import open_checkpoints, open_registry, open_store
from oryx_py.config import load
from oryx_py.errors import BadMessage
from oryx_py.events import FoldSettings, Interaction, encode_csv
from oryx_py.messages import Progress, decode
from oryx_py.model.epochs.registry import EpochStarted, GenerationState
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation, new_generation_name, write_generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Clock, Consumer, EndOfPartition, Producer, Record, TopicAdmin, TopicSpec
from oryx_py.runtime.log_or_history import Past
from oryx_py.runtime.restored import Together
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from speed_layer.assembly import assemble
from speed_layer.checkpoints.checkpointing import Checkpointing
from speed_layer.checkpoints.forking import unforked
from speed_layer.layer import SpeedLayer
from speed_layer.sharing.claiming import Ownership
from speed_layer.telemetry.metrics import Metrics
from tests.support.generations import Pairs, generation_of

__all__ = ["K", "SpeedWorld", "fake_world"]

K = 4
OBJECTIVE = Objective.mllib_implicit(lambda_=0.1, alpha=1.0)


class SpeedWorld:
    """Publishes generations and interactions, runs a speed layer step by step, and reads what it sends.

    Args:
        folder: for the store.
        name: unlike any other world's on the broker.
        admin, producer, new_consumer: of a broker, real or not.
        partitions: of the input topic.
        update_partitions: of the update topic.
        settings: others than the default, as the environment has them.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        admin: TopicAdmin,
        producer: Producer,
        new_consumer: Callable[[str | None], Consumer],
        partitions: int = 2,
        update_partitions: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.partitions, self.update_partitions = partitions, update_partitions
        self.admin, self.producer, self.new_consumer = admin, producer, new_consumer
        self.settings = load(
            None,
            {
                "ORYX__LOCAL__DIR": str(folder),
                "ORYX__INPUT__TOPIC": f"{name}-input",
                "ORYX__UPDATE__TOPIC": f"{name}-update",
                "ORYX__ITEMS__TOPIC": f"{name}-items",
                "ORYX__SPEED__GROUP_ID": f"{name}-speed",
                "ORYX__SPEED__EPOCH_OVERLAP_S": "0",
                **(settings or {}),
            },
        ).settings
        for topic, count in (
            (self.settings.input.topic, partitions),
            (self.settings.update.topic, update_partitions),
            (self.settings.dead_letter_topic, 1),
            (self.settings.items.topic, partitions),
        ):
            admin.create(TopicSpec(topic, count, 1, {}))
        self.store = open_store(self.settings.store_uri)
        self.registry = open_registry(self.settings.store_uri)
        self.checkpoints = open_checkpoints(self.settings.store_uri)
        self.spawn = unforked
        self.clock: Clock = SystemClock()
        self.counted = CollectorRegistry()
        self.metrics = Metrics(self.counted)
        self._seeds = itertools.count()
        self.stopped = False
        self.past: Past | None = None
        self._loader = ThreadPoolExecutor(1)
        self._writers: list[ThreadPoolExecutor] = []

    def close(self) -> None:
        """End all threads, those of layers that were killed, too: nothing is written once the test is over."""
        for pool in (self._loader, *self._writers):
            pool.shutdown()

    def send(self, *interactions: Interaction, key: str | None = None) -> None:
        """Put interactions on the input topic, each in its user's partition, as lines of a body with this key."""
        for line, interaction in enumerate(interactions):
            self.producer.send(
                self.settings.input.topic,
                encode_csv(interaction),
                key=interaction.user.encode(),
                headers=() if key is None else (("id", f"{key}:{line}".encode()),),
            )
        self.producer.flush(30)

    def send_raw(self, value: bytes, partition: int = 0) -> None:
        self.producer.send(self.settings.input.topic, value, partition=partition)
        self.producer.flush(30)

    def publish(
        self,
        name: str,
        pairs: Pairs,
        items: Sequence[str],
        covers: Mapping[int, int],
        seed: int = 0,
        dedupe_from: Mapping[int, tuple[int, int]] | None = None,
        fold: FoldSettings | None = None,
        as_of_ms: int = 0,
        start: Mapping[int, int] | None = None,
    ) -> int:
        """Write a generation that covers the input below these offsets, begin its epoch, and return that.

        IDs count for a day, from `dedupe_from` on, the topic's start if it is not given; strengths as they are, unless
        there is another fold. The epoch is as `begin` makes it.
        """
        rng = np.random.default_rng(seed)
        factors = {item: rng.normal(size=K).astype(np.float32) for item in items}
        made = generation_of(pairs, factors, OBJECTIVE, {p: (0, covers.get(p, 0)) for p in range(self.partitions)})
        write_generation(
            self.store.stage(name),
            name=name,
            user_ids=[made.users.id(row) for row in range(len(made.users))],
            item_ids=[made.items.id(row) for row in range(len(made.items))],
            user_factors=made.user_factors,
            item_factors=made.item_factors,
            user_histories=Csr(made.user_histories.indptr, made.user_histories.indices, made.user_histories.strengths),
            objective=OBJECTIVE,
            fold=fold or FoldSettings(feedback="implicit", dedupe_window_s=86_400.0),
            dedupe_from=dict.fromkeys(range(self.partitions), (0, -1)) if dedupe_from is None else dedupe_from,
            trainer="none",
            created_ms=0,
            as_of_ms=as_of_ms,
            input=made.manifest.input,
            interactions=0,
            rejected=0,
        )
        self.store.commit(name)
        return self.begin(name, start)

    def begin(self, name: str, start: Mapping[int, int] | None = None) -> int:
        """Begin an epoch of a generation that is in the store; at the update topic's end, unless that was looked up."""
        seen = self.registry.read()
        start = self.admin.end_offsets(self.settings.update.topic) if start is None else start
        epoch = EpochStarted(seen.next_epoch, name, dict(start), 0)
        self.registry.append(seen, [GenerationState(name, "published"), epoch])
        return epoch.epoch

    def writer(self, begun: Mapping[int, Together], ownership: Ownership) -> Checkpointing:
        """Return who writes checkpoints whenever something has come."""
        rng = np.random.default_rng(next(self._seeds))
        self._writers.append(ThreadPoolExecutor(1))
        return Checkpointing(
            store=self.checkpoints,
            update_end=lambda: self.admin.end_offsets(self.settings.update.topic),
            partitions=self.partitions,
            new_name=lambda now_ms: new_generation_name(now_ms, rng),
            spawn=self.spawn,
            background=self._writers[-1],
            clock=self.clock,
            metrics=self.metrics,
            interval_s=0.0,
            kept=2,
            begun=begun,
            ownership=ownership,
        )

    def start(self, *, checkpoints: bool = False) -> SpeedLayer:
        """Start a speed layer as a process would; dropping it without `close` is what kill -9 leaves.

        With ``checkpoints`` it begins with the newest, and writes them all the time.
        """
        self.counted = CollectorRegistry()
        self.metrics = Metrics(self.counted)
        return self.put_together(
            stopping=lambda: self.stopped,
            past=self.past,
            checkpoints=self.checkpoints if checkpoints else None,
            writer=self.writer if checkpoints else None,
        )

    def put_together(self, **how: Any) -> SpeedLayer:
        """Return a layer on this world; ``how`` is as for `assemble`."""
        return assemble(
            self.settings,
            admin=self.admin,
            producer=self.producer,
            new_consumer=self.new_consumer,
            store=self.store,
            registry=self.registry,
            clock=self.clock,
            loader=self._loader,
            metrics=self.metrics,
            **how,
        )

    def run(self, layer: SpeedLayer, until: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Step until something holds."""
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, f"not in time; waiting for {layer.waiting_for()}"
            layer.step(0.02)

    def settle(self, layer: SpeedLayer, epoch: int, timeout_s: float = 30.0) -> None:
        """Step until this epoch is followed alone and has announced all input."""
        end = self.admin.end_offsets(self.settings.input.topic)

        def settled() -> bool:
            held = [run.started.epoch for run in layer.runs]
            return (
                held == [epoch]
                and all(layer.runs[0].announced.get(p, 0) >= o for p, o in end.items() if o)
                and (not layer.waiting_for() and layer.runs[0].announced_at is not None)
            )

        self.run(layer, settled, timeout_s)
        self.producer.flush(timeout_s)  # the last PROGRESS is on its way

    def read(self, topic: str, partitions: int = 1) -> list[Record]:
        """Read a whole topic, as far as it was not trimmed."""
        consumer = self.new_consumer(None)
        try:
            start = self.admin.start_offsets(topic)
            consumer.assign({(topic, partition): offset for partition, offset in start.items()})
            found: list[Record] = []
            ended: set[int] = set()
            while len(ended) < partitions:
                for event in consumer.poll(1000, 1.0):
                    if isinstance(event, EndOfPartition):
                        ended.add(event.partition)
                    else:
                        found.append(event)
            return found
        finally:
            consumer.close()

    def reader(self, name: str, epoch: int, start: Mapping[int, int] | None = None) -> ModelState:
        """Return the state of a reader of the update topic at its end, who began at ``start``; None for all of it."""
        state = ModelState(Generation.open(self.store.local(name)), epoch, self.update_partitions)
        for record in self.read(self.settings.update.topic, self.update_partitions):
            if start is not None and record.offset < start[record.partition]:
                continue
            try:
                state.apply(decode(record.key, record.value, record.headers), record.partition)
            except BadMessage as bad:
                raise AssertionError(f"the speed layer sent {record}") from bad
        return state

    def progress(self) -> list[Progress]:
        """Return every PROGRESS sent."""
        records = self.read(self.settings.update.topic, self.update_partitions)
        updates = [decode(record.key, record.value, record.headers) for record in records]
        return [update for update in updates if isinstance(update, Progress)]


@contextmanager
def fake_world(folder: Path, name: str, *, log: FakeLog | None = None, **how: Any) -> Iterator[SpeedWorld]:
    """Lend a world in memory; ``how`` is as for `SpeedWorld`."""
    log = FakeLog() if log is None else log
    producer = FakeProducer(log)
    made = SpeedWorld(
        folder,
        name,
        admin=FakeAdmin(log),
        producer=producer,
        new_consumer=lambda group: FakeConsumer(log, group),
        **how,
    )
    yield made
    made.close()
    producer.close()
