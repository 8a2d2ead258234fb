"""The speed layer's loop on the models of an Oryx 2 batch layer.

Each step, where a model is loaded and no newer one has come:

1. read the update topic, at least up to what this process itself has sent;
2. read what has come on the input topic, and fold it by Oryx's rule;
3. send dead letters and updates, and wait for their acknowledgement;
4. commit the input's positions under the group's name.

There is no registry, no history, no ``PROGRESS``: what is sent counts from the moment when it is in the topic. Killed
in 3, or after it before 4 is done, the next start takes the steps of that micro-batch again; none is ever left out. The
input begins at the group's position, the first time at its end (`positions_kept`). While a model is loaded the input
waits, to be folded into that one; what was folded into the one before, and came too late for its training, is lost with
it, as in Oryx 2.
"""

from collections.abc import Mapping, Sequence

import structlog

from oryx_py.errors import BadInteraction, BrokerUnavailable
from oryx_py.events import parse_value
from oryx_py.messages import Update
from oryx_py.ports import Clock, Consumer, Outgoing, Record, TopicAdmin
from speed_layer.limits import Limits, Topics
from speed_layer.oryx2.model import Oryx2Model
from speed_layer.oryx2.model_manager import Oryx2ModelManager
from speed_layer.oryx2.positions import positions_kept
from speed_layer.publishing.dead_letters import KEEP_S
from speed_layer.publishing.outbox import Outbox
from speed_layer.publishing.records import dead_letter, stamped, update_records
from speed_layer.telemetry.lag import LagWatch
from speed_layer.telemetry.metrics import Metrics

__all__ = ["Oryx2SpeedLayer"]

log = structlog.get_logger("speed")


class Oryx2SpeedLayer:
    """Owns the input's positions; one thread calls `step` again and again.

    Args:
        topics: names and sizes.
        limits: bounds and intervals.
        dead_letter_topic: where unreadable records go.
        models: which one to fold into.
        interactions: consumer of the input topic, of the group.
        admin: for the topics' ends.
        outbox: where records go.
        clock: for intervals.
        metrics: what is counted.

    Raises:
        BrokerUnavailable: the positions cannot be had now.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        limits: Limits,
        dead_letter_topic: str,
        models: Oryx2ModelManager,
        interactions: Consumer,
        admin: TopicAdmin,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._topics = topics
        self._limits = limits
        self._dead_letter_topic = dead_letter_topic
        self._models = models
        self._interactions = interactions
        self._admin = admin
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._told = metrics.gauges.layer()
        self._lag = LagWatch(self._told, clock)
        self._sent_until: Mapping[int, int] | None = {}
        """By update partition, where what was sent ends; None until that is looked up."""
        self._stepped_at = self._all_committed_at = clock.monotonic()
        self.committed = positions_kept(interactions, topics.input, admin)
        """By input partition: the next offset to fold, as the group has it."""
        self._done = self.committed
        """Below which everything is sent and acknowledged: what is read and was not must not be committed."""
        interactions.assign({(topics.input, partition): offset for partition, offset in self.committed.items()})

    def step(self, timeout_s: float) -> None:
        """Do one round; waits up to the timeout for something to do.

        Raises:
            Interrupted: the layer was asked to stop while records waited.
            Stop: somebody has to act.
        """
        try:
            model = self._models.choose()
            if model is None:
                self._clock.sleep(timeout_s)
            elif self._read_updates(model, timeout_s) and not self._models.is_outdated():
                self._follow(model, timeout_s)
            if self._clock.monotonic() - self._all_committed_at >= KEEP_S:
                self._commit()
            self._stepped_at = self._clock.monotonic()
        except BrokerUnavailable as trouble:
            # Only looking something up ends so; what was sent and not looked up yet is looked up in the next step.
            log.warning("broker_unavailable", reason=str(trouble))

    @property
    def model(self) -> Oryx2Model | None:
        """The model followed, None while there is none."""
        return self._models.followed

    def waiting_for(self) -> list[str]:
        """Say what readiness waits for; empty where a model is followed."""
        silent_s = self._clock.monotonic() - self._stepped_at
        if silent_s > self._limits.patience_s:
            return [f"nothing was done for {silent_s:.0f} s: Kafka does not answer, or there is much to solve"]
        return self._models.waiting_for()

    def close(self) -> None:
        """Commit the positions of what is done, and give the consumers back."""
        self._commit()
        self._interactions.close()
        self._models.close()

    def _read_updates(self, model: Oryx2Model, timeout_s: float) -> bool:
        """Apply what has come; say whether everything that was sent is among it."""
        if self._sent_until is None:
            self._sent_until = self._admin.end_offsets(self._topics.update)
        return model.read(self._sent_until, timeout_s)

    def _follow(self, model: Oryx2Model, timeout_s: float) -> None:
        events = self._interactions.poll(self._limits.max_batch_records, timeout_s)
        records = [event for event in events if isinstance(event, Record)]
        self._lag.begin(records)
        if records:
            self._work(model, records)
        self._done = {partition: offset for (_, partition), offset in self._interactions.positions().items()}
        if records:
            self._commit()
        self._lag.done(records, self.committed, self._ends)

    def _ends(self) -> dict[int, int]:
        return {partition: offset for (_, partition), offset in self._interactions.ends().items()}

    def _work(self, model: Oryx2Model, records: Sequence[Record]) -> None:
        with self._metrics.solve_seconds.time():
            letters, updates = self._fold(model, records)
        topics, outgoing = self._topics, list(letters)
        for update in updates:
            outgoing += update_records(update, topics.update, topics.update_partitions, topics.max_record_bytes)
        self._sent_until = None
        self._outbox.deliver(outgoing)
        self._told.epoch = model.fold.state.epoch
        self._metrics.dead_letters.inc(len(letters))
        self._metrics.observe_batch(records, updates, self._clock.now_ms())

    def _fold(self, model: Oryx2Model, records: Sequence[Record]) -> tuple[list[Outgoing], list[Update]]:
        letters: list[Outgoing] = []
        times_ms: dict[str, int] = {}
        model.fold.begin()
        for record in records:
            try:
                # From whichever partition: Oryx 2's producers do not spread records by the user alone.
                interaction = parse_value(record.value)
            except BadInteraction as bad:
                letters.append(dead_letter(record, bad.reason, self._dead_letter_topic))
            else:
                model.fold.add(interaction)
                if record.timestamp_ms >= 0:
                    times_ms[interaction.user] = record.timestamp_ms
        return letters, stamped(model.fold.flush(), times_ms)

    def _commit(self) -> None:
        positions, now = self._done, self._clock.monotonic()
        all_ = now - self._all_committed_at >= KEEP_S
        due = {(self._topics.input, p): o for p, o in positions.items() if all_ or o != self.committed.get(p)}
        if due:
            try:
                self._interactions.commit(due)
            except BrokerUnavailable as trouble:
                # Steps would be taken again after a crash; the next micro-batch commits for this one, too.
                log.warning("positions_not_committed", reason=str(trouble))
            else:
                self.committed = positions
                self._all_committed_at = now if all_ else self._all_committed_at
