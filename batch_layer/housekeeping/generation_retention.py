"""Which generations are no longer kept. Pure."""

from collections.abc import Collection, Sequence

from batch_layer.publishing.lineage import lineage
from oryx_py.model.epochs.registry import Registry

__all__ = ["outlived"]


def outlived(registry: Registry, stored: Sequence[str], in_use: Collection[str], keep: int) -> list[str]:
    """Return the generations to delete, ascending.

    The newest ``keep`` that were ever live stay; with them the live one, the one that `oryx rollback` would go back to,
    and those in use. A rejected one goes when all that stay are newer: until then somebody may look at what was wrong
    with it. What nothing was decided of is not this function's to delete.

    Args:
        registry: as it is now.
        stored: the complete generations of the store.
        in_use: those of epochs that a reader may hold.
        keep: how many, 1 at least.
    """
    served = sorted(name for name in stored if registry.state(name) in {"published", "retired"})
    kept = {*served[-keep:], *in_use}
    before = [name for name in lineage(registry) if name in stored]
    kept.update(before[-2:])
    if registry.newest_epoch is not None:
        kept.add(registry.newest_epoch.generation)
    oldest = min(kept & set(served), default="")
    rejected = [name for name in stored if registry.state(name) == "rejected" and name < oldest]
    return sorted({*served, *rejected} - kept)
