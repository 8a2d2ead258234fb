"""Whether there is anything to train."""

import structlog

from batch_layer.recipe import Recipe
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.history import History
from oryx_py.model.manifest import Manifest
from oryx_py.model.registry import Registry
from oryx_py.ports import ArtefactStore

__all__ = ["is_covered"]

log = structlog.get_logger("batch")


def is_covered(store: ArtefactStore, recipe: Recipe, registry: Registry, history: History) -> bool:
    """Whether there is nothing to train.

    So it is if the newest generation of the whole history, or the live one if it is of the whole history too, was made
    by these settings. The newest counts also where it was rolled back from.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    live = registry.newest_epoch.generation if registry.newest_epoch else None
    newest = True
    for name in sorted(set(store.generations()) & registry.generations.keys(), reverse=True):
        if registry.state(name) == "rejected":
            continue
        try:
            manifest = store.manifest(name)
        except (CorruptGeneration, UnsupportedFormat) as trouble:
            log.warning("generation_unreadable", generation=name, reason=str(trouble))
            continue
        if manifest.next_offsets != dict(history.offsets) or manifest.history < history.refolded:
            continue
        if (newest or name == live) and _made_by(manifest, recipe):
            return True
        if newest:
            log.info("settings_have_changed", generation=name)
        newest = False
    return False


def _made_by(manifest: Manifest, recipe: Recipe) -> bool:
    objective = recipe.settings_of(manifest.objective)
    return (manifest.trainer, manifest.features, objective, manifest.fold, manifest.hyperparameters) == (
        recipe.trainer,
        recipe.features,
        recipe.objective.settings,
        recipe.fold,
        recipe.hyperparameters,
    )
