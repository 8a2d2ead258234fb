"""Running several programs as one: start in order, restart what dies, stop in reverse order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oryx_py.errors import NotReady
from oryx_py.local.child import Child, RunningChild, Show, in_words

__all__ = ["BackOff", "Supervisor", "Wait"]

_POLL_S = 0.1
_LEAST_GRACE_S = 0.2

Wait = Callable[[float], bool]
"""Waits so many seconds at most and returns whether it is time to stop, as ``threading.Event.wait`` does."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait before a restart; a child that ran for ``forgive_after_s`` begins anew."""

    first_s: float = 1.0
    factor: float = 2.0
    longest_s: float = 30.0
    forgive_after_s: float = 60.0

    def delay_s(self, failures: int) -> float:
        """Return the wait after this many ends in a row, from 1."""
        exponent = min(failures - 1, 64)  # far beyond longest_s, and no overflow
        return float(min(self.longest_s, self.first_s * self.factor**exponent))


@dataclass(slots=True)
class _Tended:
    child: Child
    running: RunningChild | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float = 0.0


class Supervisor:
    """Runs ``children`` until it is time to stop.

    Args:
        children: in the order of starting; names are unique.
        show: gets the children's output, line by line, from a thread of each.
        say: gets what happens to a child, in words.
        back_off: the waits before restarts.
        grace_s: for stopping all of them; who has not ended by then is killed.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        show: Show,
        say: Show,
        back_off: BackOff = BackOff(),
        grace_s: float = 20.0,
    ) -> None:
        self._tended = [_Tended(child) for child in children]
        self._show = show
        self._say = say
        self._back_off = back_off
        self._grace_s = grace_s

    @property
    def pids(self) -> dict[str, int]:
        """The processes that were running at the last look, by name."""
        return {each.child.name: each.running.pid for each in self._tended if each.running}

    def run(self, wait: Wait, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start all, call ``on_ready``, keep them running until ``wait`` says to stop, and stop all.

        Call it in a thread that lives as long as the children should: the main thread, as a rule. Whatever it raises,
        nothing is left running.

        Raises:
            NotReady: a child was not ready in its time.
        """
        try:
            if all(self._start(each, wait) for each in self._tended):
                on_ready()
                while not wait(_POLL_S):
                    self._tend()
        finally:
            self._stop()

    def _start(self, each: _Tended, wait: Wait) -> bool:
        """Start a child and return when it is ready; False if it is time to stop before that."""
        child = each.child
        self._launch(each)
        deadline = time.monotonic() + child.ready_timeout_s
        while child.ready is not None and not child.ready():
            if wait(_POLL_S):
                return False
            self._tend()
            if time.monotonic() >= deadline:
                raise NotReady(f"{child.name} was not ready within {child.ready_timeout_s:.0f} s: its output says why")
        return True

    def _launch(self, each: _Tended) -> None:
        each.running = RunningChild(each.child, self._show)
        each.started = time.monotonic()

    def _tend(self) -> None:
        """Notice who has ended, and restart those whose wait is over."""
        for each in self._tended:
            now = time.monotonic()
            if each.running is not None:
                code = each.running.wait()
                if code is not None:
                    self._plan_restart(each, code, now)
            elif each.failures and now >= each.restart_at:
                self._launch(each)
                self._say(each.child.name, "started again")

    def _plan_restart(self, each: _Tended, code: int, now: float) -> None:
        each.running = None
        lasted_s = now - each.started
        each.failures = 1 if lasted_s >= self._back_off.forgive_after_s else each.failures + 1
        delay_s = self._back_off.delay_s(each.failures)
        each.restart_at = now + delay_s
        self._say(each.child.name, f"{in_words(code)} after {lasted_s:.0f} s; starting it again in {delay_s:g} s")

    def _stop(self) -> None:
        """Stop in reverse order; each gets its share of the time left, so one that hangs leaves some to others."""
        deadline = time.monotonic() + self._grace_s
        running = [(each.child.name, each.running) for each in self._tended if each.running]
        try:
            for left in range(len(running), 0, -1):
                name, child = running[left - 1]
                share_s = max(_LEAST_GRACE_S, (deadline - time.monotonic()) / left)
                if not child.stop(share_s):
                    self._say(name, f"did not stop within {share_s:.0f} s and was killed")
        except BaseException:
            for _, child in running:
                child.stop(0)
            raise
        finally:
            for each in self._tended:
                each.running = None
