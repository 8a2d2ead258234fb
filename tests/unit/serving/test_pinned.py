"""Users' records go where the store's offsets have them, whatever the topic has become."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.errors import BrokerUnavailable
from oryx_py.messages import partition_of
from oryx_py.ports import Delivery, Outgoing
from serving_layer.producing.pinned_sender import PinnedSender


class Sender:
    def __init__(self):
        self.sent = []

    async def send_many(self, records):
        self.sent += records
        return [Delivery(record.partition, 0) for record in records]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), max_size=80), st.integers(1, 7))
def test_each_user_has_the_partition_of_the_recorded_count_in_order(users, partitions):
    inner = Sender()
    sender = PinnedSender(inner, "in", partitions)
    asyncio.run(sender.send_many([Outgoing("in", b"v", user.encode()) for user in users]))
    assert [(r.key.decode(), r.partition) for r in inner.sent] == [(u, partition_of(u, partitions)) for u in users]


async def test_what_has_its_place_or_is_of_another_topic_stays_as_it_is():
    inner = Sender()
    records = [Outgoing("in", b"v", None, (), 3), Outgoing("in", b"v", b"u", (), 1), Outgoing("other", b"v", b"u")]
    await PinnedSender(inner, "in", 5).send_many(records)
    assert inner.sent == records


async def test_with_trouble_nothing_is_sent_and_the_reason_said():
    inner = Sender()
    sender = PinnedSender(inner, "in", 5)
    sender.trouble = "topic in has 6 partitions, it had 5"
    with pytest.raises(BrokerUnavailable, match="it had 5; nothing was stored"):
        await sender.send("in", b"v", key=b"u")
    assert inner.sent == []
    sender.trouble = None
    assert (await sender.send("in", b"v", key=b"u")).partition == partition_of("u", 5)
