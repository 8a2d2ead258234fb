"""One run of the batch layer: from what is new in the input topic to an epoch that the other layers take.

The protocol, as in docs/batch-protocol.md. Before anything else a run recovers: half generations, rows that no commit
names and what is left of work are swept, a finished generation that the registry does not know is promoted or rejected,
and the newest epoch's ``MODEL-REF`` is sent where the update topic lacks it. Then:

(a) write the new rows' files, from the history's offsets to the input's end as it is now;
(b) commit the history up to there: the files, the offsets, the records left out; where a generation is to be made of
    it, what is too old or was forgotten leaves the history, in commits of their own;
(c) fold the history as of that commit, and train, into the generation's files, aside;
(d) build the index, check, sum and fsync every file, and write the manifest;
(e) commit the generation: it and its manifest appear at once;
(f) commit the registry: the generation published, the next epoch with the update topic's end as its ``from``;
(g) send ``MODEL-REF`` to every partition of the update topic;
(h) trim the topics to what somebody still needs, and delete the generations that are no longer kept.

====================  ====================================================================
killed after or in    the next run
====================  ====================================================================
(a)                   sweeps the files and reads the same offsets again
(b)                   trains from the committed history, with what has come since
(c), (d)              sweeps the half generation, trains again, with what has come since
(e)                   promotes the finished generation, or rejects it as damaged or outdated
(f)                   sends ``MODEL-REF``; readers that looked at the registry have the epoch already
(g)                   finds nothing to train, does (h)
(h)                   trims and deletes what is left to
====================  ====================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from batch_layer.cores import cores
from batch_layer.engine import Engine
from batch_layer.history.finding import FindBase, no_base
from batch_layer.history.reshaping import Reshape, as_it_is
from batch_layer.history_folder import HistoryFolder
from batch_layer.metrics import Metrics
from batch_layer.progress import OnProgress, Progress, unheard
from batch_layer.publish import Publisher
from batch_layer.recipe import Recipe
from batch_layer.recovery import recover, sweep_halves
from batch_layer.topics import new_ranges
from oryx_py.adapters.history_log import HistoryLog
from oryx_py.adapters.registry_log import RegistryLog
from oryx_py.errors import CorruptGeneration, TopicsChanged, UnsupportedFormat
from oryx_py.model.generation import new_generation_name
from oryx_py.model.generation_writer import BuildIndex, commit_generation, seal
from oryx_py.model.history import History
from oryx_py.model.manifest import Manifest
from oryx_py.model.registry import Registry
from oryx_py.ports import ArtefactStore, Clock, TopicAdmin
from oryx_py.runtime.topics import REMEDY, check_identity, identify

__all__ = ["BatchLayer", "Outcome", "Parts", "Step"]

log = structlog.get_logger("batch")


class Step(Enum):
    """The steps of a run, in their order."""

    RECOVERED = "recover"
    ROWS_WRITTEN = "a"
    HISTORY_COMMITTED = "b"
    TRAINED = "c"
    GENERATION_WRITTEN = "d"
    GENERATION_COMMITTED = "e"
    EPOCH_STARTED = "f"
    EPOCH_ANNOUNCED = "g"
    TIDIED = "h"


class Outcome(Enum):
    """What a run came to."""

    PUBLISHED = "a new generation is live"
    NOTHING_NEW = "a generation covers all input"
    NO_PAIRS = "nobody has done anything yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the layer works with."""

    registry: RegistryLog
    store: ArtefactStore
    history: HistoryLog
    folder: HistoryFolder
    admin: TopicAdmin
    publisher: Publisher
    engine: Engine
    clock: Clock
    rng: np.random.Generator
    """Names generations and directories apart; no result depends on it."""
    metrics: Metrics
    build_index: BuildIndex = lambda _factors, _into: None
    """`oryx_py.ports.index.IndexBuilder.build`; by itself, no index."""
    tidy: Callable[[Registry, History], None] = lambda _registry, _history: None
    """Step (h); must not raise (`batch_layer.housekeeping`)."""
    reshape: Reshape = as_it_is
    find_base: FindBase = no_base
    on_progress: OnProgress = unheard


