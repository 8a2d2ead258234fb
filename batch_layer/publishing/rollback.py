"""Going back to an earlier generation: a new epoch of it."""

from batch_layer.publishing.lineage import rollback_target
from batch_layer.publishing.publisher import Publisher
from batch_layer.publishing.recovery import unregistered
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.model.epochs.registry import EpochStarted, GenerationState
from oryx_py.ports import ArtefactStore

__all__ = ["roll_back"]


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
