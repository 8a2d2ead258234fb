"""Reading on below where a topic was trimmed."""

import shutil
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.errors import BadInteraction, BrokerUnavailable, LogGap, StoreUnavailable
from oryx_py.messages.inbound import id_of, read_input
from oryx_py.ports import EndOfPartition, Outgoing, Record, TopicSpec
from oryx_py.runtime.gaps import Gaps
from oryx_py.runtime.log_or_history import LogOrHistory
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from tests.support.batch import BatchWorld

ALL = 20


class Kept:
    """The records of a log as it once was, some of them left out as nobody could read them."""

    def __init__(self, log: FakeLog, up_to: Mapping[int, int], without: frozenset[int] = frozenset()) -> None:
        self._records = {p: list(log.partition("in", p).records) for p in up_to}
        self._up_to, self._without = up_to, without
        self.asked: list[tuple[int, int, int]] = []

    def offsets(self) -> Mapping[int, int]:
        return self._up_to

    def records(self, partition: int, start: int, stop: int) -> Iterator[Record]:
        self.asked.append((partition, start, stop))
        for record in self._records[partition]:
            if start <= record.offset < stop and record.offset not in self._without:
                yield record


@pytest.fixture
def log() -> FakeLog:
    """Two partitions of twenty records."""
    log = FakeLog()
    log.create(TopicSpec("in", 2, 1, {}))
    for n in range(ALL):
        for partition in range(2):
            log.append(Outgoing("in", b"%d" % n, None, (), partition))
    return log


def read(consumer: LogOrHistory, most: int = 3) -> dict[int, list[int]]:
    """Read to the end of both partitions; return the offsets of each, in the order in which they came."""
    found: dict[int, list[int]] = {0: [], 1: []}
    ended: set[int] = set()
    for _ in range(200):
        for event in consumer.poll(most, 0.0):
            if isinstance(event, EndOfPartition):
                ended.add(event.partition)
            else:
                assert event.value == b"%d" % event.offset
                found[event.partition].append(event.offset)
        for (_, partition), position in consumer.positions().items():
            assert not found[partition] or position > found[partition][-1]
        if ended == {0, 1}:
            return found
    raise AssertionError(found)


@pytest.mark.parametrize("trimmed", [{}, {0: 1}, {0: 7, 1: 3}, {0: ALL, 1: ALL}])
@pytest.mark.parametrize("most", [1, 5, 100])
def test_every_record_comes_once_and_in_order(log: FakeLog, trimmed: dict[int, int], most: int) -> None:
    past = Kept(log, {0: ALL, 1: 12}) if trimmed.get(1, 0) <= 12 else Kept(log, {0: ALL, 1: ALL})
    log.trim("in", trimmed)
    consumer = LogOrHistory(FakeConsumer(log), "in", admin=FakeAdmin(log), past=past, clock=SystemClock())
    consumer.assign({("in", 0): 0, ("in", 1): 2})
    assert read(consumer, most) == {0: list(range(ALL)), 1: list(range(2, ALL))}
    assert consumer.positions() == {("in", 0): ALL, ("in", 1): ALL}
    assert {partition for partition, _, _ in past.asked} == {p for p, o in trimmed.items() if o > (0, 2)[p]}


def test_what_the_history_left_out_is_passed_over_where_the_log_has_it_no_more(log: FakeLog) -> None:
    """What nobody could read and the log still has may have no dead letter yet."""
    past = Kept(log, {0: 10, 1: 10}, without=frozenset({0, 4, 9}))
    log.trim("in", {0: 10, 1: 8})
    consumer = LogOrHistory(FakeConsumer(log), "in", admin=FakeAdmin(log), past=past, clock=SystemClock())
    consumer.assign({("in", 0): 0, ("in", 1): 0})
    assert read(consumer) == {
        0: [n for n in range(ALL) if n not in {0, 4, 9}],
        1: [n for n in range(ALL) if n not in {0, 4}],
    }


