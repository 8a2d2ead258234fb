"""Steps (c), (d) and (e): a generation of the history as of a commit."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from batch_layer.host.cores import cores
from batch_layer.recipe import Recipe
from batch_layer.run.steps import Parts, Step
from batch_layer.telemetry.progress import Progress
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.model.generations.writer import commit_generation, seal
from oryx_py.model.history.commits import History
from oryx_py.ports import ArtefactStore

__all__ = ["make_generation"]

log = structlog.get_logger("batch")


def make_generation(
    parts: Parts, recipe: Recipe, history: History, registry: Registry, done: Callable[[Step], None]
) -> str | None:
    """Do these steps; returns the generation's name, None where there are no pairs to make one of.

    Args:
        parts, recipe: what the layer works with, and how generations are made.
        history: as of the commit to make it of.
        registry: with the newest epoch, from whose generation training may begin.
        done: told each step that is done.

    Raises:
        JobFailed, StoreUnavailable: the next run sweeps what is half made, and tries again.
    """
    if not history.rows:
        return None
    now_ms = parts.clock.now_ms()
    name = new_generation_name(now_ms, parts.rng)
    parent = registry.newest_epoch.generation if registry.newest_epoch else None
    into = parts.store.stage(name)
    files = parts.folder.uris(history.files)
    base = parts.find_base(history, recipe.fold)
    trained = parts.engine.train(files, history.rows, into, _parent_of(parts.store, parent), base)
    if trained is None:
        parts.store.delete(name)
        return None
    parts.metrics.trained(repeats=trained.repeats, evaluation=trained.metrics.get("evaluation", {}))
    done(Step.TRAINED)
    parts.on_progress(Progress(step="write"))
    began = parts.clock.monotonic()
    sealed = seal(into, parts.build_index, threads=cores())
    written = sum(entry.bytes for entry in sealed.files.values())
    seconds = {**trained.seconds, "seal": parts.clock.monotonic() - began}
    manifest = commit_generation(
        into,
        sealed,
        name=name,
        objective=trained.objective,
        fold=recipe.fold,
        trainer=recipe.trainer,
        created_ms=now_ms,
        as_of_ms=trained.as_of_ms,
        input=history.input,
        history=history.number,
        interactions=history.rows,
        rejected=history.rejected,
        repeats=trained.repeats,
        dedupe_from=trained.dedupe_from,
        parent=parent,
        hyperparameters=recipe.hyperparameters,
        metrics={
            **trained.metrics,
            "training": _figures(trained.epochs, seconds, {**trained.bytes, "all": written}),
        },
        versions=trained.versions,
    )
    done(Step.GENERATION_WRITTEN)
    parts.store.commit(name)
    done(Step.GENERATION_COMMITTED)
    log.info(
        "generation_written",
        generation=name,
        users=manifest.counts.users,
        items=manifest.counts.items,
        pairs=manifest.counts.pairs,
        repeats=manifest.counts.repeats,
        seconds={step: round(value, 2) for step, value in seconds.items()},
    )
    return name


def _parent_of(store: ArtefactStore, name: str | None) -> Path | None:
    """Return where the generation is that training may begin from, None where it cannot be had."""
    if name is None:
        return None
    try:
        return store.local(name)
    except (CorruptGeneration, UnsupportedFormat) as trouble:
        log.warning("generation_unreadable", generation=name, reason=str(trouble))
        return None


def _figures(epochs: int, seconds: Mapping[str, float], written: Mapping[str, int]) -> dict[str, Any]:
    return {
        "protocol": "sweeps of the trainer; seconds, and bytes written, by step",
        "epochs": epochs,
        "seconds": dict(seconds),
        "bytes": dict(written),
    }
