"""The batch layer on a real Kafka and in a real Spark."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry
from pyspark.sql import DataFrame, SparkSession

from batch_layer.assembly import assemble
from batch_layer.engine import Cancelled, Trained
from batch_layer.folding.forgotten_rows import NOBODYS_ITEM
from batch_layer.folding.input_rows import Slice
from batch_layer.history.folder import HistoryFolder
from batch_layer.recipe import Recipe, recipe_of
from batch_layer.run.steps import Outcome
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.fitting import publish_items, solve_users
from batch_layer.spark.mllib.pairs import read_pairs
from batch_layer.spark.mllib.training import fit
from batch_layer.spark.rows.dedupe import repeats_of
from batch_layer.spark.rows.dedupe import window_starts as starts_of
from batch_layer.spark.rows.history_rows import read_rows
from batch_layer.spark.rows.topic_reader import Source, read_frame
from batch_layer.spark.session.opening import open_session
from batch_layer.spark.session.tasks import OnSpark
from batch_layer.spark.training import train
from batch_layer.task_files.work_folder import WorkFolder
from batch_layer.telemetry.metrics import Metrics
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import history_log, open_registry, open_store
from oryx_py.config import Settings, load
from oryx_py.errors import BadInteraction, LogGap, UserError
from oryx_py.events import FoldSettings
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.messages import ModelRef, decode, partition_of
from oryx_py.messages.inbound import read_input
from oryx_py.model.files import map_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.history_files import history_files, map_histories
from oryx_py.model.ids.id_table import IdTable
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from oryx_py.ports import EndOfPartition, Record, TopicSpec
from oryx_py.runtime.stopping import Stopping
from oryx_py.testing.worlds import make_world
from tests.support.batch import local_path, pairs_of, read_history, repeats_among, slow_fold, window_starts

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.xdist_group("spark")]

INPUT, UPDATE, PARTITIONS = "batch-spark-input", "batch-spark-update", 4
POISON = (b"nonsense", b"", None, b"\xff\xfe", b'["a"', b"a,b,nan", b"a,b,c,d,e,f", b'["\\ud800","i"]')
WHALE = "a user whose strengths are as large as they can be"


@dataclass
class Site:
    """A broker with topics, and the layer's settings."""

    settings: Settings
    bootstrap: str

    @property
    def files(self) -> list[str]:
        history = history_log(self.settings.history_uri).read()
        return HistoryFolder(LocalFiles(Path(self.settings.history_uri))).uris(history.files)

    @property
    def paths(self) -> list[Path]:
        return [local_path(uri) for uri in self.files]

    @property
    def source(self) -> Source:
        return Source(INPUT, self.bootstrap, {})

    def send(self, values: list[str], first_id: int | None = None) -> None:
        """Send to the users' partitions, with rising ids; what names no user to all, as the wire protocol has it."""
        producer = KafkaProducer(self.bootstrap, {})
        for number, value in enumerate(values):
            user = value.split(",")[0]
            headers = () if first_id is None else (("id", b"%d" % (first_id + number)),)
            for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
                producer.send(INPUT, value.encode(), key=user.encode(), partition=partition, headers=headers)
        producer.flush(60)
        producer.close()

    def send_raw(self, values: list[tuple[bytes | None, int]]) -> None:
        producer = KafkaProducer(self.bootstrap, {})
        for value, partition in values:
            producer.send(INPUT, value, partition=partition)
        producer.flush(60)
        producer.close()

    def run(self, spark: SparkSession) -> Outcome:
        engine = SparkEngine(
            self.source,
            recipe_of(self.settings.model, "mllib", self.settings.input),
            work=WorkFolder(self.settings.work_dir),
            start=lambda: spark,
            end=lambda _: None,
        )
        producer = KafkaProducer(self.bootstrap, {})
        try:
            return assemble(
                self.settings,
                self.bootstrap,
                engine=engine,
                producer=producer,
                metrics=Metrics(CollectorRegistry()),
                stopping=Stopping(),
            ).run()
        finally:
            producer.close()


def read_topic(bootstrap: str, topic: str, partitions: int) -> Iterator[Record]:
    consumer = KafkaConsumer(bootstrap, {})
    consumer.assign({(topic, partition): 0 for partition in range(partitions)})
    left = set(range(partitions))
    while left:
        for event in consumer.poll(10_000, 1.0):
            if isinstance(event, EndOfPartition):
                left.discard(event.partition)
            else:
                yield event
    consumer.close()


