"""Shows how far a run is: one live line on a terminal, events in the log elsewhere, and gauges."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from batch_layer.telemetry.metrics import Metrics
from batch_layer.telemetry.progress import Progress
from batch_layer.telemetry.progress_text import fields_of, left_s, line_of
from oryx_py.ports import Clock
from oryx_py.runtime.telemetry import logged_through

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

__all__ = ["ProgressDisplay"]

log = structlog.get_logger("batch")

_EVENT_S = 10.0
"""From one event of a step to the next."""


class ProgressDisplay:
    """Takes the reports of a run from any thread, and shows some of them.

    Args:
        metrics: has every report.
        clock: reckons the time left.
        stream: where the line goes if it is a terminal; standard error if not given.
    """

    def __init__(self, metrics: Metrics, clock: Clock, stream: TextIO | None = None) -> None:
        self._metrics, self._clock = metrics, clock
        self._stream = sys.stderr if stream is None else stream
        self._lock = threading.Lock()
        self._step = ""
        self._first: tuple[float, float] | None = None
        self._event_at = 0.0
        self._bars: Bars | None = None

    def report(self, progress: Progress) -> None:
        """Take one report."""
        with self._lock:
            now, begins = self._clock.monotonic(), progress.step != self._step
            if begins:
                self._step, self._first, self._event_at = progress.step, None, now
            left = progress.left_s if progress.left_s is not None else self._reckoned(progress, now)
            self._metrics.progress(progress, left)
            if self._bars is not None:
                self._draw(self._bars, progress, left)
            elif begins or now - self._event_at >= _EVENT_S:
                self._event_at = now
                log.info("progress", step=progress.step, **fields_of(progress, left))

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show what is reported within."""
        with ExitStack() as undo:
            undo.callback(self._over)
            if self._stream.isatty():
                self._bars = undo.enter_context(_bars(self._stream))
                undo.enter_context(logged_through(_above(self._bars, self._stream)))
            yield

    def _over(self) -> None:
        with self._lock:
            self._bars, self._step = None, ""
            self._metrics.at_rest()

    def _reckoned(self, progress: Progress, now: float) -> float | None:
        if progress.fraction is None:
            return None
        self._first = self._first or (now, progress.fraction)
        return left_s(self._first, (now, progress.fraction))

    def _draw(self, bars: "Bars", progress: Progress, left: float | None) -> None:
        line = line_of(progress, left)
        for task in bars.tasks:
            bars.update(
                task.id,
                description=progress.step,
                total=None if progress.fraction is None else 1.0,
                completed=progress.fraction or 0.0,
                told=line,
            )


@contextmanager
def _bars(stream: TextIO) -> Iterator["Bars"]:
    """One line that shows the present step, and goes away with the run."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[told]}", markup=False),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(file=stream, highlight=False), transient=True) as bars:
        bars.add_task("begin", total=None, told="")
        yield bars


def _above(bars: "Bars", stream: TextIO) -> TextIO:
    """Return a stream whose lines appear above the live one."""
    from rich.file_proxy import FileProxy

    return cast("TextIO", FileProxy(bars.console, stream))
