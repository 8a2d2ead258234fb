"""Passing over what is lost: where readers go on, and what is counted."""

import pytest
from structlog.testing import capture_logs

from oryx_py.ports import Outgoing, TopicSpec
from oryx_py.runtime.gaps import Gaps
from oryx_py.testing.fake_log import FakeAdmin, FakeLog


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    log.create(TopicSpec("in", 3, 1, {}))
    for n in range(30):
        log.append(Outgoing("in", b"%d" % n, None, (), n % 3))
    return log


def test_what_is_lost_is_counted_once_however_many_pass_over_it(log: FakeLog) -> None:
    counted: list[int] = []
    gaps = Gaps("in", FakeAdmin(log), counted.append)
    assert gaps.over({0: 0, 1: 0, 2: 0}) == {}
    assert counted == []
    log.trim("in", {0: 4, 1: 6})
    with capture_logs() as said:
        assert gaps.over({0: 1, 1: 6, 2: 0}) == {0: 4}
        assert gaps.over({0: 2, 1: 5}) == {0: 4, 1: 6}
        assert gaps.over({0: 2, 1: 5}) == {0: 4, 1: 6}
    assert counted == [3, 1]
    assert [(line["log_level"], line["event"], line["offsets"]) for line in said] == [
        ("warning", "input_lost", {0: [1, 4]}),
        ("warning", "input_lost", {1: [5, 6]}),
    ]
    log.trim("in", {0: 9})
    assert gaps.over({0: 4}) == {0: 9}
    assert counted == [3, 1, 5]
