"""One model of an Oryx 2 batch layer as the speed layer holds it, and how it is loaded."""

from collections.abc import Callable, Mapping

import structlog

from oryx_py.errors import BadMessage
from oryx_py.oryx2.parts import ModelFiles
from oryx_py.ports import Consumer, Record
from oryx_py.runtime.oryx2_loading import Patience, load_model
from oryx_py.runtime.oryx2_log import ModelMessage, Oryx2Log, Oryx2Reader
from speed_layer.oryx2.fold import Oryx2Fold

__all__ = ["Loading", "Oryx2Model"]

log = structlog.get_logger("speed")

_POLL_RECORDS = 1_000


class _Reader(Oryx2Reader):
    """Remembers the newest model that came by."""

    def __init__(self, epoch: int, model: ModelMessage) -> None:
        super().__init__(epoch, model)
        self.newer: ModelMessage | None = None

    def is_model(self, record: Record) -> bool:
        found = super().is_model(record)
        if found and ModelMessage.of(record).is_newer(self.newer):
            self.newer = ModelMessage.of(record)
        return found


class Oryx2Model:
    """A model that is loaded; reads the update topic on from there, and is changed by what it reads alone.

    Args:
        fold: its own.
        reader: says which records are its own, and whether a newer model came.
        consumer: of the update topic, for this model alone, where loading has left off.
    """

    def __init__(self, fold: Oryx2Fold, reader: _Reader, consumer: Consumer) -> None:
        self.fold = fold
        self._reader = reader
        self._consumer = consumer

    @property
    def newer(self) -> ModelMessage | None:
        """The newest model after this that came by."""
        return self._reader.newer

    def read(self, until: Mapping[int, int], timeout_s: float) -> bool:
        """Apply what has come; say whether that is everything below these offsets, by update partition.

        Waits up to the timeout for more only where it is not.
        """
        while True:
            behind = any(offset < until.get(p, 0) for (_, p), offset in self._consumer.positions().items())
            events = self._consumer.poll(_POLL_RECORDS, timeout_s if behind else 0.0)
            for event in events:
                if isinstance(event, Record) and not self._reader.is_model(event):
                    self._apply(event)
            if not events:
                return not behind

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()

    def _apply(self, record: Record) -> None:
        try:
            update = self._reader.read(record)
            if update is not None:
                self.fold.apply(update)
        except BadMessage as bad:
            log.warning("update_ignored", partition=record.partition, offset=record.offset, reason=bad.reason)


class Loading:
    """A model that is being loaded, in another thread; `cancel` and the properties are for the layer's.

    Args:
        message: where it begins.
        update_partitions: of the update topic.
    """

    def __init__(self, message: ModelMessage, update_partitions: int) -> None:
        self.message = message
        self.epoch = message.epoch(update_partitions)
        self.percent = 0
        self._update_partitions = update_partitions
        self._cancelled = False
        self._reader = _Reader(self.epoch, message)

    @property
    def newer(self) -> ModelMessage | None:
        """A newer model that came by: this one need not be finished, and may never be complete."""
        return self._reader.newer

    def cancel(self) -> None:
        """Let the load end soon."""
        self._cancelled = True

    def on_percent(self, percent: int) -> None:
        """Hear how far it is."""
        self.percent = percent

    def is_cancelled(self) -> bool:
        """Say whether nobody waits any more."""
        return self._cancelled or self.newer is not None

    def run(self, topic: Oryx2Log, open_model: Callable[[str], ModelFiles], fraction: float) -> Oryx2Model | None:
        """Load it; blocks. None where a newer one came, or it was cancelled.

        Args:
            topic: the update topic.
            open_model: opens what a ``MODEL-REF`` names.
            fraction: so many of its users and items must have a vector.

        Raises:
            OryxError: it cannot be loaded.
        """
        name, patience = f"oryx2-{self.epoch}", Patience(fraction, 0.0)
        loaded = load_model(
            self.message, name, self._reader, log=topic, open_model=open_model, patience=patience, watch=self
        )
        if loaded is None:
            return None
        if loaded.bad[0]:
            log.warning("updates_ignored", count=loaded.bad[0], first=loaded.bad[1])
        consumer = topic.new_consumer()
        consumer.assign({(topic.topic, partition): offset for partition, offset in loaded.positions.items()})
        state = loaded.gathered.state(self.epoch, self._update_partitions)
        return Oryx2Model(Oryx2Fold(state), self._reader, consumer)
