"""A topic that becomes another while a layer runs."""

import pytest

from oryx_py.errors import BrokerUnavailable, TopicsChanged
from oryx_py.model.epochs.registry import TopicIdentity
from oryx_py.ports import TopicSpec
from oryx_py.runtime.topic_watch import LOOK_S, TopicWatch, changed_topic
from oryx_py.runtime.topics import identify
from oryx_py.testing.fake_broker import PartitionLog
from oryx_py.testing.fake_log import FakeAdmin, FakeLog
from tests.support.ticking import Ticking


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    log.create(TopicSpec("in", 2, 1, {}))
    return log


def recorded(log: FakeLog) -> dict[str, TopicIdentity]:
    return identify(FakeAdmin(log), ["in"]).topics


def test_another_count_is_said_in_one_line_with_the_way_out(log: FakeLog) -> None:
    before = recorded(log)
    assert changed_topic(FakeAdmin(log), before | {"missing": TopicIdentity("other", 1)}) is None
    log.topic("in").partitions.append(PartitionLog())
    said = changed_topic(FakeAdmin(log), before)
    assert said is not None
    assert said.startswith("topic in has 3 partitions, it had 2: ")
    assert "oryx history export" in said
    assert "\n" not in said


def test_another_topic_of_the_same_name_is_said_in_one_line_with_the_way_out(log: FakeLog) -> None:
    before = recorded(log)
    log.delete("in")
    assert changed_topic(FakeAdmin(log), before) is None, "who sends to it or reads it notices"
    log.create(TopicSpec("in", 2, 1, {}))
    said = changed_topic(FakeAdmin(log), before)
    assert said is not None
    assert said.startswith("topic in was created anew")
    assert "take the history over" in said
    assert "\n" not in said


def test_a_topic_that_goes_between_two_questions_is_not_there(log: FakeLog) -> None:
    class Deleting(FakeAdmin):
        def topic_id(self, topic: str) -> str:
            log.delete(topic)
            return super().topic_id(topic)

    assert changed_topic(Deleting(log), recorded(log)) is None


def test_no_answer_says_nothing(log: FakeLog) -> None:
    before = recorded(log)
    log.down = True
    with pytest.raises(BrokerUnavailable):
        changed_topic(FakeAdmin(log), before)


def test_it_is_noticed_within_seconds_without_waiting_for_the_broker(log: FakeLog) -> None:
    clock = Ticking()
    watch = TopicWatch(FakeAdmin(log), recorded(log), clock)
    log.topic("in").partitions.append(PartitionLog())
    log.down = True
    watch.check()
    assert watch._looking is None, "not at every step"
    clock.now = LOOK_S
    watch.check()
    assert watch._looking is not None
    assert isinstance(watch._looking.exception(20), BrokerUnavailable)
    watch.check()
    log.down = False
    clock.now = 2 * LOOK_S
    watch.check()
    assert watch._looking is not None
    watch._looking.exception(20)
    with pytest.raises(TopicsChanged, match="it had 2"):
        watch.check()
    watch.close()
