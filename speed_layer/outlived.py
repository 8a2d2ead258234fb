"""Which checkpoints nobody begins with any more. Pure, but for the manifests that it asks for."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from oryx_py.model.checkpoint import CheckpointManifest
from oryx_py.runtime.checkpoints import epoch_of

__all__ = ["outlived"]


def outlived(
    names: Sequence[str],
    manifest: Callable[[str], CheckpointManifest | None],
    oldest_epoch: int,
    kept: int,
    partitions: Collection[int],
) -> list[str]:
    """Return the names of those to delete: of epochs past, and where each input partition has newer ones.

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
