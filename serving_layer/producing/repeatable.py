"""Whether a body can be sent again under its key, and no line of it counts twice."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from oryx_py.messages import partition_of
from serving_layer.event_loop.bulk_write_turns import BulkWriteTurns
from serving_layer.http_semantics.problems import Problem
from serving_layer.producing.record_batches import Batch

__all__ = ["check_repeatable"]

_AT_ONCE: Final = 50
"""Records whose partitions are found at once: of the longest IDs, three milliseconds."""


async def check_repeatable(batches: AsyncIterator[Batch], partitions: int, most: int, turns: BulkWriteTurns) -> None:
    """See that no partition gets more of a body than it is remembered.

    Of each partition, only so many of the last records with an ID are known (`oryx_py.events.dedupe`). A body of more
    would have forgotten its own first line before it ends, so that, sent again, every line of it counted twice.

    Args:
        batches: all of the body, with the users as keys.
        partitions: of the input topic.
        most: ``input.dedupe_records``.
        turns: of the loop.

    Raises:
        Problem: 413, one gets more.
    """
    counts = [0] * partitions
    async for batch in batches:
        for at in range(0, len(batch.records), _AT_ONCE):
            await turns.next()
            for record in batch.records[at : at + _AT_ONCE]:
                assert record.key is not None
                counts[partition_of(record.key.decode(), partitions)] += 1
        if max(counts) > most:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"nothing was stored. One partition of the input gets more than {most} lines of this, which is as far "
                "as repeats under one Idempotency-Key are known (input.dedupe_records): send several requests, each "
                "with a key of its own, or this one without a key",
            )
