"""What every consumer of a log must do."""

import uuid

import pytest

from oryx_py.errors import ConfigError, LogGap
from oryx_py.ports import (
    EndOfPartition,
    Outgoing,
    Partition,
    Record,
    TopicSpec,
)
from oryx_py.testing.contracts.log_harness import (
    DEADLINE_S,
    LogUnderTest,
    error_of,
    everything,
    new_topic,
    read_to_end,
    read_until,
    records_of,
    send_all,
)

__all__ = ["ReadingContract"]


class ReadingContract:
    """Provide the fixture ``log``; tests make topics of their own, so it may be shared."""

    def test_an_empty_partition_has_an_end(self, log: LogUnderTest) -> None:
        """A reader of nothing learns that it has had everything."""
        topic = new_topic(log, partitions=2)
        consumer = log.consumer()
        consumer.assign(everything(topic, 2))
        assert read_to_end(consumer) == []
        assert consumer.positions() == everything(topic, 2)

    def test_the_end_is_told_each_time_it_is_reached(self, log: LogUnderTest) -> None:
        """After the records before it, and not again before there are more."""
        topic = new_topic(log)
        producer, consumer = log.producer(), log.consumer()
        consumer.assign(everything(topic))
        for round_ in range(3):
            send_all(producer, [Outgoing(topic, b"%d" % n) for n in range(2)])
            end = 2 * (round_ + 1)

            def reached(events: list[Record | EndOfPartition], end: int = end) -> bool:
                return EndOfPartition(topic, 0, end) in events

            events = read_until(consumer, reached)
            assert events[-1] == EndOfPartition(topic, 0, end)
            assert [record.offset for record in records_of(events)] == [end - 2, end - 1]
        assert consumer.poll(10, 0.3) == []

    def test_poll_returns_at_most_what_was_asked_for(self, log: LogUnderTest) -> None:
        """The position is that of what was returned, whatever has been read ahead."""
        topic = new_topic(log)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n) for n in range(10)])
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert consumer.positions() == {(topic, 0): 0}
        read = 0
        while read < 10:
            events = records_of(consumer.poll(3, DEADLINE_S))
            assert 0 < len(events) <= 3
            read += len(events)
            assert consumer.positions() == {(topic, 0): read}

    def test_it_knows_where_the_log_ends_while_it_is_behind(self, log: LogUnderTest) -> None:
        """Of partitions that are assigned; it asks nobody, so that it says nothing before the first record."""
        topic = new_topic(log, partitions=2)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n, None, (), 1) for n in range(10)])
        consumer = log.consumer()
        assert consumer.ends() == {}
        consumer.assign({(topic, 1): 0})
        assert records_of(read_until(consumer, lambda events: bool(records_of(events)), 3))
        assert consumer.positions()[topic, 1] < 10
        assert consumer.ends() == {(topic, 1): 10}
        read_to_end(consumer)
        assert consumer.ends() == consumer.positions()

    def test_reading_begins_where_it_is_told(self, log: LogUnderTest) -> None:
        """A new assignment replaces the old one, forwards and backwards, and an empty one reads nothing."""
        topic = new_topic(log, partitions=2)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n, None, (), n % 2) for n in range(20)])
        consumer = log.consumer()
        for start in (7, 2, 10):
            consumer.assign({(topic, 1): start})
            read = read_to_end(consumer)
            assert [(record.partition, record.offset) for record in read] == [(1, n) for n in range(start, 10)]
            assert consumer.positions() == {(topic, 1): 10}
        consumer.assign(everything(topic, 2))
        consumer.poll(1, DEADLINE_S)
        consumer.assign({})
        assert consumer.poll(10, 0.3) == []
        assert consumer.positions() == {}

    def test_an_offset_that_was_trimmed_is_a_gap(self, log: LogUnderTest) -> None:
        """It is said at each call until another offset is assigned; the position does not move."""
        topic = new_topic(log)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n) for n in range(10)])
        log.admin().trim(topic, {0: 4})
        consumer = log.consumer()
        consumer.assign({(topic, 0): 3})
        assert isinstance(error_of(consumer), LogGap)
        with pytest.raises(LogGap):
            consumer.poll(10, 0.0)
        assert consumer.positions() == {(topic, 0): 3}
        consumer.assign({(topic, 0): 4})
        assert [record.offset for record in read_to_end(consumer)] == list(range(4, 10))

    def test_an_offset_beyond_the_end_is_a_gap(self, log: LogUnderTest) -> None:
        """The log has lost what the reader knows of; the end itself is no gap."""
        topic = new_topic(log)
        send_all(log.producer(), [Outgoing(topic, b"")])
        consumer = log.consumer()
        consumer.assign({(topic, 0): 2})
        assert isinstance(error_of(consumer), LogGap)
        consumer.assign({(topic, 0): 1})
        assert read_to_end(consumer) == []

    def test_a_topic_that_was_created_again_is_another(self, log: LogUnderTest) -> None:
        """It has another identity, and a reader of the old one is told of a gap."""
        topic, admin = new_topic(log), log.admin()
        send_all(log.producer(), [Outgoing(topic, b"%d" % n) for n in range(10)])
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert len(read_to_end(consumer)) == 10
        identity = admin.topic_id(topic)
        assert identity == log.admin().topic_id(topic)
        log.delete(topic)
        admin.create(TopicSpec(topic, 1, 1, {}))
        assert admin.topic_id(topic) != identity
        assert isinstance(error_of(consumer), LogGap)

    def test_a_gap_hides_no_other_partition_for_good(self, log: LogUnderTest) -> None:
        """Without the broken partition the others are read on from where they were."""
        topic = new_topic(log, partitions=2)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n, None, (), n % 2) for n in range(10)])
        consumer = log.consumer()
        consumer.assign({(topic, 0): 99, (topic, 1): 0})
        read: list[Record] = []
        assert isinstance(error_of(consumer, read), LogGap)
        consumer.assign({where: at for where, at in consumer.positions().items() if where != (topic, 0)})
        assert [r.offset for r in [*read, *read_to_end(consumer)] if r.partition == 1] == list(range(5))

    def test_positions_are_kept_by_group(self, log: LogUnderTest) -> None:
        """What one consumer commits, a later one of the same group finds, and no other; reading is not moved by it."""
        topic, group = new_topic(log, partitions=2), f"group-{uuid.uuid4().hex}"
        both: list[Partition] = [(topic, 0), (topic, 1)]
        first = log.consumer(group)
        first.assign(everything(topic, 2))
        assert first.committed(both) == {(topic, 0): None, (topic, 1): None}
        first.commit({(topic, 1): 7})
        assert first.positions() == everything(topic, 2)
        first.close()
        second = log.consumer(group)
        assert second.committed(both) == {(topic, 0): None, (topic, 1): 7}
        second.commit({(topic, 0): 0, (topic, 1): 5})
        assert second.committed(both) == {(topic, 0): 0, (topic, 1): 5}
        assert log.consumer(f"{group}-other").committed(both) == {(topic, 0): None, (topic, 1): None}
        assert second.committed([]) == {}

    def test_positions_need_a_group(self, log: LogUnderTest) -> None:
        """A consumer without one has nowhere to keep them."""
        consumer = log.consumer()
        with pytest.raises(ConfigError):
            consumer.commit({("topic", 0): 1})
        with pytest.raises(ConfigError):
            consumer.committed([("topic", 0)])
