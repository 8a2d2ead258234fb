"""The batch layer without Spark or Kafka: a slow engine that says what a history comes to, and a world to run it in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry

from batch_layer.engine import Cancelled, Ranges, Rewritten, Trained, Written
from batch_layer.folding.dedupe import Stretch, window_start
from batch_layer.folding.forgotten_rows import NOBODYS_ITEM, Forgets
from batch_layer.folding.input_rows import HISTORY_SCHEMA, Slice, read_slices
from batch_layer.history.base_generation import Base
from batch_layer.history.file_footers import day_of
from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.file_merging import MergeFiles, unmerged
from batch_layer.housekeeping.pruning import Prune, unpruned
from batch_layer.publishing.publisher import Publisher
from batch_layer.recipe import Recipe, recipe_of
from batch_layer.run.layer import BatchLayer
from batch_layer.run.steps import Outcome, Parts, Step
from batch_layer.telemetry.metrics import Metrics
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.places import history_log, open_registry, open_store
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings, SeenIds, time_of, weigh
from oryx_py.messages import ModelRef, decode, partition_of
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.data_files import write_data
from oryx_py.model.generations.generation import Generation
from oryx_py.model.history.commits import History
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Consumer, Record, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from tests.support.repeats import Sighting, repeated

Row = Mapping[str, Any]
Pairs = dict[str, dict[str, float]]


def repeats_among(rows: Sequence[Row], fold: FoldSettings) -> set[tuple[int, int]]:
    """Return partition and offset of the rows that are to be ignored."""
    if not fold.dedupes:
        return set()
    log = [Sighting(row["partition"], row["offset"], row["kafka_ms"], row["user"], row["id"] or b"") for row in rows]
    return repeated(log, fold)


def slow_fold(rows: Sequence[Row], fold: FoldSettings, as_of_ms: int | None = None) -> Pairs:
    """Fold rows of the history one by one, in the order of the offsets, as the wire protocol says it.

    ``as_of_ms`` is the newest Kafka timestamp among them where it is not given.
    """
    if as_of_ms is None:
        as_of_ms = 0 if fold.is_plain else max((row["kafka_ms"] for row in rows), default=0)
    ignored = repeats_among(rows, fold)
    rows = [row for row in rows if (row["partition"], row["offset"]) not in ignored]
    pairs: Pairs = {}
    home: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: (row["partition"], row["offset"])):
        user, item, strength = row["user"], row["item"], row["strength"]
        if not user:
            for other, known in pairs.items():
                if home[other] == row["partition"]:
                    known.pop(item, None)
            continue
        home[user] = row["partition"]
        known = pairs.setdefault(user, {})
        if not item:
            known.clear()
        elif strength is None:
            known.pop(item, None)
        else:
            counted: float | None = strength
            if not fold.is_plain:
                time_ms = time_of(row["timestamp_ms"], row["kafka_ms"])
                counted = weigh(strength, row["kind"], time_ms, fold, as_of_ms)
            if counted is not None:
                known[item] = counted if fold.feedback == "explicit" else known.get(item, 0.0) + counted
    return {user: known for user, known in pairs.items() if known}


FORGETS_SCHEMA = pa.schema([HISTORY_SCHEMA.field(name) for name in Forgets.COLUMNS])


@dataclass
class SlowEngine:
    """The engine in plain loops; ``recipe.iterations`` sweeps of dense solves in the place of MLlib."""

    log: FakeLog
    topic: str
    recipe: Recipe
    calls: list[str] = field(default_factory=list)
    new_consumer: Callable[[], Consumer] | None = None
    """Reads another log than the fake one."""

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        self.calls.append("write_rows")
        slices = [Slice(partition, start, stop) for partition, (start, stop) in ranges.items()]
        consumer = self.new_consumer() if self.new_consumer else FakeConsumer(self.log)
        batches = list(read_slices(consumer, self.topic, partitions, slices, clock=SystemClock()))
        consumer.close()
        folder = local_path(into)
        folder.mkdir(parents=True)
        if not batches:
            return Written(0, 0)
        table = pa.Table.from_batches(batches)
        rejected = int(np.sum(table.column("rejected").to_numpy()))
        kept = table.filter(pa.array(~table.column("rejected").to_numpy())).drop_columns(["rejected"])
        pq.write_table(kept, folder / "part-0.parquet", compression="zstd")
        return Written(kept.num_rows, rejected)

    def find_forgets(
        self, told: Sequence[str], keyed: Sequence[str], starts: Mapping[int, tuple[int, int]]
    ) -> pa.Table:
        self.calls.append("find_forgets")
        clocks = {partition: clock for partition, (_, clock) in starts.items()}
        seen: dict[int, SeenIds] = {}
        ignored = set()
        rows = read_history([local_path(file) for file in keyed]) if self.recipe.fold.dedupes else []
        for row in sorted(rows, key=lambda row: (row["partition"], row["offset"])):
            partition, offset, key = row["partition"], row["offset"], row["id"]
            if key and offset >= starts.get(partition, (offset, -1))[0]:
                known = seen.setdefault(partition, SeenIds(self.recipe.fold, clocks.get(partition, -1)))
                if known.is_repeat(row["user"], key, row["kafka_ms"]):
                    ignored.add((partition, offset))
        newest: dict[tuple[int, str, str], int] = {}
        for row in read_history([local_path(file) for file in told]):
            place = row["partition"], row["offset"]
            if not (row["user"] and row["item"]) and place not in ignored:
                who = row["partition"], row["user"], row["item"]
                newest[who] = max(row["offset"], newest.get(who, row["offset"]))
        forgets = [dict(zip(("partition", "user", "item"), who, strict=True), offset=at) for who, at in newest.items()]
        return pa.Table.from_pylist(forgets, FORGETS_SCHEMA)

    def rewrite(self, files: Mapping[str, int], forgets: pa.Table, into: str) -> Rewritten:
        self.calls.append("rewrite")
        told, replaced, read, written = forgets.to_pylist(), list[str](), 0, 0
        for number, (uri, group) in enumerate(files.items()):
            rows = read_history([local_path(uri)])
            left = [row for row in (left_of(row, told, self.recipe.fold) for row in rows) if row is not None]
            if left == rows:
                continue
            replaced.append(uri)
            read, written = read + len(rows), written + len(left)
            for day in {day_of(row["kafka_ms"]) for row in left}:
                folder = local_path(into) / f"group={group}" / f"day={day}"
                folder.mkdir(parents=True, exist_ok=True)
                of_day = [row for row in left if day_of(row["kafka_ms"]) == day]
                pq.write_table(pa.Table.from_pylist(of_day, HISTORY_SCHEMA), folder / f"part-{number}.parquet")
        return Rewritten(replaced, read, written)

    def merge(self, files: Mapping[str, int], rows: int, into: str, most: int) -> None:
        self.calls.append("merge")
        for group in sorted(set(files.values())):
            told = read_history([local_path(uri) for uri, number in files.items() if number == group])
            told.sort(key=lambda row: (row["partition"], row["offset"]))
            (day,) = {day_of(row["kafka_ms"]) for row in told}
            folder = local_path(into) / f"group={group}" / f"day={day}"
            folder.mkdir(parents=True)
            for start in range(0, len(told), most):
                table = pa.Table.from_pylist(told[start : start + most], HISTORY_SCHEMA)
                pq.write_table(table, folder / f"part-{start:08d}.parquet")

    def train(
        self, files: Sequence[str], rows: int, into: Path, parent: Path | None, base: Base | None = None
    ) -> Trained | None:
        self.calls.append("train")
        told = read_history([local_path(file) for file in files])
        assert len(told) == rows
        pairs = slow_fold(told, self.recipe.fold)
        if not pairs:
            return None
        users = sorted(pairs, key=str.encode)
        items = sorted({item for known in pairs.values() for item in known}, key=str.encode)
        numbers = {item: row for row, item in enumerate(items)}
        entries = [(u, numbers[i], s) for u, user in enumerate(users) for i, s in sorted(pairs[user].items())]
        by_user = Csr.from_pairs(
            np.array([u for u, _, _ in entries]),
            np.array([i for _, i, _ in entries]),
            np.array([s for _, _, s in entries]),
            len(users),
        )
        by_item = by_user.transposed(len(items))
        objective = self.recipe.fitted_to(by_user.strengths).objective
        rng = np.random.default_rng(self.recipe.seed)
        Y = rng.normal(size=(len(items), self.recipe.features)).astype(np.float32)
        for _ in range(self.recipe.iterations):
            Y = _half(by_item, _half(by_user, Y, objective), objective)
        write_data(
            into,
            user_ids=users,
            item_ids=items,
            user_factors=_half(by_user, Y, objective),
            item_factors=Y,
            user_histories=by_user,
        )
        return Trained(
            objective=objective,
            as_of_ms=max(row["kafka_ms"] for row in told),
            repeats=len(repeats_among(told, self.recipe.fold)),
            dedupe_from=window_starts(told, self.recipe.fold),
        )

    def sweep(self) -> None:
        pass

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        pass


def _half(histories: Csr, factors: np.ndarray[Any, np.dtype[np.float32]], objective: Objective) -> Any:
    prior = Prior(gram(factors), len(factors))
    solved = []
    for row in range(len(histories)):
        indices, strengths = histories.row(row)
        solved.append(fold_in(strengths, factors[indices], prior, objective))
    return np.array(solved, np.float32)


def left_of(row: Row, forgets: Sequence[Row], fold: FoldSettings) -> Row | None:
    """Return what stays of a row when these forgets, which count, are carried out: it, its husk, or nothing."""
    later = [one for one in forgets if one["partition"] == row["partition"] and one["offset"] > row["offset"]]
    of_user = any(one["user"] == row["user"] and not one["item"] for one in later)
    of_item = any(one["item"] == row["item"] and not one["user"] for one in later)
    nothing = dict.fromkeys(("strength", "timestamp_ms", "kind"))
    husk = (
        row["id"] is not None
        and row == {**row, **nothing}
        and ((of_user and not row["item"]) or row["item"] == NOBODYS_ITEM)
    )
    if husk and not fold.dedupes:
        return None
    if not row["user"] or not row["item"] or not (of_user or of_item):
        return row
    if row["id"] is None or not fold.dedupes:
        return None
    return {**row, **nothing, "item": "" if of_user else NOBODYS_ITEM}


def local_path(uri: str) -> Path:
    """Return the path of a ``file://`` URI."""
    return Path(unquote(urlsplit(uri).path))


