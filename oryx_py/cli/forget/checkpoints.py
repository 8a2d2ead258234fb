"""What a checkpoint still has of somebody forgotten."""

import numpy as np

from oryx_py.cli.forget.arrays import ids_at, list_has, numbers_at, numbers_have, row_of, rows_with
from oryx_py.cli.forget.files import Folder
from oryx_py.cli.forget.subject import Forgotten
from oryx_py.errors import OryxError
from oryx_py.messages import partition_of
from oryx_py.model.checkpoints.checkpoint_files import CheckpointManifest, decode_checkpoint
from oryx_py.model.generations.manifest import MANIFEST
from oryx_py.ports.files import Files

__all__ = ["checkpoint_has", "manifest_of"]

_ALL = 1 << 62
"""No offset is as high."""


def manifest_of(files: Files, folder: Folder) -> CheckpointManifest | None:
    """Return a checkpoint's manifest, None where it has none that can be read."""
    raw = files.read(f"{folder.path}/{MANIFEST}")
    try:
        return None if raw is None else decode_checkpoint(raw, folder.path)
    except OryxError:
        return None


def checkpoint_has(
    files: Files, folder: Folder, manifest: CheckpointManifest, generations: Files, forgotten: Forgotten, *, again: bool
) -> str:
    """Return in words what a checkpoint has, "" for nothing.

    An ID that the generation lacks stands in it by itself; one that it has is a row's number in what has changed. The
    numbers of what is forgotten are forgets, as are hashes of items' IDs.

    Args:
        files, folder, manifest: of the checkpoint.
        generations: those of the store, for the row.
        forgotten: the forget.
        again: whether something came since, which it then rightly has.

    Raises:
        Unreadable: a file is missing or damaged.
    """
    subject, path = forgotten.subject, folder.path
    side = f"{subject.kind}s"
    if f"states.{side}.offsets.npy" in manifest.files and _has_states(files, path, forgotten, again=again):
        return "its ID among the states of items, and vectors in these unless the forget was heard"
    # Of a partition that it does not have, it has no users.
    elsewhere = {p: _ALL for p in forgotten.offsets if p not in manifest.covered.input}
    covered = forgotten.is_covered_by({**manifest.covered.input, **elsewhere})
    new = list_has(files, f"{path}/{side}.new.offsets.npy", f"{path}/{side}.new.bytes.npy", subject.id)
    if covered:
        return "its ID" if new and not again else ""
    if new:
        return "its ID, and what came in until then"
    row = row_of(generations, manifest.generation, side, subject.id)
    pairs = ("pairs.users", np.int64) if subject.kind == "user" else ("pairs.items", np.int32)
    places = (pairs, (f"{side}.vectors.handles", np.int64))
    changed = row >= 0 and any(numbers_have(files, f"{path}/{name}.npy", kind, row) for name, kind in places)
    return f"what changed of the {subject.kind} since the generation" if changed else ""


def _has_states(files: Files, path: str, forgotten: Forgotten, *, again: bool) -> bool:
    """Whether users' states of items name it; where something came since, those from before the forget alone count."""
    subject = forgotten.subject
    names = {
        side: (f"{path}/states.{side}.offsets.npy", f"{path}/states.{side}.bytes.npy") for side in ("users", "items")
    }
    for rows in rows_with(files, *names[f"{subject.kind}s"], subject.id):
        if not again:
            return True
        inputs = numbers_at(files, f"{path}/states.inputs.npy", np.int64, rows).tolist()
        users = [subject.id] * len(rows) if subject.kind == "user" else ids_at(files, *names["users"], rows)
        homes = (partition_of(user, forgotten.partitions) for user in users)
        if any(forgotten.is_old(home, offset) for home, offset in zip(homes, inputs, strict=True)):
            return True
    return False
