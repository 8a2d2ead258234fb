"""Keeps the model that is served: finds epochs, loads them aside, brings them up to date, swaps.

1. look at the registry: at the start, when a MODEL-REF comes by, and now and then;
2. load a new epoch's generation in another thread: checksums, index;
3. follow the update topic from the epoch's start, and apply its messages on the loop, chunk by chunk;
4. when `may_serve` says so, serve it: one assignment, between two requests;
5. let go of the epoch served before; requests that have taken it end with it.

=========  ==========================================================================================================
fails      then
=========  ==========================================================================================================
1          what is served stays; tried again a second later; ``/ready`` says so
2          the epoch is refused, what is served stays; tried again later; ``/ready`` says so
3          a message that cannot be read or applied is counted and left out; where the topic no longer has what is
           needed, the epoch is refused; if it is served already, it stays as it is and ``/ready`` says 503;
           after any other failure following goes on where it stopped, later and later
=========  ==========================================================================================================
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from oryx_py.errors import OryxError
from oryx_py.model.epochs import Announcements
from oryx_py.model.registry import EpochStarted, Registry
from oryx_py.ports import ArtefactStore, Clock, Consumer, TopicAdmin
from serving_layer.announced import announced
from serving_layer.broadcast import Broadcast
from serving_layer.epochs import Standing, first_choice, held_epochs, may_serve, missing_partitions
from serving_layer.held_epoch import HeldEpoch, Source
from serving_layer.metrics import Metrics
from serving_layer.readiness import NO_MODEL, Readiness, waiting_for_partitions
from serving_layer.refusals import Refusals
from serving_layer.served import ServedModel

__all__ = ["FollowSettings", "ModelManager", "Models", "RegistryReader"]

log = structlog.get_logger("serving")


class Models(Protocol):
    """What requests need of the manager; for its loop."""

    def served(self) -> ServedModel | None:
        """Return the model served now, None where there is none."""
        ...

    def readiness(self) -> Readiness:
        """Say whether a model is served and kept up to date, and what is waited for."""
        ...

    async def changed(self) -> None:
        """Wait until more of the input is in what is served, or something else is served."""
        ...


class RegistryReader(Protocol):
    """Reads the registry (`oryx_py.adapters.registry_log.RegistryLog`)."""

    def read(self, seen: Registry | None = None) -> Registry:
        """Return the registry now; with what was ``seen`` before, only what came since is read."""
        ...


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """What is followed, and with how much patience."""

    update_topic: str
    update_partitions: int
    input_partitions: int
    require_live: bool = True
    patience_s: float = 60.0
    """After which an epoch that is not served yet is warned about."""
    look_s: float = 1.0
    """Between two looks at the registry."""
    retry_s: float = 10.0
    """After which a refused generation is tried again; longer after further failures."""


class ModelManager:
    """Owns the models; only the loop touches them, but for scans of what never changes.

    Args:
        registry: the registry of epochs.
        store: the generations.
        admin: for the update topic's ends.
        new_consumer: makes a consumer for one thread.
        settings: what is followed.
        clock: for patience and retries.
        metrics: what is counted.
    """

    def __init__(
        self,
        *,
        registry: RegistryReader,
        store: ArtefactStore,
        admin: TopicAdmin,
        new_consumer: Callable[[], Consumer],
        settings: FollowSettings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._reader = registry
        # One thread: two generations loaded at once would take twice the space and the memory's bandwidth.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="look")
        topic, partitions = settings.update_topic, settings.update_partitions
        self._source = Source(store, admin, new_consumer, topic, partitions, self._loader, metrics, settings.retry_s)
        self._partitions = range(settings.input_partitions)
        self._registry = Registry()
        self._trouble: str | None = "the registry has not been read yet"
        self._refusals = Refusals(settings.retry_s)
        self._announcements: Announcements | None = None
        self._first: int | None = None
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
        progress = served.standing().progress
        covered = {p: min(of_update.get(p, 0) for of_update in progress) for p in self._partitions}
        return Readiness(served.is_followed, waiting, model.generation, model.epoch, covered)

    def _waits_for(self, held: HeldEpoch) -> str | None:
        trouble = held.trouble()
        if trouble is not None or held is self._served:
            return trouble
        missing = missing_partitions(held.standing(), self._standing(), self._partitions)
        return waiting_for_partitions(held.entry, missing) if missing else None

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
                self._trouble = f"looking at the registry failed: {error!r}"
            self._hold()
            self._consider()
            self._lose_patience()
            self._report()
            with suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event.
                async with asyncio.timeout(self._settings.look_s):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Read the registry and, before the first epoch is chosen, what was announced."""
        loop = asyncio.get_running_loop()
        registry = await loop.run_in_executor(self._looker, self._reader.read, self._registry)
        if self._announcements is None and registry.epochs:
            self._announcements = await loop.run_in_executor(self._looker, self._announced, registry.epochs)
        self._registry, self._trouble = registry, None

    def _announced(self, epochs: Sequence[EpochStarted]) -> Announcements:
        if not self._settings.require_live:
            return Announcements()
        source = self._source
        return announced(
            epochs,
            self._partitions,
            topic=source.update_topic,
            admin=source.admin,
            new_consumer=source.new_consumer,
            clock=self._clock,
        )

    def _hold(self) -> None:
        """Begin with what should be held, let go of the rest."""
        now, epochs = self._clock.monotonic(), self._registry.epochs
        under_way = any(held is not self._served for held in self._held.values())
        closed = self._refusals.closed(now, under_way=under_way) - set(self._held)
        served = self._served.entry.epoch if self._served is not None else None
        if served is None and (self._first is None or self._first in closed):
            usable = [entry for entry in epochs if entry.epoch not in closed]
            announcements = self._announcements or Announcements()
            self._first = first_choice(
                usable, announcements, self._partitions, require_live=self._settings.require_live
            )
        wanted = held_epochs(epochs, closed, served=served, first=self._first)
        for epoch in set(self._held) - {entry.epoch for entry in wanted}:
            self._release(self._held[epoch])
        for entry in wanted:
            if entry.epoch not in self._held:
                self._held[entry.epoch] = HeldEpoch(
                    entry,
                    self._source,
                    since=now,
                    on_refused=self._refuse,
                    on_progress=self._progressed,
                    on_new_epoch=self._wake.set,
                )

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
        served, require_live = self._standing(), self._settings.require_live
        for epoch in sorted(self._held, reverse=True):
            standing = self._held[epoch].standing()
            if may_serve(standing, served, self._partitions, require_live=require_live, first=self._first):
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
