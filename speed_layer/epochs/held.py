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
        """Leave what was passed over, and follow the epoch that waits if there is room; say whether it is followed now.

        Raises:
            LogGap: a topic no longer has what others said of it.
        """
        self._leave_passed_over()
        if self.waiting is None:
            return False
        kept = kept_beside(self.runs, self._partitions)
        if kept is None:
            return False
        self.runs, left, self.waiting = [*kept, self.waiting], [run for run in self.runs if run not in kept], None
        self._close(left)
        return True

    def may_announce(self, run: EpochRun) -> bool:
        """Say whether a run that follows the input may be announced now.

        Where others share the input, the newer only when the older has been announced live: who hears of the newer
        alone takes the older for passed over, and leaves it.
        """
        return run is self.runs[0] or not run.is_shared or self.runs[0].is_live

    def retire(self) -> None:
        """Leave the older epoch when the newer has been live for so long that no replica serves the older."""
        if len(self.runs) < 2:
            return
        newest = self.runs[-1]
        if newest.is_live_everywhere(self._partitions):
            self._live_everywhere_at.setdefault(newest.started.epoch, self._clock.monotonic())
        live_at = self._live_everywhere_at.get(newest.started.epoch)
        if live_at is not None and self._clock.monotonic() - live_at >= self._overlap_s:
            self._replay_targets[newest.started.epoch] = dict(newest.positions)
            self._close([self.runs.pop(0)])

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

    def _leave_passed_over(self) -> None:
        """Leave an older epoch that former owners passed over, as a start may find it: others have left it, too."""
        if len(self.runs) == 2 and self.runs[1].is_shared:
            older, newer = self.runs
            if (newer.live - older.live).intersection(newer.positions):
                self._close([self.runs.pop(0)])

    def _close(self, left: Sequence[EpochRun]) -> None:
        for run in left:
            run.close()
            log.info("epoch_left", epoch=run.started.epoch)
        followed = {run.started.epoch for run in self.runs}
        for of_epochs in (self._replay_targets, self._live_everywhere_at):
            for epoch in of_epochs.keys() - followed:
                del of_epochs[epoch]
