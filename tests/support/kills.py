"""kill -9 of speed, serving and broker while people write and read, and what that did to the answers.

Every interaction posted has a strength that no other has, so that the input topic says of each whether it is there, and
how often. In the end every user's known items and scores are compared with NumPy's recomputation from the topic: where
they agree, all that is in the topic counts once.
"""

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self, get_args

import numpy as np

from oryx_py.local.broker import EmbeddedBroker
from tests.support.answers import compared_answers, input_log
from tests.support.system import System

__all__ = ["KILLABLE", "Killable", "Kills", "Outcome", "Traffic", "history", "outcome", "tallied", "unlike_any_other"]

Killable = Literal["speed", "serving", "broker"]
KILLABLE: Final[tuple[Killable, ...]] = get_args(Killable)

_COMMANDS: Final = {"speed": "speed", "serving": "serve"}
_PATIENCE_S: Final = 120.0
_PAUSE_S: Final = 0.01
_NUMBERS: Final = itertools.count(1)
"""Of interactions; the process's, so that no two are alike whoever posts them."""


class Traffic:
    """People who post through ``/pref`` and ``/ingest``, take some of it back, and read; each in a thread of their own.

    Args:
        system: runs, with a generation.
        users, items: half of each are new to the generation, which has the other half as ``u0`` … and ``i0`` ….
        writers, readers: threads; each waits a little after an answer.
        seed: of what they do.
    """

    def __init__(self, system: System, *, users: int, items: int, writers: int, readers: int, seed: int) -> None:
        self._system = system
        self._users, self._items = users, items
        self._lock = threading.Lock()
        self.acknowledged: set[float] = set()
        """Strengths of interactions whose writing was answered by a 2xx."""
        self.attempts = 0
        self.reads = 0
        self.failed_reads: list[str] = []
        """While the serving layer was meant to run."""
        self.serving_is_down = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, args=(np.random.default_rng([seed, number]),), daemon=True)
            for number, work in enumerate([self._write] * writers + [self._read] * readers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def seen(self) -> bool:
        """Post one interaction, and say whether it was acknowledged and is in an answer afterwards."""
        strength = self._strengths(1)[0]
        try:
            posted = self._system.request("POST", "/pref/u0/i0", f"{strength}".encode(), Content_Type="text/plain")
            if posted.status != 204:
                return False
            self._count([strength])
            return self._system.get(f"/knownItems/u0?after={posted.offset}").status == 200
        except OSError:
            return False

    def _write(self, rng: np.random.Generator) -> None:
        while not self._stop.wait(_PAUSE_S):
            lines = 1 if (draw := rng.random()) < 0.7 else int(rng.integers(2, 20))
            strengths = self._strengths(lines)
            pairs = [(f"u{rng.integers(self._users)}", f"i{rng.integers(self._items)}") for _ in strengths]
            user, item = pairs[0]
            try:
                if draw < 0.05:
                    self._system.request("DELETE", f"/pref/{user}/{item}")
                    continue
                if lines == 1:
                    body = f"{strengths[0]}".encode()
                    answer = self._system.request("POST", f"/pref/{user}/{item}", body, Content_Type="text/plain")
                else:
                    body = "\n".join(f"{u},{i},{s}" for (u, i), s in zip(pairs, strengths, strict=True)).encode()
                    answer = self._system.request("POST", "/ingest", body, Content_Type="text/csv")
            except OSError:  # it may be stored or not
                continue
            if answer.status == 204:
                self._count(strengths)

    def _read(self, rng: np.random.Generator) -> None:
        while not self._stop.wait(_PAUSE_S):
            path = f"/recommend/u{rng.integers(self._users // 2)}?howMany=5"
            was_down = self.serving_is_down.is_set()
            try:
                answer = self._system.get(path)
                trouble = "" if answer.status in {200, 404} else f"{path}: {answer.status} {answer.body!r}"
            except OSError as error:
                trouble = f"{path}: {error!r}"
            self.reads += 1
            if trouble and not was_down and not self.serving_is_down.is_set():
                self.failed_reads.append(trouble)

    def _strengths(self, count: int) -> list[float]:
        with self._lock:
            self.attempts += count
            return [unlike_any_other(next(_NUMBERS)) for _ in range(count)]

    def _count(self, strengths: list[float]) -> None:
        with self._lock:
            self.acknowledged.update(strengths)


def unlike_any_other(number: int) -> float:
    """Return the strength of the so-manieth interaction: exact in binary and in digits, and never whole."""
    return 1 + (2 * number + 1) / 2048


def history(users: int, items: int, seed: int) -> str:
    """Return lines of what the first half of the users did with the first half of the items, of whole strengths."""
    rng = np.random.default_rng(seed)
    return "\n".join(
        f"u{user},i{item},{rng.integers(1, 4)}"
        for user in range(users // 2)
        for item in rng.choice(items // 2, 8, replace=False)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is in the topic and in the answers in the end.

    ``missing``: acknowledged, and not in the topic; ``doubled``: there twice or more; ``wrong``: what differs between
    answers and the recomputation, in words.
    """

    attempts: int
    acknowledged: int
    stored: int
    missing: int
    doubled: int
    users: int
    wrong: list[str] = field(default_factory=list)


class Kills:
    """Kills one process after another, and starts each again at once.

    Args:
        system: whose ``speed`` and ``serve`` run.
        broker: its broker.
        traffic: under way.
    """

    def __init__(self, system: System, broker: EmbeddedBroker, traffic: Traffic) -> None:
        self._system, self._broker, self._traffic = system, broker, traffic

    def kill(self, who: Killable, again_after_s: float | None = None) -> float:
        """Kill it and start it; return the seconds until an interaction posted since is in an answer.

        With ``again_after_s`` it is killed once more so long after it was started, wherever it is by then.
        """
        if who == "serving":
            self._traffic.serving_is_down.set()
        self._kill(who)
        killed_at = time.monotonic()
        self._start(who)
        if again_after_s is not None:
            time.sleep(again_after_s)
            self._kill(who)
            killed_at = time.monotonic()
            self._start(who)
        while not self._traffic.seen():
            assert time.monotonic() < killed_at + _PATIENCE_S, f"{who} does not come back"
            time.sleep(0.02)
        self._traffic.serving_is_down.clear()
        return time.monotonic() - killed_at

    def _kill(self, who: Killable) -> None:
        if who != "broker":
            self._system.kill(_COMMANDS[who])
            return
        assert self._broker.process is not None
        os.kill(self._broker.process.pid, signal.SIGKILL)
        self._broker.process.wait()

    def _start(self, who: Killable) -> None:
        if who == "broker":
            self._broker.start(timeout_s=_PATIENCE_S)
        else:
            self._system.start(_COMMANDS[who])


def outcome(system: System, traffic: Traffic) -> Outcome:
    """Compare the topic with what was acknowledged, and the answers with the topic; nobody may write any more."""
    log = list(input_log(system))
    stored, missing, doubled = tallied(traffic.acknowledged, (told.strength for _, told in log))
    rest, wrong = compared_answers(system, log)
    return Outcome(
        attempts=traffic.attempts,
        acknowledged=len(traffic.acknowledged),
        stored=stored,
        missing=missing,
        doubled=doubled,
        users=len(rest.pairs),
        wrong=wrong,
    )


def tallied(acknowledged: Set[float], strengths: Iterable[float | None]) -> tuple[int, int, int]:
    """Return how many interactions are stored, how many of those acknowledged are not, and how many are there twice.

    ``strengths`` of the topic's records; whole ones are those of the history, None is a delete's.
    """
    stored = Counter(strength for strength in strengths if strength is not None and strength % 1)
    return len(stored), len(acknowledged - stored.keys()), sum(count > 1 for count in stored.values())
