"""Folded pairs of one range of users, in an Arrow file of the working directory: written by one task, mapped by others.

One batch with the columns user (run-end encoded: each user once), item (dictionary-coded, the dictionary in bytewise
order) and strength; pairs ascend by user and item, bytewise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batch_layer.folding.arrow_files import write_batch
from batch_layer.folding.fold_stream import PAIRS_SCHEMA

_compute: Any = pc  # its stubs lack run ends

__all__ = ["Part", "PartCounts", "Start", "in_order", "read_part", "starts", "write_part"]


class PartCounts(NamedTuple):
    """What a task tells of its part: its number, its first and last user, how many users and pairs, the IDs' bytes."""

    number: int
    first_user: str
    last_user: str
    users: int
    pairs: int
    user_bytes: int
    file_bytes: int


class Start(NamedTuple):
    """Where a part begins among all."""

    user: int
    pair: int
    byte: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part, mapped: ``users`` and ``items`` each once, ascending; ``ends`` int32[users], where each user's pairs end;
    ``codes`` int32[pairs] into ``items``; ``strengths`` float64[pairs]."""

    users: "pa.Array[Any]"
    ends: NDArray[np.int32]
    items: "pa.Array[Any]"
    codes: NDArray[np.int32]
    strengths: NDArray[np.float64]


def write_part(path: Path, number: int, pairs: Iterable[pa.RecordBatch]) -> PartCounts | None:
    """Write sorted pairs, batches of `PAIRS_SCHEMA`; None, and no file, where there are none.

    The file appears at once and whole, so that an attempt that died, or runs beside this one, does no harm.
    """
    table = pa.Table.from_batches(list(pairs), PAIRS_SCHEMA)
    if not table.num_rows:
        return None
    users: Any = _compute.run_end_encode(table.column("user").combine_chunks())
    items = _in_order(table.column("item").combine_chunks().dictionary_encode())
    batch = pa.RecordBatch.from_arrays(
        [users, items, table.column("strength").combine_chunks()], names=["user", "item", "strength"]
    )
    size = write_batch(path, batch)
    values = users.values
    return PartCounts(
        number=number,
        first_user=values[0].as_py(),
        last_user=values[-1].as_py(),
        users=len(values),
        pairs=len(batch),
        user_bytes=int(pc.sum(pc.binary_length(values)).as_py()),
        file_bytes=size,
    )


def read_part(path: Path) -> Part:
    """Map a part."""
    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
    columns: list[Any] = list(batch.columns)  # the stubs have no encoded arrays
    users, items, strengths = columns
    return Part(
        users=users.values,
        ends=users.run_ends.to_numpy(),
        items=items.dictionary,
        codes=items.indices.to_numpy(),
        strengths=strengths.to_numpy(),
    )


def in_order(counts: Iterable[PartCounts]) -> list[PartCounts]:
    """Return the parts in the order of their users.

    Raises:
        ValueError: two parts overlap, so that they are no ranges.
    """
    found = sorted(counts, key=lambda part: part.first_user.encode())
    for before, after in pairwise(found):
        if before.last_user.encode() >= after.first_user.encode():
            raise ValueError(f"parts {before.number} and {after.number} are no ranges of users")
    return found


def starts(counts: Sequence[PartCounts]) -> list[Start]:
    """Return where each part begins, in their order, and at last where all end."""
    found = [Start(0, 0, 0)]
    for part in counts:
        last = found[-1]
        found.append(Start(last.user + part.users, last.pair + part.pairs, last.byte + part.user_bytes))
    return found


def _in_order(coded: "pa.DictionaryArray[Any, Any]") -> "pa.DictionaryArray[Any, Any]":
    """The same strings by a dictionary that ascends bytewise."""
    order = pc.sort_indices(coded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    codes = ranks[coded.indices.to_numpy()]
    return pa.DictionaryArray.from_arrays(pa.array(codes), coded.dictionary.take(pa.array(order)))
