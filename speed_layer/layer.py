"""The speed layer's loop.

Each step, for each epoch held, the older first:

1. read what has come on the input topic;
2. fold it; what repeats another record is ignored, what cannot be read becomes a dead letter;
3. solve what was touched, by levels;
4. send dead letters and updates, and wait for their acknowledgement;
5. send ``PROGRESS`` up to the positions read, unless removals of a forgotten item are left for later steps; its
   acknowledgement is waited for with what is sent next;
6. now and then, commit the position up to which dead letters are written.

=================  ====================================================================================================
killed after step  then the next start …
=================  ====================================================================================================
1, 2, 3            has lost nothing but its memory: it folds again what was announced, and goes on from there
4                  sends again what was not announced; readers drop what they have
5                  goes on from there; dead letters between the committed position and here are written again
=================  ====================================================================================================
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

import structlog

from oryx_py.errors import BrokerUnavailable, OryxError
from oryx_py.messages.blocks import Blocks, Updates
from oryx_py.messages.inbound_many import read_inputs
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.model.epochs.registry import EpochStarted, Registry
from oryx_py.ports import Clock, Outgoing, Record
from speed_layer.checkpoints.writer import NoCheckpoints, Writer
from speed_layer.epochs.announcing import Announcer
from speed_layer.epochs.held import HeldEpochs
from speed_layer.epochs.next_epoch import NextEpoch
from speed_layer.epochs.repeats import Repeats
from speed_layer.epochs.run import EpochRun, Phase
from speed_layer.limits import Limits, Topics, rested_at
from speed_layer.publishing.dead_letters import DeadLetters
from speed_layer.publishing.item_topic import send_item_states
from speed_layer.publishing.outbox import Outbox
from speed_layer.publishing.records import block_records, signed, update_records
from speed_layer.solving.budget import Budget
from speed_layer.telemetry.lag import LagWatch
from speed_layer.telemetry.metrics import Metrics

__all__ = ["SpeedLayer"]

log = structlog.get_logger("speed")


class SpeedLayer:
    """Owns the epochs held; one thread calls `step` again and again.

    Args:
        topics: names and sizes.
        limits: bounds and intervals.
        runs: the epochs to begin with, oldest first.
        newest_epoch: the newest epoch known; only later ones are taken.
        registry: as it was read last.
        read_registry: begins to read it on from there, aside.
        load: begins to load an epoch aside and returns its run when it is ready to be followed; given what the oldest
            epoch held knows of repeats, if there is one.
        input_end: looks up the input topic's end offsets.
        dead_letters: their position and scan.
        outbox: where records go.
        clock: for intervals.
        metrics: what is counted.
        checkpoints: who writes them.
        term: of this process's ownership of the input partitions, with which it signs what it sends; None for none.
        confirm: raises Replaced if another process has claimed them since; None where that does not matter.
        partitions: the input partitions owned; None for all.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        limits: Limits,
        runs: Sequence[EpochRun],
        newest_epoch: int,
        registry: Registry,
        read_registry: Callable[[Registry], "Future[Registry]"],
        load: Callable[[EpochStarted, Repeats | None], "Future[EpochRun]"],
        input_end: Callable[[], Mapping[int, int]],
        dead_letters: DeadLetters,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics,
        checkpoints: Writer | None = None,
        term: int | None = None,
        confirm: Callable[[], None] | None = None,
        partitions: Collection[int] | None = None,
    ) -> None:
        self._topics = topics
        self.partitions = set(range(topics.input_partitions) if partitions is None else partitions)
        """Input partitions that this layer owns."""
        self._term, self._confirm = term, confirm
        self._confirmed_at = clock.monotonic()
        self._checkpoints = checkpoints or NoCheckpoints()
        self._limits = limits
        self._held = HeldEpochs(
            runs,
            partitions=range(topics.input_partitions),
            input_end=input_end,
            overlap_s=limits.epoch_overlap_s,
            clock=clock,
        )
        self._next_epoch = NextEpoch(newest_epoch, registry, read_registry, partial(self._load, load), limits, clock)
        self._announcer = Announcer(topics, outbox, term, limits.idle_progress_s, clock)
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._told = metrics.gauges.layer()
        self._lag = LagWatch(self._told, clock)
        self._told.epoch = newest_epoch
        self._stepped_at = clock.monotonic()

    def release(self, partitions: Collection[int]) -> None:
        """Let go of input partitions that are another process's from now on; between two steps."""
        lost = sorted(self.partitions.intersection(partitions))
        self.partitions.difference_update(lost)
        for partition in lost:
            self._dead_letters.release(partition)
        for run in self._held.all():
            run.release(lost, self._term or 0)

    def step(self, timeout_s: float) -> None:
        """Do one round for every epoch held; waits up to the timeout for something to do.

        Raises:
            Interrupted: the layer was asked to stop while records waited.
            Stop: somebody has to act.
        """
        self._next_epoch.look()
        self._adopt()
        try:
            self._confirm_now_and_then()
            self._work(timeout_s)
        except BrokerUnavailable as trouble:
            # Only looking something up ends so, before anything was read; what was read is never given up.
            log.warning("broker_unavailable", reason=str(trouble))

    def _confirm_now_and_then(self) -> None:
        """Notice that nobody listens any more: whoever was replaced sends in vain."""
        now = self._clock.monotonic()
        if self._confirm is not None and now - self._confirmed_at >= self._limits.owner_check_s:
            self._confirmed_at = now
            try:
                self._confirm()
            except BrokerUnavailable:
                self._confirmed_at = rested_at(now, self._clock.monotonic())
                raise

    def _work(self, timeout_s: float) -> None:
        if not self.runs or self._dead_letters.behind(self.runs[0].positions):
            self._scan_dead_letters(0.0 if self.runs else timeout_s)
            return
        self._dead_letters.rest()
        alone = len(self.runs) == 1
        for run in list(self.runs):
            busy = run.phase is not Phase.FOLLOW or not alone
            self._advance(run, 0.0 if run.busy else min(timeout_s, 0.005) if busy else timeout_s)
        self._held.retire()
        self._checkpoints.step(self.runs)
        self._stepped_at = self._clock.monotonic()

    @property
    def runs(self) -> list[EpochRun]:
        """The epochs followed, oldest first."""
        return self._held.runs

    @property
    def trouble(self) -> str | None:
        """Why the newest generation could not be loaded; None where nothing is wrong."""
        return self._next_epoch.trouble

    @property
    def _is_alone(self) -> bool:
        """Whether the loop has one epoch of all partitions, and nobody else can be kept waiting."""
        return len(self.runs) == 1 and len(self.partitions) == self._topics.input_partitions

    def waiting_for(self) -> list[str]:
        """Say what readiness waits for; empty where the newest epoch is followed live."""
        newer = self._next_epoch
        reasons = [newer.trouble] if newer.trouble else []
        silent_s = self._clock.monotonic() - self._stepped_at
        if silent_s > self._limits.patience_s:
            reasons.append(f"nothing was done for {silent_s:.0f} s: Kafka does not answer, or there is much to solve")
        if newer.loading is not None:
            reasons.append(f"loading generation {newer.loading}")
        waiting = self._held.waiting
        if waiting is not None:
            reasons.append(f"epoch {waiting.started.epoch}: waiting for the end of an earlier change of epoch")
        if not self.runs and not reasons:
            reasons.append("no generation is published yet")
        reasons += [
            f"epoch {run.started.epoch}: {run.phase.value}" for run in self.runs[-1:] if run.phase is not Phase.FOLLOW
        ]
        return reasons

    def close(self, *, lost: bool = False) -> None:
        """Commit the dead letters' position, unless all partitions are another's, and give the consumers back."""
        try:
            if not lost:
                self._dead_letters.commit()
        except OryxError as trouble:
            # Whoever ends has nothing left to stop for; and what it ends of must not be hidden by this.
            log.warning("dead_letter_position_not_committed", reason=str(trouble))
        self._told.close()
        self._dead_letters.close()
        self._checkpoints.close(wait=not lost)
        for run in self._held.all():
            run.close()

    def _advance(self, run: EpochRun, timeout_s: float) -> None:
        target, limits = self._held.target(run), self._limits
        most_records, most_users = limits.max_batch_records, limits.replay_slice_users
        if run.phase is not Phase.FOLLOW and not self._is_alone:
            most_records = min(most_records, limits.replay_turn_records)
            most_users = min(most_users, limits.replay_turn_users)
        records = run.read(most_records, timeout_s)
        while run is not self.runs[0] and run.phase is Phase.FOLLOW and not run.caught_up(self.runs[0].positions):
            # The newer epoch is never announced behind the older one: whoever changes over loses nothing he has seen.
            more = run.read(self._limits.max_batch_records, timeout_s)
            if not more:
                break
            records += more
        first = run is self.runs[0]
        if first:
            self._lag.begin(records)
        letters = self._fold(run, records)
        run.listen()
        budget = Budget(limits.stale_solves, limits.stale_pairs, limits.item_states, limits.item_states)
        begun = self._clock.monotonic()
        replays = run.phase is not Phase.FOLLOW
        updates = run.take(target, most_users, budget)
        if replays and run.phase is Phase.FOLLOW:
            log.info("input_replayed", epoch=run.started.epoch, input=dict(run.positions), records=run.replayed)
        if updates:  # an idle round solves nothing, and would make the figures those of idling
            self._metrics.solve_seconds.observe(self._clock.monotonic() - begun)
        self._deliver(letters, send_item_states(updates, run.item_known, self._outbox, self._topics, self._term))
        if first:
            self._dead_letters.advance(run.positions)
        if run.phase is Phase.FOLLOW and self._held.may_announce(run):
            self._announcer.announce(run, self._held.target(run))
            if first:
                self._told.announced(run.announced)
                self._metrics.observe_batch(records, updates, self._clock.now_ms())
        if updates or records:
            self._told.state_bytes = sum(held.nbytes for held in self.runs)
        if first:
            self._lag.done(records, run.announced if run.phase is Phase.FOLLOW else run.positions, run.ends)

    def _fold(self, run: EpochRun, records: Sequence[Record]) -> list[Outgoing]:
        """Fold the records; return the dead letters among them, which are the older epoch's to write."""
        if not records:
            return []
        letters: list[Outgoing] = []
        first = run is self.runs[0]
        read = read_inputs(
            [record.value for record in records],
            [record.partition for record in records],
            self._topics.input_partitions,
        )
        for number, bad in read.bad.items() if first else ():
            letter = self._dead_letters.of(records[number], bad.reason)
            if letter is not None:
                letters.append(letter)
        repeats = run.add(read.interactions, [records[number] for number in read.numbers.tolist()])
        if first and run.phase is Phase.FOLLOW:
            self._metrics.repeats.inc(repeats)
        return letters

    def _deliver(self, letters: Sequence[Outgoing], updates: Sequence[Updates]) -> None:
        topics = self._topics
        records = list(letters)
        for update in signed(updates, self._term):
            where = topics.update, topics.update_partitions, topics.max_record_bytes
            if isinstance(update, Blocks):
                records += block_records(update, *where)
            elif not isinstance(update, ItemState | AllSaid):
                records += update_records(update, *where)
        self._outbox.deliver(records)
        self._metrics.dead_letters.inc(len(letters))

    def _load(
        self, load: Callable[[EpochStarted, Repeats | None], "Future[EpochRun]"], started: EpochStarted
    ) -> "Future[EpochRun]":
        known = self.runs[0].repeats.copy(self.runs[0].positions) if self.runs else None
        return load(started, known)

    def _adopt(self) -> None:
        """Follow a generation that is loaded as soon as there is room for it; a newer one takes its place until then.

        Raises:
            LogGap: a topic no longer has what others said of it.
        """
        run = self._next_epoch.take()
        if run is not None:
            lost = set(run.positions) - self.partitions
            if lost:
                run.release(sorted(lost), self._term or 0)
            self._held.put(run)
        if self._held.adopt():
            self._told.epoch = self.runs[-1].started.epoch

    def _scan_dead_letters(self, timeout_s: float) -> None:
        letters, positions = self._dead_letters.scan(self._limits.max_batch_records, timeout_s)
        self._deliver(letters, [])
        self._dead_letters.advance(positions)
