"""A count of partitions that changes while a layer runs."""

import pytest

from oryx_py.errors import TopicsChanged
from oryx_py.ports import TopicSpec
from oryx_py.runtime.partition_counts import LOOK_S, PartitionCounts, changed_count
from oryx_py.testing.fake_broker import PartitionLog
from oryx_py.testing.fake_log import FakeAdmin, FakeLog
from tests.support.ticking import Ticking


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    log.create(TopicSpec("in", 2, 1, {}))
    return log


def test_another_count_is_said_in_one_line_with_the_way_out(log: FakeLog) -> None:
    assert changed_count(FakeAdmin(log), {"in": 2, "missing": 1}) is None
    log.topic("in").partitions.append(PartitionLog())
    said = changed_count(FakeAdmin(log), {"in": 2})
    assert said is not None
    assert said.startswith("topic in has 3 partitions, it had 2: ")
    assert "oryx history export" in said
    assert "\n" not in said
    log.down = True
    assert changed_count(FakeAdmin(log), {"in": 2}) is None


def test_it_is_noticed_within_seconds_without_waiting_for_the_broker(log: FakeLog) -> None:
    clock = Ticking()
    counts = PartitionCounts(FakeAdmin(log), {"in": 2}, clock)
    log.topic("in").partitions.append(PartitionLog())
    counts.check()
    assert counts._looking is None, "not at every step"
    clock.now = LOOK_S
    counts.check()
    assert counts._looking is not None
    counts._looking.exception(20)
    with pytest.raises(TopicsChanged, match="it had 2"):
        counts.check()
    counts.close()
