"""What every log must say of its topics, and do to them."""

import uuid
from collections.abc import Callable

import pytest

from oryx_py.errors import ConfigError, TopicsChanged
from oryx_py.ports import (
    Outgoing,
    TopicSpec,
)
from oryx_py.testing.contracts.log_harness import LogUnderTest, error_of, everything, new_topic, read_to_end, send_all

__all__ = ["TopicsContract"]


class TopicsContract:
    """Provide the fixture ``log``; tests make topics of their own, so it may be shared."""

    def test_a_topic_or_partition_that_is_not_there_is_an_error(self, log: LogUnderTest) -> None:
        """For readers, senders and whoever asks; asking creates nothing."""
        topic, absent = new_topic(log), f"absent-{uuid.uuid4().hex}"
        admin, consumer, producer = log.admin(), log.consumer(), log.producer()
        for where in ((absent, 0), (topic, 1)):
            consumer.assign({where: 0})
            assert isinstance(error_of(consumer), TopicsChanged)
        for outgoing in (Outgoing(absent, b""), Outgoing(topic, b"", partition=1)):
            with pytest.raises(TopicsChanged):
                send_all(producer, [outgoing])
        asking: list[Callable[[str], object]] = [
            admin.start_offsets,
            admin.end_offsets,
            admin.topic_id,
            admin.config,
            lambda name: admin.offsets_at(name, 0),
            lambda name: admin.trim(name, {0: 1}),
        ]
        for ask in asking:
            with pytest.raises(TopicsChanged):
                ask(absent)
        assert admin.partitions(absent) is None

    def test_topics_are_created_once(self, log: LogUnderTest) -> None:
        """As asked for; a second time changes nothing; what makes no topic is the caller's mistake."""
        admin = log.admin()
        topic = new_topic(log, 3, retention_ms="-1", max_message_bytes="2000000")
        assert admin.partitions(topic) == 3
        admin.create(TopicSpec(topic, 5, 1, {}))
        assert admin.partitions(topic) == 3
        config = admin.config(topic)
        assert (config["retention.ms"], config["max.message.bytes"]) == ("-1", "2000000")
        assert "cleanup.policy" in config
        for spec in (TopicSpec("no such name", 1, 1, {}), TopicSpec(f"r-{uuid.uuid4().hex}", 1, 30, {})):
            with pytest.raises(ConfigError):
                admin.create(spec)

    def test_offsets_tell_the_extent_of_the_log(self, log: LogUnderTest) -> None:
        """Trimming moves the start, never the end."""
        topic, admin = new_topic(log, partitions=2), log.admin()
        assert (admin.start_offsets(topic), admin.end_offsets(topic)) == ({0: 0, 1: 0}, {0: 0, 1: 0})
        send_all(log.producer(), [Outgoing(topic, b"", partition=0)] * 5)
        admin.trim(topic, {0: 3})
        assert (admin.start_offsets(topic), admin.end_offsets(topic)) == ({0: 3, 1: 0}, {0: 5, 1: 0})
        admin.trim(topic, {0: 2, 1: 99})
        assert admin.start_offsets(topic) == {0: 3, 1: 0}
        admin.trim(topic, {0: 99})
        assert (admin.start_offsets(topic), admin.end_offsets(topic)) == ({0: 5, 1: 0}, {0: 5, 1: 0})
        admin.trim(topic, {})

    def test_trimming_to_the_end_leaves_what_an_open_transaction_has_there(self, log: LogUnderTest) -> None:
        """Nobody has read that: readers stop before it, and so does the end."""
        for beyond in (0, 99):
            topic, admin, consumer = new_topic(log), log.admin(), log.consumer()
            send_all(log.producer(), [Outgoing(topic, b"read")] * 3)
            with log.transaction(Outgoing(topic, b"open")):
                ends = admin.end_offsets(topic)
                assert ends == admin.offsets_at(topic, 1 << 60) == {0: 3}
                consumer.assign(everything(topic))
                assert [record.value for record in read_to_end(consumer)] == [b"read"] * 3
                assert consumer.positions() == {(topic, 0): 3}
                admin.trim(topic, {0: ends[0] + beyond})
                assert admin.start_offsets(topic) == {0: 3}
            consumer = log.consumer()
            consumer.assign({(topic, 0): 3})
            assert [(record.offset, record.value) for record in read_to_end(consumer)] == [(3, b"open")]
            assert admin.end_offsets(topic)[0] > 4, "the marker takes an offset"

    def test_trimming_leaves_what_came_after_the_end_was_looked_up(
        self, log: LogUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By who trims, and within the call, which looks itself."""
        topic, admin, producer = new_topic(log), log.admin(), log.producer()
        look_up = admin.end_offsets

        def overtaken(name: str) -> dict[int, int]:
            ends = look_up(name)
            send_all(producer, [Outgoing(topic, b"late")])
            return ends

        send_all(producer, [Outgoing(topic, b"read")] * 3)
        monkeypatch.setattr(admin, "end_offsets", overtaken)
        admin.trim(topic, {0: 3})
        admin.trim(topic, {0: 99})
        assert log.admin().start_offsets(topic) == {0: 4}
        assert look_up(topic) == {0: 5}, "it looked, and each time a record came after it"
        consumer = log.consumer()
        consumer.assign({(topic, 0): 4})
        assert [record.value for record in read_to_end(consumer)] == [b"late"]

    def test_offsets_are_found_by_time(self, log: LogUnderTest) -> None:
        """The first record of at least that time; the end where there is none."""
        topic, admin, producer = new_topic(log, 2, message_timestamp_type="LogAppendTime"), log.admin(), log.producer()
        for n in range(3):
            send_all(producer, [Outgoing(topic, b"%d" % n, partition=0)])
        consumer = log.consumer()
        consumer.assign(everything(topic, 2))
        times = [record.timestamp_ms for record in read_to_end(consumer)]
        for at in (0, *times, times[-1] + 1):
            first = next((offset for offset, ms in enumerate(times) if ms >= at), 3)
            assert admin.offsets_at(topic, at) == {0: first, 1: 0}

    def test_a_cluster_has_one_name(self, log: LogUnderTest) -> None:
        """Every client sees the same."""
        assert log.admin().cluster_id() == log.admin().cluster_id() != ""
