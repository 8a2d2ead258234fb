"""A checkpoint: all in which an epoch's state differs from its generation, as files.

A directory of ``.npy`` arrays and a ``manifest.json``, which is written last and has the size and checksum of each. It
is read by mapping, but for what later changes alter; there is no step for each pair.

=========================================  ===========================================================================
``users.new.{offsets,bytes}``              IDs that the generation does not have and something in here refers to, in the
                                           order of their handles; the same of ``items``
``users.traces.*``                         what stays of other new IDs (`oryx_py.model.ids.traces`); also of ``items``
``users.vectors{,.handles,.present}``      vectors that are not the generation's; the same of ``items``
``pairs.{users,indptr,items,strengths}``   changed pairs (`oryx_py.model.state.changed_rows`)
``users.forgotten``, ``items.forgotten``   handles
``users.inputs{,.handles}``                offsets of the newest messages applied; the same of ``items``
``ids.{high,low,numbers,clocks}``          idempotency keys that may still be repeated, one input partition's after the
                                           other's (`oryx_py.events.dedupe.IdWindow`), as the manifest has their sizes
``states.*``                               where several share the input: what the users of others say of new items
                                           (`oryx_py.model.checkpoints.item_state_arrays`)
=========================================  ===========================================================================

One of several processes writes the users of its partitions, the states of its partitions' items, and all items.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import CorruptGeneration
from oryx_py.events.dedupe import IdWindow
from oryx_py.model.checkpoints.arrays import TRACES, Arrays, arrays_of, changes_in, dtypes_and_shapes, fault_of
from oryx_py.model.checkpoints.item_state_arrays import GONE, arrays_of_rows, row_arrays, rows_in
from oryx_py.model.checkpoints.pruning import pruned
from oryx_py.model.files import FileEntry, check_content, check_size, map_array, storage, write_array
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import MANIFEST, read_raw
from oryx_py.model.state.changes import StateChanges
from oryx_py.model.state.item_states import StateRows
from oryx_py.model.summed import UNSUMMED, decode_summed, write_summed

__all__ = ["FORMAT", "Checkpoint", "CheckpointManifest", "Covered", "decode_checkpoint", "write_checkpoint"]

FORMAT: Final = "1.2"

_IDS = ("high", "low", "numbers", "clocks")


class IdsOfPartition(msgspec.Struct, frozen=True):
    """How many keys and clocks an input partition has, and the two numbers of its `IdWindow`."""

    keys: int
    clocks: int
    first: int
    clock_ms: int


class Covered(msgspec.Struct, frozen=True):
    """Up to where a checkpoint goes.

    Attributes:
        input: by input partition that it has users of, the offset below which everything is in it.
        live: of these, the partitions announced live.
        update: by update partition, an offset; all that the writer had sent before it is in the checkpoint.
        item: by partition of the item topic that it has items of, as ``input``; empty where nobody shares the input.
        terms: by input partition, the highest term that was heard of it, the writer's own of those in ``input``.
        said: by input partition, what its users said of items with a lower term than this does not count.
        announced: by input partition, what was announced before ``update``; of more the topic has to tell, as the
            writer may have been replaced since. None where all of ``input`` was.
    """

    input: dict[int, int]
    live: list[int]
    update: dict[int, int]
    item: dict[int, int] = {}
    terms: dict[int, int] = {}
    announced: dict[int, int] | None = None
    said: dict[int, int] = {}


class CheckpointManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint is of; ``created_ms`` since 1970, UTC.

    ``generation`` and its manifest's ``generation_checksum`` are those of the ``epoch``: handles mean nothing without.
    ``pairs``: how many have changed since. ``ids``: by input partition, where its keys are. ``files`` and ``checksum``
    are as in a generation's manifest.
    """

    format: str = FORMAT
    checkpoint: str
    epoch: int
    generation: str
    generation_checksum: str
    created_ms: int
    covered: Covered
    pairs: int
    ids: dict[int, IdsOfPartition] = {}
    files: dict[str, FileEntry]
    checksum: str = UNSUMMED

    @property
    def bytes(self) -> int:
        """Of all files but the manifest."""
        return sum(entry.bytes for entry in self.files.values())


def decode_checkpoint(raw: bytes, where: Path | str) -> CheckpointManifest:
    """Return the manifest that a file's bytes are; ``where`` it was, for messages.

    Raises:
        CorruptGeneration: it is damaged.
        UnsupportedFormat: it was written by a newer version.
    """
    return decode_summed(raw, where, CheckpointManifest, FORMAT)


