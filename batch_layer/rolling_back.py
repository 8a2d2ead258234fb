"""Going back to an earlier generation: a new epoch of it."""

from collections.abc import Sequence

from batch_layer.publish import Publisher
from batch_layer.recovery import unregistered
from oryx_py.adapters.registry_log import RegistryLog
from oryx_py.errors import UserError
from oryx_py.model.registry import EpochStarted, GenerationState, Registry
from oryx_py.ports import ArtefactStore

__all__ = ["lineage", "roll_back", "rollback_target"]


def roll_back(
    registry_log: RegistryLog, store: ArtefactStore, publisher: Publisher, generation: str | None
) -> EpochStarted:
    """Make ``generation``, or the one before the present, live in a new epoch; returns that epoch.

    Finished generations of which nothing was decided are rejected with it: promoted by the next run, one of them would
    undo the rollback. What the next run trains from new input comes after it as usual.

    Raises:
        UserError: there is no such generation, or none to go back to.
        CommitConflict: the registry changed at the same time: decide anew.
    """
    registry = registry_log.read()
    stored = store.generations()
    target = rollback_target(registry, stored, generation)
    reason = f"rolled back to {target}"
    rejections = [GenerationState(name, "rejected", reason) for name in unregistered(registry, stored)]
    registry = publisher.start_epoch(registry, target, reason=reason, also=rejections)
    publisher.announce(registry.epochs[-1])
    return registry.epochs[-1]


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