def test_a_log_that_is_trimmed_under_the_reader_is_no_gap(log: FakeLog) -> None:
    past = Kept(log, {0: 15, 1: 15})
    consumer = LogOrHistory(FakeConsumer(log), "in", admin=FakeAdmin(log), past=past, clock=SystemClock())
    consumer.assign({("in", 0): 0, ("in", 1): 0})
    first = [event.offset for event in consumer.poll(3, 0.0) if isinstance(event, Record)]
    log.trim("in", {0: 11, 1: 15})
    rest = read(consumer)
    assert first + rest[0] == list(range(ALL))
    assert rest[1] == list(range(ALL))


def test_a_new_assignment_forgets_the_history(log: FakeLog) -> None:
    log.trim("in", {0: 5, 1: 5})
    consumer = LogOrHistory(
        FakeConsumer(log), "in", admin=FakeAdmin(log), past=Kept(log, {0: ALL, 1: ALL}), clock=SystemClock()
    )
    consumer.assign({("in", 0): 0})
    consumer.poll(1, 0.0)
    consumer.assign({("in", 0): 18, ("in", 1): 19})
    assert read(consumer) == {0: [18, 19], 1: [19]}


def test_what_neither_has_is_a_gap_that_says_what_to_do(log: FakeLog) -> None:
    past = Kept(log, {0: 4})
    log.trim("in", {0: 5})
    consumer = LogOrHistory(FakeConsumer(log), "in", admin=FakeAdmin(log), past=past, clock=SystemClock())
    consumer.assign({("in", 0): 2})
    with pytest.raises(LogGap, match=r"in:0 begins at 5 and the history ends at 4, 2 is needed"):
        consumer.poll(1, 0.0)
    consumer.assign({("in", 0): ALL + 1})
    with pytest.raises(LogGap, match="the log has"):
        consumer.poll(1, 0.0)


@pytest.mark.parametrize("most", [1, 3, 100])
def test_where_a_gap_is_allowed_what_there_is_comes_and_what_is_missing_is_counted(log: FakeLog, most: int) -> None:
    """The history as far as it goes, then the log from where it begins; a partition without a gap has everything."""
    past = Kept(log, {0: 4, 1: 9})
    log.trim("in", {0: 7, 1: 9})
    counted: list[int] = []
    gaps = Gaps("in", FakeAdmin(log), counted.append)
    for _ in range(2):
        consumer = LogOrHistory(
            FakeConsumer(log), "in", admin=FakeAdmin(log), past=past, clock=SystemClock(), gaps=gaps
        )
        consumer.assign({("in", 0): 2, ("in", 1): 0})
        assert read(consumer, most) == {0: [2, 3, *range(7, ALL)], 1: list(range(ALL))}
    assert counted == [3], "offsets 4 to 6, once for both readers"
    consumer.assign({("in", 0): ALL + 1})
    with pytest.raises(LogGap, match="the log has"):
        consumer.poll(1, 0.0)


def test_a_broker_that_does_not_say_where_the_log_begins_is_asked_again(log: FakeLog) -> None:
    class Silent(FakeAdmin):
        answers = False

        def start_offsets(self, topic: str) -> dict[int, int]:
            if not self.answers:
                raise BrokerUnavailable("no answer")
            return super().start_offsets(topic)

    past, admin = Kept(log, {0: ALL, 1: ALL}), Silent(log)
    log.trim("in", {0: 5})
    consumer = LogOrHistory(FakeConsumer(log), "in", admin=admin, past=past, clock=SystemClock())
    consumer.assign({("in", 0): 0, ("in", 1): 0})
    assert all(not isinstance(event, Record) or event.partition for event in consumer.poll(100, 0.0))
    assert consumer.poll(100, 0.0) == []
    admin.answers = True
    consumer.poll(100, 0.0)
    assert [event.offset for event in consumer.poll(100, 0.0) if isinstance(event, Record)] == list(range(5))


