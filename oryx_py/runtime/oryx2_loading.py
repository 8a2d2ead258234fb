"""Puts an Oryx 2 model together: its PMML, the vectors in its folder, and what the update topic says of it.

1. read the model's message, and its PMML where that is only referred to;
2. where it is referred to, read the vectors in its folder;
3. read the updates that belong to it, until enough of the users and items that the PMML names have a vector, and the
   topic has no more for now. Oryx's batch layer sends every vector as an update, too, and known items only so: whoever
   has another model to serve meanwhile waits for these, until none has come for a while;
4. make a generation of it, in memory. What comes later is applied to that, as to any other.

Fails 1 or 2, there is no model. In 3 a message that cannot be read is counted and left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from oryx_py.errors import BadMessage
from oryx_py.model.files import storage
from oryx_py.oryx2.gathering import Gathered, Gathering
from oryx_py.oryx2.parts import ModelFiles, ModelFolder, read_rows
from oryx_py.oryx2.pmml import MAX_IDS, AlsPmml, read_pmml
from oryx_py.ports import Clock, Consumer, EndOfPartition, Record
from oryx_py.runtime.oryx2_log import ModelMessage, Oryx2Log, Oryx2Reader

__all__ = ["LoadedModel", "Patience", "Watch", "load_model"]

_POLL_RECORDS = 1_000
_POLL_S = 0.25
_ROWS_BETWEEN_LOOKS = 4_096


class Patience(NamedTuple):
    """How complete a model must be.

    ``fraction``: so many of the users and items announced must have a vector. ``quiet_s``: for so long nothing must
    have come of those that only the folder has told of; 0 where there is no other model to serve meanwhile.
    """

    fraction: float
    quiet_s: float


class Watch(Protocol):
    """Whoever waits for a model."""

    def on_percent(self, percent: int) -> None:
        """Hear how far it is."""
        ...

    def is_cancelled(self) -> bool:
        """Say whether nobody waits any more."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model and, by update partition, where to go on; ``bad``: messages left out, and the first one's reason."""

    gathered: Gathered
    positions: Mapping[int, int]
    bad: tuple[int, str]


def load_model(
    message: ModelMessage,
    name: str,
    reader: Oryx2Reader,
    *,
    log: Oryx2Log,
    open_model: Callable[[str], ModelFiles],
    patience: Patience,
    watch: Watch,
    recent: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> LoadedModel | None:
    """Load a model; blocks until it is complete. None where it was cancelled.

    Args:
        message: where it begins.
        name: that its generation gets.
        reader: says which records are its own.
        log: the update topic.
        open_model: opens what a ``MODEL-REF`` names.
        patience: how complete it must be.
        watch: who waits.
        recent: by user, items that came to be known while the model before was served: Oryx trains for minutes or hours
            on what there was when it began, and what has come since would be recommended again until the next model.

    Raises:
        BadMessage: what it says cannot be read.
        StoreUnavailable: its files cannot be had now.
        OryxError: as ``open_model`` and `Oryx2Log` do.
    """
    start = log.start_of(message)
    key, value = log.value(message)
    files = open_model(_path(value)) if key == b"MODEL-REF" else None
    model = read_pmml(value if files is None else files.document)
    gathering = Gathering(model)
    for user, items in recent.items():
        gathering.know(user, items)
    if files is not None and not _read_folder(files.folder, model, gathering, watch):
        return None
    updates = _Updates(gathering, reader, log.clock)
    consumer = log.new_consumer()
    try:
        consumer.assign({(log.topic, partition): offset for partition, offset in start.items()})
        complete = updates.read(consumer, set(start), patience, watch)
        positions = {partition: offset for (_, partition), offset in consumer.positions().items()}
    finally:
        consumer.close()
    if not complete:
        return None
    return LoadedModel(gathering.finish(name, message.timestamp_ms), positions, (updates.bad, updates.first_bad))


def _path(value: bytes) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        raise BadMessage("MODEL-REF: not UTF-8") from None


def _read_folder(folder: ModelFolder, model: AlsPmml, gathering: Gathering, watch: Watch) -> bool:
    """Read all vectors, those of items first; returns False where that was cancelled."""
    sides = ((model.item_folder, gathering.items), (model.user_folder, gathering.users))
    with storage(Path(folder.root)):
        for path, rows in sides:
            for number, (name, vector) in enumerate(read_rows(folder, path, model.features, MAX_IDS)):
                rows.set(name, vector)
                if number % _ROWS_BETWEEN_LOOKS == 0:
                    watch.on_percent(int(100 * gathering.fraction))
                    if watch.is_cancelled():
                        return False
    return True


class _Updates:
    """Reads updates into what is gathered, and knows when that is complete."""

    def __init__(self, gathering: Gathering, reader: Oryx2Reader, clock: Clock) -> None:
        self._gathering, self._reader, self._clock = gathering, reader, clock
        self.bad = 0
        self.first_bad = ""

    def read(self, consumer: Consumer, unread: set[int], patience: Patience, watch: Watch) -> bool:
        """Read until it is complete; returns False where that was cancelled."""
        told, since = self._gathering.told, self._clock.monotonic()
        while not watch.is_cancelled():
            events = consumer.poll(_POLL_RECORDS, _POLL_S)
            for event in events:
                if isinstance(event, EndOfPartition):
                    unread.discard(event.partition)
                else:
                    self._take(event)
            if self._gathering.told > told:
                told, since = self._gathering.told, self._clock.monotonic()
            is_quiet = self._clock.monotonic() - since >= patience.quiet_s
            watch.on_percent(int(100 * self._share(patience)))
            if not unread and len(events) < _POLL_RECORDS and self._is_complete(patience, is_quiet=is_quiet):
                return True
        return False

    def _share(self, patience: Patience) -> float:
        fraction, told = self._gathering.fraction, self._gathering.told_fraction
        return min(fraction, told) if patience.quiet_s else fraction

    def _is_complete(self, patience: Patience, *, is_quiet: bool) -> bool:
        enough = self._gathering.fraction >= patience.fraction
        return enough and (is_quiet or self._gathering.told_fraction >= patience.fraction)

    def _take(self, record: Record) -> None:
        if self._reader.is_model(record):
            return
        try:
            update = self._reader.read(record)
            if update is not None:
                self._gathering.apply(update)
        except BadMessage as error:
            self.bad += 1
            where = f"{record.topic}[{record.partition}]@{record.offset}"
            self.first_bad = self.first_bad or f"{where}: {error.reason}"
