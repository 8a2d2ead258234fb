"""One epoch on its way to being served: loaded aside, then followed."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from oryx_py.errors import BadMessage, OryxError
from oryx_py.messages import Progress
from oryx_py.model.generation import Generation
from oryx_py.model.registry import EpochStarted
from oryx_py.ports import ArtefactStore, Consumer, TopicAdmin
from serving_layer.epochs import Standing
from serving_layer.follower import Chunk, Follower
from serving_layer.metrics import Metrics
from serving_layer.readiness import loading, not_followed
from serving_layer.served import ServedModel, served_model

__all__ = ["HeldEpoch", "Source"]

log = structlog.get_logger("serving")

_DOUBLINGS = 5
_CHECKED_PERCENT = 80
"""Of loading; the rest is the index."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where epochs come from: the store of generations and the update topic; ``loader`` runs one load at a time."""

    store: ArtefactStore
    admin: TopicAdmin
    new_consumer: Callable[[], Consumer]
    update_topic: str
    update_partitions: int
    loader: Executor
    metrics: Metrics
    retry_s: float
    """After which a served epoch is followed again; longer after further failures in a row."""


class HeldEpoch:
    """Owns an epoch's model while it is held; everything but the loading itself happens on the loop.

    Args:
        entry: the registry's.
        source: where it comes from.
        since: when it was first held, for patience.
        on_refused: called with the reason when it cannot be loaded, or not followed before it is served.
        on_progress: called when it may have become fit to be served, or more of the input is in it.
        on_new_epoch: called when the update topic speaks of another epoch.
    """

    def __init__(
        self,
        entry: EpochStarted,
        source: Source,
        *,
        since: float,
        on_refused: Callable[["HeldEpoch", str], None],
        on_progress: Callable[[], None],
        on_new_epoch: Callable[[], None],
    ) -> None:
        self.entry = entry
        self.since = since
        self.model: ServedModel | None = None
        self.caught_up = False
        self.served = False
        self.warned = False
        self._source = source
        self._on_refused = on_refused
        self._on_progress = on_progress
        self._on_new_epoch = on_new_epoch
        self._percent = 0
        self._stalled: str | None = None
        self._failures = 0
        self._positions = dict(entry.start)
        self._follower: Follower | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._released = False
        self._task = asyncio.create_task(self._load(), name=f"load-epoch-{entry.epoch}")

    @property
    def is_followed(self) -> bool:
        """Whether updates keep coming."""
        return self._follower is not None and self._stalled is None

    def standing(self) -> Standing:
        """Return how far it has come."""
        partitions = range(self._source.update_partitions)
        state = self.model.state if self.model is not None else None
        return Standing(
            self.entry.epoch,
            self.caught_up,
            [state.progress(partition) if state else {} for partition in partitions],
            [state.live(partition) if state else {} for partition in partitions],
        )

    def trouble(self) -> str | None:
        """Return what it still has to do, or what keeps it from going on, in words; None for nothing."""
        if self._stalled is not None:
            return not_followed(self.entry, self._stalled)
        if not self.caught_up:
            return loading(self.entry, self._percent, following=self._follower is not None)
        return None

    def release(self) -> None:
        """Stop loading and following; returns at once."""
        self._released = True
        self._task.cancel()
        if self._retry is not None:
            self._retry.cancel()
        if self._follower is not None:
            self._follower.stop()

    async def join(self) -> None:
        """Wait until nothing of a released epoch runs any more."""
        await asyncio.gather(self._task, return_exceptions=True)
        if self._follower is not None:
            await asyncio.to_thread(self._follower.join)

    async def _load(self) -> None:
        loop, source = asyncio.get_running_loop(), self._source
        log.info("generation_loading", epoch=self.entry.epoch, generation=self.entry.generation)
        try:
            model = await loop.run_in_executor(source.loader, self._open)
            end = await loop.run_in_executor(source.loader, source.admin.end_offsets, source.update_topic)
        except OryxError as error:
            self._on_refused(self, str(error))
        except Exception as error:
            log.exception("generation_failed", epoch=self.entry.epoch)
            self._on_refused(self, repr(error))
        else:
            self._follow(model, end)

    def _open(self) -> ServedModel:
        """Check and map the generation, and make its index; in the loader's thread."""

        def on_checked(checked: int, size: int) -> None:
            self._percent = _CHECKED_PERCENT * checked // max(size, 1)

        generation = Generation.open(self._source.store.local(self.entry.generation), on_checked=on_checked)
        return served_model(generation, self.entry.epoch, self._source.update_partitions)

    def _follow(self, model: ServedModel, end: dict[int, int]) -> None:
        self.model, self._percent = model, 0
        self._follow_to(end)

    def _follow_to(self, end: dict[int, int]) -> None:
        if self._follower is not None:
            self._follower.join()  # saying that it stalled was its last act
        self._follower = Follower(
            self._source.new_consumer,
            topic=self._source.update_topic,
            epoch=self.entry.epoch,
            start=self._positions,
            end=end,
            deliver=self._apply,
            stalled=self._stall,
        )

    def _apply(self, chunk: Chunk) -> None:
        assert self.model is not None
        bad, progressed = list(chunk.bad), False
        for partition, update in chunk.updates:
            try:
                self.model.state.apply(update, partition)
            except BadMessage as error:
                bad.append(error.reason)
            except Exception as error:  # nothing that a message contains may stop the layer
                log.exception("update_failed", epoch=self.entry.epoch)
                bad.append(repr(error))
            progressed = progressed or isinstance(update, Progress)
        self._source.metrics.updates.inc(len(chunk.updates))
        if bad:
            self._source.metrics.bad_messages.inc(len(bad))
            log.warning("bad_update_messages", epoch=self.entry.epoch, count=len(bad), first=bad[0])
        self._percent = int(100 * chunk.fraction)
        self._positions.update(chunk.positions)
        if self._stalled is not None:
            log.info("following_again", epoch=self.entry.epoch)
            self._stalled, self._failures = None, 0
        if chunk.new_epoch:
            self._on_new_epoch()
        if progressed or chunk.caught_up > self.caught_up:
            self.caught_up = self.caught_up or chunk.caught_up
            self._on_progress()

    def _stall(self, reason: str, final: bool) -> None:
        log.error("following_stopped", epoch=self.entry.epoch, reason=reason, final=final)
        self._stalled = reason if final else f"{reason}; this is tried again"
        if not self.served:
            self._on_refused(self, reason)
        elif not final:
            delay = self._source.retry_s * 2 ** min(self._failures, _DOUBLINGS)
            self._failures += 1
            # It goes on where it stopped: all that this topic had then counts as caught up with.
            self._retry = asyncio.get_running_loop().call_later(delay, self._follow_to, dict(self._positions))
