"""One epoch on its way to being served: loaded aside, then followed."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from oryx_py.errors import BadMessage, OryxError, Transient
from oryx_py.messages import Progress, UserVector
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Clock, Consumer, TopicAdmin
from serving_layer.epoch_sources.epoch_choice import Standing
from serving_layer.epoch_sources.epoch_source import EpochSource, LoadedEpoch
from serving_layer.epoch_sources.recent_known_items import RecentKnownItems, recently_known
from serving_layer.following.backoff import retry_delay
from serving_layer.following.update_follower import Chunk, UpdateFollower
from serving_layer.metrics import Metrics
from serving_layer.model.readiness import loading, not_followed, refused
from serving_layer.model.served_model import ServedModel

__all__ = ["HeldEpoch", "Surroundings"]

log = structlog.get_logger("serving")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every epoch needs: its source, the update topic; ``loader`` runs one load at a time."""

    source: EpochSource
    admin: TopicAdmin
    new_consumer: Callable[[], Consumer]
    update_topic: str
    update_partitions: int
    loader: Executor
    metrics: Metrics
    clock: Clock
    retry_s: float
    """After which an epoch is loaded or followed again; longer after further failures in a row."""


class _Watch:
    """What the loader's thread tells, and asks."""

    def __init__(self) -> None:
        self.percent = 0
        self.cancelled = False

    def on_percent(self, percent: int) -> None:
        self.percent = percent

    def is_cancelled(self) -> bool:
        return self.cancelled


