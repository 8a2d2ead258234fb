"""What files still have of somebody forgotten: the history's rows, generations and their copies, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oryx_py.adapters.file_systems.paths import GENERATION
from oryx_py.adapters.file_systems.reading import open_reading
from oryx_py.cli.forget.arrays import Unreadable, row_of
from oryx_py.cli.forget.proof import Held
from oryx_py.cli.forget.subject import Forgotten, Subject
from oryx_py.errors import OryxError
from oryx_py.model.generations.manifest import MANIFEST, Manifest, decode_manifest
from oryx_py.ports.files import Files

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["CHECKPOINTS", "Folder", "below", "folders", "forgets_of", "generation_has", "rows_of"]

CHECKPOINTS = ".checkpoints"
"""Where a host's copies of checkpoints lie beside those of generations."""
_BATCH_ROWS = 65_536
_ALL = np.iinfo(np.int64).max
"""No offset is as high."""


def below(files: Files, path: str) -> Iterator[str]:
    """Iterate over the paths of all files below a directory, hidden ones among them."""
    for entry in files.list(path):
        inner = f"{path}/{entry.name}" if path else entry.name
        if entry.is_dir:
            yield from below(files, inner)
        else:
            yield inner


def forgets_of(files: Files, path: str, forgotten: Forgotten) -> None:
    """Tell of the subject's forgets among a history file's rows; row groups without any forget are not read.

    Raises:
        Unreadable: it is no whole Parquet file.
    """
    subject = forgotten.subject
    own, other = ("user", "item") if subject.kind == "user" else ("item", "user")
    columns = ["partition", "offset", "kafka_ms", "id", own, other]
    for batch in _batches(files, path, other, "", columns):
        # Who has no user is compared by key with all others that have none: with the forgets of any item.
        empty, own_ones = _is(batch, other, ""), _is(batch, own, subject.id)
        found = batch.filter(empty if subject.kind == "item" else empty & own_ones)
        for row in found.to_pylist():
            if row[own] == subject.id:
                forgotten.add(row["partition"], row["offset"], row["kafka_ms"], row["id"])
            else:
                forgotten.note(row["partition"], row["offset"], row["id"])


def rows_of(files: Files, path: str, forgotten: Forgotten) -> tuple[Held, Held]:
    """Count a history file's rows of the subject, forgets left out; row groups that cannot have any are not read.

    Returns:
        The rows of what was done, and a user's rows without content: of these name, time and key are left, also where
        one is an earlier forget without a time of its own, as nothing in them tells the two apart.

    Raises:
        Unreadable: it is no whole Parquet file.
    """
    subject, held, husks = forgotten.subject, Held(), Held()
    own, other = ("user", "item") if subject.kind == "user" else ("item", "user")
    # The last one is for partitions that the topic does not have.
    limits = np.full(forgotten.partitions + 1, _ALL)
    for partition, offset in forgotten.offsets.items():
        limits[partition] = offset
    columns = ["partition", "offset", "kafka_ms", "id", "timestamp_ms", "kind", own, other]
    for batch in _batches(files, path, own, subject.id, columns):
        found = batch.filter(_is(batch, own, subject.id))
        if not found.num_rows:
            continue
        partitions, offsets, times = (found.column(name).to_numpy() for name in ("partition", "offset", "kafka_ms"))
        of_partition = limits[np.minimum(partitions, forgotten.partitions)]
        old, empty = offsets < of_partition, _is(found, other, "")
        keyed = _has(found, "id") & ~_has(found, "timestamp_ms") & ~_has(found, "kind") & (subject.kind == "user")
        counted = (held, old & ~empty), (husks, old & empty & keyed & (of_partition < _ALL))
        for partition, key in forgotten.keys.items() if subject.kind == "user" else ():
            for offset in offsets[_is(found, "id", key) & (partitions == partition) & old].tolist():
                forgotten.note(partition, offset, key)
        for of, rows in counted:
            of.add(int(times[rows].max(initial=-1)), int(rows.sum()))
        held.again += int((~old & ~empty).sum())
    return held, husks


def _batches(files: Files, path: str, column: str, wanted: str, columns: list[str]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_reading(files, path) as source, pq.ParquetFile(source) as parquet:
            for group in range(parquet.num_row_groups):
                if _may_have(parquet.metadata.row_group(group), column, wanted):
                    yield from parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise Unreadable(f"{files.uri(path)}: {error}") from error


def _may_have(group: "pq.RowGroupMetaData", column: str, wanted: str) -> bool:
    """Say no only where a row group's statistics exclude a value."""
    for number in range(group.num_columns):
        described = group.column(number)
        if described.path_in_schema == column and described.statistics is not None:
            least, most = described.statistics.min, described.statistics.max
            if described.statistics.has_min_max and isinstance(least, str) and isinstance(most, str):
                return least <= wanted <= most  # by code points, which is bytewise in UTF-8, as Parquet has it
    return True


def _is(batch: "pa.RecordBatch", name: str, value: str | bytes) -> NDArray[np.bool_]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(name)
    among = pc.is_in(column, value_set=pa.array([value], column.type))  # where it is null, too, it is not
    found: NDArray[np.bool_] = among.to_numpy(zero_copy_only=False)
    return found


def _has(batch: "pa.RecordBatch", name: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = batch.column(name).is_valid().to_numpy(zero_copy_only=False)
    return found


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of a generation or a checkpoint, or of what is left of one.

    ``manifest`` is that of a generation, None where it has none that can be read.
    """

    path: str
    name: str
    files: tuple[str, ...]
    manifest: Manifest | None


def folders(files: Files) -> Iterator[Folder]:
    """Iterate over the generations below a root, and over what is staged, half copied or half removed there.

    `CHECKPOINTS` are others.
    """
    for entry in files.list():
        if entry.name == CHECKPOINTS:
            continue
        if entry.is_dir and not GENERATION.fullmatch(entry.name):
            names = [f"{entry.name}/{inner.name}" for inner in files.list(entry.name) if inner.is_dir]
        else:
            names = [entry.name] if entry.is_dir else []
        for path in names:
            found = tuple(below(files, path))
            if found:
                yield Folder(path, path.rpartition("/")[2], found, _manifest(files, path))


def _manifest(files: Files, path: str) -> Manifest | None:
    raw = files.read(f"{path}/{MANIFEST}")
    try:
        return None if raw is None else decode_manifest(raw, path)
    except OryxError:
        return None


def generation_has(files: Files, folder: Folder, subject: Subject) -> bool:
    """Say whether a generation has a row for the subject, or names it in what its manifest says of the training.

    Histories name rows, so who has none is in none of them.

    Raises:
        Unreadable: its table of IDs cannot be read.
    """
    if folder.manifest is not None and subject.id in set(_texts(folder.manifest.metrics)):
        return True
    return row_of(files, folder.path, f"{subject.kind}s", subject.id) >= 0


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