class BatchLayer:
    """Runs the protocol; one thread of one process at a time, for one store and one history.

    Args:
        parts: what it works with.
        recipe: how generations are made.
        input_topic: where interactions come from.
        update_topic: where epochs are announced.
        after_step: told each step that is done; may raise to end the run there.
    """

    def __init__(
        self,
        parts: Parts,
        recipe: Recipe,
        *,
        input_topic: str,
        update_topic: str,
        after_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._parts = parts
        self._recipe = recipe
        self._input_topic = input_topic
        self._update_topic = update_topic
        self._after_step = after_step
        self._fruitless = 0
        """The history's commit that was found to have no pairs."""

    def run(self, *, force: bool = False) -> Outcome:
        """Do one run; ``force`` trains also where a generation covers all input.

        Raises:
            Transient: broker or store do not answer, or another process was faster; the next run goes on.
            Stop: somebody has to act.
        """
        began = self._parts.clock.monotonic()
        partitions = self._check_topics()
        registry = recover(self._parts.registry, self._parts.store, self._parts.publisher)
        self._show_epoch(registry)
        history = self._parts.history.read()
        self._sweep_rows(history)
        self._parts.engine.sweep()
        self._done(Step.RECOVERED)

        history = self._take_in(history, partitions)
        if not force and self._is_covered(registry, history):
            self._tidy(registry, history)
            return self._finish(Outcome.NOTHING_NEW)
        if not force and self._fruitless == history.number:
            return self._finish(Outcome.NO_PAIRS)

        history = self._parts.reshape(history)
        generation = self._make(history, registry)
        if generation is None:
            self._fruitless = history.number
            return self._finish(Outcome.NO_PAIRS)
        registry = self._parts.publisher.start_epoch(registry, generation)
        self._done(Step.EPOCH_STARTED)
        self._parts.publisher.announce(registry.epochs[-1])
        self._done(Step.EPOCH_ANNOUNCED)
        self._parts.metrics.generation(seconds=self._parts.clock.monotonic() - began)
        self._show_epoch(registry)
        self._tidy(registry, history)
        return self._finish(Outcome.PUBLISHED)

    def sweep(self) -> None:
        """Remove what a run that was asked to stop has left half done, as the next run would.

        Raises:
            StoreUnavailable: the next run does it.
        """
        sweep_halves(self._parts.store)
        self._sweep_rows(self._parts.history.read())
        self._parts.engine.sweep()

    def _sweep_rows(self, history: History) -> None:
        for name in self._parts.folder.sweep({file.path for file in history.files}):
            log.info("uncommitted_rows_swept", directory=name)

    def _check_topics(self) -> int:
        """Refuse topics that are not the recorded ones, record them the first time; returns the input's partitions."""
        recorded = self._parts.registry.read()
        found = identify(self._parts.admin, [self._input_topic, self._update_topic])
        check_identity(recorded.topics, found)
        if recorded.topics is None:
            self._parts.registry.append(recorded, [found])
        elif missing := found.topics.keys() - recorded.topics.topics.keys():
            known = ", ".join(sorted(recorded.topics.topics))
            raise TopicsChanged(f"the store was begun with the topics {known}, not with {min(missing)}: {REMEDY}")
        return found.topics[self._input_topic].partitions

    def _take_in(self, history: History, partitions: int) -> History:
        """Steps (a) and (b): bring the history up to the input's end as it is now."""
        parts, topic = self._parts, self._input_topic
        ranges = new_ranges(history.offsets, parts.admin.start_offsets(topic), parts.admin.end_offsets(topic), topic)
        if all(start == stop for start, stop in ranges.values()):
            return history
        parts.on_progress(Progress(step="read", rows=0, of=sum(stop - start for start, stop in ranges.values())))
        directory = parts.folder.new(new_generation_name(parts.clock.now_ms(), parts.rng))
        written = parts.engine.write_rows(ranges, partitions, parts.folder.uri(directory))
        files = parts.folder.settle(directory)
        self._done(Step.ROWS_WRITTEN)
        history = parts.history.append(history, files, ranges, written.rejected, parts.clock.now_ms())
        self._done(Step.HISTORY_COMMITTED)
        parts.metrics.rows(written.rows, written.rejected)
        log.info("history_committed", commit=history.number, rows=written.rows, rejected=written.rejected)
        return history

    def _is_covered(self, registry: Registry, history: History) -> bool:
        """Whether there is nothing to train: the newest generation of the whole history, or the live one if it is of
        the whole history too, was made by these settings. The newest counts also where it was rolled back from."""
        live = registry.newest_epoch.generation if registry.newest_epoch else None
        newest = True
        for name in sorted(set(self._parts.store.generations()) & registry.generations.keys(), reverse=True):
            if registry.state(name) == "rejected":
                continue
            try:
                manifest = self._parts.store.manifest(name)
            except (CorruptGeneration, UnsupportedFormat) as trouble:
                log.warning("generation_unreadable", generation=name, reason=str(trouble))
                continue
            if manifest.next_offsets != dict(history.offsets) or manifest.history < history.refolded:
                continue
            if (newest or name == live) and _made_by(manifest, self._recipe):
                return True
            if newest:
                log.info("settings_have_changed", generation=name)
            newest = False
        return False

    def _tidy(self, registry: Registry, history: History) -> None:
        self._parts.tidy(registry, history)
        self._done(Step.TIDIED)

    def _make(self, history: History, registry: Registry) -> str | None:
        """Steps (c), (d) and (e); returns the generation's name, None where there are no pairs to make one of."""
        parts = self._parts
        if not history.rows:
            return None
        now_ms = parts.clock.now_ms()
        name = new_generation_name(now_ms, parts.rng)
        parent = registry.newest_epoch.generation if registry.newest_epoch else None
        into = parts.store.stage(name)
        files = parts.folder.uris(history.files)
        base = parts.find_base(history, self._recipe.fold)
        trained = parts.engine.train(files, history.rows, into, self._parent(parent), base)
        if trained is None:
            parts.store.delete(name)
            return None
        parts.metrics.trained(repeats=trained.repeats, evaluation=trained.metrics.get("evaluation", {}))
        self._done(Step.TRAINED)
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
            fold=self._recipe.fold,
            trainer=self._recipe.trainer,
            created_ms=now_ms,
            as_of_ms=trained.as_of_ms,
            input=history.input,
            history=history.number,
            interactions=history.rows,
            rejected=history.rejected,
            repeats=trained.repeats,
            dedupe_from=trained.dedupe_from,
            parent=parent,
            hyperparameters=self._recipe.hyperparameters,
            metrics={
                **trained.metrics,
                "training": _figures(trained.epochs, seconds, {**trained.bytes, "all": written}),
            },
            versions=trained.versions,
        )
        self._done(Step.GENERATION_WRITTEN)
        parts.store.commit(name)
        self._done(Step.GENERATION_COMMITTED)
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

    def _parent(self, name: str | None) -> Path | None:
        """Return where the generation is that training may begin from, None where it cannot be had."""
        if name is None:
            return None
        try:
            return self._parts.store.local(name)
        except (CorruptGeneration, UnsupportedFormat) as trouble:
            log.warning("generation_unreadable", generation=name, reason=str(trouble))
            return None

    def _show_epoch(self, registry: Registry) -> None:
        if registry.newest_epoch is not None:
            self._parts.metrics.epoch(registry.newest_epoch.epoch, registry.newest_epoch.time_ms)

    def _done(self, step: Step) -> None:
        log.debug("step_done", step=step.value)
        self._after_step(step)

    def _finish(self, outcome: Outcome) -> Outcome:
        log.info("run_finished", outcome=outcome.name.lower(), meaning=outcome.value)
        return outcome


def _made_by(manifest: Manifest, recipe: Recipe) -> bool:
    objective = recipe.settings_of(manifest.objective)
    return (manifest.trainer, manifest.features, objective, manifest.fold, manifest.hyperparameters) == (
        recipe.trainer,
        recipe.features,
        recipe.objective.settings,
        recipe.fold,
        recipe.hyperparameters,
    )


def _figures(epochs: int, seconds: Mapping[str, float], written: Mapping[str, int]) -> dict[str, Any]:
    return {
        "protocol": "sweeps of the trainer; seconds, and bytes written, by step",
        "epochs": epochs,
        "seconds": dict(seconds),
        "bytes": dict(written),
    }
