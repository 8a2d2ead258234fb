"""The users' table and histories: each part is a span of their files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from batch_layer.folding.arrow_files import packed
from batch_layer.folding.part_files import PartCounts, Start, read_part, starts
from batch_layer.spark.preparing.fold import part_path
from batch_layer.spark.session.tasks import Hands
from oryx_py.model.files import create_array, write_span
from oryx_py.model.generations.history_files import history_files
from oryx_py.model.ids.id_spans import create_ids, write_id_span, write_look_up
from oryx_py.model.ids.id_table import IdTable

__all__ = ["write_users"]


def write_users(hands: Hands, parts: Sequence[PartCounts], into: Path, work: Path) -> int:
    """Write ``users.ids.*`` and ``users.history.*``, with rows of the items' table; returns the bytes."""
    *firsts, end = starts(parts)
    indptr, indices, strengths = (into / file for file in history_files("users"))
    create_ids(into, work, "users", end.user, end.byte)
    create_array(indptr, np.int64, (end.user + 1,))
    create_array(indices, np.int32, (end.pair,))
    create_array(strengths, np.float64, (end.pair,))
    paths = [part_path(work, part.number) for part in parts]
    tasks = list(zip(paths, firsts, strict=True))
    written = sum(hands(partial(_write, into=into, work=work), tasks))
    return written + write_look_up(into, work, "users")


def _write(task: tuple[Path, Start], *, into: Path, work: Path) -> int:
    """The task: one part's span of every file."""
    path, first = task
    part = read_part(path)
    names: list[Any] = part.items.to_pylist()
    items = IdTable.open(into, "items").find_many(names)
    indptr, indices, strengths = (into / file for file in history_files("users"))
    return (
        write_id_span(into, work, "users", first.user, first.byte, packed(part.users))
        + write_span(indptr, first.user + 1, part.ends.astype(np.int64) + first.pair)
        + write_span(indices, first.pair, items.astype(np.int32)[part.codes])
        + write_span(strengths, first.pair, part.strengths)
    )
