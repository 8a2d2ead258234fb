"""Which model of an Oryx 2 batch layer is followed: found in the update topic, loaded aside, taken when complete."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from math import inf

import structlog

from oryx_py.errors import BadMessage, LogGap, OryxError
from oryx_py.ports import Clock
from oryx_py.runtime.oryx2_log import ModelMessage, Oryx2Log
from speed_layer.oryx2.model import Loading, Oryx2Model

__all__ = ["Oryx2ModelManager"]

log = structlog.get_logger("speed")

_LOOK_EVERY_S = 1.0
_RETRY_S = 10.0


class Oryx2ModelManager:
    """Owns the model followed and the one that is being loaded.

    The newest is taken as soon as it is complete. One that cannot be read is refused until there is a newer one, one
    whose files cannot be had is tried again; the model before is followed meanwhile.

    Args:
        updates: the update topic.
        update_partitions: of that.
        load: begins to load a model in another thread.
        clock: for intervals.
    """

    def __init__(
        self,
        updates: Oryx2Log,
        update_partitions: int,
        load: Callable[[Loading], "Future[Oryx2Model | None]"],
        clock: Clock,
    ) -> None:
        self._updates = updates
        self._update_partitions = update_partitions
        self._load = load
        self._clock = clock
        self.followed: Oryx2Model | None = None
        self._loading: tuple[Loading, Future[Oryx2Model | None]] | None = None
        self._found: ModelMessage | None = None
        self._searched: Mapping[int, int] | None = None
        self._look_at = -inf
        self._refused: tuple[ModelMessage, float, str] | None = None
        """A model that could not be loaded, when to try it again, and why."""

    def choose(self) -> Oryx2Model | None:
        """Return the model to fold into now; None while there is none, or while a newer one is loaded.

        Raises:
            OryxError: the update topic cannot be looked at.
        """
        self._adopt()
        if self._loading is None:
            newest = self._look() if self.followed is None else self.followed.newer
            if newest is not None and self._is_due(newest):
                self._begin(newest)
        return self.followed if self._loading is None else None

    def is_outdated(self) -> bool:
        """Say whether a newer model than that followed has come, and is to be loaded."""
        newer = None if self.followed is None else self.followed.newer
        return newer is not None and self._is_due(newer)

    def waiting_for(self) -> list[str]:
        """Say what readiness waits for; empty where the newest model is followed."""
        reasons = [self._refused[2]] if self._refused else []
        if self._loading is not None:
            loading = self._loading[0]
            reasons.append(f"loading the model at offset {loading.message.offset}: {loading.percent} %")
        elif self.followed is None and not reasons:
            reasons.append("no Oryx 2 model is published yet")
        elif self.followed is not None and self.followed.fold.trouble is not None:
            reasons.append(self.followed.fold.trouble)
        return reasons

    def close(self) -> None:
        """Let a load end, and close what is loaded."""
        if self._loading is not None:
            loading, future = self._loading
            loading.cancel()
            future.add_done_callback(_close_loaded)
        if self.followed is not None:
            self.followed.close()

    def _look(self) -> ModelMessage | None:
        """Return the newest model, looking now and then at what has come since the last look."""
        if self._clock.monotonic() >= self._look_at:
            updates = self._updates
            end = updates.admin.end_offsets(updates.topic)
            if self._searched is None:
                self._searched = updates.admin.start_offsets(updates.topic)
            self._look_at = self._clock.monotonic() + _LOOK_EVERY_S
            try:
                newest = updates.newest(self._searched, end)
            except LogGap as trimmed:
                log.warning("updates_trimmed", reason=str(trimmed))
                self._searched = None
                return self._found
            self._searched = end
            if newest is not None and newest.is_newer(self._found):
                self._found = newest
        return self._found

    def _is_due(self, message: ModelMessage) -> bool:
        refused = self._refused
        return refused is None or message.is_newer(refused[0]) or self._clock.monotonic() >= refused[1]

    def _begin(self, message: ModelMessage) -> None:
        log.info("model_found", offset=message.offset)
        loading = Loading(message, self._update_partitions)
        self._loading = loading, self._load(loading)

    def _adopt(self) -> None:
        """Take a model that is loaded in the place of the one before."""
        if self._loading is None or not self._loading[1].done():
            return
        loading, future = self._loading
        self._loading = None
        try:
            model = future.result()
        except OryxError as trouble:
            self._refuse(loading.message, trouble)
            return
        if model is None:
            if loading.newer is not None:
                self._begin(loading.newer)
            return
        if self.followed is not None:
            self.followed.close()
        self.followed, self._refused = model, None
        log.info("model_adopted", offset=loading.message.offset)

    def _refuse(self, message: ModelMessage, trouble: OryxError) -> None:
        reason = f"the model at offset {message.offset} cannot be loaded: {trouble}"
        log.error("model_refused", offset=message.offset, reason=str(trouble))
        again = inf if isinstance(trouble, BadMessage) else self._clock.monotonic() + _RETRY_S
        self._refused = message, again, reason


def _close_loaded(future: "Future[Oryx2Model | None]") -> None:
    if not future.cancelled() and future.exception() is None:
        model = future.result()
        if model is not None:
            model.close()
