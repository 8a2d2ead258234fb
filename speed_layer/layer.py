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

from oryx_py.errors import BrokerUnavailable
from oryx_py.messages.blocks import Blocks, Updates
from oryx_py.messages.inbound_many import read_inputs
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.model.registry import EpochStarted, Registry
from oryx_py.ports import Clock, Outgoing, Record
from speed_layer.budget import Budget
from speed_layer.checkpointing import NoCheckpoints, Writer
from speed_layer.coming import Coming
from speed_layer.dead_letters import DeadLetters
from speed_layer.epoch_run import EpochRun, Phase
from speed_layer.lag import LagWatch
from speed_layer.limits import Limits, Topics
from speed_layer.making_room import kept_beside
from speed_layer.metrics import Metrics
from speed_layer.outbox import Outbox
from speed_layer.outgoing import block_records, progress_records, signed, update_records
from speed_layer.repeats import Repeats
from speed_layer.telling import tell

__all__ = ["SpeedLayer"]

log = structlog.get_logger("speed")


class SpeedLayer:
    """Owns the epochs held, at most two; one thread calls `step` again and again.

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
        self.runs = list(runs)
        self._coming = Coming(newest_epoch, registry, read_registry, partial(self._load, load), limits, clock)
        self._next: EpochRun | None = None
        """Loaded, and not followed before there is room for it."""
        self._input_end = input_end
        self._replay_targets: dict[int, Mapping[int, int]] = {}
        self._dead_letters = dead_letters
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._told = metrics.gauges.layer()
        self._lag = LagWatch(self._told, clock)
        self._told.epoch = newest_epoch
        self._stepped_at = clock.monotonic()
        self._announced_at: dict[int, float] = {}
        self._live_at: dict[int, float] = {}
        self._live_everywhere_at: dict[int, float] = {}

    def release(self, partitions: Collection[int]) -> None:
        """Let go of input partitions that are another process's from now on; between two steps."""
        lost = sorted(self.partitions.intersection(partitions))
        self.partitions.difference_update(lost)
        for partition in lost:
            self._dead_letters.release(partition)
        for run in self._all_runs():
            run.release(lost, self._term or 0)

    def step(self, timeout_s: float) -> None:
        """Do one round for every epoch held; waits up to the timeout for something to do.

        Raises:
            Interrupted: the layer was asked to stop while records waited.
            Stop: somebody has to act.
        """
        self._coming.look()
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
            self._confirm()

    def _work(self, timeout_s: float) -> None:
        if not self.runs or self._dead_letters.behind(self.runs[0].positions):
            self._scan_dead_letters(0.0 if self.runs else timeout_s)
            return
        self._dead_letters.rest()
        alone = len(self.runs) == 1
        for run in list(self.runs):
            busy = run.phase is not Phase.FOLLOW or not alone
            self._advance(run, 0.0 if run.busy else min(timeout_s, 0.005) if busy else timeout_s)
        self._retire()
        self._checkpoints.step(self.runs)
        self._stepped_at = self._clock.monotonic()

    @property
    def trouble(self) -> str | None:
        """Why the newest generation could not be loaded; None where nothing is wrong."""
        return self._coming.trouble

    @property
    def _is_alone(self) -> bool:
        """Whether the loop has one epoch of all partitions, and nobody else can be kept waiting."""
        return len(self.runs) == 1 and len(self.partitions) == self._topics.input_partitions

    @property
    def announced_epochs(self) -> frozenset[int]:
        """Epochs for which this process has sent ``PROGRESS``."""
        return frozenset(self._announced_at)

    def waiting_for(self) -> list[str]:
        """Say what readiness waits for; empty where the newest epoch is followed live."""
        coming = self._coming
        reasons = [coming.trouble] if coming.trouble else []
        silent_s = self._clock.monotonic() - self._stepped_at
        if silent_s > self._limits.patience_s:
            reasons.append(f"nothing was done for {silent_s:.0f} s: Kafka does not answer, or there is much to solve")
        if coming.loading is not None:
            reasons.append(f"loading generation {coming.loading}")
        if self._next is not None:
            reasons.append(f"epoch {self._next.started.epoch}: waiting for the end of an earlier change of epoch")
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
        except BrokerUnavailable as unavailable:
            log.warning("dead_letter_position_not_committed", reason=str(unavailable))
        self._told.close()
        self._dead_letters.close()
        self._checkpoints.close(wait=not lost)
        for run in self._all_runs():
            run.close()

    def _advance(self, run: EpochRun, timeout_s: float) -> None:
        target, limits = self._target(run), self._limits
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
        self._deliver(letters, tell(run, updates, self._outbox, self._topics, self._term))
        if first:
            self._dead_letters.advance(run.positions)
        if run.phase is Phase.FOLLOW:
            self._announce(run)
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

    def _announce(self, run: EpochRun) -> None:
        """Send ``PROGRESS``, if there is something to say or a second has passed without."""
        epoch, now = run.started.epoch, self._clock.monotonic()
        target, said = self._target(run), dict(run.said)
        for partition, position in said.items():
            if position >= target.get(partition, 0):
                run.live.add(partition)
        idle = said == run.announced and epoch in self._announced_at
        if idle and now - self._announced_at[epoch] < self._limits.idle_progress_s:
            return
        live = {partition: partition in run.live for partition in said}
        # The next micro-batch need not wait for the acknowledgement: said later, or twice, it says the same.
        self._outbox.post(
            progress_records(epoch, said, live, self._topics.update, self._topics.update_partitions, self._term)
        )
        run.announced = said
        self._announced_at[epoch] = now
        if all(live.values()) and epoch not in self._live_at:
            self._live_at[epoch] = now
            log.info("epoch_live", epoch=epoch, generation=run.started.generation)

    def _target(self, run: EpochRun) -> Mapping[int, int]:
        """Return what this run has to reach to be live: the older epoch's positions, else the input's end at first.

        Raises:
            BrokerUnavailable: the end cannot be looked up now.
        """
        if run is not self.runs[0]:
            return self.runs[0].horizon
        epoch = run.started.epoch
        if epoch not in self._replay_targets:
            self._replay_targets[epoch] = dict(run.positions) if run.live else self._input_end()
        return self._replay_targets[epoch]

    def _load(
        self, load: Callable[[EpochStarted, Repeats | None], "Future[EpochRun]"], started: EpochStarted
    ) -> "Future[EpochRun]":
        known = self.runs[0].repeats.copy(self.runs[0].positions) if self.runs else None
        return load(started, known)

    def _all_runs(self) -> list[EpochRun]:
        return [*self.runs, *([] if self._next is None else [self._next])]

    def _adopt(self) -> None:
        """Follow a generation that is loaded as soon as there is room for it; a newer one takes its place until then.

        Raises:
            LogGap: a topic no longer has what others said of it.
        """
        run = self._coming.take()
        if run is not None:
            lost = set(run.positions) - self.partitions
            if lost:
                run.release(sorted(lost), self._term or 0)
            if self._next is not None:
                self._next.close()
            self._next = run
        if self._next is None:
            return
        kept = kept_beside(self.runs, range(self._topics.input_partitions))
        if kept is None:
            return
        for held in self.runs:
            if held not in kept:
                held.close()
                log.info("epoch_left", epoch=held.started.epoch)
        self.runs, self._next = [*kept, self._next], None
        self._told.epoch = self.runs[-1].started.epoch

    def _scan_dead_letters(self, timeout_s: float) -> None:
        letters, positions = self._dead_letters.scan(self._limits.max_batch_records, timeout_s)
        self._deliver(letters, [])
        self._dead_letters.advance(positions)

    def _retire(self) -> None:
        """Leave the older epoch when the newer has been live for so long that no replica serves the older."""
        if len(self.runs) < 2:
            return
        newest = self.runs[-1]
        if newest.is_live_everywhere(range(self._topics.input_partitions)):
            self._live_everywhere_at.setdefault(newest.started.epoch, self._clock.monotonic())
        live_at = self._live_everywhere_at.get(newest.started.epoch)
        if live_at is not None and self._clock.monotonic() - live_at >= self._limits.epoch_overlap_s:
            old = self.runs.pop(0)
            self._replay_targets[self.runs[0].started.epoch] = dict(self.runs[0].positions)
            old.close()
            log.info("epoch_left", epoch=old.started.epoch)
