"""A log in which a test plays an Oryx 2 batch and speed layer."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.generation_stores.oryx2_files import model_opener
from oryx_py.ports import Outgoing, TopicAdmin, TopicSpec
from oryx_py.runtime.oryx2_log import Oryx2Log
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from serving_layer.epoch_sources.oryx2_source import Oryx2Source
from serving_layer.following.follow_settings import FollowSettings
from serving_layer.following.model_manager import ModelManager
from serving_layer.metrics import Metrics
from tests.support.oryx2 import Vectors, pmml, up, write_model
from tests.support.serving import INPUT_PARTITIONS

UPDATES = "up"
Known = dict[str, Sequence[str]]


class Oryx2Publisher:
    """Sends models and updates as Oryx 2 does: without headers, each key in the partition of its hash.

    Args:
        root: below which models are written.
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
        self.admin.create(TopicSpec(self.updates, update_partitions, 1, {"max.message.bytes": "16777216"}))
        self.update_partitions = update_partitions
        self.append = append or self.log.append
        self.root = root
        self.metrics = Metrics(CollectorRegistry())

    def send(self, key: bytes, value: bytes, headers: tuple = (), partition: int | None = None) -> None:
        """Store one record."""
        self.append(Outgoing(self.updates, value, key, headers, partition))

    def model(self, users: Vectors, items: Vectors, features: int = 2, **extensions: object) -> None:
        """Send a model inline; its vectors are to follow."""
        self.send(b"MODEL", pmml(users, items, features, **extensions).encode())

    def model_ref(self, name: str, users: Vectors, items: Vectors, features: int = 2, **extensions: object) -> Path:
        """Write a model with its vectors, and send where it is, as Hadoop writes local paths."""
        path = write_model(self.root / name, users, items, features, **extensions)
        self.send(b"MODEL-REF", f"file:{path}".encode())
        return path

    def vectors(self, users: Vectors, items: Vectors, known: Known | None = None) -> None:
        """Send vectors as the batch layer does: items first."""
        for item, vector in items.items():
            self.send(b"UP", up("Y", item, vector))
        for user, vector in users.items():
            self.send(b"UP", up("X", user, vector, (known or {}).get(user)))

    def manager(self, *, fraction: float = 0.8, **settings: object) -> ModelManager:
        """Make a manager that looks often; to be started and closed by the test, on its loop."""
        follow = FollowSettings(
            self.updates, self.update_partitions, INPUT_PARTITIONS, **{"look_s": 0.02, "retry_s": 0.05, **settings}
        )
        source = Oryx2Source(
            log=Oryx2Log(self.updates, self.admin, self._consumer, SystemClock()),
            open_model=model_opener(""),
            update_partitions=self.update_partitions,
            fraction=fraction,
            patience_s=follow.patience_s,
        )
        return ModelManager(
            source=source,
            admin=self.admin,
            new_consumer=self._consumer,
            settings=follow,
            clock=SystemClock(),
            metrics=self.metrics,
        )

    def _consumer(self) -> FakeConsumer:
        return FakeConsumer(self.log)
