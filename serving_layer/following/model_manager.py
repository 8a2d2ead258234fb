"""Keeps the model that is served: finds epochs, loads them aside, brings them up to date, swaps.

1. look for epochs: at the start, when a message speaks of one, and now and then;
2. load a new one in another thread: checksums, index;
3. follow the update topic from the epoch's start, and apply its messages on the loop, chunk by chunk;
4. when its source says so, serve it: one assignment, between two requests;
5. let go of the epoch served before; requests that have taken it end with it.

=========  ==========================================================================================================
fails      then
=========  ==========================================================================================================
1          what is served stays; tried again a second later; ``/ready`` says so
2          what is served stays; while broker or store do not answer, it is tried again, later and later; after any
           other failure the epoch is refused, as if it were not there, until it is tried again; ``/ready`` says so
3          a message that cannot be read or applied is counted and left out; where the topic no longer has what is
           needed, the epoch is refused; if it is served already, it stays as it is and ``/ready`` says 503;
           after any other failure following goes on where it stopped, later and later
=========  ==========================================================================================================
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from oryx_py.errors import OryxError
from oryx_py.ports import Clock, Consumer, TopicAdmin
from serving_layer.epoch_sources.epoch_choice import Standing
from serving_layer.epoch_sources.epoch_source import EpochSource
from serving_layer.event_loop.broadcast import Broadcast
from serving_layer.following.follow_settings import FollowSettings
from serving_layer.following.held_epoch import HeldEpoch, Surroundings
from serving_layer.following.refused_epochs import RefusedEpochs
from serving_layer.metrics import Metrics
from serving_layer.model.readiness import NO_MODEL, Readiness, silent, waiting_for_partitions
from serving_layer.model.served_model import ServedModel

__all__ = ["ModelManager"]

log = structlog.get_logger("serving")


class ModelManager:
    """Owns the models; only the loop touches them, but for scans of what never changes.

    Args:
        source: of epochs.
        admin: for the update topic's ends.
        new_consumer: makes a consumer for one thread.
        settings: what is followed.
        clock: for patience and retries.
        metrics: what is counted.
    """

    def __init__(
        self,
        *,
        source: EpochSource,
        admin: TopicAdmin,
        new_consumer: Callable[[], Consumer],
        settings: FollowSettings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._source = source
        # One thread: two generations loaded at once would take twice the space and the memory's bandwidth.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._around = Surroundings(
            source=source,
            admin=admin,
            new_consumer=new_consumer,
            update_topic=settings.update_topic,
            update_partitions=settings.update_partitions,
            loader=self._loader,
            metrics=metrics,
            clock=clock,
            retry_s=settings.retry_s,
        )
        self._trouble: str | None = "nothing has been looked for yet"
        self._has_heard = False
        self._refusals = RefusedEpochs(settings.retry_s)
        self._held: dict[int, HeldEpoch] = {}
        self._served: HeldEpoch | None = None
        self._released: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._broadcast = Broadcast()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, load and follow."""
        self._task = asyncio.create_task(self._run(), name="models")

    async def close(self) -> None:
        """Stop following, and wait for all threads; what is served stays as it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for held in list(self._held.values()):
            self._release(held)
        await asyncio.gather(*self._released)
        await asyncio.to_thread(self._loader.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._looker.shutdown, cancel_futures=True)

    @property
    def tracks_input(self) -> bool:
        """Whether what is served knows how much of the input is in it."""
        return self._source.tracks_input

    def served(self) -> ServedModel | None:
        """Return the model served now, None where there is none."""
        return self._served.model if self._served is not None else None

    async def changed(self) -> None:
        """Wait until more of the input is in what is served, or something else is served."""
        await self._broadcast.changed()

    def readiness(self) -> Readiness:
        """Say whether a model is served and kept up to date, and what is waited for."""
        waiting = [self._trouble] if self._trouble else []
        waiting += self._refusals.reasons()
        waiting += [words for held in self._held.values() if (words := self._waits_for(held))]
        served, model = self._served, self.served()
        if served is None or model is None:
            return Readiness(ready=False, waiting_for=waiting or [NO_MODEL])
        covered = self._source.covered(served.standing())
        return Readiness(served.is_followed, waiting, model.generation, model.epoch, covered)

    def _waits_for(self, held: HeldEpoch) -> str | None:
        trouble = held.trouble()
        if trouble is not None:
            return trouble
        if held is self._served:
            return self._silence(held) if self._source.tracks_input and self._settings.require_live else None
        missing = self._source.missing(held.standing(), self._standing())
        return waiting_for_partitions(held.entry, missing) if missing else None

    def _silence(self, held: HeldEpoch) -> str | None:
        count = self._settings.input_partitions
        silence = held.silence(range(count), self._clock.monotonic())
        longer = {partition: seconds for partition, seconds in silence.items() if seconds > self._settings.patience_s}
        return silent(held.entry, list(longer), count, max(longer.values())) if longer else None

    def _standing(self) -> Standing | None:
        return self._served.standing() if self._served is not None else None

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except OryxError as error:
                self._trouble = str(error)
            except Exception as error:
                log.exception("looking_failed")
                self._trouble = f"looking for epochs failed: {error!r}"
            self._hold()
            self._consider()
            self._lose_patience()
            self._report()
            with suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(self._settings.look_s):
                    await self._wake.wait()

    async def _look(self) -> None:
        is_followed = self._served is not None and self._served.is_followed
        is_quiet, self._has_heard = is_followed and not self._has_heard, False
        try:
            loop, closed = asyncio.get_running_loop(), self._closed()
            await loop.run_in_executor(self._looker, lambda: self._source.look(closed, is_quiet=is_quiet))
        except BaseException:
            self._has_heard = True
            raise
        self._trouble = None

    def _closed(self) -> set[int]:
        # One that only waits for the speed layer is none: that may have left it for the one that was refused.
        under_way = any(held is not self._served and not held.caught_up for held in list(self._held.values()))
        return self._refusals.closed(self._clock.monotonic(), under_way=under_way) - set(self._held)

    def _hold(self) -> None:
        """Begin with what should be held, let go of the rest."""
        served = self._served.entry.epoch if self._served is not None else None
        now, patience_s = self._clock.monotonic(), self._settings.patience_s
        under_way = {epoch for epoch, held in self._held.items() if held.is_under_way(now, patience_s)}
        wanted = self._source.wanted(self._closed(), served, under_way)
        for epoch in set(self._held) - {entry.epoch for entry in wanted}:
            self._release(self._held[epoch])
        for entry in wanted:
            if entry.epoch not in self._held:
                self._held[entry.epoch] = HeldEpoch(
                    entry,
                    self._around,
                    since=self._clock.monotonic(),
                    before=self.served(),
                    on_refused=self._refuse,
                    on_progress=self._progressed,
                    on_new_epoch=self._hear,
                )

    def _hear(self) -> None:
        self._has_heard = True
        self._wake.set()

    def _refuse(self, held: HeldEpoch, reason: str) -> None:
        entry = held.entry
        log.error("generation_refused", epoch=entry.epoch, generation=entry.generation, reason=reason)
        self._metrics.refused_generations.inc()
        self._refusals.add(entry, reason, self._clock.monotonic())
        self._release(held)
        self._wake.set()

    def _release(self, held: HeldEpoch) -> None:
        if self._held.get(held.entry.epoch) is held:
            del self._held[held.entry.epoch]
        held.release()
        task = asyncio.create_task(held.join())
        self._released.add(task)
        task.add_done_callback(self._released.discard)

    def _progressed(self) -> None:
        self._consider()
        self._broadcast.notify()

    def _consider(self) -> None:
        """Serve the newest epoch that may be served."""
        served = self._standing()
        for epoch in sorted(self._held, reverse=True):
            if self._source.may_serve(self._held[epoch].standing(), served):
                self._serve(self._held[epoch])
                return

    def _serve(self, held: HeldEpoch) -> None:
        before, self._served = self._served, held
        held.served = True
        if before is not None:
            self._release(before)
        self._refusals.drop_below(held.entry.epoch)
        log.info("serving_epoch", epoch=held.entry.epoch, generation=held.entry.generation)
        self._metrics.swaps.inc()
        self._report()
        self._broadcast.notify()
        self._wake.set()

    def _lose_patience(self) -> None:
        for held in self._held.values():
            late = self._clock.monotonic() - held.since > self._settings.patience_s
            if late and held is not self._served and not held.warned:
                held.warned = True
                log.warning("epoch_not_served_yet", epoch=held.entry.epoch, reason=self._waits_for(held))

    def _report(self) -> None:
        model = self.served()
        self._metrics.ready.set(self.readiness().ready)
        self._metrics.epoch.set(model.epoch if model is not None else 0)
        self._metrics.users.set(len(model.state.users) if model is not None else 0)
        self._metrics.items.set(len(model.state.items) if model is not None else 0)
