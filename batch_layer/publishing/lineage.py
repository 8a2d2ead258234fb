"""Which generations have been live one after the other, and to which of them one goes back. Pure."""

from collections.abc import Sequence

from oryx_py.errors import UserError
from oryx_py.model.epochs.registry import Registry

__all__ = ["lineage", "rollback_target"]


def rollback_target(registry: Registry, stored: Sequence[str], generation: str | None) -> str:
    """Return the generation to go back to: the one named, or the last one that was live before the present.

    Args:
        registry: as it is now.
        stored: generations that are complete in the store.
        generation: None for the one before the present.

    Raises:
        UserError: there is no such generation, or none to go back to.
    """
    stored = [name for name in stored if not registry.is_deleted(name)]
    current = registry.newest_epoch
    if current is None:
        raise UserError("nothing was ever published: there is nothing to roll back")
    if generation is None:
        before = [name for name in lineage(registry)[:-1] if name in stored]
        if not before:
            raise UserError(f"no generation before {current.generation} is left: name one to go to")
        return before[-1]
    if generation not in stored or registry.state(generation) not in {"published", "retired"}:
        known = [name for name in stored if registry.state(name) in {"published", "retired"}]
        raise UserError(f"{generation} is no published generation; there are: {', '.join(known) or 'none'}")
    if generation == current.generation:
        raise UserError(f"{generation} is live already, in epoch {current.epoch}")
    return generation


def lineage(registry: Registry) -> list[str]:
    """Return the generations from the first to the live one, without those that were rolled back from.

    So two rollbacks in a row go back two generations, not to and fro.
    """
    line: dict[str, None] = {}  # in the order in which they came
    for epoch in registry.epochs:
        if epoch.generation in line:
            while line.popitem()[0] != epoch.generation:
                pass
        line[epoch.generation] = None
    return list(line)
