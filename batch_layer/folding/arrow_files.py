"""Arrow files that appear at once and whole, and strings in them."""

import os
import uuid
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from oryx_py.model.ids.packed_ids import ArrowStrings, PackedIds

__all__ = ["packed", "read_strings", "write_batch", "write_strings"]


def write_batch(path: Path, batch: pa.RecordBatch) -> int:
    """Write a batch; returns the bytes."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    size = aside.stat().st_size
    os.replace(aside, path)  # noqa: PTH105 - Path.replace says the same by another name
    return size


def write_strings(path: Path, strings: "pa.Array[Any]") -> None:
    """Write strings to a file that appears at once and whole."""
    write_batch(path, pa.RecordBatch.from_arrays([strings], names=["id"]))


def read_strings(path: Path) -> "pa.Array[Any]":
    """Map the strings of a file."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).get_batch(0).column(0)


def packed(strings: "pa.Array[Any]") -> PackedIds:
    """Return strings as IDs, sharing their bytes."""
    return PackedIds.of(cast("ArrowStrings", strings))
