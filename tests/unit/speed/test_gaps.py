"""Input that neither the topic nor the history has: the layer stops, or goes on and counts, as the settings say."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from oryx_py.errors import LogGap, StoreUnavailable
from oryx_py.events import Interaction
from oryx_py.ports import Record
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld

ITEMS = ["p", "q", "r"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}}


class UpTo:
    """A history of the input below an offset."""

    def __init__(self, log: FakeLog, topic: str, end: int) -> None:
        self._records = list(log.partition(topic, 0).records)
        self._end = end
        self.failures = 0

    def offsets(self) -> Mapping[int, int]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        return {0: self._end} if self._end else {}

    def records(self, partition: int, start: int, stop: int) -> Iterator[Record]:
        return (record for record in self._records if start <= record.offset < stop)


def world(folder: Path, log: FakeLog, *, allowed: bool) -> SpeedWorld:
    return SpeedWorld(
        folder,
        "gap",
        admin=FakeAdmin(log),
        producer=FakeProducer(log),
        new_consumer=lambda group: FakeConsumer(log, group),
        partitions=1,
        settings={"ORYX__SPEED__ALLOW_GAP": "true"} if allowed else None,
    )


def with_a_gap(folder: Path, has: int, *, allowed: bool) -> SpeedWorld:
    """Eight users, of whom the topic has lost the first five, and the history has some; a generation of none."""
    log = FakeLog()
    site = world(folder, log, allowed=allowed)
    site.send(*(Interaction(user=f"u{n}", item="p", strength=1.0, timestamp_ms=n + 1) for n in range(8)))
    site.past = UpTo(log, site.settings.input.topic, has)
    site.publish("g", BASE, ITEMS, covers={})
    log.trim(site.settings.input.topic, {0: 5})
    return site


@pytest.mark.parametrize("has", [0, 3])
def test_without_leave_it_stops_and_says_how_to_go_on(tmp_path: Path, has: int) -> None:
    site = with_a_gap(tmp_path, has, allowed=False)
    layer = site.start()
    with pytest.raises(LogGap, match=r"speed\.allow_gap = true"):
        site.settle(layer, 1)
    layer.close()
    site.close()
    site.producer.close()


@pytest.mark.parametrize("has", [0, 3])
def test_with_leave_it_folds_what_there_is_and_counts_the_rest(tmp_path: Path, has: int) -> None:
    site = with_a_gap(tmp_path, has, allowed=True)
    layer = site.start()
    site.settle(layer, 1)
    reader = site.reader("g", 1)
    told = [n for n in range(8) if (user := reader.users.find(f"u{n}")) >= 0 and reader.user_vector(user) is not None]
    assert told == [n for n in range(8) if n < has or n >= 5]
    assert site.counted.get_sample_value("oryx_speed_lost_total") == 5 - has
    layer.close()
    site.close()
    site.producer.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_dead_letters_go_on_behind_a_gap_before_there_is_a_model(tmp_path: Path, allowed: bool) -> None:
    log = FakeLog()
    site = world(tmp_path, log, allowed=allowed)
    topic = site.settings.input.topic
    layer = site.start()
    for n in range(6):
        site.send_raw(b"nonsense %d" % n)
    log.trim(topic, {0: 4})
    letters = lambda: len(log.partition(site.settings.dead_letter_topic, 0).records)  # noqa: E731
    if allowed:
        site.run(layer, lambda: letters() >= 2)
        assert site.counted.get_sample_value("oryx_speed_lost_total") == 4
    else:
        with pytest.raises(LogGap):
            site.run(layer, lambda: letters() >= 2)
    assert letters() == (2 if allowed else 0)
    layer.close()
    site.close()
    site.producer.close()


@pytest.mark.parametrize("has", [4, 5])
def test_a_position_that_somebody_put_back_is_none_where_the_history_has_what_was_trimmed(
    tmp_path: Path, has: int
) -> None:
    """A process that was replaced commits late, the topic is trimmed to there, and its owner commits what he had."""
    log = FakeLog()
    site = world(tmp_path, log, allowed=False)
    topic = site.settings.input.topic
    site.send(*(Interaction(user=f"u{n}", item="p", strength=1.0, timestamp_ms=n + 1) for n in range(4)))
    site.past = past = UpTo(log, topic, has)
    layer = site.start()
    site.run(layer, lambda: layer._dead_letters.positions == {0: 4})
    site.send_raw(b"unreadable", 0)
    log.trim(topic, {0: 5})
    site.send_raw(b"unreadable", 0)
    layer._dead_letters.commit()
    past.failures = 1
    if has == 5:
        site.run(layer, lambda: layer._dead_letters.positions == {0: 6})
        assert len(site.read(site.settings.dead_letter_topic)) == 1
    else:
        with pytest.raises(LogGap, match="from 4"):
            site.run(layer, lambda: False)
    layer.close()
    site.close()
    site.producer.close()
