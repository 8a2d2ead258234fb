"""Runs again and again: at an interval, with patience for what passes, until asked to stop."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from batch_layer.engine import Cancelled
from batch_layer.run.steps import Outcome
from batch_layer.telemetry.metrics import Metrics
from oryx_py.errors import NoRoom, Transient
from oryx_py.ports import Clock

__all__ = ["ATTEMPTS_ONCE", "patiently", "repeat"]

T = TypeVar("T")

log = structlog.get_logger("batch")

Wait = Callable[[float], bool]
"""Waits this many seconds; True as soon as the process is asked to stop."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
ATTEMPTS_ONCE = 4
"""Of a single run, each of which waits for the broker by itself; an endless one never gives up."""


def repeat(
    run: Callable[[bool], Outcome], *, force: bool, interval_s: float, clock: Clock, wait: Wait, metrics: Metrics
) -> None:
    """Begin a run every ``interval_s``, or when the one before has ended, until asked to stop.

    Args:
        run: one run of the protocol, told whether it is forced.
        force: whether the first one is.
        interval_s: from the start of a run to the start of the next.
        clock: for the interval.
        wait: for the pauses.
        metrics: counts what failed.

    Raises:
        Stop, UserError: somebody has to act; but where there is no room for now, the next run tries again.
    """
    while True:
        began, without = clock.monotonic(), ""
        try:
            if patiently(partial(run, force), wait=wait, metrics=metrics) is None:
                return
            force = False
        except NoRoom as trouble:
            metrics.failure()
            without = str(trouble)
        seconds = clock.monotonic() - began
        pause_s = max(0.0, interval_s - seconds)
        if without:
            pause_s = max(pause_s, FIRST_PAUSE_S)
            log.warning("run_failed", reason=without, again_in_s=pause_s)
        metrics.run_ended(now_ms=clock.now_ms(), seconds=seconds, next_in_s=pause_s)
        if wait(pause_s):
            return


def patiently(run: Callable[[], T], *, wait: Wait, metrics: Metrics, attempts: int | None = None) -> T | None:
    """Do something, again after a pause where broker or store did not answer; None if asked to stop.

    The pauses double up to a minute.

    Args:
        run: one run of the protocol, or what comes before it.
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
