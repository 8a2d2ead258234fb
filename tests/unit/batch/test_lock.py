"""One run at a time, whoever dies or sleeps."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_layer.locking.choice import open_lock
from batch_layer.locking.file_lease import FileLease
from batch_layer.locking.file_lock import FileLock
from batch_layer.locking.lease_files import LeaseState, lease_state
from batch_layer.locking.run_lock import Holder, RunLock, holding
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.config import load
from oryx_py.errors import StoreUnavailable, UserError
from tests.support.ticking import Ticking

ME, OTHER = Holder("here", 1, 1_700_000_000_000), Holder("there", 2, 0)
New = Callable[[], RunLock]


@pytest.fixture(params=["kernel", "lease"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[New]:
    """Makes locks of one place, each as another process has it."""
    made: list[RunLock] = []

    def make() -> RunLock:
        kernel = request.param == "kernel"
        made.append(FileLock(tmp_path / "lock") if kernel else FileLease(LocalFiles(tmp_path / "lease"), SystemClock()))
        return made[-1]

    yield make
    for lock in made:
        lock.release()


def test_one_holds_it_and_the_other_is_told_who(new: New) -> None:
    first, second = new(), new()
    assert first.attempt(ME) is None
    assert second.attempt(OTHER) == ME
    first.release()
    assert second.attempt(OTHER) is None
    assert first.attempt(ME) == OTHER
    second.release()
    second.release()
    assert first.attempt(ME) is None
    assert not first.lost()


def test_it_passes_through_many_hands_and_leaves_no_more_than_a_few_files(new: New, tmp_path: Path) -> None:
    locks = [new(), new(), new()]
    for n in range(12):
        assert locks[n % 3].attempt(ME) is None
        assert locks[(n + 1) % 3].attempt(OTHER) == ME
        locks[n % 3].release()
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) <= 3


def test_of_many_at_once_one_gets_it(new: New) -> None:
    for _ in range(5):
        locks = [new() for _ in range(8)]
        got: list[RunLock] = []
        gate = threading.Barrier(len(locks))

        def grab(lock: RunLock, gate: threading.Barrier = gate, got: list[RunLock] = got) -> None:
            gate.wait()
            if lock.attempt(ME) is None:
                got.append(lock)

        threads = [threading.Thread(target=grab, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        for lock in got:
            lock.release()


def test_a_process_that_was_killed_does_not_hold_it(tmp_path: Path) -> None:
    told = (
        "import sys, time; from pathlib import Path\n"
        "from batch_layer.locking.file_lock import FileLock; from batch_layer.locking.run_lock import Holder\n"
        "assert FileLock(Path(sys.argv[1])).attempt(Holder('there', 2, 0)) is None; print('held', flush=True)\n"
        "time.sleep(60)"
    )
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", told, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        lock = FileLock(path)
        assert lock.attempt(ME) == OTHER
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert lock.attempt(ME) is None
    lock.release()


made: list[FileLease] = []
"""By `leases`, in the test that runs."""


@pytest.fixture(autouse=True)
def no_holder_outlives_its_test() -> Iterator[None]:
    """Whoever is dead or asleep in a test still has a thread."""
    yield
    while made:
        made.pop().release()


def leases(folder: Path, beat_s: float = 3600.0, others_s: float = 3600.0) -> tuple[FileLease, FileLease, Ticking]:
    """Two machines' leases by their beats, each with its own clock; and the other's clock."""
    files, time_ = LocalFiles(folder), Ticking()
    made[:] = one, other = FileLease(files, Ticking(), beat_s=beat_s), FileLease(files, time_, beat_s=others_s)
    return one, other, time_


def held(folder: Path, beat_s: float = 3600.0, others_s: float = 3600.0) -> tuple[FileLease, FileLease, Ticking]:
    """`leases`, of which the first is held."""
    holder, other, time_ = leases(folder, beat_s, others_s)
    assert holder.attempt(ME) is None
    return holder, other, time_


def test_a_lease_that_is_not_renewed_goes_to_the_next_after_a_minute_of_its_own_time(tmp_path: Path) -> None:
    dead, other, time_ = held(tmp_path)
    assert other.attempt(OTHER) == ME
    assert seconds_until_taken(other, time_) == pytest.approx(60, abs=2)
    dead.release()
    assert dead.attempt(ME) == OTHER
    other.release()


def test_a_lease_that_is_renewed_stays_however_long_it_takes(tmp_path: Path) -> None:
    alive, other, time_ = held(tmp_path, beat_s=0.01)
    for _ in range(4):
        seen = lease_state(names_in(tmp_path))
        assert other.attempt(OTHER) == ME
        time_.sleep(50)
        _until(lambda seen=seen: lease_state(names_in(tmp_path)) != seen)  # type: ignore[misc]
    assert len(names_in(tmp_path)) <= 3
    alive.release()
    assert other.attempt(OTHER) is None
    other.release()


def seconds_until_taken(lease: FileLease, clock: Ticking) -> float:
    """Look each second; return when it was taken."""
    began = clock.now
    while lease.attempt(OTHER) is not None:
        clock.sleep(1)
        assert clock.now - began < 300
    return clock.now - began


def renewed(folder: Path) -> None:
    """Renew the lock in a holder's place."""
    number, beat = lease_state(names_in(folder)).number, lease_state(names_in(folder)).beat
    (folder / f"{number:012}.{beat + 1:012}.beat").touch()


