"""``oryx tail``."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.choices import Topic
from oryx_py.cli.invocation import invocation
from oryx_py.errors import LogGap, TopicsChanged, UserError

if TYPE_CHECKING:
    from oryx_py.config import Settings
    from oryx_py.ports import Consumer, Record, TopicAdmin

__all__ = ["records_of", "tail"]

_POLL_S = 0.5
_BATCH = 500


def tail(
    context: typer.Context,
    topic: Annotated[Topic, typer.Argument(help="Which topic.")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="All that is in the topic, then what comes.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Key, headers, value, byte by byte, separated by tabs.")] = False,
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="Stop after so many; 0 = go on.")] = 0,
) -> None:
    """Show what goes through a topic, as it comes, until Ctrl-C.

    Each line has partition:offset, Kafka's time (UTC), what the record says,
    and its headers. Vectors are shortened. What cannot be read is shown with
    the reason.

    Examples:

      oryx tail input                          what clients send
      oryx tail update --from-beginning -n 20
      oryx tail dead-letter --from-beginning   what was refused, and why
      oryx tail update --raw | grep ann
    """
    from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer
    from oryx_py.cli.records import raw as raw_bytes
    from oryx_py.cli.records import readable
    from oryx_py.local.endpoint import resolve_bootstrap

    call = invocation(context)
    settings = call.settings()
    name, servers = _name(settings, topic), resolve_bootstrap(settings)
    admin, consumer = KafkaAdmin(servers, settings.kafka.client), KafkaConsumer(servers, settings.kafka.client)
    try:
        for seen, record in enumerate(records_of(name, admin, consumer, from_beginning), 1):
            if raw:
                sys.stdout.buffer.write(raw_bytes(record) + b"\n")
                sys.stdout.buffer.flush()
            else:
                call.screen.line(readable(topic, record))
            if seen == count:
                break
    finally:
        consumer.close()


def records_of(
    topic: str,
    admin: "TopicAdmin",
    consumer: "Consumer",
    from_beginning: bool,
    go_on: Callable[[], bool] = lambda: True,
) -> "Iterator[Record]":
    """Yield a topic's records, from its start or its end now, as long as ``go_on`` says so between polls.

    Raises:
        UserError: there is no such topic.
        LogGap: the records were trimmed while they were read.
    """
    from oryx_py.ports import Record

    try:
        start = admin.start_offsets(topic) if from_beginning else admin.end_offsets(topic)
    except TopicsChanged:
        raise UserError(f"topic {topic} does not exist: run `oryx setup`, or `oryx up`, first") from None
    consumer.assign({(topic, partition): offset for partition, offset in start.items()})
    while go_on():
        try:
            events = consumer.poll(_BATCH, _POLL_S)
        except LogGap as gap:
            raise LogGap(
                f"{gap}: what came before was trimmed meanwhile; run it again to begin at what is left"
            ) from gap
        for event in events:
            if isinstance(event, Record):
                yield event


def _name(settings: "Settings", topic: Topic) -> str:
    names: dict[Topic, str] = {
        "input": settings.input.topic,
        "update": settings.update.topic,
        "dead-letter": settings.dead_letter_topic,
        "items": settings.items.topic,
    }
    return names[topic]
