"""One epoch as the speed layer follows it: from the generation's offsets to the end of the input, and on."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum

import numpy as np

from oryx_py.events import InteractionColumns
from oryx_py.messages.blocks import Updates
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Consumer, Record
from speed_layer.epochs.input_reader import InputReader
from speed_layer.epochs.repeats import Repeats
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.folding.fold import Fold
from speed_layer.publishing.records import unstamped
from speed_layer.sharing.listener import PeerListener
from speed_layer.solving.budget import Budget

__all__ = ["EpochRun", "Phase"]

_WAITING_BYTES = 48
"""Of an interaction that is read and not yet folded."""


class Phase(Enum):
    """What an epoch's run is doing."""

    SILENT = "folding again what was announced before a restart"
    REPLAY = "folding the input that came before its start"
    EMIT = "sending what the replay changed"
    FOLLOW = "following the input"


class EpochRun:
    """Reads the input for one epoch and says what to send; owns the epoch's fold and its `InputReader`.

    Begins in SILENT where the update topic has announced positions of this epoch before: up to there the input is
    folded and nothing sent. Of what that makes stale readers may not have heard, so that it is left to be sent later.
    Then, and from the beginning otherwise, it is in REPLAY: the input is folded and nothing solved until the target and
    ``until`` are reached, and then each touched user is sent once, before anything is announced.

    A process that died may have sent something of all input that there was. Whoever follows it folds the log by other
    micro-batches, of which readers would drop what is below an offset they have, and with it what only that message
    says. So all that is sent first has the newest offsets, and after it every vector of levels 2 and 3 comes once more:
    a vector that was sent of another cut of the log is replaced, or taken back.

    Args:
        started: the epoch.
        fold: on the epoch's generation.
        repeats: has the IDs of the window before the generation's offsets; this run's from now on.
        consumer: of the input topic, for this run alone.
        topic: the input topic.
        announced: by input partition, the positions announced before; empty for a new epoch.
        live: input partitions announced live before.
        until: by input partition, the input's end when former owners were fenced: nobody has sent anything of what
            comes after it.
        resumes: whether a process before this one may have announced something of the epoch.
        owned: the input partitions that are this run's; None for all.
        new_listener: begins to hear other processes; None where there are none.
        item_known: by partition of the item topic, the highest offset that its owners may have answered so far.
    """

    def __init__(
        self,
        started: EpochStarted,
        fold: Fold,
        repeats: Repeats,
        consumer: Consumer,
        *,
        topic: str,
        announced: Mapping[int, int],
        live: Iterable[int],
        until: Mapping[int, int],
        resumes: bool,
        owned: Collection[int] | None = None,
        new_listener: Callable[[], PeerListener] | None = None,
        item_known: Mapping[int, int] | None = None,
    ) -> None:
        self.started = started
        self.fold = fold
        self.repeats = repeats
        """Which records were ignored, or may be."""
        self.live = set(live)
        """Input partitions live in this epoch."""
        begins = {p: offset for p, offset in fold.state.progress().items() if owned is None or p in owned}
        self.announced = dict(begins)
        self.announced_at: float | None = None
        """When this process last announced it, on its clock; None before it has."""
        self.said_live = False
        """Whether this process has said that all its partitions are live."""
        """By input partition: below these offsets all updates are acknowledged."""
        self._resumes = resumes
        self._owes = False
        """Whether what the replay has made stale is marked: what comes in meanwhile may make more for ever."""
        self._came = 0
        """How many records came with the last reading, of those after the replay's."""
        self._until = {p: offset for p, offset in until.items() if p in begins}
        self._new_listener = new_listener
        self._listener: PeerListener | None = None
        self.item_known = dict(item_known or {})
        """By partition of the item topic: the highest offset of which this run knows, for what it says of items."""
        if self._new_listener is not None and owned is not None and len(owned) < len(fold.state.progress()):
            self._listener = self._new_listener()
        self.forgets = 0
        """How many records have forgotten a user or an item."""
        self.replayed = 0
        """Records read before it followed the input: what a start costs."""
        self._input = InputReader(consumer, topic, begins, announced)
        self.phase = Phase.SILENT if self._input.is_silent else Phase.REPLAY

    @property
    def positions(self) -> dict[int, int]:
        """By input partition: the next offset to fold."""
        return self._input.positions

    @property
    def horizon(self) -> dict[int, int]:
        """By input partition: up to where this epoch is folded, or was before a restart."""
        return self._input.horizon

    @property
    def is_shared(self) -> bool:
        """Whether others have a part of the input, or may come to have one."""
        return self._new_listener is not None

    @property
    def is_live(self) -> bool:
        """Whether every input partition was announced live."""
        return self.live.issuperset(self.positions)

    def is_live_everywhere(self, partitions: Collection[int]) -> bool:
        """Whether every input partition of every process was announced live."""
        return self.is_live and (self._listener is None or self._listener.is_live(partitions))

    def is_passed_over(self, partitions: Collection[int]) -> bool:
        """Whether an owner of input partitions announces a later epoch, and has not announced this one live.

        It never will: of two that it holds the newer is not announced before the older is live, and whoever has its
        partitions after it leaves what it has passed over (`HeldEpochs`).
        """
        if self._listener is None:
            return False
        others = set(partitions) - set(self.positions)
        return any(
            p in others and not self._listener.is_live([p])
            for p in self._listener.announcements.announced_after(self.started.epoch)
        )

    @property
    def is_whole(self) -> bool:
        """Whether this run has all input partitions, so that its state is the epoch's."""
        return len(self.positions) == len(self.fold.state.progress())

    def listen(self) -> None:
        """Take in what other processes have said since."""
        if self._listener is not None:
            self._listener.listen()
            for partition, offset in self._listener.reached.items():
                self.item_known[partition] = max(offset - 1, self.item_known.get(partition, 0))

    def heard(self, updates: Mapping[int, int], items: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Return below which offsets all that others have said is in the fold, at most these ends.

        Who is alone has nobody to hear: up to an end that was looked up before, only former owners spoke.

        Args:
            updates, items: by partition of either topic, its end a moment ago.
        """
        mine = {p: end for p, end in items.items() if p in self.positions}
        if self._listener is None:
            return dict(updates), mine
        heard, reached = self._listener.updates_reached, self._listener.reached
        return (
            {p: min(end, heard.get(p, 0)) for p, end in updates.items()},
            {p: min(end, reached.get(p, 0)) for p, end in mine.items()},
        )

    def release(self, partitions: Collection[int], term: int) -> None:
        """Let go of input partitions owned with this term, and of the item partitions of the same numbers."""
        self._input.release(partitions)
        for partition in partitions:
            for of_partition in (self.announced, self._until, self.item_known):
                of_partition.pop(partition, None)
            self.live.discard(partition)
        assert isinstance(self.fold, ExactFold)
        assert self.fold.peers is not None
        self.fold.release(dict.fromkeys(partitions, term))
        if self.phase is Phase.FOLLOW:  # else it knows nothing yet of what was said before it
            self.fold.peers.has_said(partitions, term)
        if self._listener is None and self._new_listener is not None:
            self._listener = self._new_listener()
        self._input.assign()

    @property
    def nbytes(self) -> int:
        """About how many bytes the epoch takes, what waits and the window of keys included, its files not."""
        return self.fold.nbytes + _WAITING_BYTES * self.fold.pending + self.repeats.nbytes

    @property
    def said(self) -> dict[int, int]:
        """By input partition: below these offsets all updates are with the producer, so that they may be announced."""
        return self.announced if self.fold.unsaid else self.positions

    @property
    def at_rest(self) -> bool:
        """Whether the fold's state is that of the positions, and all of it acknowledged."""
        fold = self.fold
        return self.phase is Phase.FOLLOW and not (fold.pending or fold.shaken) and self.announced == self.positions

    def ends(self) -> dict[int, int]:
        """By input partition: where the log ends, as the broker last said; those it has not spoken of are left out."""
        return self._input.ends()

    def read(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records to fold; the positions move past them.

        Raises:
            LogGap: the topic no longer has what the generation lacks.
        """
        records = self._input.read(max_records, timeout_s)
        if self.phase is not Phase.FOLLOW:
            self.replayed += len(records)
        self._came = len(records) if self.phase is Phase.EMIT else 0
        return records

    def add(self, interactions: InteractionColumns, records: Sequence[Record]) -> int:
        """Fold what records say, those of a partition in order; return how many repeat another and are ignored."""
        new = self.repeats.new_ones(records, interactions.users)
        repeats = 0
        if new is not None:
            repeats = len(records) - len(new)
            interactions, records = interactions.at(new), [records[place] for place in new]
        self.forgets += interactions.users.count("") + interactions.items.count("")
        self.fold.add_many(
            interactions,
            np.array([record.partition for record in records], np.int64),
            np.array([record.offset for record in records], np.int64),
            np.array([record.timestamp_ms for record in records], np.int64),
        )
        return repeats

    def caught_up(self, target: Mapping[int, int]) -> bool:
        """Say whether everything below the target is read, of the partitions that are this run's."""
        return self._input.caught_up(target)

    @property
    def busy(self) -> bool:
        """Whether there is something to do without any new record."""
        return bool(self.fold.pending or self.fold.stale or self.fold.unsaid)

    def take(self, target: Mapping[int, int], max_users: int, budget: Budget) -> list[Updates]:
        """Return the updates that are due now, in the order to send.

        Args:
            target: what a replay has to reach before it sends anything.
            max_users: after a replay, solved at most in this call, so that another epoch is not kept waiting.
            budget: for what others' interactions have made stale.
        """
        if self.phase is Phase.SILENT:
            if not self._input.has_all_announced:
                return []
            self.fold.retrace(max_users)
            if self.fold.pending:
                return []
            self.phase = Phase.REPLAY
            self._input.go_on()
            return []
        if self.phase is Phase.REPLAY:
            heard = self._listener is None or self._listener.caught_up
            if not (heard and self.caught_up(target) and self.caught_up(self._until)):
                return []
            self.phase = Phase.EMIT
        if self.phase is Phase.FOLLOW:
            return self.fold.step(None, budget)
        # Of less than comes in it would never be through.
        updates = self.fold.step(max(max_users, 2 * self._came), budget)
        if not (self._owes or self.fold.pending):
            self._owes = True
            if self._resumes:
                updates += self.fold.resend()
            self.fold.owe()
        if self._owes and not (self.fold.pending or self.fold.owed or self.fold.unsaid):
            self.phase = Phase.FOLLOW
            if isinstance(self.fold, ExactFold) and self.fold.peers is not None:
                updates += self.fold.peers.all_said()
        return unstamped(updates)

    def close(self) -> None:
        """Give the consumers back."""
        self._input.close()
        if self._listener is not None:
            self._listener.close()
