"""Runs of the batch layer on a real Kafka and any file system, which die after any step; and what must come of it."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from prometheus_client import CollectorRegistry

from batch_layer.assembly import assemble
from batch_layer.engine import Base, Engine, Ranges, Rewritten, Trained, Written
from batch_layer.recipe import recipe_of
from batch_layer.run.steps import Outcome, Step
from batch_layer.telemetry.metrics import Metrics
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import history_log, open_files, open_registry, open_store, reach_of
from oryx_py.config import Settings, load
from oryx_py.messages import partition_of
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.generation import Generation
from oryx_py.ports import EndOfPartition, Record, TopicSpec
from oryx_py.runtime.stopping import Stopping
from oryx_py.testing.fake_log import FakeLog
from tests.support.batch import Crash, SlowEngine, pairs_of, read_history

PARTITIONS = 3
Pairs = dict[str, dict[str, float]]


class UploadingEngine(SlowEngine):
    """The slow engine, whose files lie anywhere: it writes and reads them by way of a local folder."""

    settings: Settings

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        files, root = self._files()
        with tempfile.TemporaryDirectory() as work:
            written = super().write_rows(ranges, partitions, Path(work, "rows").as_uri())
            for path in Path(work, "rows").iterdir():
                files.upload(path, f"{into.removeprefix(root)}/{path.name}")
        return written

    def train(
        self, files: Sequence[str], rows: int, into: Path, parent: Path | None, base: Base | None = None
    ) -> Trained | None:
        return super().train(self.fetched(files), rows, into, parent, base)

    def find_forgets(
        self, told: Sequence[str], keyed: Sequence[str], starts: Mapping[int, tuple[int, int]]
    ) -> pa.Table:
        return super().find_forgets(self.fetched(told), self.fetched(keyed), starts)

    def rewrite(self, files: Mapping[str, int], forgets: pa.Table, into: str) -> Rewritten:
        there, root = self._files()
        copies = dict(zip(self.fetched(list(files)), files, strict=True))
        with tempfile.TemporaryDirectory() as work:
            here = Path(work, "rows")
            found = super().rewrite({copy: files[uri] for copy, uri in copies.items()}, forgets, here.as_uri())
            for path in here.rglob("*.parquet"):
                there.upload(path, f"{into.removeprefix(root)}/{path.relative_to(here).as_posix()}")
        return replace(found, replaced=[copies[copy] for copy in found.replaced])

    def merge(self, files: Mapping[str, int], rows: int, into: str, most: int) -> None:
        there, root = self._files()
        copies = dict(zip(self.fetched(list(files)), files.values(), strict=True))
        with tempfile.TemporaryDirectory() as work:
            here = Path(work, "rows")
            super().merge(copies, rows, here.as_uri(), most)
            for path in here.rglob("*.parquet"):
                there.upload(path, f"{into.removeprefix(root)}/{path.relative_to(here).as_posix()}")

    def fetched(self, uris: Sequence[str]) -> list[str]:
        """Return local URIs of copies, which are kept: a file of the history is written once."""
        files, root = self._files()
        kept = self.settings.local_dir / "copies"
        kept.mkdir(parents=True, exist_ok=True)
        copies = []
        for path in (uri.removeprefix(root) for uri in uris):
            copies.append(kept / path.replace("/", "_"))
            if not copies[-1].exists():
                aside = kept / "coming"
                aside.unlink(missing_ok=True)  # of a download that broke off
                assert files.download(path, aside)
                aside.rename(copies[-1])
        return [copy.as_uri() for copy in copies]

    def _files(self) -> Any:
        files = open_files(self.settings.history_uri, "history.uri", reach_of(self.settings))
        return files, files.uri() + "/"


_Engine = TypeVar("_Engine", bound=UploadingEngine)


def slow_engine(settings: Settings, kind: type[_Engine] = UploadingEngine) -> _Engine:
    """Return a slow engine on the real Kafka of these settings."""
    recipe = recipe_of(settings.model, settings.batch.trainer, settings.input)
    bootstrap = settings.kafka.bootstrap_servers
    engine = kind(FakeLog(), settings.input.topic, recipe, new_consumer=lambda: KafkaConsumer(bootstrap, {}))
    engine.settings = settings
    return engine


@dataclass
class CrashWorld:
    """Topics on a real broker, a store and a history anywhere; each `run` puts a layer together as a new process would.

    Args:
        bootstrap: of the broker.
        name: of the topics.
        environ: further settings: at least ``ORYX__LOCAL__DIR``.
        new_engine: None for the slow one.
    """

    bootstrap: str
    name: str
    environ: dict[str, str]
    new_engine: Callable[[Settings], Engine] | None = None

    def __post_init__(self) -> None:
        self.input, self.update = f"{self.name}-in", f"{self.name}-up"
        self.environment = {
            "ORYX__KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "ORYX__INPUT__TOPIC": self.input,
            "ORYX__UPDATE__TOPIC": self.update,
            "ORYX__MODEL__FEATURES": "3",
            "ORYX__MODEL__ITERATIONS": "2",
            "ORYX__BATCH__TRIM": "false",
            "ORYX__STORE__KEEP_GENERATIONS": "1000",
            **self.environ,
        }
        self.settings = load(None, self.environment).settings
        admin = KafkaAdmin(self.bootstrap, {})
        admin.create(TopicSpec(self.input, PARTITIONS, 1, {}))
        admin.create(TopicSpec(self.update, 2, 1, {}))

    def send(self, *values: str) -> None:
        """Send values to their users' partitions; one that names no user goes to all."""
        with self._producer() as producer:
            for value in values:
                user = value.split(",")[0]
                for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
                    producer.send(self.input, value.encode(), partition=partition)

    def run(self, crash_after: Step | None = None, after_step: Callable[[Step], None] = lambda _: None) -> Outcome:
        """Do one run, which dies after a step."""

        def watch(step: Step) -> None:
            after_step(step)
            if step is crash_after:
                raise Crash

        engine = (self.new_engine or slow_engine)(self.settings)
        with self._producer() as producer:
            layer = assemble(
                self.settings,
                self.bootstrap,
                engine=engine,
                producer=producer,
                metrics=Metrics(CollectorRegistry()),
                stopping=Stopping(),
            )
            layer._after_step = watch
            return layer.run()

    def registry(self) -> Registry:
        """The registry as it stands."""
        return open_registry(self.settings.registry_uri, reach_of(self.settings)).read()

    def newest(self, cache: Path) -> Generation:
        """Open the generation that is live, as a host does that has no copy yet."""
        shutil.rmtree(cache, ignore_errors=True)
        environ = {"ORYX__STORE__CACHE_DIR": str(cache)}
        elsewhere = load(None, {"ORYX__LOCAL__DIR": str(cache), **self.environ, **environ}).settings
        epoch = self.registry().newest_epoch
        assert epoch is not None
        return Generation.open(open_store(elsewhere.store_uri, reach_of(elsewhere)).local(epoch.generation))

    def rows(self, work: Path) -> list[dict[str, Any]]:
        """All committed rows of the history."""
        files = open_files(self.settings.history_uri, "history.uri", reach_of(self.settings))
        work.mkdir(parents=True, exist_ok=True)
        found = []
        for number, file in enumerate(history_log(self.settings.history_uri, reach_of(self.settings)).read().files):
            copy = work / f"{number}.parquet"
            copy.unlink(missing_ok=True)
            assert files.download(file.path, copy)
            found += read_history([copy])
        return found

    def assert_exactly_once(self, work: Path) -> None:
        """The history has every record of the topic once, but for what was forgotten later, which may be gone; and the
        live generation is NumPy's fold of the topic."""
        topic = self.records()
        rows = [(row["partition"], row["offset"], row["user"], row["item"]) for row in self.rows(work / "rows")]
        places = [row[:2] for row in rows]
        assert len(set(places)) == len(places), "a record is there twice"
        told = {(one.partition, one.offset): told_by(one) for one in topic}
        assert set(places) <= told.keys()
        forgotten = forgotten_later(topic)
        assert {row for row in rows if row[:2] not in forgotten} == {
            (*place, *ids) for place, ids in told.items() if place not in forgotten
        }
        assert pairs_of(self.newest(work / "cache")) == numpy_fold(topic)

    def assert_an_epoch_each(self) -> None:
        """Every generation of the store has begun one epoch, and nothing else is there."""
        epochs = self.registry().epochs
        assert [epoch.epoch for epoch in epochs] == list(range(1, len(epochs) + 1))
        store = open_store(self.settings.store_uri, reach_of(self.settings))
        assert sorted(epoch.generation for epoch in epochs) == sorted(store.generations())
        assert store.incomplete() == []

    def records(self) -> list[Record]:
        """Everything in the input topic, by partition and offset."""
        consumer = KafkaConsumer(self.bootstrap, {})
        waiting, found = set(range(PARTITIONS)), list[Record]()
        try:
            consumer.assign({(self.input, partition): 0 for partition in waiting})
            while waiting:
                for event in consumer.poll(10_000, 1.0):
                    if isinstance(event, EndOfPartition):
                        waiting.discard(event.partition)
                    else:
                        found.append(event)
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    @contextmanager
    def _producer(self) -> Any:
        producer = KafkaProducer(self.bootstrap, {})
        try:
            yield producer
            producer.flush(30)
        finally:
            producer.close()


