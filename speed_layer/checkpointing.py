"""Writes checkpoints of the newest live epoch while the layer goes on.

1. at the interval: look up the update topic's end, and make room for the files, in another thread;
2. at the next moment at which all that was folded is announced: copy the process (`speed_layer.forking`);
3. the copy writes the files, the manifest last; the layer goes on;
4. commit the directory, and delete what is older than the newest ones, in the other thread.

===========  ==========================================================================================================
fails        then
===========  ==========================================================================================================
1, 2, 3, 4   there is no such checkpoint; the log says so, and it is tried again after the interval. What was written of
             it is swept by a later one
===========  ==========================================================================================================

What the process had sent before the end was looked up is in the state that is copied later. So a reader that begins
with the checkpoint goes on from that end, and loses nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from oryx_py.errors import OryxError
from oryx_py.model.checkpoint import Covered, decode_checkpoint, write_checkpoint
from oryx_py.ports import ArtefactStore, Clock
from oryx_py.runtime.checkpoints import epoch_of, name_of
from speed_layer.claiming import Ownership
from speed_layer.epoch_run import EpochRun
from speed_layer.metrics import Metrics

__all__ = ["Checkpointing", "NoCheckpoints", "Writer"]

log = structlog.get_logger("speed")

_ABANDONED_MS = 3_600_000
"""What was begun so long ago, and not committed, nobody writes any more."""


class Writer(Protocol):
    """What the layer needs of whoever writes checkpoints."""

    def step(self, runs: Sequence[EpochRun]) -> None:
        """Do what is due, between two steps of the layer."""
        ...

    def close(self) -> None:
        """Wait for what is under way."""
        ...


class NoCheckpoints:
    """Writes none."""

    def step(self, runs: Sequence[EpochRun]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A name, a directory for the files, the update topic's end, and what had been announced before."""

    name: str
    into: Path
    update: Mapping[int, int]
    announced: Mapping[int, int]


class Checkpointing:
    """Owns the writing of checkpoints; the layer's thread calls `step`.

    Args:
        store: of checkpoints.
        update_end: looks up the update topic's end offsets.
        new_name: makes a part of a name from a time in milliseconds; sorts by it.
        spawn: does work on the memory as it is now, and returns what waits for its end.
        background: another thread.
        clock: for the interval and names.
        metrics: what is counted.
        interval_s: from the end of one to the beginning of the next.
        kept: how many of an epoch stay.
        taken: by epoch, the input positions of the checkpoint that the layer began with.
        ownership: of the process; None for none.
    """

    def __init__(
        self,
        *,
        store: ArtefactStore,
        update_end: Callable[[], Mapping[int, int]],
        new_name: Callable[[int], str],
        spawn: Callable[[Callable[[], object]], Callable[[], None]],
        background: Executor,
        clock: Clock,
        metrics: Metrics,
        interval_s: float,
        kept: int,
        taken: Mapping[int, Mapping[int, int]],
        ownership: Ownership | None = None,
    ) -> None:
        self._store, self._update_end, self._new_name = store, update_end, new_name
        self._spawn, self._background, self._clock, self._metrics = spawn, background, clock, metrics
        self._interval_s, self._kept, self._ownership = interval_s, kept, ownership
        self._term = None if ownership is None else ownership.term
        self._taken = {epoch: dict(input_) for epoch, input_ in taken.items()}
        self._not_before = {epoch: clock.monotonic() + interval_s for epoch in taken}
        self._epoch = 0
        self._preparing: Future[_Prepared] | None = None
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

    def close(self) -> None:
        """Wait for what is under way; nothing new begins."""
        self._background.shutdown(wait=True, cancel_futures=True)

    def _begin(self, runs: Sequence[EpochRun]) -> None:
        run = next((run for run in reversed(runs) if run.is_live and run.is_whole), None)
        if run is None:
            return
        epoch, now = run.started.epoch, self._clock.monotonic()
        if now < self._not_before.get(epoch, now) or run.announced == self._taken.get(epoch):
            return
        self._epoch, self._began_at = epoch, now
        self._preparing = self._background.submit(self._prepare, epoch, dict(run.announced))

    def _prepare(self, epoch: int, announced: Mapping[int, int]) -> _Prepared:
        name = name_of(epoch, self._new_name(self._clock.now_ms()))
        update = self._update_end()
        if self._ownership is not None:
            self._ownership.confirm()  # else another may have sent what lies below that end, and is not in our state
        return _Prepared(name, self._store.stage(name), update, announced)

    def _take(self, preparing: "Future[_Prepared]", runs: Sequence[EpochRun]) -> None:
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
            written = self._spawn(partial(_write, run, prepared, self._clock.now_ms(), self._term))
            self._metrics.checkpoint_pause.observe(self._clock.monotonic() - began)
        except OryxError as trouble:
            self._give_up(trouble)
            return
        self._taken[self._epoch] = dict(run.positions)
        oldest = min(run.started.epoch for run in runs)
        self._finishing = self._background.submit(self._finish, prepared.name, written, oldest)

    def _finish(self, name: str, written: Callable[[], None], oldest_epoch: int) -> None:
        try:
            written()
            self._store.commit(name)
        except OryxError:
            self._store.delete(name)
            raise
        manifest = decode_checkpoint(self._store.raw_manifest(name), name)
        took_s = self._clock.monotonic() - self._began_at
        self._metrics.checkpoint_written(manifest.bytes, manifest.created_ms, took_s)
        log.info("checkpoint_written", checkpoint=name, pairs=manifest.pairs, bytes=manifest.bytes, seconds=took_s)
        self._clear(oldest_epoch)

    def _clear(self, oldest_epoch: int) -> None:
        """Delete what nobody begins with any more, and what writers that died have left."""
        of_epoch: dict[int, list[str]] = {}
        for name in self._store.generations():
            epoch = epoch_of(name)
            if epoch is not None:
                of_epoch.setdefault(epoch, []).append(name)
        for epoch, names in of_epoch.items():
            for name in names if epoch < oldest_epoch else names[: -self._kept]:
                self._store.delete(name)
        abandoned = self._new_name(self._clock.now_ms() - _ABANDONED_MS)
        for name in self._store.incomplete():
            if epoch_of(name) is not None and name.partition("-")[2] < abandoned:
                self._store.delete(name)

    def _look_after(self, finishing: "Future[None]") -> None:
        if not finishing.done():
            return
        self._finishing = None
        self._not_before[self._epoch] = self._clock.monotonic() + self._interval_s
        try:
            finishing.result()
        except OryxError as trouble:
            self._give_up(trouble)

    def _give_up(self, trouble: OryxError) -> None:
        self._taken.pop(self._epoch, None)
        self._not_before[self._epoch] = self._clock.monotonic() + self._interval_s
        self._metrics.checkpoint_failures.inc()
        log.warning("checkpoint_not_written", epoch=self._epoch, reason=str(trouble), hint="it is tried again")


def _write(run: EpochRun, prepared: _Prepared, now_ms: int, term: int | None) -> None:
    state = run.fold.state
    terms = {} if term is None else dict.fromkeys(run.positions, term)
    write_checkpoint(
        prepared.into,
        name=prepared.name,
        epoch=state.epoch,
        generation=state.generation,
        created_ms=now_ms,
        covered=Covered(
            dict(run.positions),
            sorted(run.live),
            dict(prepared.update),
            terms=terms,
            announced=dict(prepared.announced),
        ),
        changes=state.dump(),
        ids=run.repeats.dump(),
    )
