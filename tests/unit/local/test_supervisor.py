"""Several programs run as one."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oryx_py.errors import NotReady
from oryx_py.local.child import Child, in_words
from oryx_py.local.supervisor import BackOff, Supervisor

AT_ONCE = BackOff(first_s=0.0)

WAITS = "import signal; print('up', flush=True); signal.pause()"
SAYS_GOODBYE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print('goodbye', flush=True), sys.exit(0)))
print('up', flush=True)
signal.pause()
"""
IGNORES = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
while True: signal.pause()
"""
LEAVES_A_GRANDCHILD = """
import signal, subprocess, sys
print(subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']).pid, flush=True)
signal.pause()
"""


def python(program: str, name: str = "child", **rest: object) -> Child:
    return Child(name=name, command=[sys.executable, "-c", program], **rest)


class Recorder:
    """What was shown and said, in order, and a wait that ends when a condition on them holds."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.words: list[tuple[str, str]] = []

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def say(self, name: str, words: str) -> None:
        self.words.append((name, words))

    def until(self, condition: Callable[[], object]) -> Callable[[float], bool]:
        """A supervisor's ``wait``; it fails after some 30 s."""
        pause, looks = threading.Event(), iter(range(300))

        def wait(timeout_s: float) -> bool:
            if condition():
                return True
            assert next(looks, None) is not None, f"waited in vain: {self.lines} {self.words}"
            return pause.wait(timeout_s)

        return wait

    def supervisor(self, *children: Child, **rest: object) -> Supervisor:
        return Supervisor(children, show=self.show, say=self.say, **rest)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def gone(pid: int) -> bool:
    """A container's first process may never collect the dead, so a zombie counts."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_children_start_in_order_when_the_one_before_is_ready_and_stop_in_reverse(recorder: Recorder) -> None:
    answers: list[bool] = []

    def ready() -> bool:
        answers.append(("first", "up") in recorder.lines and len(answers) >= 3)
        return answers[-1]

    def all_up() -> bool:
        return recorder.lines.count(("second", "up")) == 1

    recorder.supervisor(python(SAYS_GOODBYE, "first", ready=ready), python(SAYS_GOODBYE, "second")).run(
        recorder.until(all_up)
    )
    assert answers == [False] * (len(answers) - 1) + [True]
    assert recorder.lines == [("first", "up"), ("second", "up"), ("second", "goodbye"), ("first", "goodbye")]


def test_readiness_of_all_is_told_once(recorder: Recorder) -> None:
    told: list[dict[str, int]] = []
    supervisor = recorder.supervisor(python(WAITS, "a"), python(WAITS, "b"))
    supervisor.run(recorder.until(lambda: told), on_ready=lambda: told.append(supervisor.pids))
    assert [list(pids) for pids in told] == [["a", "b"]]
    assert all(gone(pid) for pid in told[0].values())
    assert supervisor.pids == {}


def test_a_child_that_dies_is_started_again_and_that_is_said(recorder: Recorder) -> None:
    dies = python("import sys; print('up', flush=True); sys.exit(3)")
    recorder.supervisor(dies, back_off=AT_ONCE).run(recorder.until(lambda: len(recorder.lines) >= 3))
    assert recorder.lines[:3] == [("child", "up")] * 3
    (_, ended), again = recorder.words[:2]
    assert re.fullmatch(r"ended with exit code 3 after \d+ s; starting it again in 0 s", ended)
    assert again == ("child", "started again")


def test_a_child_that_is_killed_is_started_again_while_the_others_go_on(recorder: Recorder) -> None:
    supervisor = recorder.supervisor(python(WAITS, "a"), python(WAITS, "b"), back_off=AT_ONCE)
    first: dict[str, int] = {}

    def restarted() -> bool:
        if not first and len(recorder.lines) == 2:
            first.update(supervisor.pids)
            psutil.Process(first["b"]).kill()
        return recorder.lines.count(("b", "up")) == 2

    last: dict[str, int] = {}
    wait = recorder.until(restarted)

    def wait_and_look(timeout_s: float) -> bool:
        last.update(supervisor.pids)
        return wait(timeout_s)

    supervisor.run(wait_and_look)
    assert last["a"] == first["a"]
    assert last["b"] != first["b"]
    assert "was ended by SIGKILL" in recorder.words[0][1]


def test_restarts_wait_longer_and_longer_up_to_a_limit() -> None:
    back_off = BackOff(first_s=1, factor=2, longest_s=30)
    assert [back_off.delay_s(failures) for failures in (1, 2, 3, 6, 1000)] == [1, 2, 4, 30, 30]


def test_a_child_that_ran_for_long_begins_anew_with_its_waits(recorder: Recorder) -> None:
    forgiving = BackOff(first_s=0.001, factor=1000.0, forgive_after_s=0.0)
    recorder.supervisor(python("print('up')"), back_off=forgiving).run(recorder.until(lambda: len(recorder.lines) >= 3))
    assert {words.partition("; ")[2] for _, words in recorder.words} <= {"starting it again in 0.001 s", ""}


def test_a_child_that_does_not_become_ready_stops_all(recorder: Recorder, eventually: Callable[..., None]) -> None:
    supervisor = recorder.supervisor(
        python(SAYS_GOODBYE, "fine", ready=lambda: ("fine", "up") in recorder.lines),
        python(WAITS, "never", ready=lambda: False, ready_timeout_s=0.3),
        python(WAITS, "not begun"),
    )
    with pytest.raises(NotReady, match="never was not ready within 0 s: its output says why"):
        supervisor.run(recorder.until(lambda: False))
    assert recorder.lines[-1] == ("fine", "goodbye")
    assert "not begun" not in {name for name, _ in recorder.lines}


def test_stopping_while_a_child_gets_ready_stops_what_was_started(recorder: Recorder) -> None:
    supervisor = recorder.supervisor(python(SAYS_GOODBYE, "a", ready=lambda: False), python(WAITS, "b"))
    told: list[object] = []
    supervisor.run(recorder.until(lambda: recorder.lines), on_ready=lambda: told.append(1))
    assert recorder.lines == [("a", "up"), ("a", "goodbye")]
    assert told == []


def test_who_ignores_the_request_is_killed_and_leaves_time_for_the_others(recorder: Recorder) -> None:
    pids: dict[str, int] = {}
    supervisor = recorder.supervisor(python(SAYS_GOODBYE, "polite"), python(IGNORES, "deaf"), grace_s=8.0)

    def all_up() -> bool:
        pids.update(supervisor.pids)
        return len(recorder.lines) == 2

    supervisor.run(recorder.until(all_up))
    assert recorder.words == [("deaf", "did not stop within 4 s and was killed")]
    assert recorder.lines[-1] == ("polite", "goodbye")
    assert all(gone(pid) for pid in pids.values())


def test_an_error_of_the_caller_leaves_nothing_running(recorder: Recorder) -> None:
    supervisor = recorder.supervisor(python(WAITS))
    pids: list[int] = []

    def fails() -> None:
        pids.extend(supervisor.pids.values())
        raise RuntimeError("screen is gone")

    with pytest.raises(RuntimeError, match="screen is gone"):
        supervisor.run(recorder.until(lambda: False), on_ready=fails)
    assert [gone(pid) for pid in pids] == [True]


def test_what_a_child_left_behind_ends_with_it(recorder: Recorder, eventually: Callable[..., None]) -> None:
    supervisor = recorder.supervisor(python(LEAVES_A_GRANDCHILD), back_off=AT_ONCE)

    def kill_the_first() -> bool:
        if len(recorder.lines) == 1 and not recorder.words:
            for pid in supervisor.pids.values():
                psutil.Process(pid).kill()
        return len(recorder.lines) == 2

    supervisor.run(recorder.until(kill_the_first))
    for _, grandchild in recorder.lines:
        eventually(lambda pid=int(grandchild): gone(pid))


def test_a_childs_environment_is_the_supervisors_and_its_own(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "a")
    shows = python("import os, signal; print(os.environ['INHERITED'] + os.environ['OWN']); signal.pause()")
    shows = Child(name="child", command=shows.command, environ={"OWN": "b"})
    recorder.supervisor(shows).run(recorder.until(lambda: recorder.lines))
    assert recorder.lines == [("child", "ab")]


def test_bytes_that_are_no_text_and_endless_lines_pass(recorder: Recorder) -> None:
    writes = python("import sys; sys.stdout.buffer.write(b'\\xff' + b'x' * 200_000 + b'\\nlast\\n'); sys.exit()")
    recorder.supervisor(writes, back_off=BackOff(first_s=60)).run(recorder.until(lambda: recorder.words))
    lines = [line for _, line in recorder.lines]
    assert lines[-1] == "last"
    assert "".join(lines[:-1]) == "\N{REPLACEMENT CHARACTER}" + "x" * 200_000
    assert max(map(len, lines)) <= 65_536


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path, eventually: Callable[..., None]) -> None:
    program = (
        "import sys, threading\n"
        "from oryx_py.local.child import Child; from oryx_py.local.supervisor import Supervisor\n"
        f"command = [sys.executable, '-c', {IGNORES!r}]\n"
        "children = [Child(name=name, command=command) for name in 'ab']\n"
        "s = Supervisor(children, show=lambda *_: None, say=lambda *_: None)\n"
        "s.run(threading.Event().wait, on_ready=lambda: print(*s.pids.values(), flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert not any(map(gone, pids))
        supervisor.kill()
    assert len(pids) == 2
    eventually(lambda: all(map(gone, pids)))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-60, "was ended by signal 60"),
    ],
)
def test_ends_are_told_in_words(code: int, words: str) -> None:
    assert in_words(code) == words
