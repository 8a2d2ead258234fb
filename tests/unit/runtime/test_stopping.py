"""Being asked to stop."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from oryx_py.runtime import stopping as module
from oryx_py.runtime.stopping import Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_request(number: signal.Signals) -> None:
    stopping = Stopping()
    with stopping.on_signals():
        assert not stopping.wait(0)
        os.kill(os.getpid(), number)
        assert stopping.wait(10)
    assert stopping.requested


def test_a_second_signal_ends_the_process_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAME_WISH_S", 0.0)
    stopping, aborted = Stopping(), threading.Event()
    codes: list[int] = []

    def abort(code: int) -> None:
        codes.append(code)
        aborted.set()

    with stopping.on_signals(abort=abort):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.wait(10)
        os.kill(os.getpid(), signal.SIGTERM)
        assert aborted.wait(10)
    assert codes == [143]


def test_the_same_ctrl_c_delivered_twice_is_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAME_WISH_S", 60.0)
    stopping = Stopping()
    codes: list[int] = []
    with stopping.on_signals(abort=codes.append):
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.wait(10)
        os.kill(os.getpid(), signal.SIGINT)
    assert codes == []  # leaving the block waited for the thread that listens


def test_afterwards_the_former_handlers_are_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    threads = set(threading.enumerate())
    with Stopping().on_signals():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert not set(threading.enumerate()) - threads
    assert signal.set_wakeup_fd(-1) == -1


def test_a_second_signal_ends_even_a_process_that_is_deep_in_compiled_code(eventually: Callable[..., None]) -> None:
    program = (
        "import ctypes, sys; from oryx_py.runtime.stopping import Stopping\n"
        "with Stopping().on_signals():\n"
        "    print('ready', flush=True)\n"
        "    while True: ctypes.CDLL(None).usleep(900_000)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"

        def asked_again() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        eventually(asked_again)
        assert process.returncode == 143
