"""Announces how far an epoch is: ``PROGRESS``, and which input partitions are live."""

from collections.abc import Mapping

import structlog

from oryx_py.ports import Clock
from speed_layer.epochs.run import EpochRun
from speed_layer.limits import Topics
from speed_layer.publishing.outbox import Outbox
from speed_layer.publishing.records import progress_records

__all__ = ["Announcer"]

log = structlog.get_logger("speed")


class Announcer:
    """Speaks for the epochs that are followed; the layer's thread alone calls it.

    Args:
        topics: names and sizes.
        outbox: where to.
        term: with which it is signed; None for none.
        idle_s: so long nothing is said where there is nothing new.
        clock: for that.
    """

    def __init__(self, topics: Topics, outbox: Outbox, term: int | None, idle_s: float, clock: Clock) -> None:
        self._topics, self._outbox, self._term, self._idle_s, self._clock = topics, outbox, term, idle_s, clock

    def announce(self, run: EpochRun, target: Mapping[int, int]) -> None:
        """Send ``PROGRESS`` of what is acknowledged, if there is something new or the last is long ago.

        Args:
            run: of the epoch; changed by what is said of it.
            target: by input partition, what it has to reach to be live.
        """
        epoch, now = run.started.epoch, self._clock.monotonic()
        said = dict(run.said)
        for partition, position in said.items():
            if position >= target.get(partition, 0):
                run.live.add(partition)
        last = run.announced_at
        if said == run.announced and last is not None and now - last < self._idle_s:
            return
        live = {partition: partition in run.live for partition in said}
        # The next micro-batch need not wait for the acknowledgement: said later, or twice, it says the same.
        self._outbox.post(
            progress_records(epoch, said, live, self._topics.update, self._topics.update_partitions, self._term)
        )
        run.announced, run.announced_at = said, now
        if all(live.values()) and not run.said_live:
            run.said_live = True
            log.info("epoch_live", epoch=epoch, generation=run.started.generation)
