"""A member of a group on Kafka, without a broker."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from oryx_py.adapters.kafka.membership import KafkaMembership
from oryx_py.errors import BrokerUnavailable


class Client:
    """Answers commits when it is told to, as librdkafka does: from within a poll, with what was to be stored."""

    def __init__(self, member: KafkaMembership) -> None:
        self._member = member
        self.asked: list[list[TopicPartition]] = []
        self.answers: list[tuple[int, KafkaError | None]] = []
        """Which commit each is of, and how it ended."""

    def commit(self, offsets: list[TopicPartition], **_: Any) -> None:
        self.asked.append(offsets)

    def poll(self, _: float) -> None:
        if self.answers and self.answers[0][0] < len(self.asked):
            number, error = self.answers.pop(0)
            self._member._on_commit(error, self.asked[number])


@pytest.fixture
def member() -> KafkaMembership:
    return KafkaMembership("127.0.0.1:1", {}, "group", "input", "a", session_s=6.0, timeout_s=0.05)


def test_the_answer_to_a_commit_that_was_given_up_says_nothing_of_the_next(member: KafkaMembership) -> None:
    """The broker was slow; by then the group has given the member's partitions to another."""
    client = member._client = Client(member)
    with pytest.raises(BrokerUnavailable):
        member.commit({("input", 0): 5})
    client.answers = [(0, None), (1, KafkaError(KafkaError.ILLEGAL_GENERATION))]
    with pytest.raises(BrokerUnavailable):
        member.commit({("input", 0): 7})
    assert not client.answers
    client.answers = [(2, None)]
    member.commit({("input", 0): 8})


def test_an_answer_that_names_nothing_is_of_what_is_being_stored(member: KafkaMembership) -> None:
    client = member._client = Client(member)
    client.asked.append([])
    client.answers = [(0, KafkaError(KafkaError._NO_OFFSET))]
    with pytest.raises(BrokerUnavailable):
        member.commit({("input", 0): 5})
    assert not client.answers
