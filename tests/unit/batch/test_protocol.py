"""A run of the batch layer: what it leaves behind, and what a crash after any step changes about it: nothing."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from batch_layer.engine import Cancelled
from batch_layer.run.steps import Outcome, Step
from oryx_py.errors import BrokerUnavailable, CommitConflict, CorruptGeneration, LogGap, TopicsChanged, Transient
from oryx_py.messages import partition_of
from oryx_py.model.epochs.registry import TopicsIdentity
from oryx_py.ports import TopicSpec
from oryx_py.testing.fake_log import FakeAdmin
from tests.support.batch import BatchWorld, Crash, pairs_of, slow_fold

FIRST = ["ann,tea,2", "ann,tea,1", "bob,jam,1", "bob,tea,4", "cid,jam,1", "cid,egg,2", "cid,egg,", "dan,egg,1", "dan,,"]
PAIRS = {"ann": {"tea": 3.0}, "bob": {"jam": 1.0, "tea": 4.0}, "cid": {"jam": 1.0}}
LATER = ["ann,egg,1", "eve,jam,2", ",tea,"]


@pytest.fixture
def world(tmp_path: Path) -> BatchWorld:
    world = BatchWorld(tmp_path)
    world.send(*FIRST)
    world.send_raw(b"nonsense", 1)
    world.send_raw(b"ann,tea,1", (partition_of("ann", world.PARTITIONS) + 1) % world.PARTITIONS)
    return world


def ends(world: BatchWorld) -> dict[int, int]:
    return FakeAdmin(world.log).end_offsets("in")


def test_a_run_makes_one_epoch_of_all_input(world: BatchWorld) -> None:
    assert world.run() is Outcome.PUBLISHED
    generation = world.newest()
    assert pairs_of(generation) == PAIRS
    assert generation.manifest.input == {partition: (0, end) for partition, end in ends(world).items()}
    assert generation.manifest.as_of_ms == max(row["kafka_ms"] for row in world.rows())
    registry = world.registry.read()
    assert [(epoch.epoch, epoch.generation) for epoch in registry.epochs] == [(1, generation.name)]
    assert registry.epochs[0].start == {0: 0, 1: 0}
    for refs in world.announced().values():
        (ref,) = refs
        assert (ref.epoch, ref.generation) == (1, generation.name)
        assert ref.uri == world.store.uri(generation.name)
        assert dict(ref.start) == registry.epochs[0].start


def test_the_manifest_says_what_each_step_took_and_wrote(world: BatchWorld) -> None:
    world.run()
    manifest = world.newest().manifest
    training = manifest.metrics["training"]
    assert training["seconds"]["seal"] > 0
    assert training["bytes"]["all"] == sum(entry.bytes for entry in manifest.files.values())


def test_what_cannot_be_read_is_left_out_and_counted(world: BatchWorld) -> None:
    world.send_raw(None, 0)
    world.send_raw(b"\xff\xfe", 0)
    world.run()
    manifest = world.newest().manifest
    assert manifest.counts.rejected == 4
    assert manifest.counts.interactions == len(FIRST) == sum(ends(world).values()) - 4
    assert world.counted.get_sample_value("oryx_batch_rejected_total") == 4
    assert world.counted.get_sample_value("oryx_batch_rows_total") == manifest.counts.interactions


def test_a_run_that_leaves_out_all_records_trains_nothing_and_leaves_nothing_to_be_swept(world: BatchWorld) -> None:
    """Whoever sends nonsense every few minutes had everything trained again each time."""
    world.run()
    calls, covered = list(world.engine.calls), world.newest().manifest.input
    world.send_raw(b"nonsense", 0)
    assert world.run() is Outcome.NOTHING_NEW
    history = world.history.read()
    assert dict(history.offsets) == ends(world)
    assert world.engine.calls == [*calls, "write_rows"]
    assert world.run() is Outcome.NOTHING_NEW
    assert world.history.read() == history, "an empty commit stands for a process that died"
    assert world.newest().manifest.input == covered
    world.send("eve,tea,1")
    assert world.run() is Outcome.PUBLISHED
    assert world.newest().manifest.input == world.history.read().input


def test_a_repeat_counts_once_also_across_runs(world: BatchWorld) -> None:
    """Of adds, deletes and forgets alike; the history keeps it, the fold ignores it."""
    world.send("ann,egg,1", id_=b"k:1")
    world.send("bob,jam,", id_=b"k:2")
    world.send(",egg,", id_=b"k:3")
    assert world.run() is Outcome.PUBLISHED
    world.send("ann,egg,5", "bob,jam,9", "ann,tea,1")
    world.send("ann,egg,1", id_=b"k:1")
    world.send("bob,jam,", id_=b"k:2")
    world.send(",egg,", id_=b"k:3")
    assert world.run() is Outcome.PUBLISHED
    generation = world.newest()
    assert pairs_of(generation) == {
        "ann": {"tea": 4.0, "egg": 5.0}, "bob": {"jam": 9.0, "tea": 4.0}, "cid": {"jam": 1.0}
    }  # fmt: skip
    assert generation.manifest.counts.repeats == 5
    assert generation.manifest.counts.interactions == len(world.rows())
    assert world.counted.get_sample_value("oryx_batch_repeats") == 5
    assert generation.manifest.fold.dedupe_window_s == 86_400
    starts = {p: min(r["offset"] for r in world.rows() if r["id"] and r["partition"] == p) for p in range(3)}
    assert generation.manifest.dedupe_from == {partition: (offset, -1) for partition, offset in starts.items()}


def test_input_goes_on_where_the_history_ends(world: BatchWorld) -> None:
    world.run()
    first = world.newest().name
    before = ends(world)
    world.send(*LATER)
    assert world.run() is Outcome.PUBLISHED
    commits = world.history.read()
    assert commits.number == 2
    assert dict(commits.offsets) == ends(world)
    assert len(world.rows()) == len({(row["partition"], row["offset"]) for row in world.rows()})
    assert before != ends(world)
    generation = world.newest()
    assert generation.manifest.parent == first
    # Nobody knows tea any more, so that it has no row, and ann lost what she had of it.
    assert pairs_of(generation) == {
        "ann": {"egg": 1.0}, "bob": {"jam": 1.0}, "cid": {"jam": 1.0}, "eve": {"jam": 2.0}
    }  # fmt: skip
    assert world.registry.read().state(first) == "retired"


def test_nothing_new_makes_no_epoch_unless_forced(world: BatchWorld) -> None:
    world.run()
    calls = list(world.engine.calls)
    assert world.run() is Outcome.NOTHING_NEW
    assert world.engine.calls == calls
    assert world.run(force=True) is Outcome.PUBLISHED
    assert [epoch.epoch for epoch in world.registry.read().epochs] == [1, 2]


def test_changed_settings_make_a_generation_without_new_input_and_only_one(world: BatchWorld) -> None:
    world.run()
    first, seed_1 = world.newest().name, world.recipe
    world.use(msgspec.structs.replace(seed_1, seed=2))
    assert world.run() is Outcome.PUBLISHED
    assert world.newest().manifest.parent == first
    assert world.newest().manifest.hyperparameters["seed"] == 2
    assert world.run() is Outcome.NOTHING_NEW
    world.use(seed_1)
    assert world.run() is Outcome.PUBLISHED
    assert world.run() is Outcome.NOTHING_NEW
    for other in (
        msgspec.structs.replace(seed_1, trainer="slower"),
        msgspec.structs.replace(seed_1, features=2),
        msgspec.structs.replace(seed_1, iterations=1),
        msgspec.structs.replace(seed_1, fold=msgspec.structs.replace(seed_1.fold, dedupe_window_s=1.0)),
    ):
        world.use(other)
        assert [world.run(), world.run()] == [Outcome.PUBLISHED, Outcome.NOTHING_NEW]


def test_the_scale_of_the_data_is_no_changed_setting(world: BatchWorld) -> None:
    """Nor do more data make it one; what a pair of the mean strength weighs does."""
    relative = msgspec.structs.replace(
        world.recipe, alpha=2.0, objective=msgspec.structs.replace(world.recipe.objective, alpha=1.0)
    )
    world.use(relative)
    found = []
    for more in ([], ["ann,pie,900", "bob,pie,700"]):
        world.send(*more)
        assert [world.run(), world.run()] == [Outcome.PUBLISHED, Outcome.NOTHING_NEW]
        strengths = [s for known in pairs_of(world.newest()).values() for s in known.values()]
        assert world.newest().manifest.objective.alpha == pytest.approx(2.0 / np.mean(np.abs(strengths)))
        found.append(world.newest().manifest.objective.alpha)
    assert found[0] > 10 * found[1]
    world.use(msgspec.structs.replace(relative, alpha=3.0))
    assert [world.run(), world.run()] == [Outcome.PUBLISHED, Outcome.NOTHING_NEW]
    world.use(msgspec.structs.replace(relative, alpha=None))
    assert [world.run(), world.run()] == [Outcome.PUBLISHED, Outcome.NOTHING_NEW]


@pytest.mark.parametrize("values", [[], ["ann,tea,"], ["ann,tea,1", "ann,,"], ["ann,tea,1", ",tea,"]])
def test_a_history_without_pairs_makes_no_generation(tmp_path: Path, values: list[str]) -> None:
    world = BatchWorld(tmp_path)
    world.send(*values)
    assert world.run() is Outcome.NO_PAIRS
    assert world.run() is Outcome.NO_PAIRS
    assert world.store.generations() == world.store.incomplete() == []
    assert world.registry.read().epochs == ()
    world.send("ann,tea,1")
    assert world.run() is Outcome.PUBLISHED


def test_only_what_cannot_be_read_moves_the_offsets_all_the_same(tmp_path: Path) -> None:
    world = BatchWorld(tmp_path)
    world.send_raw(b"nonsense", 0)
    assert world.run() is Outcome.NO_PAIRS
    history = world.history.read()
    assert (dict(history.offsets), history.rejected, history.files) == ({0: 1, 1: 0, 2: 0}, 1, ())


@pytest.mark.parametrize("step", list(Step))
def test_after_a_crash_the_next_run_ends_in_one_epoch_of_all_input(world: BatchWorld, step: Step) -> None:
    with pytest.raises(Crash):
        world.run(crash_after=step)
    world.run()
    assert_settled(world, epochs=1)
    assert world.run() is Outcome.NOTHING_NEW
    assert_settled(world, epochs=1)


@pytest.mark.parametrize("step", list(Step))
def test_input_between_a_crash_and_the_next_run_counts_once(world: BatchWorld, step: Step) -> None:
    with pytest.raises(Crash):
        world.run(crash_after=step)
    world.send(*LATER)
    assert world.run() is Outcome.PUBLISHED
    finished = step in {Step.GENERATION_COMMITTED, Step.EPOCH_STARTED, Step.EPOCH_ANNOUNCED, Step.TIDIED}
    assert_settled(world, epochs=2 if finished else 1)


@pytest.mark.parametrize("step", list(Step))
def test_a_crash_in_every_run_but_the_last_leaves_no_more_than_one_crash(world: BatchWorld, step: Step) -> None:
    for _ in range(3):
        try:
            world.run(crash_after=step)
        except Crash:
            continue
    world.run()
    assert_settled(world, epochs=1)


def assert_settled(world: BatchWorld, epochs: int) -> None:
    """Everything is as after runs that were never interrupted."""
    registry = world.registry.read()
    generation = world.newest()
    assert [epoch.epoch for epoch in registry.epochs] == list(range(1, epochs + 1))
    assert pairs_of(generation) == slow_fold(world.rows(), world.recipe.fold)
    assert generation.manifest.next_offsets == ends(world)
    everything = [(p, record.offset) for p in range(3) for record in world.log.partition("in", p).records]
    rows = [(row["partition"], row["offset"]) for row in world.rows()]
    assert len(rows) == len(set(rows)) == len(everything) - generation.manifest.counts.rejected
    for refs in world.announced().values():
        assert [ref.epoch for ref in refs] == [epoch.epoch for epoch in registry.epochs]
    assert world.store.incomplete() == []
    assert sorted(world.store.generations()) == sorted(registry.generations)
    committed = {Path(file.path).parts[1] for file in world.history.read().files}
    assert {path.name for path in (world.folder / "history" / "data").iterdir()} == committed


def test_only_partitions_that_lack_the_announcement_get_it(world: BatchWorld) -> None:
    with pytest.raises(Crash):
        world.run(crash_after=Step.EPOCH_STARTED)
    with world.publisher() as publisher:
        epoch = world.registry.read().epochs[-1]
        assert publisher.announce(epoch) == [0, 1]
        world.log.topic("up").partitions[1].records.clear()
        assert publisher.announce(epoch) == [1]
        assert publisher.announce(epoch) == []


def test_an_announcement_that_was_trimmed_is_sent_again(world: BatchWorld) -> None:
    world.run()
    world.log.trim("up", {0: 1})
    with world.publisher() as publisher:
        assert publisher.announce(world.registry.read().epochs[-1]) == [0]


def test_a_damaged_candidate_is_rejected_and_trained_anew(world: BatchWorld) -> None:
    with pytest.raises(Crash):
        world.run(crash_after=Step.GENERATION_COMMITTED)
    (damaged,) = world.store.generations()
    path = world.store.local(damaged) / "items.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert world.run() is Outcome.PUBLISHED
    registry = world.registry.read()
    assert registry.state(damaged) == "rejected"
    assert [epoch.generation for epoch in registry.epochs] == [world.newest().name] != [damaged]


def test_a_broker_that_goes_away_ends_the_run_and_the_next_one_goes_on(world: BatchWorld) -> None:
    with world.log.outage(), pytest.raises(BrokerUnavailable):
        world.run()
    assert world.run() is Outcome.PUBLISHED
    assert_settled(world, epochs=1)


def test_two_at_once_do_not_overwrite_each_other(world: BatchWorld) -> None:
    """The slower of two processes is told so, and its files are rubbish."""
    append = world.history.append

    def slower(*arguments: object, **named: object) -> object:
        world.history.append = append  # type: ignore[method-assign]
        world.run()
        return append(*arguments, **named)  # type: ignore[arg-type]

    world.history.append = slower  # type: ignore[method-assign,assignment]
    with pytest.raises(CommitConflict):
        world.run()
    assert world.run() is Outcome.NOTHING_NEW
    assert_settled(world, epochs=1)


def test_an_item_topic_that_came_later_is_recorded_and_one_that_was_made_anew_refused(world: BatchWorld) -> None:
    """Offsets of another topic of its name would count as heard."""
    world.run()
    world.log.create(TopicSpec("items", 3, 1, {}))
    world.run()
    topics = world.registry.read().topics
    assert topics is not None
    assert {name: topic.partitions for name, topic in topics.topics.items()} == {"in": 3, "up": 2, "items": 3}
    commits = world.registry.read().number
    world.run()
    assert world.registry.read().number == commits
    world.log.delete("items")
    world.log.create(TopicSpec("items", 3, 1, {}))
    with pytest.raises(TopicsChanged, match="topic items was created anew"):
        world.run()


def test_topics_are_recorded_once_and_strangers_refused(world: BatchWorld) -> None:
    world.run()
    topics = world.registry.read().topics
    assert isinstance(topics, TopicsIdentity)
    assert {name: topic.partitions for name, topic in topics.topics.items()} == {"in": 3, "up": 2}
    world.log.delete("in")
    world.log.create(TopicSpec("in", 3, 1, {}))
    with pytest.raises(TopicsChanged, match="created anew"):
        world.run()
    world.log.delete("in")
    world.log.create(TopicSpec("in", 4, 1, {}))
    with pytest.raises(TopicsChanged, match="4 partitions, it had 3"):
        world.run()
    world.log.delete("in")
    with pytest.raises(TopicsChanged, match="oryx setup"):
        world.run()


def test_input_that_was_trimmed_before_it_was_read_stops_the_layer(world: BatchWorld) -> None:
    world.run()
    world.send(*LATER)
    (partition, end), *_ = [(p, end) for p, end in ends(world).items() if end > world.history.read().offsets[p]]
    world.log.trim("in", {partition: end})
    with pytest.raises(LogGap, match=f"in:{partition} begins at {end}"):
        world.run()


def test_a_log_that_ends_below_the_history_stops_the_layer(world: BatchWorld) -> None:
    world.run()
    world.log.partition("in", 0).end = 0
    if not world.history.read().offsets[0]:
        pytest.fail("the first partition must have records")
    with pytest.raises(LogGap, match="ends at 0"):
        world.run()


def test_a_history_may_begin_where_the_topic_does(tmp_path: Path) -> None:
    world = BatchWorld(tmp_path)
    world.send(*FIRST)
    partition = next(p for p, end in ends(world).items() if end)
    world.log.trim("in", {partition: 1})
    world.run()
    assert world.newest().manifest.input[partition] == (1, ends(world)[partition])


@pytest.mark.parametrize("step", list(Step))
def test_a_run_that_was_asked_to_stop_leaves_nothing_half_done(world: BatchWorld, step: Step) -> None:
    """Only what is committed stays; the next run goes on from there."""
    with pytest.raises(Cancelled):
        world.run(stop_after=step)
    assert world.store.incomplete() == []
    committed = {Path(file.path).parts[1] for file in world.history.read().files}
    assert {path.name for path in (world.folder / "history" / "data").glob("*")} == committed
    world.run()
    assert_settled(world, epochs=1)


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("values", [[], LATER])
def test_a_run_that_slept_while_another_was_at_work_publishes_nothing_stale(
    world: BatchWorld, step: Step, values: list[str]
) -> None:
    """Taken for dead after a step, it wakes when a whole run of somebody else is over: its commits are refused."""
    slept: list[Step] = []

    def sleep(now: Step) -> None:
        if now is step and not slept:
            slept.append(now)
            world.send(*values)
            world.run()

    with suppress(Transient, CorruptGeneration):
        world.run(meanwhile=sleep)
    assert slept == [step]
    registry = world.registry.read()
    covered = [world.store.manifest(epoch.generation).next_offsets for epoch in registry.epochs]
    assert all(after[p] >= before[p] for before, after in pairwise(covered) for p in before)
    assert len({tuple(sorted(offsets.items())) for offsets in covered}) == len(covered)
    world.run()
    assert_settled(world, epochs=len(world.registry.read().epochs))
