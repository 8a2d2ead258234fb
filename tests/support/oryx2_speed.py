"""An Oryx 2 batch layer's topics, and a speed layer on them in the test's own thread."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from oryx_py.adapters.clock import SystemClock
from oryx_py.config import load
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Consumer, EndOfPartition, Producer, Record, TopicAdmin, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from speed_layer.oryx2.assembly import assemble_oryx2
from speed_layer.oryx2.layer import Oryx2SpeedLayer
from speed_layer.telemetry.metrics import Metrics
from tests.support.oryx2 import pmml, up
from tests.support.oryx_rule import Vectors

__all__ = ["IMPLICIT", "K", "Oryx2World", "fake_oryx2_world", "random_vectors"]

K = 3
IMPLICIT = Objective.mllib_implicit(lambda_=0.1, alpha=2.0)


def random_vectors(names: str, seed: int) -> Vectors:
    """Return a vector, float32[K], for each of these one-letter names."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=K).astype(np.float32) for name in names}


class Oryx2World:
    """Publishes models and interactions as Oryx 2 does, and reads what comes of them with nothing of ours.

    Args:
        folder: for the settings.
        name: unlike any other world's on the broker.
        admin, producer, new_consumer: of a broker, real or not.
        partitions: of the input topic.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        admin: TopicAdmin,
        producer: Producer,
        new_consumer: Callable[[str | None], Consumer],
        partitions: int = 1,
    ) -> None:
        self.admin, self.producer, self.new_consumer = admin, producer, new_consumer
        environ = {
            "ORYX__LOCAL__DIR": str(folder),
            "ORYX__INPUT__TOPIC": f"{name}-input",
            "ORYX__UPDATE__TOPIC": f"{name}-update",
            "ORYX__UPDATE__DIALECT": "oryx2",
            "ORYX__SPEED__GROUP_ID": f"{name}-speed",
            "ORYX__SPEED__FOLD_IN": "oryx",
        }
        self.settings = load(None, environ).settings
        topics = {self.settings.input.topic: partitions, self.settings.update.topic: 1}
        for topic, count in {**topics, self.settings.dead_letter_topic: 1}.items():
            admin.create(TopicSpec(topic, count, 1, {}))
        self._loader = ThreadPoolExecutor(1)

    def close(self) -> None:
        self._loader.shutdown()

    def publish(self, users: Vectors, items: Vectors, missing: str = "", **extensions: object) -> int:
        """Send a model, then its vectors but for those missing; return the model's offset."""
        offset = self.admin.end_offsets(self.settings.update.topic)[0]
        self._update(b"MODEL", pmml(users, items, K, **extensions).encode())
        for side, vectors in (("Y", items), ("X", users)):
            for name, vector in vectors.items():
                if name not in missing:
                    self.publish_vector(side, name, vector)
        self.producer.flush(30)
        return offset

    def publish_vector(self, side: str, name: str, vector: Any) -> None:
        """Send one ``UP`` as the batch layer does."""
        self._update(b"UP", up(side, name, [float(x) for x in vector]))

    def publish_raw(self, key: bytes, value: bytes) -> None:
        self._update(key, value)
        self.producer.flush(30)

    def send(self, *lines: str, partition: int = 0) -> None:
        """Put lines on the input topic."""
        for line in lines:
            self.producer.send(self.settings.input.topic, line.encode(), partition=partition)
        self.producer.flush(30)

    def start(self) -> Oryx2SpeedLayer:
        """Start a speed layer as a process would; dropping it without `close` is what kill -9 leaves."""
        return assemble_oryx2(
            self.settings,
            admin=self.admin,
            producer=self.producer,
            new_consumer=self.new_consumer,
            clock=SystemClock(),
            stopping=lambda: False,
            loader=self._loader,
            metrics=Metrics(CollectorRegistry()),
        )

    def run(self, layer: Oryx2SpeedLayer, until: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Step until something holds."""
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, f"not in time; waiting for {layer.waiting_for()}"
            layer.step(0.02)

    def settle(self, layer: Oryx2SpeedLayer) -> None:
        """Step until the newest model is followed, and all input is folded and committed."""
        end = self.admin.end_offsets(self.settings.input.topic)
        self.run(layer, lambda: not layer.waiting_for() and layer.committed == end)

    def read(self, topic: str) -> list[Record]:
        """Read a whole topic of one partition."""
        consumer = self.new_consumer(None)
        try:
            consumer.assign({(topic, 0): 0})
            found: list[Record] = []
            while True:
                for event in consumer.poll(1000, 1.0):
                    if isinstance(event, EndOfPartition):
                        return found
                    found.append(event)
        finally:
            consumer.close()

    def sent(self, since: int = 0) -> list[tuple[Mapping[str, bytes], list[Any]]]:
        """Return headers and values of the updates that are ours: those with headers, from an offset on."""
        records = self.read(self.settings.update.topic)
        return [
            (dict(record.headers), json.loads(record.value or b""))
            for record in records
            if record.headers and record.offset >= since
        ]

    def vectors(self, model: int) -> tuple[Vectors, Vectors]:
        """Return both sides as a client of Oryx 2 has them that knows no header: the last vector wins."""
        found: dict[str, Vectors] = {"X": {}, "Y": {}}
        for record in self.read(self.settings.update.topic):
            if record.offset > model and record.key == b"UP":
                side, name, vector, *_ = json.loads(record.value or b"")
                found[side][name] = np.array(vector, np.float32)
        return found["X"], found["Y"]

    def _update(self, key: bytes, value: bytes) -> None:
        self.producer.send(self.settings.update.topic, value, key=key, partition=0)


@contextmanager
def fake_oryx2_world(folder: Path, log: FakeLog, *, partitions: int = 1) -> Iterator[Oryx2World]:
    """A world on a broker in memory."""
    producer = FakeProducer(log)
    made = Oryx2World(
        folder,
        "oryx2",
        admin=FakeAdmin(log),
        producer=producer,
        new_consumer=lambda group: FakeConsumer(log, group),
        partitions=partitions,
    )
    yield made
    made.close()
    producer.close()
