"""The rows that only repeat others, and from where the speed layer has to know IDs."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.folding.dedupe import (
    CLOCKED_SCHEMA,
    REPEATS_SCHEMA,
    Stretch,
    clock_stream,
    repeat_stream,
    window_start,
)
from oryx_py.events import FoldSettings

__all__ = ["repeats_of", "shared", "window_starts", "without"]

_OFFSET_BITS = 44
"""Room for an offset beside its partition: a million records a second for half a year, in one partition."""
Clocks: TypeAlias = Mapping[int, int]
_BEGINNING: Clocks = MappingProxyType({})
_STRETCH = 50_000
"""Offsets: what the speed layer may read too much at a start, in some tenths of a second."""


def repeats_of(
    rows: DataFrame, settings: FoldSettings, before: Clocks = _BEGINNING, among: DataFrame | None = None
) -> DataFrame:
    """Return partition and offset of the history's rows that are to be ignored; as a rule there are few.

    Rows without an ID cost no more than being looked at. The others are brought together by input partition once,
    since the clock and the numbers are the partition's. User and ID go along as 128 bits of hash: numbers are quick to
    send and to sort. ``before``: the clocks of partitions whose first rows are not here. ``among``: partition, user and
    id of the rows that are asked about; all where it is None.
    """
    numbers = _with_id(rows).select("partition", "offset", "kafka_ms", *_key())
    # One number to sort by: Spark looks at the rest of a row only where the first column is equal.
    in_order = numbers.repartition("partition").sortWithinPartitions(
        F.shiftleft(F.col("partition").cast("long"), _OFFSET_BITS) + F.col("offset")
    )
    clocked = in_order.mapInArrow(partial(clock_stream, before=dict(before)), from_arrow_schema(CLOCKED_SCHEMA))
    if among is not None:
        keys = among.select("partition", *_key())
        clocked = clocked.join(keys, ["partition", "key_1", "key_2"], "left_semi")
    return clocked.sortWithinPartitions("key_1", "key_2", "partition", "offset").mapInArrow(
        partial(repeat_stream, settings=settings), from_arrow_schema(REPEATS_SCHEMA)
    )


def shared(rows: DataFrame, keys: DataFrame) -> DataFrame:
    """Return those of the keys (partition, user, id; none twice) that more than one of the rows has."""
    key = ["partition", "user", "id"]
    found = _with_id(rows).select(key).join(keys, key, "left_semi")
    return found.groupBy(key).count().where("count > 1").select(key)


def without(rows: DataFrame, repeats: DataFrame) -> DataFrame:
    """Return the rows that count."""
    return rows.join(repeats, ["partition", "offset"], "left_anti")


def window_starts(rows: DataFrame, settings: FoldSettings, before: Clocks = _BEGINNING) -> dict[int, tuple[int, int]]:
    """Return what `window_start` says of each input partition that has rows with an ID; ``before`` as above."""
    summed = (
        _with_id(rows)
        .groupBy("partition", F.floor(F.col("offset") / _STRETCH).alias("stretch"))
        .agg(F.min("offset"), F.count(F.lit(1)), F.max("kafka_ms"))
        .collect()
    )
    stretches: dict[int, list[Stretch]] = {}
    for partition, _, first_offset, count, newest_ms in sorted(summed):
        stretches.setdefault(partition, []).append(Stretch(first_offset, count, newest_ms))
    return {
        partition: window_start(found, settings, before.get(partition, -1)) for partition, found in stretches.items()
    }


def _key() -> list[Column]:
    """User and ID in 128 bits; made anew each time, since a column needs a session."""
    return [F.xxhash64("user", "id").alias("key_1"), F.xxhash64(F.lit("second"), "user", "id").alias("key_2")]


def _with_id(rows: DataFrame) -> DataFrame:
    return rows.where(F.length("id") > 0)
