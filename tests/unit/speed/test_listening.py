"""What others say is heard on from where a topic begins, if it was trimmed meanwhile."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from oryx_py.errors import BrokerUnavailable, LogGap
from oryx_py.model.epochs.announcements import Announced
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Outgoing, Partition, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.sharing.listener import PeerListener
from speed_layer.sharing.share import Share
from tests.support.generations import generation_of

RECORDS, TRIMMED = 5, 3


def test_a_broker_that_is_away_when_a_topic_was_trimmed_gives_nothing_up() -> None:
    """The layer listens when it has read interactions: whatever ends its step there loses their dead letters."""
    log = FakeLog()
    for topic in ("items", "updates"):
        log.create(TopicSpec(topic, 1, 1, {}))
        for _ in range(RECORDS):
            log.append(Outgoing(topic, b"[]", b"UP", (), 0))
    FakeAdmin(log).trim("items", {0: TRIMMED})
    answers: list[Mapping[Partition, int] | Exception] = [
        BrokerUnavailable("away"),
        {("items", 0): TRIMMED, ("updates", 0): 0},
        {("items", 0): 0, ("updates", 0): 0},
    ]

    def first() -> Mapping[Partition, int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    start = {("items", 0): 0}, {("updates", 0): 0}
    listener = _listener(log, *start, first)
    _until_asked(listener, answers, 2)
    assert not listener.caught_up
    _until_asked(listener, answers, 1)
    while not listener.caught_up:
        listener.listen()
    assert listener.reached == {0: RECORDS}
    # What is gone, and not for having been trimmed, is a gap as ever.
    lost = _listener(log, *start, first)
    with pytest.raises(LogGap):
        _until_asked(lost, answers, 0)


def _until_asked(listener: PeerListener, answers: list[Mapping[Partition, int] | Exception], left: int) -> None:
    for _ in range(100):
        listener.listen()
        if len(answers) == left:
            return
    raise AssertionError(answers)


def _listener(
    log: FakeLog,
    items: Mapping[Partition, int],
    updates: Mapping[Partition, int],
    first: Callable[[], Mapping[Partition, int]],
) -> PeerListener:
    objective = Objective.mllib_implicit(lambda_=0.1, alpha=1.0)
    generation = generation_of({"a": {"p": 1.0}}, {"p": np.ones(2, np.float32)}, objective, {0: (0, 0), 1: (0, 0)})
    state = ModelState(generation, 1)
    peers = ExactFold(state, 2, share=Share(generation, {0}, 2)).peers
    assert peers is not None
    until = dict.fromkeys([*items, *updates], RECORDS)
    return PeerListener(state, peers, lambda: FakeConsumer(log), items, updates, until, first, Announced())