def test_a_history_that_cannot_be_read_for_a_while_loses_nothing(log: FakeLog) -> None:
    """Nor does one whose file goes while it is read."""

    class Failing(Kept):
        left = 3

        def records(self, partition: int, start: int, stop: int) -> Iterator[Record]:
            for number, record in enumerate(super().records(partition, start, stop)):
                if number == 2 and self.left:
                    self.left -= 1
                    raise StoreUnavailable("it went")
                yield record

    past = Failing(log, {0: 12, 1: 12})
    log.trim("in", {0: 10})
    consumer = LogOrHistory(FakeConsumer(log), "in", admin=FakeAdmin(log), past=past, clock=SystemClock())
    consumer.assign({("in", 0): 0, ("in", 1): 0})
    assert read(consumer) == {0: list(range(ALL)), 1: list(range(ALL))}
    assert past.left == 0


def test_the_history_tells_what_the_topic_told(tmp_path: Path) -> None:
    """Every readable record with its place, time, key and meaning; across commits, and from and to any offset."""
    world = BatchWorld(tmp_path)
    world.send("ann,tea,0.1", "bob,jam,1e30", '"a,""b""",æ,-2,1700000000000,view', "ann,tea,", "ann,,", id_=b"k:1")
    world.send_raw(b"nonsense", 0)
    world.run()
    world.send("ann,tea,2", ",jam,", "bob,tea,3,5")
    world.send_raw(b'["dan","jam",null]', 1)
    world.send_raw(b'["dan","jam",null]', 2)
    world.send_raw(b'["dan","jam",null]', 0)
    world.run()
    told: dict[int, list[Record]] = {p: [] for p in range(world.PARTITIONS)}
    for partition, readable in told.items():
        for record in world.log.partition("in", partition).records:
            try:
                read_input(record.value, partition, world.PARTITIONS)
            except BadInteraction:
                continue
            readable.append(record)
    root = world.folder / "history"
    past = HistoryRecords(world.history, "in", lambda path: (root / path).open("rb"))
    assert past.offsets() == {p: world.log.partition("in", p).end for p in told}
    for partition, readable in told.items():
        end = world.log.partition("in", partition).end
        for start, stop in [(0, end), (1, end), (0, end - 1), (end, end)]:
            found = list(past.records(partition, start, stop))
            wanted = [record for record in readable if start <= record.offset < stop]
            assert [_meaning(record, world) for record in found] == [_meaning(record, world) for record in wanted]


def test_only_files_of_commits_that_cover_what_is_wanted_are_opened(tmp_path: Path) -> None:
    """However many there are before and after; as each is a request or more where the files are far away."""
    world, opened, ends = BatchWorld(tmp_path), list[str](), [dict.fromkeys(range(BatchWorld.PARTITIONS), 0)]
    for run in range(6):
        world.send(*(f"{user},tea,1" for user in ("ann", "bob", "cid", "dan", "eve")[run % 3 :]))
        world.run()
        ends.append({p: world.log.partition("in", p).end for p in range(world.PARTITIONS)})
    root, history = world.folder / "history", world.history.read()
    third = next(file for file in history.files if file.origin == 3)
    shutil.copy(root / third.path, root / "data/anew.parquet")
    anew = msgspec.structs.replace(third, path="data/anew.parquet")
    history = world.history.append(history, [anew], {}, 0, 0, kind="rewrite", dropped=[third.path])

    def open_file(path: str) -> BinaryIO:
        opened.append(path)
        return (root / path).open("rb")

    past = HistoryRecords(world.history, "in", open_file)
    past.offsets()
    assert opened == []
    for run, (start, stop) in enumerate(pairwise(ends), 1):
        for partition in range(world.PARTITIONS):
            opened.clear()
            found = list(past.records(partition, start[partition], stop[partition]))
            assert [record.offset for record in found] == list(range(start[partition], stop[partition]))
            of_run = [file.path for file in history.files if file.origin == run]
            assert opened == (of_run if found else [])


def _meaning(record: Record, world: BatchWorld) -> tuple[object, ...]:
    told = read_input(record.value, record.partition, world.PARTITIONS)
    return record.topic, record.partition, record.offset, record.timestamp_ms, id_of(record.headers), told
