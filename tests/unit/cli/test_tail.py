"""What `oryx tail` reads of a topic that the batch layer trims."""

import pytest

from oryx_py.cli.tail import records_of
from oryx_py.errors import LogGap
from oryx_py.ports import Outgoing, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog


@pytest.fixture
def log() -> FakeLog:
    """A topic of ten records."""
    log = FakeLog()
    log.create(TopicSpec("in", 1, 1, {}))
    for n in range(10):
        log.append(Outgoing("in", b"%d" % n))
    return log


def test_from_the_beginning_means_from_what_is_left(log: FakeLog) -> None:
    log.trim("in", {0: 7})
    rounds = iter(range(3))
    shown = records_of("in", FakeAdmin(log), FakeConsumer(log), True, lambda: next(rounds, None) is not None)
    assert [record.offset for record in shown] == [7, 8, 9]


def test_what_is_trimmed_before_it_was_shown_is_said_in_one_line(log: FakeLog) -> None:
    class Slow(FakeAdmin):
        def start_offsets(self, topic: str) -> dict[int, int]:
            found = super().start_offsets(topic)
            log.trim(topic, {0: 4})
            return found

    with pytest.raises(LogGap, match="trimmed meanwhile; run it again to begin at what is left") as told:
        list(records_of("in", Slow(log), FakeConsumer(log), True))
    assert "\n" not in str(told.value)
