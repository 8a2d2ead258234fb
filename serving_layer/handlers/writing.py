"""What all writes share: the record of an interaction, its idempotency key, and where it was stored."""

import re
from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from aiohttp import web

from oryx_py.events import Interaction, encode_csv
from oryx_py.ports import Delivery, Headers, Outgoing
from serving_layer import keys
from serving_layer.problems import Problem

__all__ = ["OFFSET_HEADER", "idempotency_key", "offsets_header", "record_of"]

OFFSET_HEADER = "X-Oryx-Offset"
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


def record_of(interaction: Interaction, app: web.Application, *, now_ms: int, key: str | None, line: int) -> Outgoing:
    """Return the record of the input topic; an interaction without a time is of now."""
    if interaction.timestamp_ms is None:
        interaction = msgspec.structs.replace(interaction, timestamp_ms=now_ms)
    headers: Headers = () if key is None else (("id", f"{key}:{line}".encode()),)
    return Outgoing(app[keys.INPUT_TOPIC], encode_csv(interaction), interaction.user.encode(), headers)


def offsets_header(deliveries: Iterable[Delivery]) -> dict[str, str]:
    """Return ``X-Oryx-Offset``, the last offset of each partition; no header where nothing was stored."""
    last: dict[int, int] = {}
    for delivery in deliveries:
        last[delivery.partition] = max(delivery.offset, last.get(delivery.partition, -1))
    text = ",".join(f"{partition}:{offset}" for partition, offset in sorted(last.items()))
    return {OFFSET_HEADER: text} if text else {}