@contextmanager
def outage(*calls: str) -> Iterator[None]:
    """Let the place not answer to these calls."""

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    with ExitStack() as stack:
        for call in calls:
            stack.enter_context(mock.patch.object(LocalFiles, call, away))
        yield


@pytest.mark.parametrize("looks", [True, False], ids=["looking", "waiting-for-an-answer"])
def test_no_healthy_holder_is_robbed_after_an_outage(tmp_path: Path, looks: bool) -> None:
    """Nobody could renew anything meanwhile: neither is in the right before the holder has had its time."""
    _, other, time_ = held(tmp_path, others_s=10.0)
    for _ in range(9):
        assert other.attempt(OTHER) == ME
        time_.sleep(1)
    with outage("names", "create"):
        for _ in range(100):
            time_.sleep(1)
            if looks:
                with pytest.raises(StoreUnavailable):
                    other.attempt(OTHER)
    for _ in range(35):
        assert other.attempt(OTHER) == ME
        time_.sleep(1)
    renewed(tmp_path)
    assert seconds_until_taken(other, time_) == pytest.approx(60, abs=2)
    other.release()


def test_nor_after_one_in_which_the_place_answered_and_took_nothing(tmp_path: Path) -> None:
    _, other, time_ = held(tmp_path)
    refused = 0
    with outage("create"):
        for _ in range(200):
            try:
                assert other.attempt(OTHER) == ME
            except StoreUnavailable:
                refused += 1
            time_.sleep(1)
    assert refused > 3
    for _ in range(25):
        assert other.attempt(OTHER) == ME
        time_.sleep(1)
    renewed(tmp_path)
    assert seconds_until_taken(other, time_) == pytest.approx(60, abs=2)
    assert not [name for name in names_in(tmp_path) if name.endswith(".try")]
    other.release()


def test_who_was_asleep_itself_does_not_count_that_time(tmp_path: Path) -> None:
    _, other, time_ = held(tmp_path, others_s=10.0)
    for _ in range(3):
        assert other.attempt(OTHER) == ME
        time_.sleep(3600)
    assert other.attempt(OTHER) == ME
    other.release()


def test_what_a_dead_waiter_left_is_removed(tmp_path: Path) -> None:
    _, other, time_ = held(tmp_path)
    (tmp_path / "000000000001.0123456789abcdef.try").touch()
    seconds_until_taken(other, time_)
    assert names_in(tmp_path) == ["000000000002.lock"]
    other.release()


def test_a_holder_that_slept_learns_that_it_has_lost(tmp_path: Path) -> None:
    asleep, other, time_ = held(tmp_path, beat_s=0.2)
    assert other.attempt(OTHER) == ME
    (tmp_path / "000000000002.lock").write_bytes(b"{}")
    _until(asleep._lost.is_set)
    assert asleep.lost()
    time_.sleep(0)
    asleep.release()
    assert asleep.attempt(ME) is not None


def test_a_holder_that_asks_is_told_at_once(tmp_path: Path) -> None:
    """However long it is to its next beat; where nobody answers, it goes on as it was."""
    asleep, other, time_ = held(tmp_path)
    assert not asleep.lost()
    seconds_until_taken(other, time_)
    with outage("names"):
        assert not asleep.lost()
    assert asleep.lost()
    assert not other.lost()
    other.release()


def test_a_place_that_does_not_answer_for_a_while_costs_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, _, _ = held(tmp_path, beat_s=0.01)
    asked: list[int] = []

    def away(*_: object) -> list[str]:
        asked.append(1)
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "names", away)
        _until(lambda: len(asked) > 2)
    seen = lease_state(names_in(tmp_path))
    _until(lambda: lease_state(names_in(tmp_path)) != seen)
    assert not alive.lost()
    alive.release()


