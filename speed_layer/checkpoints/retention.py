"""Which checkpoints nobody begins with any more, and their removal from the store."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from oryx_py.errors import OryxError
from oryx_py.model.checkpoints.checkpoint_files import CheckpointManifest, decode_checkpoint
from oryx_py.ports import ArtefactStore
from oryx_py.runtime.checkpoints import epoch_of

__all__ = ["outlived", "remove_outlived"]


def outlived(
    names: Sequence[str],
    manifest: Callable[[str], CheckpointManifest | None],
    oldest_epoch: int,
    kept: int,
    partitions: Collection[int],
) -> list[str]:
    """Return the names of those to delete: of epochs past, and where each input partition has newer ones.

    Pure, but for the manifests that it asks for.

    Args:
        names: of checkpoints, ascending.
        manifest: reads one's; None where that cannot be read, which counts as one of all partitions.
        oldest_epoch: what is older is past.
        kept: how many of each input partition stay, in an epoch.
        partitions: the input topic's.
    """
    gone: list[str] = []
    newer: dict[int, Counter[int]] = {}
    for name in reversed(names):
        epoch = epoch_of(name)
        if epoch is None:
            continue
        if epoch < oldest_epoch:
            gone.append(name)
            continue
        counts = newer.setdefault(epoch, Counter())
        if len(counts) == len(partitions) and min(counts.values()) >= kept:
            gone.append(name)  # whatever it has
            continue
        found = manifest(name)
        covered = set(partitions if found is None else found.covered.input)
        if all(counts[p] >= kept for p in covered):
            gone.append(name)
        elif found is not None:
            counts.update(covered)
    return gone


def remove_outlived(
    store: ArtefactStore, oldest_epoch: int, kept: int, partitions: Collection[int], abandoned: str
) -> None:
    """Delete what nobody begins with any more, and what writers that died have left.

    Args:
        store: of checkpoints.
        oldest_epoch, kept, partitions: as `outlived` has them.
        abandoned: the part of a name below which what is not committed nobody writes any more.

    Raises:
        StoreUnavailable: no answer.
    """

    def manifest(name: str) -> CheckpointManifest | None:
        try:
            return decode_checkpoint(store.raw_manifest(name), name)
        except (OryxError, OSError):
            return None

    names = [name for name in store.generations() if epoch_of(name) is not None]
    for name in outlived(names, manifest, oldest_epoch, kept, partitions):
        store.delete(name)
    for name in store.incomplete():
        if epoch_of(name) is not None and name.partition("-")[2] < abandoned:
            store.discard(name)
