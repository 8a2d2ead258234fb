"""An older epoch that goes live after a newer one, as seen by a speed layer and a service that start afterwards."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.messages import Progress, encode
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Outgoing, Partition, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from serving_layer.epoch_sources.earlier_announcements import earlier_announcements
from speed_layer.limits import Topics
from speed_layer.loading.earlier_announcements import announced_until_now

LIVE_SECOND_THEN_FIRST = (2, 2, 1)
EPOCHS = [EpochStarted(number, f"g{number}", {0: start}, 0) for number, start in ((1, 0), (2, 0), (3, 2), (4, 3))]
"""The third begins where the second is live and the first is not yet; the fourth where all is said."""
Read = Callable[[FakeLog, Sequence[EpochStarted]], tuple[Announcements, int]]
"""Says also how often it has read the topic."""


class Counting(FakeConsumer):
    reads = 0

    def assign(self, positions: Mapping[Partition, int]) -> None:
        type(self).reads += bool(positions)
        super().assign(positions)


def by_speed(log: FakeLog, epochs: Sequence[EpochStarted]) -> tuple[Announcements, int]:
    Counting.reads = 0
    found = announced_until_now(
        epochs,
        Topics("in", 1, "up", 1, 1 << 20),
        admin=FakeAdmin(log),
        new_consumer=lambda group: Counting(log, group),
        clock=SystemClock(),
        reader=None,
        overlap_s=60.0,
    )
    return found, Counting.reads


def by_serving(log: FakeLog, epochs: Sequence[EpochStarted]) -> tuple[Announcements, int]:
    Counting.reads = 0
    found = earlier_announcements(
        epochs,
        [0],
        topic="up",
        admin=FakeAdmin(log),
        new_consumer=lambda: Counting(log, None),
        clock=SystemClock(),
    )
    return found, Counting.reads


def said(*epochs: int) -> FakeLog:
    """An update topic in which these have gone live, one after the other."""
    log = FakeLog()
    log.create(TopicSpec("up", 1, 1, {}))
    for epoch in epochs:
        message = encode(Progress({0: 5}, {0: True}, epoch))
        log.append(Outgoing("up", message.value, message.key, message.headers, 0))
    return log


@pytest.mark.parametrize("read", [by_speed, by_serving])
def test_the_newest_live_epoch_is_found_though_an_older_one_went_live_after_it(read: Read) -> None:
    found, _ = read(said(*LIVE_SECOND_THEN_FIRST), EPOCHS)
    assert [number for number in (1, 2, 3, 4) if found.of(number).is_live([0])] == [1, 2]


@pytest.mark.parametrize("read", [by_speed, by_serving])
@pytest.mark.parametrize("live", [1, 700, 1999, 2000])
def test_a_start_after_a_week_without_a_speed_layer_reads_the_topic_a_few_times(read: Read, live: int) -> None:
    """Not once for each epoch since, of each of which there is a message."""
    log = said(*range(1, live + 1))
    for _ in range(live, 2000):
        log.append(Outgoing("up", b"", b"MODEL-REF", (), 0))
    found, reads = read(log, [EpochStarted(number, f"g{number}", {0: number - 1}, 0) for number in range(1, 2001)])
    assert found.of(live).is_live([0])
    assert reads <= 13
