"""Topics that are not those that the store belongs to."""

from dataclasses import dataclass, field

import pytest

from oryx_py.errors import LogGap, TopicsChanged
from oryx_py.model.epochs.registry import TopicIdentity, TopicsIdentity
from oryx_py.ports import TopicSpec
from oryx_py.runtime.topics import check_end, check_identity, identify, partitions_of
from oryx_py.testing.fake_log import FakeAdmin, FakeLog


@dataclass
class Topics:
    """A cluster with one topic."""

    log: FakeLog = field(default_factory=FakeLog)

    def __post_init__(self) -> None:
        self.log.create(TopicSpec("in", 2, 1, {}))

    @property
    def identity(self) -> TopicsIdentity:
        return identify(FakeAdmin(self.log), ["in"])


def test_the_same_topics_and_topics_of_which_nothing_is_recorded_are_accepted() -> None:
    topics = Topics()
    check_identity(None, topics.identity)
    check_identity(topics.identity, topics.identity)
    check_identity(TopicsIdentity(topics.identity.cluster_id, {}), topics.identity)


@pytest.mark.parametrize(
    ("recorded", "reason", "remedy"),
    [
        (lambda now: TopicsIdentity("another", now.topics), "the store belongs to another", "take the history over"),
        (
            lambda now: TopicsIdentity(now.cluster_id, {"in": TopicIdentity("other", 2)}),
            "was created anew",
            "take the history over",
        ),
        (
            lambda now: TopicsIdentity(now.cluster_id, {"in": TopicIdentity(now.topics["in"].id, 3)}),
            "it had 3",
            "`oryx history export`, `oryx setup` and `oryx history import`",
        ),
    ],
    ids=["cluster", "topic", "partitions"],
)
def test_topics_that_are_not_the_recorded_ones_are_refused_with_the_remedy(
    recorded: object, reason: str, remedy: str
) -> None:
    now = Topics().identity
    with pytest.raises(TopicsChanged, match=reason) as refused:
        check_identity(recorded(now), now)  # type: ignore[operator]
    assert remedy in str(refused.value)


def test_a_log_that_ends_before_what_somebody_has_of_it_is_refused() -> None:
    check_end("in", {0: 5, 1: 3}, {0: 5}, {1: 3, 7: 99})
    with pytest.raises(LogGap, match="partition 1 of in ends at 3, before 4"):
        check_end("in", {0: 5, 1: 3}, {0: 5}, {1: 4})


def test_a_topic_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(TopicsChanged, match="oryx setup"):
        partitions_of(FakeAdmin(FakeLog()), "in")
