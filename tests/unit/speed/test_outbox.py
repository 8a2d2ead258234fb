"""What is sent and not waited for: it is waited for next time, and comes again where it was given up."""

import threading
from collections.abc import Callable

import pytest

from oryx_py.errors import BrokerUnavailable, RecordTooLarge
from oryx_py.ports import Delivery, OnDelivery, Outgoing
from speed_layer.outbox import Interrupted, Outbox


class Slow:
    """A producer that says what became of a record when it is told to, or flushed."""

    def __init__(self) -> None:
        self.sent: list[bytes | None] = []
        self.open: list[OnDelivery] = []
        self.answers: list[Delivery] = []
        """Of the next records; all others are stored."""
        self.is_down = False

    def send(self, topic: str, value: bytes | None, *, on_delivery: OnDelivery, **words: object) -> None:
        self.sent.append(value)
        self.open.append(on_delivery)

    def flush(self, timeout_s: float) -> None:
        if self.is_down:
            raise BrokerUnavailable("nothing is acknowledged")
        waiting, self.open = self.open, []
        for on_delivery in waiting:
            on_delivery(self.answers.pop(0) if self.answers else Delivery(0, len(self.sent)))

    def close(self, timeout_s: float = 5.0) -> None:
        """Nothing is held."""


def outbox(producer: Slow, stopping: Callable[[], bool] = lambda: False) -> Outbox:
    return Outbox(producer, stopping)  # type: ignore[arg-type]


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
