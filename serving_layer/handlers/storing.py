"""What all writes share: the record of an interaction, its idempotency key, and how long Kafka may take."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from aiohttp import web

from oryx_py.errors import BrokerUnavailable, OryxError
from oryx_py.events import Action, Interaction, encode_csv
from oryx_py.ports import Headers, Outgoing
from serving_layer.api.answers import NoContent
from serving_layer.http_semantics.problems import Problem
from serving_layer.producing.write_progress import WriteProgress
from serving_layer.requests import app_keys

__all__ = ["idempotency_key", "promptly", "record_of", "send", "store", "store_one"]

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(request: web.Request) -> str | None:
    """Read ``Idempotency-Key``.

    Raises:
        Problem: 400, it is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(HTTPStatus.BAD_REQUEST, "Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


def record_of(interaction: Interaction, app: web.Application, *, now_ms: int, key: str | None) -> Outgoing:
    """Return the record of the input topic; an interaction without a time is of now."""
    if interaction.timestamp_ms is None:
        interaction = msgspec.structs.replace(interaction, timestamp_ms=now_ms)
    headers: Headers = () if key is None else (("id", f"{key}:{_line_of(interaction)}".encode()),)
    return Outgoing(app[app_keys.INPUT_TOPIC], encode_csv(interaction), interaction.user.encode(), headers)


def _line_of(interaction: Interaction) -> str:
    """Return what stands for a line's number in the ID of a record that is alone.

    Whoever deletes or forgets under the key of an interaction means it: no line of a bulk has such an ID.
    """
    match interaction.action:
        case Action.ADD:
            return "1"
        case Action.DELETE:
            return "delete"
        case Action.FORGET_USER:
            return "forget"
        case Action.FORGET_ITEM:  # nobody's record, so that nothing but this tells items under one key apart
            return f"forget {interaction.item}"


@asynccontextmanager
async def promptly(app: web.Application) -> AsyncIterator[None]:
    """Wait for an acknowledgement in here, but no longer than ``serving.api.write_timeout_ms``.

    The producer gives a record up before that, so that an answer as a rule says what became of it.

    Raises:
        BrokerUnavailable: it took longer.
    """
    timeout_ms = app[app_keys.API].write_timeout_ms
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            yield
    except TimeoutError:
        raise BrokerUnavailable(
            f"no acknowledgement from Kafka within {timeout_ms} ms; the write may be stored all the same"
        ) from None


async def store_one(request: web.Request, interaction: Interaction) -> NoContent:
    """Send an interaction, which is of now, and wait for its acknowledgement.

    Raises:
        OryxError: it was not acknowledged.
    """
    return await store(request.app, interaction, idempotency_key(request))


async def store(app: web.Application, interaction: Interaction, key: str | None = None) -> NoContent:
    """Do the same under an idempotency key, or none.

    Raises:
        OryxError: it was not acknowledged.
    """
    record = record_of(interaction, app, now_ms=app[app_keys.CLOCK].now_ms(), key=key)
    stored = WriteProgress(repeatable=record.headers != ())
    async with promptly(app):
        delivery = await app[app_keys.PRODUCER].send(record.topic, record.value, key=record.key, headers=record.headers)
        stored.add(delivery, line=1)
    app[app_keys.METRICS].interactions.inc()
    return NoContent(stored.headers())


async def send(app: web.Application, records: Sequence[Outgoing], lines: Sequence[int], stored: WriteProgress) -> None:
    """Send several records, of the lines of these numbers, and wait for all of them.

    Raises:
        Problem: 503, one was not acknowledged.
    """
    try:
        async with promptly(app):
            deliveries = await app[app_keys.PRODUCER].send_many(records)
    except OryxError as error:
        raise stored.stopped(str(error)) from error
    for delivery, line in zip(deliveries, lines, strict=True):
        if delivery.error is not None:
            raise stored.stopped(str(delivery.error)) from delivery.error
        stored.add(delivery, line)
        app[app_keys.METRICS].interactions.inc()