def write_checkpoint(
    into: Path,
    *,
    name: str,
    epoch: int,
    generation: Generation,
    created_ms: int,
    covered: Covered,
    changes: StateChanges,
    ids: Mapping[int, IdWindow],
    states: StateRows | None = None,
) -> CheckpointManifest:
    """Write a checkpoint into an empty directory, every file fsynced, the manifest last.

    Args:
        into: the directory.
        name: of the checkpoint.
        epoch, generation: what it is of.
        created_ms: now, since 1970, UTC.
        covered: up to where.
        changes: of the epoch's state; new IDs that nothing in them refers to are not named.
        ids: by input partition, the keys that may still be repeated.
        states: of items, as the users of others say; None where nobody shares the input.

    Raises:
        StoreUnavailable: the disk does not take it.
    """
    sizes = len(generation.users), len(generation.items), max(1, len(generation.manifest.input))
    changes = pruned(changes, *sizes)
    arrays = {**arrays_of(changes), **_of_ids(ids), **({} if states is None else arrays_of_rows(states))}
    with storage(into):
        files = {f"{part}.npy": write_array(into / f"{part}.npy", array) for part, array in arrays.items()}
        return write_summed(
            into / MANIFEST,
            CheckpointManifest(
                checkpoint=name,
                epoch=epoch,
                generation=generation.name,
                generation_checksum=generation.manifest.checksum,
                created_ms=created_ms,
                covered=covered,
                pairs=len(changes.histories.rows.items),
                ids={
                    partition: IdsOfPartition(len(window.high), len(window.clocks), window.first, window.clock_ms)
                    for partition, window in ids.items()
                },
                files=files,
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint as it is read; its large arrays are mapped, so that it may be deleted while it is in use."""

    manifest: CheckpointManifest
    changes: StateChanges
    ids: Mapping[int, IdWindow]
    states: StateRows | None

    @classmethod
    def open(cls, path: Path, generation: Generation) -> "Checkpoint":
        """Check every file's size and checksum, and that what is in them fits together and to the generation.

        Raises:
            CorruptGeneration: it is damaged, or of another generation.
            UnsupportedFormat: it was written by a newer version.
            StoreUnavailable: the disk does not give a file.
        """
        with storage(path):
            manifest = decode_checkpoint(read_raw(path / MANIFEST), path / MANIFEST)
            theirs, ours = manifest.generation_checksum, generation.manifest.checksum
            if (manifest.generation, theirs) != (generation.name, ours):
                raise CorruptGeneration(f"{path} is of generation {manifest.generation}, not of {generation.name}")
            arrays = _mapped(path, manifest, generation)
        try:
            states = rows_in(arrays) if "states.terms" in arrays else None
            checkpoint = cls(manifest, changes_in(arrays), _ids_in(arrays, manifest), states)
        except ValueError as error:  # no UTF-8, or lengths that do not go together
            raise CorruptGeneration(f"{path}: {error}") from error
        fault = fault_of(checkpoint.changes, len(generation.users), len(generation.items))
        if fault is not None:
            raise CorruptGeneration(f"{path}: {fault}")
        return checkpoint


def _of_ids(ids: Mapping[int, IdWindow]) -> dict[str, NDArray[Any]]:
    windows = list(ids.values())
    none: NDArray[np.int64] = np.empty(0, np.int64)
    return {
        "ids.high": np.concatenate([none.astype(np.uint64), *(window.high for window in windows)]),
        "ids.low": np.concatenate([none.astype(np.uint64), *(window.low for window in windows)]),
        "ids.numbers": np.concatenate([none, *(window.numbers for window in windows)]),
        "ids.clocks": np.concatenate([none, *(window.clocks for window in windows)]),
    }


def _dtypes_and_shapes(features: int) -> dict[str, tuple[Any, tuple[int | None, ...]]]:
    ids = {f"ids.{part}": np.uint64 if part in {"high", "low"} else np.int64 for part in _IDS}
    return {**dtypes_and_shapes(features), **{name: (dtype, (None,)) for name, dtype in ids.items()}}


def _mapped(path: Path, manifest: CheckpointManifest, generation: Generation) -> Arrays:
    arrays: dict[str, NDArray[Any]] = {}
    features = generation.manifest.features
    wanted = _dtypes_and_shapes(features)
    if any(name.startswith("states.") for name in manifest.files):
        wanted |= row_arrays(features)
    later = {*TRACES, *GONE}  # than format 1.1
    for part, (dtype, shape) in wanted.items():
        name = f"{part}.npy"
        if name not in manifest.files:
            if part in later:
                continue
            raise CorruptGeneration(f"{path / MANIFEST} does not list {name}")
        check_size(path / name, manifest.files[name])
        check_content(path / name, manifest.files[name])
        arrays[part] = map_array(path / name, dtype, shape)
    return arrays


def _ids_in(arrays: Arrays, manifest: CheckpointManifest) -> dict[int, IdWindow]:
    windows: dict[int, IdWindow] = {}
    key, clock = 0, 0
    for partition, of in manifest.ids.items():
        keys = slice(key, key + of.keys)
        high, low, numbers = (arrays[f"ids.{part}"][keys] for part in ("high", "low", "numbers"))
        clocks = arrays["ids.clocks"][clock : clock + of.clocks]
        windows[partition] = IdWindow(high, low, numbers, clocks, of.first, of.clock_ms)
        key, clock = key + of.keys, clock + of.clocks
    sizes = {len(arrays[f"ids.{part}"]) for part in ("high", "low", "numbers")}
    if sizes != {key} or len(arrays["ids.clocks"]) != clock:
        raise ValueError("there are not as many keys as the manifest says")
    return windows
