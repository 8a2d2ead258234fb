"""Runs again and again: at an interval, with patience for what passes, until asked to stop."""

from collections.abc import Callable

import structlog

from batch_layer.engine import Cancelled
from batch_layer.layer import Outcome
from batch_layer.metrics import Metrics
from oryx_py.errors import Transient
from oryx_py.ports import Clock

__all__ = ["repeat", "run_patiently"]

log = structlog.get_logger("batch")

Wait = Callable[[float], bool]
"""Waits this many seconds; True as soon as the process is asked to stop."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
ATTEMPTS_ONCE = 6
"""A single run is tried for half a minute before it fails; an endless one never gives up."""


def repeat(run: Callable[[], Outcome], *, interval_s: float, clock: Clock, wait: Wait, metrics: Metrics) -> None:
    """Begin a run every ``interval_s``, or when the one before has ended, until asked to stop.

    Raises:
        Stop, UserError: somebody has to act.
    """
    while True:
        began = clock.monotonic()
        if run_patiently(run, wait=wait, metrics=metrics) is None:
            return
        if wait(max(0.0, interval_s - (clock.monotonic() - began))):
            return


def run_patiently(
    run: Callable[[], Outcome], *, wait: Wait, metrics: Metrics, attempts: int | None = None
) -> Outcome | None:
    """Do one run, again after a pause where broker or store did not answer; None if asked to stop.

    The pauses double up to a minute.

    Args:
        run: one run of the protocol.
        wait: for the pauses.
        metrics: counts what failed.
        attempts: how many there are; None: no end to them.

    Raises:
        Transient: the last attempt's.
        Stop, UserError: somebody has to act.
    """
    failed = 0
    while not wait(0.0):
        try:
            return run()
        except Cancelled:
            log.info("run_stopped")
            return None
        except Transient as trouble:
            failed += 1
            metrics.failure()
            if failed == attempts:
                raise
            pause_s = min(FIRST_PAUSE_S * 2 ** (failed - 1), LONGEST_PAUSE_S)
            log.warning("run_failed", reason=str(trouble), again_in_s=pause_s)
            if wait(pause_s):
                return None
    return None