def read_history(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return all rows of these files."""
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def window_starts(rows: Sequence[Row], fold: FoldSettings) -> dict[int, tuple[int, int]]:
    """Return by partition what `window_start` says where every row is looked at by itself."""
    stretches: dict[int, list[Stretch]] = {}
    for row in sorted(rows, key=lambda row: (row["partition"], row["offset"])):
        if row["id"] and fold.dedupes:
            stretches.setdefault(row["partition"], []).append(Stretch(row["offset"], 1, row["kafka_ms"]))
    return {partition: window_start(found, fold) for partition, found in stretches.items()}


class Crash(BaseException):
    """The process died here."""


class BatchWorld:
    """A fake log with an input topic of three partitions and an update topic of two, and a layer to run on it.

    Each `run` puts a fresh layer together, as a new process would.
    """

    PARTITIONS = 3

    def __init__(self, folder: Path, **model: Any) -> None:
        self.folder = folder
        self.log = FakeLog()
        self.log.create(TopicSpec("in", self.PARTITIONS, 1, {}))
        self.log.create(TopicSpec("up", 2, 1, {}))
        self.recipe = recipe_of(Model(**{"features": 3, "iterations": 2, **model}), "slow", Input())
        self.registry = open_registry(str(folder / "store"))
        self.store = open_store(str(folder / "store"))
        self.history = history_log(str(folder / "history"))
        self.history_folder = HistoryFolder(LocalFiles(folder / "history"))
        self.engine = SlowEngine(self.log, "in", self.recipe)
        self.counted = CollectorRegistry()
        self.metrics = Metrics(self.counted)
        self.prune: Prune = unpruned
        self.tidy: Callable[[Registry, History], None] = lambda _registry, _history: None
        self.merge: MergeFiles = unmerged

    def use(self, recipe: Recipe) -> None:
        """Make generations by another recipe from now on."""
        self.recipe = self.engine.recipe = recipe

    def send(self, *values: str, id_: bytes | None = None) -> None:
        """Send values to their users' partitions, with an idempotency key; one that names no user goes to all."""
        for value in values:
            user = value.split(",")[0]
            for partition in [partition_of(user, self.PARTITIONS)] if user else range(self.PARTITIONS):
                self.send_raw(value.encode(), partition, id_)

    def send_raw(self, value: bytes | None, partition: int, id_: bytes | None = None) -> None:
        """Send any bytes to a partition."""
        producer = FakeProducer(self.log)
        producer.send("in", value, partition=partition, headers=() if id_ is None else (("id", id_),))
        producer.flush(10)
        producer.close()

    def run(
        self,
        *,
        force: bool = False,
        crash_after: Step | None = None,
        stop_after: Step | None = None,
        meanwhile: Callable[[Step], None] = lambda _: None,
    ) -> Outcome:
        """Do one run, which dies, or is asked to stop, after a step; ``meanwhile`` happens after each."""

        def after_step(step: Step) -> None:
            meanwhile(step)
            if step is crash_after:
                raise Crash
            if step is stop_after:
                raise Cancelled

        with self.publisher() as publisher:
            layer = BatchLayer(
                Parts(
                    registry=self.registry,
                    store=self.store,
                    history=self.history,
                    folder=self.history_folder,
                    admin=FakeAdmin(self.log),
                    publisher=publisher,
                    engine=self.engine,
                    clock=SystemClock(),
                    rng=np.random.default_rng(),
                    metrics=self.metrics,
                    prune=self.prune,
                    tidy=self.tidy,
                    merge=self.merge,
                ),
                self.recipe,
                input_topic="in",
                update_topic="up",
                items_topic="items",
                after_step=after_step,
            )
            try:
                return layer.run(force=force)
            except Cancelled:
                layer.sweep()
                raise

    @contextmanager
    def publisher(self) -> Iterator[Publisher]:
        """What makes epochs, as a process has it."""
        producer = FakeProducer(self.log)
        try:
            yield Publisher(
                registry=self.registry,
                store=self.store,
                producer=producer,
                admin=FakeAdmin(self.log),
                new_consumer=lambda: FakeConsumer(self.log),
                topic="up",
                clock=SystemClock(),
            )
        finally:
            producer.close()

    def rows(self) -> list[dict[str, Any]]:
        """Return all committed rows of the history."""
        return read_history([local_path(uri) for uri in self.history_folder.uris(self.history.read().files)])

    def newest(self) -> Generation:
        """Open the generation that is live."""
        epoch = self.registry.read().newest_epoch
        assert epoch is not None
        return Generation.open(self.store.local(epoch.generation))

    def announced(self) -> dict[int, list[ModelRef]]:
        """Return the ``MODEL-REF``s of the update topic by partition."""
        found: dict[int, list[ModelRef]] = {}
        for partition, log in enumerate(self.log.topic("up").partitions):
            refs = [decode(record.key, record.value, record.headers) for record in log.records if _is_ref(record)]
            found[partition] = [ref for ref in refs if isinstance(ref, ModelRef)]
        return found


def _is_ref(record: Record) -> bool:
    return record.key == b"MODEL-REF"


def pairs_of(generation: Generation) -> Pairs:
    """Return a generation's histories by ID."""
    found: Pairs = {}
    for row in range(len(generation.users)):
        items, strengths = generation.user_histories.row(row)
        found[generation.users.id(row)] = dict(
            zip(generation.items.ids(items.tolist()), strengths.tolist(), strict=True)
        )
    return found
