"""One run of the batch layer: from what is new in the input topic to an epoch that the other layers take.

The protocol, as in docs/batch-protocol.md. Before anything else a run recovers: half generations, rows that no commit
names (after an empty commit: nobody commits them then) and what is left of work are swept, a finished generation that
the registry does not know is promoted or rejected, and the newest epoch's ``MODEL-REF`` is sent where the update topic
lacks it. Then:

(a) write the new rows' files, from the history's offsets to the input's end as it is now;
(b) look that the files have all rows, and commit the history up to there: the files, the offsets, the records left out;
    where a generation is to be made of it, what is too old or was forgotten leaves it, in commits of their own;
(c) fold the history as of that commit, and train, into the generation's files, aside;
(d) build the index, check, sum and fsync every file, and write the manifest;
(e) commit the generation: it and its manifest appear at once;
(f) commit the registry: the generation published, the next epoch with the update topic's end as its ``from``;
(g) send ``MODEL-REF`` to every partition of the update topic;
(h) trim the topics to what somebody still needs, delete the generations that are no longer kept, and merge the rows'
    files of days that are over.

====================  ====================================================================
killed after or in    the next run
====================  ====================================================================
(a)                   makes an empty commit, sweeps the files and reads the same offsets again
(b)                   trains from the committed history, with what has come since
(c), (d)              sweeps the half generation, trains again, with what has come since
(e)                   promotes the finished generation, or rejects it as damaged or outdated
(f)                   sends ``MODEL-REF``; readers that looked at the registry have the epoch already
(g)                   finds nothing to train, does (h)
(h)                   trims, deletes and merges what is left to
====================  ====================================================================
"""

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from batch_layer.history.orphan_files import sweep_rows
from batch_layer.publishing.recovery import recover, sweep_halves
from batch_layer.recipe import Recipe
from batch_layer.run.new_generation import make_generation
from batch_layer.run.new_offsets import new_ranges
from batch_layer.run.steps import Outcome, Parts, Step
from batch_layer.run.up_to_date import is_covered
from batch_layer.telemetry.progress import Progress
from oryx_py.errors import TopicsChanged
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.model.history.commits import History
from oryx_py.runtime.topics import REMEDY, check_identity, identify

__all__ = ["BatchLayer"]

log = structlog.get_logger("batch")


class BatchLayer:
    """Runs the protocol; one thread of one process at a time, for one store and one history.

    Args:
        parts: what it works with.
        recipe: how generations are made.
        input_topic: where interactions come from.
        update_topic: where epochs are announced.
        items_topic: of the speed layer; its identity is recorded with those of the others, where there is one.
        after_step: told each step that is done; may raise to end the run there.
    """

    def __init__(
        self,
        parts: Parts,
        recipe: Recipe,
        *,
        input_topic: str,
        update_topic: str,
        items_topic: str,
        after_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._parts = parts
        self._recipe = recipe
        self._input_topic = input_topic
        self._update_topic = update_topic
        self._items_topic = items_topic
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
        history = self._sweep_rows()
        self._parts.engine.sweep()
        self._done(Step.RECOVERED)

        history = self._take_in(history, partitions)
        if not force and is_covered(self._parts.store, self._recipe, registry, history, self._parts.history.commits):
            self._tidy(registry, history)
            return self._finish(Outcome.NOTHING_NEW)
        if not force and self._fruitless == history.number:
            return self._finish(Outcome.NO_PAIRS)

        history = self._parts.prune(history)
        generation = make_generation(self._parts, self._recipe, history, registry, self._done)
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
        self._sweep_rows()
        self._parts.engine.sweep()

    def _sweep_rows(self) -> History:
        parts = self._parts
        return sweep_rows(parts.history, parts.folder, parts.history.read(), parts.clock.now_ms())

    def _check_topics(self) -> int:
        """Refuse topics that are not the recorded ones, record them the first time; returns the input's partitions."""
        recorded, admin, items = self._parts.registry.read(), self._parts.admin, self._items_topic
        of_items = [items] if admin.partitions(items) is not None else []
        found = identify(admin, [self._input_topic, self._update_topic, *of_items])
        check_identity(recorded.topics, found)
        if recorded.topics is None:
            self._parts.registry.append(recorded, [found])
        elif missing := found.topics.keys() - recorded.topics.topics.keys():
            known = ", ".join(sorted(recorded.topics.topics))
            if missing != {items}:
                raise TopicsChanged(f"the store was begun with the topics {known}, not with {min(missing)}: {REMEDY}")
            # It came later: `oryx setup` makes it where there was none.
            topics = recorded.topics.topics | {items: found.topics[items]}
            self._parts.registry.append(recorded, [replace(recorded.topics, topics=topics)])
        return found.topics[self._input_topic].partitions

    def _take_in(self, history: History, partitions: int) -> History:
        """Steps (a) and (b): bring the history up to the input's end as it is now."""
        parts, topic = self._parts, self._input_topic
        ranges = new_ranges(history.offsets, parts.admin.start_offsets(topic), parts.admin.end_offsets(topic), topic)
        if all(start == stop for start, stop in ranges.values()):
            return history
        parts.on_progress(Progress(step="read", rows=0, of=sum(stop - start for start, stop in ranges.values())))
        with parts.folder.begun(new_generation_name(parts.clock.now_ms(), parts.rng)) as directory:
            written = parts.engine.write_rows(ranges, partitions, parts.folder.uri(directory))
            self._done(Step.ROWS_WRITTEN)
            files = parts.folder.settle(directory, written.rows)
        history = parts.history.append(history, files, ranges, written.rejected, parts.clock.now_ms())
        self._done(Step.HISTORY_COMMITTED)
        parts.metrics.rows(written.rows, written.rejected)
        log.info("history_committed", commit=history.number, rows=written.rows, rejected=written.rejected)
        return history

    def _tidy(self, registry: Registry, history: History) -> None:
        self._parts.tidy(registry, history)
        self._parts.merge(history)
        self._done(Step.TIDIED)

    def _show_epoch(self, registry: Registry) -> None:
        if registry.newest_epoch is not None:
            self._parts.metrics.epoch(registry.newest_epoch.epoch, registry.newest_epoch.time_ms)

    def _done(self, step: Step) -> None:
        log.debug("step_done", step=step.value)
        self._after_step(step)

    def _finish(self, outcome: Outcome) -> Outcome:
        log.info("run_finished", outcome=outcome.name.lower(), meaning=outcome.value)
        return outcome