@pytest.fixture(scope="module")
def site(kafka_broker: EmbeddedBroker, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two runs: one over most of a world with everything in it that may happen, one over the rest."""
    bootstrap = kafka_broker.bootstrap_servers
    admin = KafkaAdmin(bootstrap, {})
    admin.create(TopicSpec(INPUT, PARTITIONS, 1, {}))
    admin.create(TopicSpec(UPDATE, 2, 1, {}))
    site = Site(
        load(
            None,
            {
                "ORYX__KAFKA__BOOTSTRAP_SERVERS": bootstrap,
                "ORYX__INPUT__TOPIC": INPUT,
                "ORYX__UPDATE__TOPIC": UPDATE,
                "ORYX__LOCAL__DIR": str(tmp_path_factory.mktemp("batch")),
                "ORYX__MODEL__FEATURES": "8",
                "ORYX__MODEL__ITERATIONS": "4",
            },
        ).settings,
        bootstrap,
    )
    world = make_world(seed=11, users=150, items=80, interactions=4_000)
    lines = [
        f"{user},{item},{strength - 2:g},{at}"
        for user, item, strength, at in zip(world.users, world.items, world.strengths, world.timestamps_ms, strict=True)
    ]
    for n in range(0, 4_000, 97):
        lines[n] = f"{world.users[n]},{world.items[n]},"
    lines[2_000] = f"{world.users[0]},,"
    lines[2_500] = f",{world.items[0]},"
    site.send(lines[:3_000], first_id=0)
    site.send(lines[1_900:2_600], first_id=1_900)
    site.send_raw([(value, n % PARTITIONS) for n, value in enumerate(POISON)])
    assert site.run(spark) is Outcome.PUBLISHED
    stray = f"{world.users[1]},stray,1".encode()
    site.send_raw([(stray, (partition_of(str(world.users[1]), PARTITIONS) + 1) % PARTITIONS)])
    site.send(lines[2_400:3_000], first_id=2_400)
    site.send([*lines[3_000:], "only zero,zero,0", "Zoë 🦉,æther,1", f"{world.users[2]},æther,2", ",never seen,"])
    site.send([f"{WHALE},{world.items[n]},{strength}" for n, strength in enumerate((3e38, 3e38, -3e38))])
    assert site.run(spark) is Outcome.PUBLISHED
    return site


@pytest.fixture(scope="module")
def generation(site: Site) -> Generation:
    epoch = open_registry(site.settings.store_uri).read().newest_epoch
    assert epoch is not None
    return Generation.open(open_store(site.settings.store_uri).local(epoch.generation))


def told(site: Site) -> list[dict[str, Any]]:
    """What the input topic says, read and parsed record by record."""
    rows = []
    for record in read_topic(site.bootstrap, INPUT, PARTITIONS):
        try:
            interaction = read_input(record.value, record.partition, PARTITIONS)
        except BadInteraction:
            continue
        rows.append(
            {
                "partition": record.partition,
                "offset": record.offset,
                "kafka_ms": record.timestamp_ms,
                "id": dict(record.headers).get("id"),
                **msgspec.structs.asdict(interaction),
            }
        )
    return rows


def by_offset(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["partition"], row["offset"]))


def forgotten_later(rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Partition and offset of what a later row of the same partition forgets."""
    found, users, items = set(), set(), set()
    for row in reversed(by_offset(rows)):
        user, item = (row["partition"], row["user"]), (row["partition"], row["item"])
        if not row["item"]:
            users.add(user)
        elif not row["user"]:
            items.add(item)
        elif user in users or item in items:
            found.add((row["partition"], row["offset"]))
    return found


def test_the_history_has_every_readable_record_once_and_whole(site: Site) -> None:
    """Of what was forgotten by the time of a generation, a row with a key has the user and the key left."""
    kept, sent = by_offset(read_history(site.paths)), by_offset(told(site))
    forgotten = forgotten_later(sent)

    def others(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if (row["partition"], row["offset"]) not in forgotten]

    assert others(kept) == others(sent)
    husks = [row for row in kept if (row["partition"], row["offset"]) in forgotten and row not in sent]
    assert len(husks) > 10
    for row in husks:
        assert row["id"]
        assert row["item"] in {"", NOBODYS_ITEM}
        assert (row["strength"], row["timestamp_ms"], row["kind"]) == (None, None, None)


def test_the_generations_histories_are_the_slow_fold_of_the_topic(site: Site, generation: Generation) -> None:
    """To the bit; with adds, deletes, forgets of users and items, zeros and huge strengths."""
    assert pairs_of(generation) == slow_fold(told(site), generation.manifest.fold)
    assert generation.manifest.counts.users == len(generation.users) > 100


def test_what_was_sent_again_is_ignored_and_counted(site: Site, generation: Generation) -> None:
    """Within a run and across two, the forgetting of an item in each partition too."""
    manifest, rows = generation.manifest, told(site)
    assert manifest.counts.repeats == len(repeats_among(rows, manifest.fold)) == 700 + 600 + 2 * (PARTITIONS - 1)
    assert manifest.dedupe_from == window_starts(rows, manifest.fold) == dict.fromkeys(range(PARTITIONS), (0, -1))
    assert pairs_of(generation) != slow_fold(rows, FoldSettings(feedback="implicit"))


@pytest.mark.parametrize(("window_s", "records"), [(0.05, 1_000_000), (86_400, 40)])
def test_repeats_beyond_the_window_count(
    spark: SparkSession, site: Site, monkeypatch: pytest.MonkeyPatch, window_s: float, records: int
) -> None:
    """Wherever the window ends, in time or in number."""
    monkeypatch.setattr("batch_layer.spark.rows.dedupe._STRETCH", 1)
    fold = FoldSettings(feedback="implicit", dedupe_window_s=window_s, dedupe_records=records)
    rows, wanted = read_rows(spark, site.files), repeats_among(told(site), fold)
    found = repeats_of(rows, fold).collect()
    assert {(row["partition"], row["offset"]) for row in found} == wanted
    assert len(found) == len(wanted)
    assert window_starts(told(site), fold) == starts_of(rows, fold)


def test_the_manifest_states_what_was_covered_and_what_left_out(site: Site, generation: Generation) -> None:
    admin = KafkaAdmin(site.bootstrap, {})
    manifest, rows = generation.manifest, told(site)
    ends = admin.end_offsets(INPUT)
    assert manifest.input == {partition: (0, end) for partition, end in ends.items()}
    assert manifest.counts.interactions == len(rows)
    assert manifest.counts.rejected == sum(ends.values()) - len(rows) == len(POISON) + 1
    assert manifest.as_of_ms == max(row["kafka_ms"] for row in rows)
    history = history_log(site.settings.history_uri).read()
    assert history.input == manifest.input
    assert [commit.kind for commit in history_log(site.settings.history_uri).commits()] == ["input", "rewrite", "input"]


def test_every_update_partition_has_both_epochs(site: Site, generation: Generation) -> None:
    for partition in range(2):
        records = [r for r in read_topic(site.bootstrap, UPDATE, 2) if r.partition == partition]
        refs = [decode(record.key, record.value, record.headers) for record in records]
        assert all(isinstance(ref, ModelRef) for ref in refs)
        assert [ref.epoch for ref in refs if isinstance(ref, ModelRef)] == [1, 2]
        assert isinstance(refs[1], ModelRef)
        assert (refs[1].generation, refs[1].start[partition]) == (generation.name, 1)


def assert_law(users: np.ndarray[Any, Any], items: np.ndarray[Any, Any], histories: Csr, objective: Objective) -> None:
    """Folding a user's unchanged history in gives the stored vector: the contract of the design."""
    prior = Prior(gram(items), len(items))
    solved = 0
    for row in range(len(histories)):
        indices, strengths = histories.row(row)
        if np.abs(strengths).max() > 1e6:  # a condition beyond the contract's
            assert np.isfinite(users[row]).all()
            continue
        vector = fold_in(strengths, items[indices], prior, objective)
        assert np.linalg.norm(users[row] - vector) <= 1e-5 * np.linalg.norm(vector)
        solved += bool(vector.any())
    assert solved > 100


def test_folding_an_unchanged_history_in_gives_the_stored_vector(generation: Generation) -> None:
    assert_law(
        generation.user_factors, generation.item_factors, generation.user_histories, generation.manifest.objective
    )


def test_items_are_published_where_the_prior_is_diagonal(generation: Generation) -> None:
    off = generation.item_gram - np.diag(np.diag(generation.item_gram))
    assert np.abs(off).max() < 1e-5 * generation.item_gram.max()
    assert (np.diff(np.diag(generation.item_gram)) <= 0).all()


def test_a_user_without_observed_pairs_has_a_row_of_zeros(generation: Generation) -> None:
    assert not generation.user_factors[generation.users.find("only zero")].any()
    assert not generation.item_factors[generation.items.find("zero")].any()


def matrix(factors: DataFrame, rows: int) -> np.ndarray[Any, Any]:
    """MLlib's factors by row; 0 where it gave none."""
    found = np.zeros((rows, 8), np.float32)
    for row in factors.collect():
        found[row.id] = row.features
    return found


def test_the_solve_gives_what_mllibs_own_users_score(
    spark: SparkSession, generation: Generation, tmp_path: Path
) -> None:
    """MLlib solves the users last, against its final items, in single precision; scores do not know of the rotation."""
    histories, objective = generation.user_histories, generation.manifest.objective
    usual = np.abs(histories.strengths) < 1e6
    users = np.repeat(np.arange(len(histories), dtype=np.int32), np.diff(histories.indptr))[usual]
    items, strengths = histories.indices[usual], histories.strengths[usual]
    pairs = spark.createDataFrame(pa.table({"user": users, "item": items, "strength": strengths}))
    model = fit(pairs, len(users), recipe("implicit"))
    their_items = matrix(model.itemFactors, len(generation.items))
    their_users = matrix(model.userFactors, len(generation.users))
    kept = Csr.from_pairs(users, items, strengths, len(generation.users))
    for file, array in zip(history_files("users"), (kept.indptr, kept.indices, kept.strengths), strict=True):
        np.save(tmp_path / file, array)
    publish_items(their_items, tmp_path, objective)
    solve_users(OnSpark(spark), tmp_path, objective)
    our_users, our_items = np.load(tmp_path / "users.npy"), np.load(tmp_path / "items.npy")
    scores = their_users @ their_items.T
    assert np.abs(our_users @ our_items.T - scores).max() < 1e-3 * np.abs(scores).max()


def recipe(feedback: str, trainer: str = "mllib", **model: Any) -> Recipe:
    defaults = {"ORYX__MODEL__FEATURES": "8", "ORYX__MODEL__ITERATIONS": "4", "ORYX__MODEL__FEEDBACK": feedback}
    given = {f"ORYX__MODEL__{name.upper()}": str(value) for name, value in model.items()}
    settings = load(None, {**defaults, **given}).settings
    return recipe_of(settings.model, trainer, settings.input)


@dataclass
class Made:
    """What a training left in a directory."""

    trained: Trained
    into: Path

    @property
    def users(self) -> np.ndarray[Any, Any]:
        return map_array(self.into / "users.npy", np.float32, (None, None))

    @property
    def items(self) -> np.ndarray[Any, Any]:
        return map_array(self.into / "items.npy", np.float32, (None, None))

    @property
    def histories(self) -> Csr:
        return map_histories(self.into, "users")

    @property
    def pairs(self) -> dict[str, dict[str, float]]:
        users, items = (IdTable.open(self.into, side) for side in ("users", "items"))
        rows = [self.histories.row(row) for row in range(len(users))]
        return {
            users.id(row): dict(zip(items.ids(indices), strengths.tolist(), strict=True))
            for row, (indices, strengths) in enumerate(rows)
        }

    def bits(self) -> dict[str, bytes]:
        """Every file, by name."""
        return {path.name: path.read_bytes() for path in self.into.iterdir()}


def make(spark: SparkSession, site: Site, folder: Path, how: Recipe, parts: int | None = None) -> Made:
    into, work = folder / "into", folder / "work"
    into.mkdir(parents=True)
    work.mkdir()
    trained = train(spark, site.files, how, into, work, rows=len(read_history(site.paths)), parts=parts)
    assert trained is not None
    return Made(trained, into)


@pytest.fixture(scope="module")
def explicit(spark: SparkSession, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(spark, site, tmp_path_factory.mktemp("explicit"), recipe("explicit"))


def test_explicit_feedback_keeps_the_last_rating(site: Site, explicit: Made) -> None:
    assert explicit.pairs == slow_fold(told(site), recipe("explicit").fold)


def test_the_law_holds_for_explicit_feedback_too(explicit: Made) -> None:
    assert_law(explicit.users, explicit.items, explicit.histories, recipe("explicit").objective)


@pytest.mark.parametrize(("trainer", "log_strength"), [("mllib", "true"), ("ials", "true"), ("ials", "false")])
def test_the_law_holds_and_training_repeats_itself(
    spark: SparkSession, site: Site, tmp_path: Path, trainer: str, log_strength: str
) -> None:
    """The same history gives the same bits in every file, however it is spread; also of strengths beyond all bounds."""
    how = recipe("implicit", trainer, log_strength=log_strength, epsilon=1, alpha=3)
    first, *others = (make(spark, site, tmp_path / str(parts), how, parts) for parts in (3, 1, 7))
    assert_law(first.users, first.items, first.histories, first.trained.objective)
    for other in others:
        assert other.bits() == first.bits()


def test_all_pairs_come_back_from_the_files(spark: SparkSession, generation: Generation) -> None:
    """In the shape in which MLlib takes them."""
    found = read_pairs(spark, generation.path, generation.manifest.counts.pairs).toArrow()
    histories = generation.user_histories
    assert found.column("user").to_pylist() == np.repeat(np.arange(len(histories)), np.diff(histories.indptr)).tolist()
    assert found.column("item").to_pylist() == histories.indices.tolist()
    assert found.column("strength").to_pylist() == histories.strengths.tolist()


def test_the_items_histories_are_the_users_transposed(generation: Generation) -> None:
    wanted = generation.user_histories.transposed(len(generation.items))
    for name in ("indptr", "indices", "strengths"):
        np.testing.assert_array_equal(getattr(generation.item_histories, name), getattr(wanted, name))


def test_the_working_directory_is_empty_afterwards(site: Site, generation: Generation) -> None:
    assert generation.manifest.metrics["training"]["bytes"]["all"] > 0
    assert list(site.settings.work_dir.iterdir()) == []


def test_a_read_is_a_function_of_the_offsets(spark: SparkSession, site: Site) -> None:
    """Whatever the slices and the tasks."""
    ends = KafkaAdmin(site.bootstrap, {}).end_offsets(INPUT)
    slices = [Slice(p, at, min(at + 333, end)) for p, end in ends.items() for at in range(0, end, 333)]
    table = read_frame(spark, site.source, slices, PARTITIONS, tasks=3).where("not rejected").drop("rejected").toArrow()
    assert by_offset(table.to_pylist()) == by_offset(told(site))


def engine_of(site: Site, spark: SparkSession, how: Recipe) -> SparkEngine:
    work = WorkFolder(site.settings.work_dir)
    return SparkEngine(site.source, how, work=work, start=lambda: spark, end=lambda _: None)


def test_what_a_task_raises_arrives_as_itself(spark: SparkSession, site: Site, tmp_path: Path) -> None:
    engine = engine_of(site, spark, recipe("implicit"))
    beyond = KafkaAdmin(site.bootstrap, {}).end_offsets(INPUT)[0] + 1000
    with pytest.raises(LogGap, match=rf"{INPUT}.*{beyond}"):
        engine.write_rows({0: (beyond, beyond + 1)}, PARTITIONS, (tmp_path / "rows").as_uri())


def test_systems_without_a_solution_are_the_settings_fault(spark: SparkSession, site: Site, tmp_path: Path) -> None:
    engine = engine_of(site, spark, recipe("explicit", features=40, **{"lambda": 0}))
    with pytest.raises(UserError, match=r"raise model\.lambda"):
        engine.train(site.files, 1, tmp_path, None)


def test_work_can_be_ended_from_another_thread(
    spark: SparkSession, site: Site, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    engine = engine_of(site, spark, recipe("implicit", iterations=200))
    tracker = spark.sparkContext.statusTracker()

    def cancel() -> None:
        eventually(tracker.getActiveJobsIds)
        engine.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        engine.train(site.files, 1, tmp_path, None)
    thread.join()
    with pytest.raises(Cancelled):
        engine.train(site.files, 1, tmp_path, None)


def test_properties_that_spark_refuses_are_the_users_to_change(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Spark did not start.*nonsense"):
        open_session("local[1]", {"spark.driver.memory": "nonsense"}, tmp_path / "spark.log")


@pytest.mark.usefixtures("site")
def test_spark_leaves_nothing_in_the_working_directory() -> None:
    left = {"artifacts", "derby.log", "metastore_db", "spark-warehouse"}
    assert not left & {path.name for path in Path.cwd().iterdir()}
