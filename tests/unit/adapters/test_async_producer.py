"""The event loop's producer: what callers get, and how often the loop is woken."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from oryx_py.adapters.async_producer import AsyncProducer
from oryx_py.errors import BrokerUnavailable, QueueFull, RecordTooLarge
from oryx_py.ports import Delivery, Headers, OnDelivery, Outgoing, TopicSpec
from oryx_py.testing.contracts.log_harness import records_of
from oryx_py.testing.fake_log import FakeConsumer, FakeLog, FakeProducer


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    log.create(TopicSpec("topic", 1, 1, {}))
    return log


@pytest.fixture
def producer(log: FakeLog) -> Iterator[FakeProducer]:
    producer = FakeProducer(log, capacity=2000)
    yield producer
    producer.close()


class HandCranked:
    """A producer whose deliveries the test makes, in bursts."""

    def __init__(self) -> None:
        self.waiting: list[OnDelivery] = []

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        assert on_delivery is not None
        self.waiting.append(on_delivery)

    def deliver(self) -> None:
        for offset, on_delivery in enumerate(self.waiting):
            on_delivery(Delivery(0, offset))
        self.waiting.clear()

    def flush(self, timeout_s: float) -> None:
        raise NotImplementedError

    def close(self, timeout_s: float = 5.0) -> None:
        raise NotImplementedError


class CountingLoop:
    """Counts how often it is woken from outside, and hands it on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.woken = 0
        self.create_future = loop.create_future

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> asyncio.Handle:
        self.woken += 1
        return self._loop.call_soon_threadsafe(callback)


async def test_an_awaited_record_is_in_the_log(log: FakeLog, producer: FakeProducer) -> None:
    """Its delivery tells where, and it is whole."""
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    assert await sending.send("topic", b"first") == Delivery(0, 0)
    assert await sending.send("topic", b"second", key=b"key", headers=(("id", b"7"),)) == Delivery(0, 1)
    consumer = FakeConsumer(log)
    consumer.assign({("topic", 0): 1})
    (record,) = records_of(consumer.poll(10, 1.0))
    assert (record.value, record.key, record.headers) == (b"second", b"key", (("id", b"7"),))


async def test_a_failed_delivery_is_raised(log: FakeLog, producer: FakeProducer) -> None:
    """As the error that the delivery has; the next record is not touched by it."""
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    log.fail_next(1, RecordTooLarge("too large"))
    with pytest.raises(RecordTooLarge):
        await sending.send("topic", b"")
    assert (await sending.send("topic", b"")).error is None


async def test_a_full_queue_is_raised_at_once(log: FakeLog) -> None:
    """Nothing waits for room."""
    producer = FakeProducer(log, capacity=1)
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    with log.outage():
        first = asyncio.ensure_future(sending.send("topic", b""))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await sending.send("topic", b"")
    assert (await first).offset == 0
    producer.close()


async def test_a_burst_wakes_the_loop_once() -> None:
    """Whatever its size, and once more for the next burst."""
    producer, loop = HandCranked(), CountingLoop(asyncio.get_running_loop())
    sending = AsyncProducer(producer, loop)  # type: ignore[arg-type]  # all of a loop that it may use
    for burst in (1, 50, 300):
        tasks = [asyncio.ensure_future(sending.send("topic", b"")) for _ in range(burst)]
        await asyncio.sleep(0)
        before = loop.woken
        producer.deliver()
        assert [delivery.offset for delivery in await asyncio.gather(*tasks)] == list(range(burst))
        assert loop.woken == before + 1


async def test_who_is_cancelled_disturbs_nobody() -> None:
    """Its record is delivered all the same, and the others get theirs."""
    producer = HandCranked()
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    tasks = [asyncio.ensure_future(sending.send("topic", b"")) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    producer.deliver()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Delivery, asyncio.CancelledError, Delivery]


def test_a_delivery_after_the_loop_is_closed_is_dropped() -> None:
    """The producer's thread does not fail over it."""
    producer = HandCranked()
    loop = asyncio.new_event_loop()
    sending = AsyncProducer(producer, loop)
    task = loop.create_task(sending.send("topic", b""))
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    producer.deliver()
    assert producer.waiting == []


@pytest.mark.parametrize("count", [0, 1, 1000, 1001, 3500])
async def test_many_are_sent_in_order(log: FakeLog, producer: FakeProducer, count: int) -> None:
    """More than the queue holds, too: only some are on their way at a time."""
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    deliveries = await sending.send_many([Outgoing("topic", b"%d" % n) for n in range(count)])
    assert deliveries == [Delivery(0, n) for n in range(count)]
    consumer = FakeConsumer(log)
    consumer.assign({("topic", 0): 0})
    read = records_of(consumer.poll(count + 1, 1.0))
    assert [record.value for record in read] == [b"%d" % n for n in range(count)]


async def test_after_a_failure_no_more_are_sent(log: FakeLog, producer: FakeProducer) -> None:
    """Each delivery says what became of its record; those not sent have the same error."""
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    log.fail_next()
    deliveries = await sending.send_many([Outgoing("topic", b"%d" % n) for n in range(2500)])
    assert len(deliveries) == 2500
    assert isinstance(deliveries[0].error, BrokerUnavailable)
    assert deliveries[1:1000] == [Delivery(0, n) for n in range(999)]
    assert all(delivery == Delivery(-1, -1, deliveries[0].error) for delivery in deliveries[1000:])


async def test_what_the_queue_refuses_is_told_beside_what_it_took(log: FakeLog) -> None:
    """The first ones are waited for; from the refused one on none is sent, so that order is kept."""
    producer = FakeProducer(log, capacity=3)
    sending = AsyncProducer(producer, asyncio.get_running_loop())
    log.set_down(True)
    task = asyncio.ensure_future(sending.send_many([Outgoing("topic", b"%d" % n) for n in range(5)]))
    await asyncio.sleep(0)
    log.set_down(False)
    deliveries = await task
    assert deliveries[:3] == [Delivery(0, n) for n in range(3)]
    assert [type(delivery.error) for delivery in deliveries[3:]] == [QueueFull, QueueFull]
    producer.close()
