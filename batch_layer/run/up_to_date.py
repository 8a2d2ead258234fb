"""Whether there is anything to train."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog

from batch_layer.history.base_generation import is_made_of
from batch_layer.recipe import Recipe
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History, HistoryCommit
from oryx_py.ports import ArtefactStore

__all__ = ["is_covered"]

log = structlog.get_logger("batch")

CommitsAfter: TypeAlias = Callable[[int], Sequence[HistoryCommit]]
"""Returns the history's commits with numbers above one."""


def is_covered(
    store: ArtefactStore, recipe: Recipe, registry: Registry, history: History, commits_after: CommitsAfter
) -> bool:
    """Whether there is nothing to train.

    So it is if the newest generation of the whole history, or the live one if it is of the whole history too, was made
    by these settings. The newest counts also where it was rolled back from. Of the whole history is one that has all
    rows, though records may have come since that are none.

    Args:
        store, registry: where generations are.
        recipe: the settings.
        history: as it is now.
        commits_after: its commits above a number.

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
        if not _has_all_rows(manifest, history, commits_after):
            continue
        if (newest or name == live) and _made_by(manifest, recipe):
            return True
        if newest:
            log.info("settings_have_changed", generation=name)
        newest = False
    return False


def _has_all_rows(manifest: Manifest, history: History, commits_after: CommitsAfter) -> bool:
    if manifest.history < history.refolded:
        return False
    if manifest.next_offsets == dict(history.offsets):
        return True
    with_rows = max((file.origin for file in history.files), default=0)
    return manifest.history >= max(1, with_rows) and is_made_of(manifest, history, commits_after(manifest.history))


def _made_by(manifest: Manifest, recipe: Recipe) -> bool:
    objective = recipe.settings_of(manifest.objective)
    return (manifest.trainer, manifest.features, objective, manifest.fold, manifest.hyperparameters) == (
        recipe.trainer,
        recipe.features,
        recipe.objective.settings,
        recipe.fold,
        recipe.hyperparameters,
    )
