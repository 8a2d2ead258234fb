"""The epochs that are followed: which there are, what each has to reach, and when one is left for the next."""

from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from oryx_py.ports import Clock
from speed_layer.epochs.retention import kept_beside
from speed_layer.epochs.run import EpochRun

__all__ = ["HeldEpochs"]

log = structlog.get_logger("speed")


class HeldEpochs:
    """At most two epochs, and one that is loaded and waits for room; the layer's thread alone changes them.

    Args:
        runs: the epochs to begin with, oldest first.
        partitions: of the input topic.
        input_end: looks up the input topic's end offsets.
        overlap_s: for so long the newer one has been live everywhere when the older is left.
        clock: for that.
    """

    def __init__(
        self,
        runs: Sequence[EpochRun],
        *,
        partitions: Collection[int],
        input_end: Callable[[], Mapping[int, int]],
        overlap_s: float,
        clock: Clock,
    ) -> None:
        self.runs = list(runs)
        """Oldest first."""
        self.waiting: EpochRun | None = None
        """Loaded, and not followed before there is room for it."""
        self._partitions, self._input_end, self._overlap_s, self._clock = partitions, input_end, overlap_s, clock
        self._replay_targets: dict[int, Mapping[int, int]] = {}
        self._live_everywhere_at: dict[int, float] = {}

    def all(self) -> list[EpochRun]:
        """Return those that are followed and the one that waits."""
        return [*self.runs, *([] if self.waiting is None else [self.waiting])]

    def put(self, run: EpochRun) -> None:
        """Let an epoch that is loaded wait for room, in the place of one that does."""
        if self.waiting is not None:
            self.waiting.close()
        self.waiting = run

    def adopt(self) -> bool:
        """Follow the epoch that waits if there is room for it; say whether it is followed now.

        Raises:
            LogGap: a topic no longer has what others said of it.
        """
        if self.waiting is None:
            return False
        kept = kept_beside(self.runs, self._partitions)
        if kept is None:
            return False
        for held in self.runs:
            if held not in kept:
                held.close()
                log.info("epoch_left", epoch=held.started.epoch)
        self.runs, self.waiting = [*kept, self.waiting], None
        self._forget_left()
        return True

    def retire(self) -> None:
        """Leave the older epoch when the newer has been live for so long that no replica serves the older."""
        if len(self.runs) < 2:
            return
        newest = self.runs[-1]
        if newest.is_live_everywhere(self._partitions):
            self._live_everywhere_at.setdefault(newest.started.epoch, self._clock.monotonic())
        live_at = self._live_everywhere_at.get(newest.started.epoch)
        if live_at is not None and self._clock.monotonic() - live_at >= self._overlap_s:
            old = self.runs.pop(0)
            self._replay_targets[self.runs[0].started.epoch] = dict(self.runs[0].positions)
            old.close()
            log.info("epoch_left", epoch=old.started.epoch)
            self._forget_left()

    def target(self, run: EpochRun) -> Mapping[int, int]:
        """Return what a run has to reach to be live: the older epoch's positions, else the input's end at first.

        Raises:
            BrokerUnavailable: the end cannot be looked up now.
        """
        if run is not self.runs[0]:
            return self.runs[0].horizon
        epoch = run.started.epoch
        if epoch not in self._replay_targets:
            self._replay_targets[epoch] = dict(run.positions) if run.live else self._input_end()
        return self._replay_targets[epoch]

    def _forget_left(self) -> None:
        followed = {run.started.epoch for run in self.runs}
        for of_epochs in (self._replay_targets, self._live_everywhere_at):
            for epoch in of_epochs.keys() - followed:
                del of_epochs[epoch]
