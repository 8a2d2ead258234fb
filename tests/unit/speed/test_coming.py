"""Looking for the next epoch."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import StoreUnavailable
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry
from oryx_py.ports.store import Commit
from oryx_py.testing.memory_log import MemoryCommitLog
from speed_layer.epochs.next_epoch import NextEpoch
from speed_layer.epochs.run import EpochRun
from speed_layer.limits import Limits
from tests.support.ticking import Ticking


class Asked(MemoryCommitLog):
    """Keeps after which commits was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.after: list[int] = []

    def read(self, after: int = 0) -> list[Commit]:
        self.after.append(after)
        return super().read(after)


def _at_once(log: RegistryLog) -> Callable[[Registry], "Future[Registry]"]:
    def read(seen: Registry) -> "Future[Registry]":
        found: Future[Registry] = Future()
        found.set_result(log.read(seen))
        return found

    return read


def test_each_look_goes_on_from_what_was_seen() -> None:
    """As there is one twice a second, and the registry grows for years."""
    commits, clock, loaded = Asked(), Ticking(), []
    log = RegistryLog(commits)

    def begin(seen: Registry) -> Registry:
        name = f"g{seen.next_epoch}"
        return log.append(seen, [GenerationState(name, "published"), EpochStarted(seen.next_epoch, name, {0: 0}, 0)])

    def load(started: EpochStarted) -> "Future[EpochRun]":
        loaded.append(started.epoch)
        return Future()

    known = Registry()
    for _ in range(5):
        known = begin(known)
    coming = NextEpoch(5, known, _at_once(log), load, replace(Limits(), registry_poll_s=0.5), clock)
    coming.look()
    coming.look()
    assert (commits.after, loaded) == ([5], []), "the second was not due"
    begin(begin(known))
    for _ in range(3):
        clock.sleep(0.5)
        coming.look()
    assert (commits.after, loaded) == ([5, 5], [7]), "while one is loaded nobody looks for the next"


def test_a_registry_that_does_not_answer_keeps_nobody_waiting() -> None:
    """Folding goes on; the answer is taken when it is there, and a failure makes for another question."""
    clock, asked, loaded = Ticking(), list[Future[Registry]](), list[int]()
    log = RegistryLog(MemoryCommitLog())
    newer = log.append(Registry(), [GenerationState("g1", "published"), EpochStarted(1, "g1", {0: 0}, 0)])

    def read(_: Registry) -> "Future[Registry]":
        asked.append(Future())
        return asked[-1]

    def load(started: EpochStarted) -> "Future[EpochRun]":
        loaded.append(started.epoch)
        return Future()

    coming = NextEpoch(0, Registry(), read, load, replace(Limits(), registry_poll_s=0.5), clock)
    for _ in range(3):
        coming.look()
        clock.sleep(0.5)
    assert len(asked) == 1
    asked[0].set_exception(StoreUnavailable("no answer"))
    coming.look()
    coming.look()
    assert (len(asked), loaded) == (2, [])
    asked[1].set_result(newer)
    coming.look()
    assert loaded == [1]
