"""What is sent and not waited for: it is waited for next time, and comes again where it was given up."""

import threading
from collections.abc import Callable, Sequence

import pytest

from oryx_py.errors import BrokerUnavailable, OryxError, RecordTooLarge
from oryx_py.ports import Delivery, OnFailure, Outgoing, TopicSpec
from oryx_py.testing.fake_log import FakeLog, FakeProducer
from speed_layer.publishing.outbox import Interrupted, Outbox


class Slow:
    """A producer that says what became of a record when it is told to, or flushed."""

    def __init__(self) -> None:
        self.sent: list[bytes | None] = []
        self.open: list[tuple[OnFailure, int]] = []
        self.answers: list[Delivery] = []
        """Of the next records; all others are stored."""
        self.is_down = False

        self.room: int | None = None
        """How many records it takes until it is flushed; None for any number."""
        self.refusals: list[OryxError] = []
        """Of the next calls."""

    def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
        if self.refusals:
            raise self.refusals.pop(0)
        taken = records if self.room is None else records[: self.room - len(self.open)]
        self.sent += [record.value for record in taken]
        self.open += [(on_failure, number) for number in range(len(taken))]
        return len(taken)

    def flush(self, timeout_s: float) -> None:
        if self.is_down:
            raise BrokerUnavailable("nothing is acknowledged")
        waiting, self.open = self.open, []
        for on_failure, number in waiting:
            error = self.answers.pop(0).error if self.answers else None
            if error is not None:
                on_failure(number, error)

    def close(self, timeout_s: float = 5.0) -> None:
        """Nothing is held."""


def outbox(producer: Slow, stopping: Callable[[], bool] = lambda: False) -> Outbox:
    return Outbox(producer, stopping, sleep=lambda _: None)  # type: ignore[arg-type]


def of(*values: bytes) -> list[Outgoing]:
    return [Outgoing("up", value, partition=0) for value in values]


GIVEN_UP = Delivery(0, -1, BrokerUnavailable("no acknowledgement in time"))


def test_what_is_posted_is_on_its_way_and_not_waited_for() -> None:
    producer = Slow()
    producer.is_down = True
    box = outbox(producer)
    posting = threading.Thread(target=box.post, args=(of(b"progress"),), daemon=True)
    posting.start()
    posting.join(10)
    assert not posting.is_alive()
    assert (producer.sent, len(producer.open)) == ([b"progress"], 1)


@pytest.mark.parametrize("values", [(), (b"x",)], ids=["nothing", "something"])
def test_the_next_delivery_waits_for_it_also_of_nothing(values: tuple[bytes, ...]) -> None:
    producer = Slow()
    box = outbox(producer)
    box.post(of(b"progress"))
    box.deliver(of(*values))
    assert producer.open == []
    assert producer.sent == [b"progress", *values]


@pytest.mark.parametrize("goes_on", [Outbox.deliver, Outbox.post], ids=["deliver", "post"])
def test_what_was_given_up_comes_again_with_what_is_sent_next(goes_on: Callable[..., None]) -> None:
    producer = Slow()
    producer.answers = [GIVEN_UP]
    box = outbox(producer)
    box.post(of(b"progress"))
    goes_on(box, of(b"x"))
    assert sorted(value or b"" for value in producer.sent) == [b"progress", b"progress", b"x"]


def test_one_post_at_a_time_is_on_its_way() -> None:
    """So that what is given up for good is noticed, and memory bounded, though nothing is delivered."""
    producer = Slow()
    box = outbox(producer)
    for number in range(5):
        box.post(of(b"%d" % number))
        assert len(producer.open) == 1


def test_a_stop_ends_the_waiting_for_what_was_posted() -> None:
    producer = Slow()
    box = outbox(producer, lambda: True)
    box.post(of(b"progress"))
    producer.is_down = True
    with pytest.raises(Interrupted):
        box.deliver(())


def test_what_can_never_be_sent_is_said_by_the_next_delivery() -> None:
    producer = Slow()
    producer.answers = [Delivery(0, -1, RecordTooLarge("too large"))]
    box = outbox(producer)
    box.post(of(b"progress"))
    with pytest.raises(RecordTooLarge):
        box.deliver(())


