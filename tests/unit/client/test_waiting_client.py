"""The client that waits: many threads, a running loop, forks, interruptions, and a clean end."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from oryx_py.client import Client, NoAnswer, Retries, Scored
from oryx_py.errors import UserError
from tests.unit.cli.scripted_service import Asked, Reply, ScriptedService, scripted

ONCE = Retries(attempts=1)


def echo(asked: Asked) -> Reply:
    """Recommend an item named as the user, who knows it; IDs without end."""
    name = asked.path.partition("?")[0].rpartition("/")[2]
    if name == "allIDs":
        return Reply(body=b"x\ny\n" * 1_000_000)
    return Reply(body=[name] if asked.path.startswith("/known") else [{"id": name, "value": 1.0}])


@pytest.fixture
def there() -> Iterator[ScriptedService]:
    with scripted(echo) as there:
        yield there


def test_threads_get_their_own_answers(there: ScriptedService) -> None:
    names = [f"u{n}" for n in range(200)]
    with Client(there.url, connections=4) as here, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(here.recommend, names)) == [[Scored(name, 1.0)] for name in names]
    assert there.connections <= 4


async def test_it_can_be_used_where_a_loop_runs(there: ScriptedService) -> None:
    with Client(there.url) as here:
        assert here.known_items("ann") == ["ann"]


def test_no_thread_is_started_before_the_first_call_and_none_is_left(there: ScriptedService) -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "oryx-client"]

    with Client(there.url) as here:
        assert threads() == []
        here.known_items("ann")
        assert len(threads()) == 1
    assert threads() == []


def test_a_client_nobody_holds_any_more_ends_its_thread(there: ScriptedService) -> None:
    here = Client(there.url)
    here.known_items("ann")
    thread = here._background._running.thread  # type: ignore[union-attr]
    gone = weakref.ref(here)
    del here
    gc.collect()
    assert gone() is None
    thread.join(10)
    assert not thread.is_alive()


def test_a_closed_client_says_so_and_may_be_closed_again(there: ScriptedService) -> None:
    here = Client(there.url)
    here.known_items("ann")
    for _ in range(2):
        here.close()
    with pytest.raises(UserError, match="closed"):
        here.known_items("ann")
    unused = Client(there.url)
    unused.close()
    with pytest.raises(UserError, match="closed"):
        unused.ready()


def test_closing_ends_the_calls_that_wait() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def script(_: Asked) -> Reply:
        asked.set()
        go_on.wait(20)
        return Reply(body=[])

    with scripted(script) as there, ThreadPoolExecutor(4) as pool:
        here = Client(there.url, retries=ONCE)
        waiting = [pool.submit(here.known_items, "ann") for _ in range(4)]
        assert asked.wait(10)
        here.close()
        for future in waiting:
            with pytest.raises((UserError, NoAnswer)):
                future.result(10)
        go_on.set()


def test_closing_while_calls_come_leaves_none_of_them_waiting(there: ScriptedService) -> None:
    for _ in range(30):
        here = Client(there.url, retries=ONCE)
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(until_closed, here) for _ in range(4)]
            here.close()
            assert {future.result(10) for future in futures} == {"ended"}


def until_closed(here: Client) -> str:
    try:
        while True:
            here.known_items("ann")
    except (UserError, NoAnswer):
        return "ended"


def test_an_interrupted_wait_ends_the_call(there: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> None:
    import concurrent.futures

    class Interrupted(concurrent.futures.Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> object:
            raise KeyboardInterrupt

    with Client(there.url) as here:
        here.known_items("ann")
        running = here._background._running
        assert running is not None
        pending = Interrupted()
        monkeypatch.setattr(running, "submit", lambda work: pending)
        with pytest.raises(KeyboardInterrupt):
            here.known_items("ann")
        assert pending.cancelled()


def test_what_is_given_is_read_in_the_thread_that_calls(there: ScriptedService) -> None:
    threads: set[int] = set()

    def given() -> Iterator[str]:
        threads.add(threading.get_ident())
        yield "u,i"

    with Client(there.url, retries=ONCE) as here:
        here.ingest(given())
        with pytest.raises(Exception, match="cannot be read"):
            list(here.recommend_batch(given()))
    assert threads == {threading.get_ident()}


def test_an_iterator_that_is_left_gives_its_connection_back(there: ScriptedService) -> None:
    with Client(there.url, connections=1, retries=Retries(deadline_s=10.0)) as here:
        names = here.item_ids()
        next(names)
        del names
        gc.collect()
        assert here.known_items("ann") == ["ann"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_made_by_fork_has_connections_of_its_own_and_the_parents_live_on(there: ScriptedService) -> None:
    program = f"""
import gc, os
from oryx_py.client import Client
here = Client({there.url!r})
assert here.known_items("parent") == ["parent"]
locks = [here._background._lock, here._background._running._lock]
for lock in locks:
    lock.acquire()   # as if another thread were in the middle of a call
child = os.fork()
if child == 0:
    assert here.known_items("child") == ["child"]
    gc.collect()
    here.close()
    os._exit(7)
for lock in locks:
    lock.release()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert here.known_items("parent") == ["parent"]
locks[1].acquire()
second = os.fork()
if second == 0:
    here.known_items("again")
    raise SystemExit(8)     # the usual way out: what runs at exit must not touch the parent's
locks[1].release()
assert os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]) == 8
assert here.known_items("parent") == ["parent"]
"""
    assert run(program) == ""
    assert there.connections == 3


def test_a_program_that_leaves_it_open_ends_at_once_without_a_word(there: ScriptedService) -> None:
    program = f"""
from oryx_py.client import Client
here = Client({there.url!r})
print(here.known_items("ann"))
kept = here.item_ids()
next(kept)
"""
    started = time.monotonic()
    assert run(program) == "['ann']\n"
    assert time.monotonic() - started < 20


def run(program: str) -> str:
    """Everything that a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def test_many_clients_side_by_side(there: ScriptedService) -> None:
    clients = [Client(there.url) for _ in range(5)]
    try:
        found = await asyncio.gather(*(asyncio.to_thread(c.known_items, f"u{n}") for n, c in enumerate(clients)))
    finally:
        for client in clients:
            client.close()
    assert found == [[f"u{n}"] for n in range(5)]
