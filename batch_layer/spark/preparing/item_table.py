"""The table of items: distinct over all parts, in bytewise order."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from batch_layer.folding.arrow_files import packed, read_strings, write_strings
from batch_layer.folding.item_ranges import Range, range_edges, sampled, within
from batch_layer.folding.part_files import read_part
from batch_layer.spark.session.tasks import Hands
from oryx_py.model.ids.id_spans import create_ids, write_id_span, write_look_up

__all__ = ["number_items"]

_IDS_A_RANGE = 2_000_000
"""IDs, before the same ones are met, that one task brings together: some hundred megabytes."""


class _Found(NamedTuple):
    path: Path
    ids: int
    bytes: int


def number_items(hands: Hands, parts: Sequence[Path], into: Path, work: Path) -> tuple[int, int]:
    """Write ``items.ids.*`` of what the parts have; returns how many items there are, and the bytes written."""
    dictionaries = [read_part(path).items for path in parts]
    samples = [name for strings in dictionaries for name in sampled(strings)]
    ranges = range_edges(samples, -(-sum(map(len, dictionaries)) // _IDS_A_RANGE))
    del dictionaries
    paths = [work / f"items-{number:05d}.arrow" for number in range(len(ranges))]
    unite = partial(_unite, parts=tuple(parts))
    found = [each for each in hands(unite, list(zip(paths, ranges, strict=True))) if each.ids]
    items = sum(each.ids for each in found)
    create_ids(into, work, "items", items, sum(each.bytes for each in found))
    first_row = first_byte = written = 0
    for each in found:
        written += write_id_span(into, work, "items", first_row, first_byte, packed(read_strings(each.path)))
        first_row, first_byte = first_row + each.ids, first_byte + each.bytes
        each.path.unlink()
    return items, written + write_look_up(into, work, "items")


def _unite(task: tuple[Path, Range], *, parts: Sequence[Path]) -> _Found:
    """The task: the items of one range."""
    path, bounds = task
    found = within([read_part(part).items for part in parts], bounds)
    write_strings(path, found)
    return _Found(path, len(found), len(packed(found).data))
