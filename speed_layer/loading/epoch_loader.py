"""Loads an epoch: its generation, what checkpoints have of it, and where to go on in the topics."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from oryx_py.config import Settings
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import ArtefactStore, Clock, Consumer, Record, TopicAdmin
from oryx_py.runtime.checkpoints import Checkpoints
from oryx_py.runtime.gaps import Gaps
from oryx_py.runtime.log_or_history import LogOrHistory, Past
from oryx_py.runtime.reading import records_between
from oryx_py.runtime.restored import Restored, Together, seeded
from oryx_py.runtime.topics import check_end
from speed_layer.epochs.repeats import Repeats
from speed_layer.epochs.run import EpochRun
from speed_layer.folding.exact_fold import ExactFold, NewSolver
from speed_layer.limits import Topics
from speed_layer.loading.earlier_announcements import progress_of
from speed_layer.loading.initial_fold import open_fold
from speed_layer.loading.key_window import read_back
from speed_layer.sharing.fence import Fence
from speed_layer.sharing.listener import PeerListener, listener_from
from speed_layer.sharing.share import Share

__all__ = ["EpochLoader"]


@dataclass(frozen=True, slots=True)
class Fenced:
    """An epoch in which a fence was raised, and whether a former owner had begun with it before."""

    epoch: int = -1
    resumes: bool = False


@dataclass
class EpochLoader:
    """Makes the run of an epoch, for one owner of input partitions; any thread may, one at a time.

    Attributes:
        settings: all of them.
        topics: names and sizes.
        owned: the input partitions that are this owner's.
        shares: whether others have, or may come to have, the rest.
        admin, new_consumer, store, clock, past: the ports.
        reader: of checkpoints; None for none.
        announcements: what was announced before the fence was raised.
        fence: of the owner.
        new_solver: makes what solves users.
        gaps: where input is passed over that neither the topic nor the history has; None where it must not be.
        begun: by epoch, the checkpoints that a run began with.
        fenced: the newest epoch that came since the start and was looked at.
    """

    settings: Settings
    topics: Topics
    owned: frozenset[int]
    shares: bool
    admin: TopicAdmin
    new_consumer: Callable[[str | None], Consumer]
    store: ArtefactStore
    clock: Clock
    past: Past | None
    reader: Checkpoints | None
    announcements: Announcements
    fence: Fence
    new_solver: NewSolver
    gaps: Gaps | None = None
    begun: dict[int, Together] = field(default_factory=dict)
    fenced: Fenced = Fenced()

    def load(self, started: EpochStarted, known: Repeats | None = None, *, at_start: bool = False) -> EpochRun:
        """Return an epoch's run, ready to be followed.

        Args:
            started: the epoch.
            known: what another epoch's run has been told, a copy; None for nothing.
            at_start: whether the process just begins, so that one before it may have announced something. One that was
                replaced and does not know it yet may have, too, of an epoch that came since: its readers begin above
                the first fence.

        Raises:
            CorruptGeneration, UnsupportedFormat: its generation cannot be used.
            Transient: broker or store do not answer.
            LogGap: the input topic ends before what was read of it.
        """
        if not at_start:
            self.fence.raise_in(started.epoch)  # its readers begin at its start, and have not seen the first one
            if self.fenced.epoch != started.epoch:  # else this is another try, perhaps hours later
                self.fenced = Fenced(started.epoch, self._resumes(started))
            at_start = self.fenced.resumes
        generation = Generation.open(self.store.local(started.generation))
        state = ModelState(generation, started.epoch, self.topics.update_partitions)
        restored = self._restored(started, generation)
        sent_from: Mapping[int, int] = started.start
        if restored is not None:
            covered = restored.known.covered
            state.load(restored.changes, covered.input, covered.live, covered.terms)
            self.begun[started.epoch], sent_from = restored.known, covered.update
            seeded(self.announcements, restored.known)
        announced = self.announcements.of(started.epoch)
        end = self.admin.end_offsets(self.topics.input)
        check_end(self.topics.input, end, state.progress(), announced.input)
        share = Share(generation, range(self.topics.input_partitions), self.topics.input_partitions)
        fold = open_fold(
            self.settings.speed.fold_in,
            state,
            self.topics.input_partitions,
            announced.input,
            lambda: self._sent_since(sent_from),
            self.new_solver,
            share if self.shares else None,
        )
        new_listener, item_known = None, {}
        if self.shares:
            assert isinstance(fold, ExactFold)
            new_listener = self._leave_to_others(fold, restored, sent_from)
            item_known = {p: offset - 1 for p, offset in self.admin.end_offsets(self.topics.items).items() if offset}
        consumer = self._input_reader()
        with ExitStack() as undo:
            undo.callback(consumer.close)
            run = EpochRun(
                started,
                fold,
                self._repeats(state, restored, consumer, known),
                consumer,
                topic=self.topics.input,
                announced=announced.input,
                live=announced.live,
                until=end,
                resumes=at_start,
                owned=self.owned,
                new_listener=new_listener,
                item_known=item_known,
            )
            undo.pop_all()  # from here on the run closes it
        return run

    def _resumes(self, started: EpochStarted) -> bool:
        """Say whether a former owner has begun with an epoch before it was fenced.

        What it announced counts as said by nobody: some readers have heard it, and others, which begin below the fence
        that was raised first, have not. So all is sent.
        """
        first = self.admin.start_offsets(self.topics.update)
        begin = {p: max(offset, started.start.get(p, 0)) for p, offset in first.items()}
        said = list(progress_of(started.epoch, self._sent_since(begin)))
        return any(progress.term != self.fence.term and progress.partitions & self.owned for progress in said)

    def _restored(self, started: EpochStarted, generation: Generation) -> Restored | None:
        if self.reader is None:
            return None
        announced = self.announcements.of(started.epoch).input
        # By Oryx's rule the update topic is part of the state, so that there is one start for all partitions.
        wanted = self.owned if self.settings.speed.fold_in == "exact" else None
        return self.reader.newest(started, generation, announced, wanted)

    def _leave_to_others(
        self, fold: ExactFold, restored: Restored | None, sent_from: Mapping[int, int]
    ) -> Callable[[], PeerListener]:
        """Let the fold have its own partitions alone; return what begins to hear the owners of the rest."""
        assert fold.peers is not None
        theirs = {} if restored is None else restored.others
        rest = set(range(self.topics.input_partitions)) - self.owned
        # What checkpoints tell of their users their owners know better; what they do not tell counts as said by nobody.
        fold.release({partition: theirs.get(partition, -1) for partition in sorted(rest)})
        said_from: Mapping[int, int] = {}
        if restored is not None:
            said_from = restored.known.covered.item
            for rows, partitions in restored.states:
                fold.peers.recall(rows, partitions, restored.known.covered.said)
        topics, said = self.topics, self.announcements.of(fold.state.epoch)
        return listener_from(
            fold.state,
            fold.peers,
            self.admin,
            self.new_consumer,
            topics.items,
            topics.update,
            sent_from,
            said_from,
            said,
        )

    def _repeats(
        self, state: ModelState, restored: Restored | None, consumer: Consumer, known: Repeats | None
    ) -> Repeats:
        manifest = state.generation.manifest
        covered: Mapping[int, int] = {} if restored is None else restored.known.covered.input
        begins = {p: offset for p, offset in state.progress().items() if p in self.owned}
        decides = {} if known is None else known.decides(manifest.fold, begins)
        decides = {p: to for p, to in decides.items() if p not in covered}
        rest = {
            p: at for p, at in manifest.dedupe_from.items() if p in begins and p not in covered and p not in decides
        }
        repeats = self._read_back(consumer, manifest, rest)
        if known is not None and decides:
            repeats.adopt(known, decides)
            # The other epoch may be behind where this one begins.
            repeats = self._read_back(consumer, manifest, {p: (to, -1) for p, to in decides.items()}, repeats)
        if restored is not None:
            repeats.take(restored.ids)
        repeats.begin(begins)
        return repeats

    def _read_back(
        self,
        consumer: Consumer,
        manifest: Manifest,
        start: Mapping[int, tuple[int, int]],
        told: Repeats | None = None,
    ) -> Repeats:
        return read_back(
            consumer,
            self.topics.input,
            manifest.fold,
            start,
            manifest.next_offsets,
            partitions=self.topics.input_partitions,
            clock=self.clock,
            told=told,
        )

    def _sent_since(self, start: Mapping[int, int]) -> Iterator[Record]:
        with closing(self.new_consumer(None)) as consumer:
            end = self.admin.end_offsets(self.topics.update)
            yield from records_between(consumer, self.topics.update, start, end, clock=self.clock)

    def _input_reader(self) -> Consumer:
        consumer = self.new_consumer(None)
        if self.past is None:
            return consumer
        return LogOrHistory(
            consumer, self.topics.input, admin=self.admin, past=self.past, clock=self.clock, gaps=self.gaps
        )
