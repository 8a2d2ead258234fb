"""An older epoch that goes live after a newer one, as seen by a speed layer and a service that start afterwards."""

import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.messages import Progress, encode
from oryx_py.model.epochs import Announcements
from oryx_py.model.registry import EpochStarted
from oryx_py.ports import Outgoing, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from serving_layer.announced import announced
from speed_layer.announced import announced_until_now
from speed_layer.limits import Topics

LIVE_SECOND_THEN_FIRST = (2, 2, 1)
EPOCHS = [EpochStarted(number, f"g{number}", {0: start}, 0) for number, start in ((1, 0), (2, 0), (3, 2), (4, 3))]
"""The third begins where the second is live and the first is not yet; the fourth where all is said."""


def by_speed(log: FakeLog) -> Announcements:
    topics = Topics("in", 1, "up", 1, 1 << 20)
    return announced_until_now(
        EPOCHS,
        topics,
        admin=FakeAdmin(log),
        new_consumer=lambda group: FakeConsumer(log, group),
        clock=SystemClock(),
        reader=None,
        overlap_s=60.0,
    )


def by_serving(log: FakeLog) -> Announcements:
    return announced(
        EPOCHS,
        [0],
        topic="up",
        admin=FakeAdmin(log),
        new_consumer=lambda: FakeConsumer(log, None),
        clock=SystemClock(),
    )


@pytest.mark.parametrize("read", [by_speed, by_serving])
def test_the_newest_live_epoch_is_found_though_an_older_one_went_live_after_it(read) -> None:  # type: ignore[no-untyped-def]
    log = FakeLog()
    log.create(TopicSpec("up", 1, 1, {}))
    for epoch in LIVE_SECOND_THEN_FIRST:
        message = encode(Progress({0: 5}, {0: True}, epoch))
        log.append(Outgoing("up", message.value, message.key, message.headers, 0))
    found = read(log)
    assert [number for number in (1, 2, 3, 4) if found.of(number).is_live([0])] == [1, 2]
