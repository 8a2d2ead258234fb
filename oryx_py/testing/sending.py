"""How a producer that sends one by one sends many: for stand-ins."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from oryx_py.ports import Delivery, Headers, OnDelivery, OnFailure, Outgoing

__all__ = ["send_each"]


class Sends(Protocol):
    """The first way to send of the port ``Producer``."""

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
        """Queue one record."""
        ...


def send_each(producer: Sends, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
    """Send records one by one; return how many."""
    for number, record in enumerate(records):
        producer.send(
            record.topic,
            record.value,
            key=record.key,
            headers=record.headers,
            partition=record.partition,
            on_delivery=partial(_answered, on_failure, number),
        )
    return len(records)


def _answered(on_failure: OnFailure, number: int, delivery: Delivery) -> None:
    if delivery.error is not None:
        on_failure(number, delivery.error)