def test_what_does_not_fit_is_sent_when_there_is_room_in_its_order() -> None:
    producer = Slow()
    producer.room = 2
    outbox(producer).deliver(of(b"a", b"b", b"c", b"d", b"e"))
    assert producer.sent == [b"a", b"b", b"c", b"d", b"e"]


def test_what_is_given_up_after_there_was_no_room_is_known_by_its_place() -> None:
    producer = Slow()
    producer.room = 2
    stored = Delivery(0, 0)
    producer.answers = [stored, stored, stored, GIVEN_UP]
    outbox(producer).deliver(of(b"a", b"b", b"c", b"d", b"e"))
    assert producer.sent == [b"a", b"b", b"c", b"d", b"e", b"d", b"e"]


def test_a_producer_that_takes_nothing_for_a_while_loses_nothing() -> None:
    """Its client has ended for good, and the next is not there yet: it raises, and holds nothing to wait for."""
    producer = Slow()
    producer.refusals = [BrokerUnavailable("between two clients")] * 2
    outbox(producer).deliver(of(b"a", b"b"))
    assert producer.sent == [b"a", b"b"]


def test_a_stop_ends_the_waiting_for_a_producer_that_takes_nothing() -> None:
    producer = Slow()
    producer.refusals = [BrokerUnavailable("between two clients")]
    with pytest.raises(Interrupted):
        outbox(producer, lambda: True).deliver(of(b"a"))


def test_where_records_lie_is_said_of_those_who_are_asked_for_also_when_some_come_twice() -> None:
    log = FakeLog()
    log.create(TopicSpec("up", 2, 1, {}))
    log.fail_next(1)
    producer = FakeProducer(log)
    records = [Outgoing("up", b"a", partition=0), Outgoing("up", b"b", partition=1), Outgoing("up", b"c", partition=1)]
    try:
        found = Outbox(producer, lambda: False).deliver_placed(records)
    finally:
        producer.close()
    assert found == {("up", 0): 0, ("up", 1): 1}
    assert [record.value for record in log.topic("up").partitions[1].records] == [b"b", b"c"]


def test_what_is_stored_at_a_place_that_is_not_told_comes_again_until_it_is() -> None:
    """With what came after it, in its order; whoever asks for places would otherwise take them for lower ones."""
    log = FakeLog()
    log.create(TopicSpec("up", 2, 1, {}))
    log.withhold_offsets(2)
    producer, pauses = FakeProducer(log), []
    records = [Outgoing("up", b"a", partition=0), Outgoing("up", b"b", partition=1), Outgoing("up", b"c", partition=1)]
    try:
        found = Outbox(producer, lambda: False, sleep=pauses.append).deliver_placed(records)
    finally:
        producer.close()
    assert found == {("up", 0): 1, ("up", 1): 3}
    assert [record.value for record in log.topic("up").partitions[1].records] == [b"b", b"c", b"b", b"c"]
    assert len(pauses) == 1


def test_places_that_are_never_told_are_said_in_the_end() -> None:
    log = FakeLog()
    log.create(TopicSpec("up", 1, 1, {}))
    log.withhold_offsets(1000)
    producer, pauses = FakeProducer(log), []
    try:
        with pytest.raises(BrokerUnavailable, match="does not tell where"):
            Outbox(producer, lambda: False, sleep=pauses.append).deliver_placed(of(b"a"))
    finally:
        producer.close()
    assert len(log.topic("up").partitions[0].records) == 10


def test_a_stop_ends_the_asking_for_places() -> None:
    log = FakeLog()
    log.create(TopicSpec("up", 1, 1, {}))
    log.withhold_offsets(1000)
    producer = FakeProducer(log)
    try:
        with pytest.raises(Interrupted):
            Outbox(producer, lambda: True, sleep=lambda _: None).deliver_placed(of(b"a"))
    finally:
        producer.close()


def test_records_without_a_place_are_nobodys_concern_where_none_is_asked_for() -> None:
    log = FakeLog()
    log.create(TopicSpec("up", 1, 1, {}))
    log.withhold_offsets(1)
    producer = FakeProducer(log)
    try:
        Outbox(producer, lambda: False).deliver(of(b"a"))
    finally:
        producer.close()
    assert len(log.topic("up").partitions[0].records) == 1