class HeldEpoch:
    """Owns an epoch's model while it is held; everything but the loading itself happens on the loop.

    What may pass, such as an outage, is waited for. Were the newest live epoch refused for that, a process that starts
    would serve the one before, which nobody keeps up to date any more.

    Args:
        entry: which one it is.
        around: what every epoch needs.
        since: when it was first held, for patience.
        before: what is served meanwhile, None where nothing is.
        on_refused: called with the reason when it can never be loaded, or not followed before it is served.
        on_progress: called when it may have become fit to be served, or more of the input is in it.
        on_new_epoch: called when the update topic speaks of another epoch.
    """

    def __init__(
        self,
        entry: EpochStarted,
        around: Surroundings,
        *,
        since: float,
        before: ServedModel | None,
        on_refused: Callable[["HeldEpoch", str], None],
        on_progress: Callable[[], None],
        on_new_epoch: Callable[[], None],
    ) -> None:
        self.entry = entry
        self.since = since
        self.model: ServedModel | None = None
        self.caught_up = False
        self._caught_up_at = since
        self.served = False
        self.warned = False
        self._heard_at: dict[int, float] = {}
        """By input partition, when the last ``PROGRESS`` of its owner came."""
        self._around = around
        self._before = before
        self._watch = _Watch()
        self._opened: LoadedEpoch | None = None
        self._on_refused = on_refused
        self._on_progress = on_progress
        self._on_new_epoch = on_new_epoch
        self._percent = 0
        self._stalled: str | None = None
        self._failures = 0
        self._positions, self._end = dict(entry.start), dict(entry.start)
        self._follower: UpdateFollower | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._begin()

    @property
    def is_followed(self) -> bool:
        """Whether updates keep coming."""
        return self._follower is not None and self._stalled is None

    def is_under_way(self, now: float, patience_s: float) -> bool:
        """Whether it comes nearer to being served: it is loaded, caught up with, or has been so for less than that."""
        waits_too_long = self.caught_up and now - self._caught_up_at > patience_s
        return not self.served and self._stalled is None and not waits_too_long

    def standing(self) -> Standing:
        """Return how far it has come."""
        partitions = range(self._around.update_partitions)
        state = self.model.state if self.model is not None else None
        return Standing(
            self.entry.epoch,
            self.caught_up,
            [state.progress(partition) if state else {} for partition in partitions],
            [state.live(partition) if state else {} for partition in partitions],
        )

    def silence(self, partitions: Iterable[int], now: float) -> dict[int, float]:
        """Return by input partition for how many seconds its owner has said nothing of the epoch."""
        return {partition: now - self._heard_at.get(partition, self.since) for partition in partitions}

    def trouble(self) -> str | None:
        """Return what it still has to do, or what keeps it from going on, in words; None for nothing."""
        if self._stalled is not None:
            return (refused if self.model is None else not_followed)(self.entry, self._stalled)
        if not self.caught_up:
            is_followed = self._follower is not None
            return loading(self.entry, self._percent if is_followed else self._watch.percent, following=is_followed)
        return None

    def release(self) -> None:
        """Stop loading and following; returns at once."""
        self._watch.cancelled = True
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

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._load(), name=f"load-epoch-{self.entry.epoch}")

    async def _load(self) -> None:
        loop, around = asyncio.get_running_loop(), self._around
        log.info("generation_loading", epoch=self.entry.epoch, generation=self.entry.generation)
        try:
            recent = await self._recent()
            opened = await loop.run_in_executor(around.loader, self._open, recent)
            end = await loop.run_in_executor(around.loader, around.admin.end_offsets, around.update_topic)
        except Transient as trouble:
            log.warning("generation_not_loaded", epoch=self.entry.epoch, reason=str(trouble))
            self._try_again(self._begin, str(trouble))
        except OryxError as error:
            self._on_refused(self, str(error))
        except Exception as error:
            log.exception("generation_failed", epoch=self.entry.epoch)
            self._on_refused(self, repr(error))
        else:
            self._before = None
            if opened is not None:
                self._follow(opened, end)

    async def _recent(self) -> RecentKnownItems | None:
        if self._before is None:
            return None
        return {} if self._around.source.tracks_input else await recently_known(self._before.state)

    def _open(self, recent: RecentKnownItems | None) -> LoadedEpoch | None:
        """Load the epoch; in the loader's thread."""
        if self._watch.cancelled:
            return None
        return self._around.source.load(self.entry, self._watch, recent=recent)

    def _follow(self, opened: LoadedEpoch, end: dict[int, int]) -> None:
        self.model, self._opened, self._positions = opened.model, opened, dict(opened.positions)
        self._end = end
        self._count_bad(*opened.bad)
        self._go_on()

    def _go_on(self) -> None:
        """Follow from where it stopped, or begin to."""
        if self._follower is not None and not self._follower.has_ended:
            # It still closes its consumer: the loop does not wait for that, and there is never a second one.
            self._retry = asyncio.get_running_loop().call_later(self._around.retry_s, self._go_on)
            return
        assert self._opened is not None
        self._follower = UpdateFollower(
            self._around.new_consumer,
            topic=self._around.update_topic,
            epoch=self.entry.epoch,
            reader=self._opened.reader,
            start=self._positions,
            end=self._end,
            deliver=self._apply,
            stalled=self._stall,
        )

    def _apply(self, chunk: Chunk) -> None:
        assert self.model is not None
        bad, progressed = list(chunk.bad), False
        now = self._around.clock.monotonic()
        for partition, update in chunk.updates:
            applied = False
            if isinstance(update, Progress):
                self._around.source.hear(update, partition)
            try:
                applied = self.model.apply(update, partition)
            except BadMessage as error:
                bad.append(error.reason)
            except Exception as error:  # nothing that a message contains may stop the layer
                log.exception("update_failed", epoch=self.entry.epoch)
                bad.append(repr(error))
            else:
                # What is caught up with before it is served waited for this process, not for the layers.
                if applied and self.served and isinstance(update, UserVector) and update.at_ms is not None:
                    self._around.metrics.visible(update.at_ms, self._around.clock.now_ms())
            if applied and isinstance(update, Progress):
                progressed = True
                self._heard_at |= dict.fromkeys(self.model.state.spoken_for(update, partition), now)
        self._around.metrics.updates.inc(len(chunk.updates))
        self._count_bad(len(bad), *bad[:1])
        self._percent = int(100 * chunk.fraction)
        self._positions.update(chunk.positions)
        if self._failures:
            log.info("following_again", epoch=self.entry.epoch)
            self._stalled, self._failures = None, 0
        if chunk.new_epoch:
            self._on_new_epoch()
        if progressed or chunk.caught_up > self.caught_up:
            if chunk.caught_up > self.caught_up:
                self.caught_up, self._caught_up_at = True, now
            self._on_progress()

    def _count_bad(self, count: int, first: str = "") -> None:
        if count:
            self._around.metrics.bad_messages.inc(count)
            log.warning("bad_update_messages", epoch=self.entry.epoch, count=count, first=first)

    def _stall(self, reason: str, final: bool) -> None:
        log.error("following_stopped", epoch=self.entry.epoch, reason=reason, final=final)
        if not final:
            self._try_again(self._go_on, reason)
        elif self.served:
            self._stalled = reason
        else:
            self._on_refused(self, reason)

    def _try_again(self, function: Callable[[], None], reason: str) -> None:
        self._stalled = f"{reason}; this is tried again"
        self._failures += 1
        delay = retry_delay(self._around.retry_s, self._failures)
        self._retry = asyncio.get_running_loop().call_later(delay, function)
