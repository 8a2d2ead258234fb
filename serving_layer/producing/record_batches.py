"""From the values that a spool keeps to records of the input topic."""

import re
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from oryx_py.ports import Headers, Outgoing

__all__ = ["AT_ONCE", "SEND_US", "Batch", "batches"]

AT_ONCE: Final = 500
"""Records sent at once: one or two milliseconds of the loop."""
SEND_US: Final = 3
"""Of the loop, for each."""

_QUOTED: Final = re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"')


class Batch(NamedTuple):
    """Records sent together, and the numbers of their lines, from 1."""

    records: list[Outgoing]
    lines: list[int]


async def batches(pieces: AsyncIterator[bytes], topic: str, key: str | None) -> AsyncIterator[Batch]:
    """Return the records, in order, `AT_ONCE` at a time.

    Args:
        pieces: lines, each ended by a line feed: a value of the input topic as CSV, or nothing.
        topic: where they go.
        key: of the request; each record gets the header ``id``, which is this and its line's number, from 1.
    """
    batch = Batch([], [])
    number = 0
    rest = b""
    prefix = None if key is None else key.encode() + b":"
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            number += 1
            if line:
                headers: Headers = () if prefix is None else (("id", prefix + b"%d" % number),)
                batch.records.append(Outgoing(topic, line, _user_of(line), headers))
                batch.lines.append(number)
                if len(batch.records) == AT_ONCE:
                    yield batch
                    batch = Batch([], [])
    if batch.records:
        yield batch


def _user_of(value: bytes) -> bytes:
    """Return the first field of a line of RFC 4180."""
    quoted = _QUOTED.match(value)
    return value.partition(b",")[0] if quoted is None else quoted[1].replace(b'""', b'"')
