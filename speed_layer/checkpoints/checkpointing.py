"""Writes checkpoints of the newest live epoch while the layer goes on.

1. at the interval: look up the update topic's end, and make room for the files, in another thread;
2. at the next moment at which all that was folded is announced: copy the process (`speed_layer.checkpoints.forking`);
3. the copy writes the files, the manifest last; the layer goes on;
4. commit the directory, and delete what is older than the newest ones, in the other thread.

===========  ==========================================================================================================
fails        then
===========  ==========================================================================================================
1, 2, 3, 4   there is no such checkpoint; the log says so, and it is tried again after the interval. What was written of
             it is swept by a later one
===========  ==========================================================================================================

What the process had sent before the end was looked up is in the state that is copied later. So a reader that begins
with the checkpoint goes on from that end, and loses nothing. What others have sent is in it as far as the process has
heard them: where they share the input, a reader goes on from there if that is less. A checkpoint has the users and the
items of the input partitions that are the run's when it is taken, and is committed only if nobody has claimed one of
them until it was written.

Where nothing has come in since the last one none is written, but after a forget as many as are kept: what was forgotten
is in the older ones, and goes with them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import partial

import structlog

from oryx_py.errors import OryxError
from oryx_py.model.checkpoints.checkpoint_files import decode_checkpoint
from oryx_py.model.generations.generation import named_at_ms
from oryx_py.ports import ArtefactStore, Clock
from oryx_py.runtime.checkpoints import name_of
from oryx_py.runtime.restored import Together
from speed_layer.checkpoints.retention import remove_outlived
from speed_layer.checkpoints.snapshot import Prepared, write_snapshot
from speed_layer.epochs.run import EpochRun
from speed_layer.sharing.claiming import Ownership
from speed_layer.telemetry.metrics import Metrics

__all__ = ["Checkpointing"]

log = structlog.get_logger("speed")

_ABANDONED_MS = 3_600_000
"""What was begun so long ago, and not committed, nobody writes any more."""


class Checkpointing:
    """Owns the writing of checkpoints; the layer's thread calls `step`.

    Args:
        store: of checkpoints.
        update_end: looks up the update topic's end offsets.
        items_end: the item topic's; None where nobody shares the input.
        partitions: of the input topic.
        new_name: makes a part of a name from a time in milliseconds, as `new_generation_name` does; sorts by it.
        spawn: does work on the memory as it is now, and returns what waits for its end.
        background: another thread.
        clock: for the interval and names.
        metrics: what is counted.
        interval_s: from the end of one to the beginning of the next.
        kept: how many of an epoch stay.
        begun: by epoch, the checkpoints that the layer began with.
        ownership: of the process; None for none.
    """

    def __init__(
        self,
        *,
        store: ArtefactStore,
        update_end: Callable[[], Mapping[int, int]],
        partitions: int,
        new_name: Callable[[int], str],
        spawn: Callable[[Callable[[], object]], Callable[[], None]],
        background: Executor,
        clock: Clock,
        metrics: Metrics,
        interval_s: float,
        kept: int,
        begun: Mapping[int, Together],
        ownership: Ownership | None = None,
        items_end: Callable[[], Mapping[int, int]] | None = None,
    ) -> None:
        self._store, self._update_end, self._items_end, self._new_name = store, update_end, items_end, new_name
        self._partitions = range(partitions)
        self._spawn, self._background, self._clock, self._metrics = spawn, background, clock, metrics
        self._interval_s, self._kept, self._ownership = interval_s, kept, ownership
        self._term = None if ownership is None else ownership.term
        self._taken = {epoch: dict(known.covered.input) for epoch, known in begun.items()}
        self._named_ms = {epoch: _named_ms(known.newest) for epoch, known in begun.items()}
        """By epoch: the time in the newest name."""
        self._not_before = {epoch: clock.monotonic() + interval_s for epoch in begun}
        self._clean: dict[int, tuple[int, int]] = {}
        """By epoch: how many forgets the newest checkpoint has, and how many checkpoints have as many."""
        self._epoch = self._forgets = 0
        self._preparing: Future[Prepared] | None = None
        self._finishing: Future[None] | None = None
        self._began_at = 0.0

    def step(self, runs: Sequence[EpochRun]) -> None:
        """Do what is due, between two steps of the layer; takes a moment where a checkpoint is taken."""
        if self._finishing is not None:
            self._look_after(self._finishing)
        elif self._preparing is not None:
            self._take(self._preparing, runs)
        else:
            self._begin(runs)

    def close(self, *, wait: bool = True) -> None:
        """Begin nothing new, and wait for what is under way if asked to; else it ends by itself."""
        self._background.shutdown(wait=wait, cancel_futures=True)

    def _begin(self, runs: Sequence[EpochRun]) -> None:
        run = next((run for run in reversed(runs) if run.is_live and run.positions), None)
        if run is None:
            return
        epoch, now = run.started.epoch, self._clock.monotonic()
        if now < self._not_before.get(epoch, now):
            return
        if run.announced == self._taken.get(epoch) and self._clean_of(run) >= self._kept:
            return
        self._epoch, self._began_at = epoch, now
        # What is newest says the name: clocks are put back at times, and differ from host to host.
        self._named_ms[epoch] = max(self._clock.now_ms(), self._named_ms.get(epoch, -1) + 1)
        name = name_of(epoch, self._new_name(self._named_ms[epoch]))
        self._preparing = self._background.submit(self._prepare, name, dict(run.announced))

    def _prepare(self, name: str, announced: Mapping[int, int]) -> Prepared:
        update, items = self._update_end(), self._items_end() if self._items_end is not None else {}
        return Prepared(name, self._store.stage(name), update, announced, items)

    def _take(self, preparing: "Future[Prepared]", runs: Sequence[EpochRun]) -> None:
        if not preparing.done():
            return
        run = next((run for run in runs if run.started.epoch == self._epoch), None)
        if preparing.exception() is None and run is not None and not run.at_rest:
            return
        self._preparing = None
        try:
            prepared = preparing.result()
            if run is None:
                self._background.submit(self._store.delete, prepared.name)
                return
            began = self._clock.monotonic()
            written = self._spawn(partial(write_snapshot, run, prepared, self._clock.now_ms(), self._term))
            self._metrics.checkpoint_pause.observe(self._clock.monotonic() - began)
        except OryxError as trouble:
            self._give_up(trouble)
            return
        self._taken[self._epoch], self._forgets = dict(run.positions), run.forgets
        oldest = min(run.started.epoch for run in runs)
        covered = frozenset(run.positions)
        self._finishing = self._background.submit(self._finish, prepared.name, covered, written, oldest)

    def _finish(self, name: str, covered: frozenset[int], written: Callable[[], None], oldest_epoch: int) -> None:
        try:
            written()
            if self._ownership is not None:
                # Else another may have sent what lies below the update topic's end then, and is not in the state; and
                # what the state has that was folded since, readers may have dropped.
                self._ownership.confirm(covered)
            self._store.commit(name)
        except OryxError:
            self._store.delete(name)
            raise
        manifest = decode_checkpoint(self._store.raw_manifest(name), name)
        took_s = self._clock.monotonic() - self._began_at
        self._metrics.checkpoint_written(manifest.bytes, manifest.created_ms, took_s)
        log.info("checkpoint_written", checkpoint=name, pairs=manifest.pairs, bytes=manifest.bytes, seconds=took_s)
        abandoned = self._new_name(self._clock.now_ms() - _ABANDONED_MS)
        remove_outlived(self._store, oldest_epoch, self._kept, self._partitions, abandoned)

    def _look_after(self, finishing: "Future[None]") -> None:
        if not finishing.done():
            return
        self._finishing = None
        self._not_before[self._epoch] = self._clock.monotonic() + self._interval_s
        try:
            finishing.result()
        except OryxError as trouble:
            self._give_up(trouble)
            return
        forgets, count = self._clean.get(self._epoch, (0, self._kept))
        self._clean[self._epoch] = self._forgets, count + 1 if self._forgets == forgets else 1

    def _clean_of(self, run: EpochRun) -> int:
        """Return how many checkpoints have every forget that the run has; as many as are kept, where it has none."""
        forgets, count = self._clean.get(run.started.epoch, (0, self._kept))
        return count if run.forgets == forgets else 0

    def _give_up(self, trouble: OryxError) -> None:
        self._taken.pop(self._epoch, None)
        self._not_before[self._epoch] = self._clock.monotonic() + self._interval_s
        self._metrics.checkpoint_failures.inc()
        log.warning("checkpoint_not_written", epoch=self._epoch, reason=str(trouble), hint="it is tried again")


def _named_ms(checkpoint: str) -> int:
    named = named_at_ms(checkpoint.partition("-")[2])
    return -1 if named is None else named
