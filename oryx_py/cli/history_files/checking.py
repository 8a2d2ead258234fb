"""What a batch of texts says, by the rules that `oryx_py.events.codec` has for one record; many at once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oryx_py.cli.files.rows import SECONDS_BELOW, Times
from oryx_py.events.codec import MAX_STRENGTH, MAX_TIMESTAMP_MS
from oryx_py.events.ids import MAX_ID_BYTES

__all__ = ["SCHEMA", "Checked", "check"]

_FIELDS: list["pa.Field[Any]"] = [
    pa.field("user", pa.string(), nullable=False),
    pa.field("item", pa.string(), nullable=False),
    pa.field("strength", pa.float64()),
    pa.field("timestamp_ms", pa.int64()),
    pa.field("kind", pa.string()),
]
SCHEMA: Final = pa.schema(_FIELDS)
"""What comes out: an empty user or item with a null strength forgets, a null strength deletes."""

_CONTROL: Final = r"[\x00-\x1f\x7f-\x{9f}]"
_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_WHOLE: Final = r"^[0-9]{1,18}$"
_SHOWN: Final = 20

_Column: TypeAlias = Any
"""An Arrow array. Its stubs take most computations' results for scalars."""


class Checked:
    """Rows that can be used, and what is wrong with the others.

    Attributes:
        rows: a batch of `SCHEMA`.
        refused: how many were left out.
        reasons: the first of them, as ``row 7: …``.
    """

    def __init__(self, rows: pa.RecordBatch, refused: int, reasons: Sequence[str]) -> None:
        self.rows, self.refused, self.reasons = rows, refused, reasons


def check(columns: Mapping[str, _Column], first_row: int, times: Times, *, forgets: bool = True) -> Checked:
    """Judge columns of text; numbers may be numbers already.

    Args:
        columns: user and item, and of strength, timestamp and event what there is. An empty text or a null strength
            deletes; where there is no column of it at all, it is 1.
        first_row: the number of the first row in its file, for the reasons.
        times: the timestamps' unit, decided by the first one where it is "auto".
        forgets: whether a row may forget a user or an item, by having nothing else.
    """
    count = len(columns["user"])
    users, items = (_text(columns[name]) for name in ("user", "item"))
    strengths, bad_strength = _strengths(columns.get("strength"), count)
    stamps, bad_time = _timestamps(columns.get("timestamp"), count, times)
    kinds = _text(columns["event"]) if "event" in columns else pa.nulls(count, pa.string())
    kinds = pc.if_else(pc.equal(kinds, pa.scalar("")), pa.scalar(None, pa.string()), kinds)
    no_user, no_item = (_bools(pc.equal(ids, pa.scalar(""))) for ids in (users, items))
    told = _bools(pc.is_valid(strengths))
    faults = [
        (_bad_id(users), "the user's ID is too long, or has control characters"),
        (_bad_id(items), "the item's ID is too long, or has control characters"),
        (_bad_id(kinds), "the kind is too long, or has control characters"),
        (no_user & no_item, "user and item are empty"),
        ((no_user | no_item) & told & ~bad_strength, "a strength without a user or an item"),
        ((no_user ^ no_item) & ~told & (not forgets), "forgets for good: say --forgets if that is meant"),
        (bad_strength, "the strength is no finite number in the range of float32"),
        (bad_time, "the timestamp is no whole number of 0 or above"),
    ]
    bad = np.logical_or.reduce([mask for mask, _ in faults])
    rows = pa.RecordBatch.from_arrays([users, items, strengths, stamps, kinds], schema=SCHEMA)
    if not bad.any():
        return Checked(rows, 0, ())
    reasons = [
        f"row {first_row + row:,}: {next(text for mask, text in faults if mask[row])}"
        for row in np.flatnonzero(bad)[:_SHOWN].tolist()
    ]
    return Checked(rows.filter(pa.array(~bad)), int(bad.sum()), reasons)


def _text(column: _Column) -> _Column:
    return pc.fill_null(column.cast(pa.string()), pa.scalar(""))


def _bools(mask: _Column) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.fill_null(mask, pa.array([False])[0]).to_numpy(zero_copy_only=False)
    return found


def _bad_id(texts: _Column) -> NDArray[np.bool_]:
    """Looks at each distinct text once: there are fewer of them."""
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary
    bad = _bools(pc.match_substring_regex(distinct, _CONTROL))
    bad |= _bools(pc.greater(pc.binary_length(distinct), pa.scalar(MAX_ID_BYTES)))
    if not bad.any():
        return np.zeros(len(texts), np.bool_)
    return _bools(pc.take(pa.array(bad), encoded.indices))


def _strengths(column: _Column | None, count: int) -> tuple[_Column, NDArray[np.bool_]]:
    if column is None:
        return pa.array(np.ones(count)), np.zeros(count, np.bool_)
    if pa.types.is_string(column.type):
        texts = pc.utf8_trim_whitespace(pc.fill_null(column, pa.scalar("")))
        empty = _bools(pc.equal(texts, pa.scalar("")))
        right = _bools(pc.match_substring_regex(texts, _NUMBER))
        column = pc.if_else(pa.array(right), texts, pa.scalar(None, pa.string())).cast(pa.float64())
        wrong = ~right & ~empty
    else:
        column, wrong = column.cast(pa.float64()), np.zeros(count, np.bool_)
    values: NDArray[np.float64] = pc.fill_null(column, pa.scalar(0.0)).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        wrong |= ~(np.abs(values) <= MAX_STRENGTH)
    return column, wrong


def _timestamps(column: _Column | None, count: int, times: Times) -> tuple[_Column, NDArray[np.bool_]]:
    if column is None:
        return pa.nulls(count, pa.int64()), np.zeros(count, np.bool_)
    if pa.types.is_temporal(column.type):
        exact = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
        return exact, _bools(pc.less(exact, pa.scalar(0)))
    wrong = np.zeros(count, np.bool_)
    if pa.types.is_string(column.type):
        texts = pc.utf8_trim_whitespace(pc.fill_null(column, pa.scalar("")))
        right = _bools(pc.match_substring_regex(texts, _WHOLE))
        wrong = ~right & ~_bools(pc.equal(texts, pa.scalar("")))
        column = pc.if_else(pa.array(right), texts, pa.scalar(None, pa.string()))
    column = column.cast(pa.int64())
    first = pc.drop_null(column)
    if times.unit == "auto" and len(first):
        times.unit = "s" if first[0].as_py() < SECONDS_BELOW else "ms"
    values: NDArray[np.int64] = pc.fill_null(column, pa.scalar(0)).to_numpy(zero_copy_only=False)
    scale = 1000 if times.unit == "s" else 1
    wrong |= (values < 0) | (values > MAX_TIMESTAMP_MS // scale)
    stamps = pa.array(np.where(wrong, 0, values) * scale)
    return pc.if_else(pc.is_valid(column), stamps, pa.scalar(None, pa.int64())), wrong