def test_a_holder_goes_on_beating_where_nothing_can_be_removed(tmp_path: Path) -> None:
    """Whoever waits sees that it is alive."""
    alive, _, _ = leases(tmp_path, beat_s=0.01)
    with outage("delete"):
        assert alive.attempt(ME) is None
        _until(lambda: lease_state(names_in(tmp_path)).beat > 2)
    alive.release()


def test_who_could_not_go_on_after_taking_it_has_it_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for nobody who has died, since that would be itself; unless somebody took it for dead meanwhile."""
    first, other, time_ = leases(tmp_path)
    create = LocalFiles.create

    def then_away(files: LocalFiles, path: str, content: bytes) -> bool:
        created = create(files, path, content)
        monkeypatch.setattr(LocalFiles, "names", mock.Mock(side_effect=StoreUnavailable("away")))
        return created

    def broken_off() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(LocalFiles, "create", then_away)
            with pytest.raises(StoreUnavailable):
                first.attempt(ME)
        monkeypatch.undo()

    broken_off()
    assert other.attempt(OTHER) == ME
    assert first.attempt(ME) is None
    assert not first.lost()
    first.release()
    broken_off()
    seconds_until_taken(other, time_)
    assert first.attempt(ME) == OTHER
    other.release()


def test_who_slept_between_looking_and_taking_does_not_take_what_was_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It creates a number that others have taken, given back and swept; a higher one tells."""
    slow, quick, _ = leases(tmp_path)
    names = LocalFiles.names

    def then_sleep(files: LocalFiles, path: str = "") -> object:
        found = names(files, path)
        monkeypatch.undo()
        for _ in range(2):
            assert quick.attempt(OTHER) is None
            quick.release()
        assert quick.attempt(OTHER) is None
        return found

    monkeypatch.setattr(LocalFiles, "names", then_sleep)
    assert slow.attempt(ME) == OTHER
    assert lease_state(names_in(tmp_path)).number == 3
    quick.release()


@given(st.lists(st.sampled_from(["lock", "free", "beat"]), max_size=6), st.integers(0, 9))
def test_the_names_tell_how_it_stands(kinds: list[str], beat: int) -> None:
    names = [".000000000009.lock.ab.tmp", "notes.txt"]
    for number, kind in enumerate(kinds, 1):
        names.append(f"{number:012}.lock")
        names += [f"{number:012}.free"] if kind == "free" else []
        names += [f"{number:012}.{beat:012}.beat"] if kind == "beat" else []
    last = kinds[-1] if kinds else "free"
    assert lease_state(names) == LeaseState(len(kinds), beat if last == "beat" else 0, last == "free")
    assert lease_state(reversed(names)) == lease_state(names)


def test_who_waits_goes_on_when_it_is_free_and_who_does_not_is_told_in_one_line(new: New) -> None:
    first, second, waits = new(), new(), []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 3:
            first.release()
        return False

    assert first.attempt(ME) is None
    with (
        pytest.raises(UserError, match=r"process 1 on here, since 2023-11-14 22:13:20 UTC; .*--no-wait"),
        holding(second, SystemClock(), wait=wait, patient=False),
    ):
        pass
    with holding(second, SystemClock(), wait=wait) as held:
        assert held
        assert first.attempt(ME) is not None
    assert len(waits) == 3
    assert first.attempt(ME) is None


def test_the_place_of_the_registry_decides_which_lock_it_is(tmp_path: Path) -> None:
    """The registry's, not the generations': these may lie where nothing is created exclusively."""
    here = {"ORYX__LOCAL__DIR": str(tmp_path)}
    assert isinstance(open_lock(load(None, here).settings, SystemClock()), FileLock)
    hdfs = {**here, "ORYX__STORE__URI": "hdfs://nn:8020/oryx", "ORYX__HDFS__WEBHDFS_URL": "http://nn:9870"}
    assert isinstance(open_lock(load(None, hdfs).settings, SystemClock()), FileLease)
    beside = {**hdfs, "ORYX__STORE__REGISTRY_URI": str(tmp_path / "registry")}
    lock = open_lock(load(None, beside).settings, SystemClock())
    assert lock.attempt(ME) is None
    assert (tmp_path / "registry" / "batch.lock").exists()
    lock.release()


def test_a_stop_ends_the_waiting(new: New) -> None:
    first = new()
    assert first.attempt(ME) is None
    with holding(new(), SystemClock(), wait=lambda _: True) as held:
        assert not held


def test_what_fails_within_gives_it_back(new: New) -> None:
    lock = new()
    with pytest.raises(ZeroDivisionError), holding(lock, SystemClock(), wait=lambda _: True):
        1 / 0  # noqa: B018
    assert new().attempt(ME) is None


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