def told_by(record: Record) -> tuple[str, str]:
    """User and item of a record."""
    user, item, *_ = (record.value or b"").decode().split(",")
    return user, item


def forgotten_later(topic: Sequence[Record]) -> set[tuple[int, int]]:
    """Partition and offset of records whose user or item is forgotten by a later one of the same partition."""
    found, users, items = set(), set[tuple[int, str]](), set[tuple[int, str]]()
    for record in reversed(topic):
        (user, item), where = told_by(record), record.partition
        if user and item and ((where, user) in users or (where, item) in items):
            found.add((where, record.offset))
        elif not item:
            users.add((where, user))
        elif not user:
            items.add((where, item))
    return found


def numpy_fold(topic: Sequence[Record]) -> Pairs:
    """Fold implicit feedback without a line of the project's: sums since a pair's last delete or forget, by NumPy."""
    split = [(record.value or b"").decode().split(",") for record in topic]
    users, items = (np.array([parts[side] for parts in split]) for side in (0, 1))
    gone = np.array([parts[2] == "" for parts in split])
    strengths = np.array([float(parts[2] or "0") for parts in split])
    partitions = np.array([record.partition for record in topic])
    at = np.arange(len(topic))  # within a partition in the order of the offsets
    pairs, of = np.unique(np.array([users, items]), axis=1, return_inverse=True)
    of = of.reshape(-1)
    home = np.zeros(pairs.shape[1], np.int64)
    home[of] = partitions
    reset = np.full(pairs.shape[1], -1)
    np.maximum.at(reset, of[gone], at[gone])
    for where in np.flatnonzero(gone & (items == "")):
        reset[pairs[0] == users[where]] = np.maximum(reset[pairs[0] == users[where]], where)
    for where in np.flatnonzero(gone & (users == "")):
        here = (pairs[1] == items[where]) & (home == partitions[where])
        reset[here] = np.maximum(reset[here], where)
    counted = ~gone & (at > reset[of])
    sums, seen = np.zeros(pairs.shape[1]), np.zeros(pairs.shape[1], np.bool_)
    np.add.at(sums, of[counted], strengths[counted])
    seen[of[counted]] = True
    found: Pairs = {}
    for pair in np.flatnonzero(seen):
        found.setdefault(str(pairs[0, pair]), {})[str(pairs[1, pair])] = float(sums[pair])
    return found


def some_values(rng: np.random.Generator, count: int) -> list[str]:
    """Draw interactions, a delete now and then, and seldom a forget of a user or an item."""
    values = []
    for draw in rng.random(count):
        user, item = f"u{rng.integers(12)}", f"i{rng.integers(9)}"
        if draw < 0.02:
            values.append(f"{user},,")
        elif draw < 0.04:
            values.append(f",{item},")
        else:
            values.append(f"{user},{item}," + ("" if draw < 0.15 else f"{rng.integers(1, 40) / 8}"))
    return values
