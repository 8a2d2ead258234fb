"""The next epoch, from its entry in the registry to a run that can be followed."""

from collections.abc import Callable
from concurrent.futures import Future

import structlog

from oryx_py.errors import OryxError, Transient
from oryx_py.model.epochs.registry import EpochStarted, Registry
from oryx_py.ports import Clock
from speed_layer.epochs.run import EpochRun
from speed_layer.limits import Limits

__all__ = ["NextEpoch"]

log = structlog.get_logger("speed")


class NextEpoch:
    """Has looked for newer epochs now and then, and has the newest loaded, one at a time; waits for neither.

    Args:
        newest: the newest epoch known; only later ones are taken.
        registry: as it was read last.
        read: begins to read it on from there, aside.
        load: begins to load an epoch aside and returns its run when it is ready to be followed.
        limits: intervals.
        clock: for them.
    """

    def __init__(
        self,
        newest: int,
        registry: Registry,
        read: Callable[[Registry], "Future[Registry]"],
        load: Callable[[EpochStarted], "Future[EpochRun]"],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._newest = newest
        self._registry = registry
        self._read = read
        self._load = load
        self._limits = limits
        self._clock = clock
        self._looking: Future[Registry] | None = None
        self._loading: tuple[EpochStarted, Future[EpochRun]] | None = None
        self._load_not_before = 0.0
        self._looked_at = -1e9
        self.trouble: str | None = None
        """Why the newest generation could not be loaded; None where nothing is wrong."""

    @property
    def loading(self) -> str | None:
        """The name of the generation that is being loaded; None for none."""
        return None if self._loading is None else self._loading[0].generation

    def look(self) -> None:
        """Begin to look, if it is time to and nothing is being loaded, or to load what is newer than all known."""
        now = self._clock.monotonic()
        if self._looking is None and self._loading is None and now - self._looked_at >= self._limits.registry_poll_s:
            self._looked_at = now
            self._looking = self._read(self._registry)
        if self._looking is None or not self._looking.done():
            return
        looked, self._looking = self._looking, None
        try:
            self._registry = looked.result()
        except Transient as trouble:
            log.warning("registry_unreadable", reason=str(trouble))
            return
        newest = self._registry.newest_epoch
        if now >= self._load_not_before and newest is not None and newest.epoch > self._newest:
            log.info("epoch_found", epoch=newest.epoch, generation=newest.generation)
            self._loading = (newest, self._load(newest))

    def take(self) -> EpochRun | None:
        """Return what has been loaded, once; None where nothing has, or in vain: then it is tried again later."""
        if self._loading is None or not self._loading[1].done():
            return None
        started, future = self._loading
        self._loading = None
        try:
            run = future.result()
        except OryxError as trouble:
            self.trouble = f"generation {started.generation} cannot be loaded: {trouble}"
            log.error("generation_refused", epoch=started.epoch, generation=started.generation, reason=str(trouble))
            self._load_not_before = self._clock.monotonic() + self._limits.load_retry_s
            return None
        self.trouble = None
        self._newest = started.epoch
        return run
