"""What an epoch's run hears of other processes: states of items' users, vectors of items, and what they announce."""

from collections.abc import Callable, Iterable, Mapping

import structlog

from oryx_py.errors import BadMessage, BrokerUnavailable, LogGap
from oryx_py.messages import ItemGone, ItemVector, Progress, decode
from oryx_py.messages.item_state import decode_state
from oryx_py.model.epochs.announcements import Announced, Announcements
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Consumer, Partition, Record, TopicAdmin
from speed_layer.sharing.peers import Peers

__all__ = ["PeerListener", "listener_from"]

log = structlog.get_logger("speed")

_MAX_RECORDS = 10_000
_PROGRESS = b"PROGRESS"
_OF_ITEMS = (b'["Y",', b'["YD",')
"""How the value of an item's update begins, as every process of ours writes it."""


class PeerListener:
    """Follows the item topic in the run's partitions, and the update topic, of which users' vectors are not decoded.

    Args:
        state: of the run's fold, by which it knows whose word counts.
        peers: of the run's fold; hears what is read.
        new_consumer: makes a consumer of its own.
        items, updates: by partition of either topic, where to begin.
        until: by partition of either topic, the end when former owners were fenced.
        first: looks up where both topics begin.
        said: what had been announced of the epoch before what is read.
    """

    def __init__(
        self,
        state: ModelState,
        peers: Peers,
        new_consumer: Callable[[], Consumer],
        items: Mapping[Partition, int],
        updates: Mapping[Partition, int],
        until: Mapping[Partition, int],
        first: Callable[[], Mapping[Partition, int]],
        said: Announced,
    ) -> None:
        self._state, self._peers = state, peers
        self._items, self._until = set(items), dict(until)
        self._first = first
        self.announcements = Announcements(len(updates))
        live = dict.fromkeys(sorted(said.live), True)
        self.announcements.add(Progress(said.input, live, state.epoch), said.live_since_ms or 0)
        self._consumer = new_consumer()
        self._consumer.assign({**items, **updates})

    def listen(self) -> None:
        """Read what is there; of a broker that does not say where a topic begins that was trimmed, later.

        Raises:
            LogGap: a topic no longer has it.
        """
        try:
            events = self._consumer.poll(_MAX_RECORDS, 0.0)
        except LogGap:
            try:
                skipped = self._skip_trimmed()
            except BrokerUnavailable as trouble:  # whoever listens has read records that must not be given up
                log.warning("broker_unavailable", reason=str(trouble))
                return
            if not skipped:
                raise
            return
        for event in events:
            if isinstance(event, Record):
                try:
                    self._hear(event)
                except BadMessage:
                    continue

    def _skip_trimmed(self) -> bool:
        """Go on where the topics begin now: they are trimmed only of epochs that nobody is to hold any more."""
        positions, first = self._consumer.positions(), self._first()
        trimmed = {where: first[where] for where, offset in positions.items() if offset < first[where]}
        for (topic, partition), begin in trimmed.items():
            log.info("trimmed_passed_over", topic=topic, partition=partition, offset=begin)
        self._consumer.assign({**positions, **trimmed})
        return bool(trimmed)

    @property
    def caught_up(self) -> bool:
        """Whether all is heard that was there when former owners were fenced."""
        positions = self._consumer.positions()
        return all(positions.get(where, offset) >= offset for where, offset in self._until.items())

    @property
    def reached(self) -> dict[int, int]:
        """By partition of the item topic, below which offset everything is heard."""
        return {where[1]: offset for where, offset in self._consumer.positions().items() if where in self._items}

    @property
    def updates_reached(self) -> dict[int, int]:
        """By partition of the update topic, below which offset everything is heard."""
        return {where[1]: offset for where, offset in self._consumer.positions().items() if where not in self._items}

    def is_live(self, partitions: Iterable[int]) -> bool:
        """Say whether these input partitions were announced live, by whomever they belong to."""
        return self.announcements.of(self._state.epoch).is_live(partitions)

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()

    def _hear(self, record: Record) -> None:
        if (record.topic, record.partition) in self._items:
            self._peers.hear_state(decode_state(record.key, record.value, record.headers))
        elif record.key == _PROGRESS:
            progress = decode(record.key, record.value, record.headers)
            assert isinstance(progress, Progress)
            self.announcements.add(progress, record.timestamp_ms, record.partition)
            self._state.hear_term(progress, record.partition)
        elif (record.value or b"").startswith(_OF_ITEMS):
            update = decode(record.key, record.value, record.headers)
            if isinstance(update, ItemVector | ItemGone):
                self._peers.hear_item(update, record.partition)


def listener_from(
    state: ModelState,
    peers: Peers,
    admin: TopicAdmin,
    new_consumer: Callable[[str | None], Consumer],
    items: str,
    updates: str,
    sent_from: Mapping[int, int],
    said_from: Mapping[int, int],
    said: Announced,
) -> Callable[[], PeerListener]:
    """Return what begins to hear others, at once or when a part is another's; up to now is what has to be heard first.

    Args:
        state, peers: of the run's fold.
        admin, new_consumer: the ports.
        items, updates: the two topics' names.
        sent_from: by update partition, where the epoch begins, or what checkpoints of it cover.
        said_from: by partition of the item topic, what checkpoints cover; where they cover none, its start.
        said: what was announced of the epoch, as far as this process has read; checkpoints may begin after it.
    """
    end = {(topic, p): offset for topic in (items, updates) for p, offset in admin.end_offsets(topic).items()}

    def first() -> Mapping[Partition, int]:
        return {(topic, p): offset for topic in (items, updates) for p, offset in admin.start_offsets(topic).items()}

    # Not when it begins: then a part is let go of, and that needs no broker. What is trimmed until then is skipped.
    begins = first()

    def begin() -> PeerListener:
        of_items = {(items, p): max(begins[items, p], said_from.get(p, 0)) for p in sorted(peers.share.owned)}
        of_updates = {
            where: max(offset, sent_from.get(where[1], 0)) for where, offset in begins.items() if where[0] == updates
        }
        until = {where: offset for where, offset in end.items() if where in of_items or where in of_updates}
        return PeerListener(state, peers, lambda: new_consumer(None), of_items, of_updates, until, first, said)

    return begin
