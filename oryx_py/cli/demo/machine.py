"""The demo's own machine: Kafka, speed and serving in a temporary folder, gone without a trace afterwards."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from oryx_py.adapters.places import open_registry, open_store
from oryx_py.cli import machine
from oryx_py.cli.asking import url_of
from oryx_py.cli.broker import fetch_jars
from oryx_py.cli.screen import Screen
from oryx_py.client import Client, NoAnswer, Retries, Unreachable
from oryx_py.config import Settings, load
from oryx_py.errors import NotReady, OryxError
from oryx_py.local import ports
from oryx_py.local.child import Child, RunningChild
from oryx_py.local.lines import LogFiles
from oryx_py.local.supervisor import Supervisor
from oryx_py.local.tailing import tail
from oryx_py.model.generations.generation import Generation

__all__ = ["Machine", "temporary_machine"]

_SETTINGS = """\
# Written by `oryx demo`.
[local]
broker_port = {broker_port}

[serving]
port = {port}

[log]
format = "console"

[model]
{model}
"""
_STEP_S = 0.1
_TRAINING_S = 600.0
_READY_S = 120.0
_STOP_S = 20.0
_RETRIES = Retries(attempts=10, deadline_s=60.0)
"""What is not in the model yet is asked for again: on a loaded machine a micro-batch may take seconds."""


class Machine:
    """The running programs, and what can be asked of them.

    Attributes:
        folder: everything lies below it.
        config: the settings file, for other terminals.
        settings: what is in it.
        service: the REST interface.
    """

    def __init__(self, folder: Path, config: Path, settings: Settings, service: Client, logs: LogFiles) -> None:
        self.folder, self.config, self.settings, self.service = folder, config, settings, service
        self._logs = logs
        self.failure: BaseException | None = None
        """Why the programs do not run any more; None while they do."""

    def check(self) -> None:
        """Raise what ended the programs, if they have ended.

        Raises:
            OryxError: they have.
        """
        if self.failure is not None:
            raise self.failure

    def train(self, waiting: Callable[[], None]) -> Generation:
        """Run the batch layer once; ``waiting`` is called again and again meanwhile.

        Raises:
            OryxError: it failed; the message has the end of its output.
        """
        child = Child(name="batch", command=machine.command(self.config, "batch", "--once"))
        running = RunningChild(child, self._logs)
        deadline = time.monotonic() + _TRAINING_S
        code = None
        try:
            while (code := running.wait(_STEP_S)) is None:
                waiting()
                self.check()
                if time.monotonic() > deadline:
                    raise NotReady(f"training did not end within {_TRAINING_S:.0f} s")
        finally:
            if code is None:
                with _undisturbed():
                    running.stop(_STOP_S)
        newest = open_registry(self.settings.store_uri).read().newest_epoch
        if code or newest is None:
            end = tail(LogFiles.path(self.folder / "logs", "batch"), 0, 12)
            raise OryxError("\n".join([f"training ended with exit code {code}; the end of its output:", *end]))
        return Generation.open(open_store(self.settings.store_uri).local(newest.generation))

    def wait_until_ready(self, waiting: Callable[[str], None]) -> None:
        """Return when the service recommends; ``waiting`` is told what it waits for.

        Raises:
            NotReady: it does not in its time.
        """
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                state = self.service.ready()
            except (Unreachable, NoAnswer):
                reason = "the service does not answer"
            else:
                if state.ready:
                    return
                reason = state.detail
            waiting(reason)
            self.check()
            if time.monotonic() > deadline:
                raise NotReady(f"the service is not ready after {_READY_S:.0f} s: {reason}")
            time.sleep(_STEP_S)


@contextmanager
def temporary_machine(screen: Screen, model: Mapping[str, float], *, keep: bool) -> Iterator[Machine]:
    """Start the programs on free ports for a block; whatever ends it, they are stopped and the folder is removed.

    Args:
        screen: for notes on what happens.
        model: settings of that group.
        keep: leave the folder.

    Raises:
        OryxError: one of them cannot be started.
    """
    folder = Path(tempfile.mkdtemp(prefix="oryx-demo-"))
    try:
        with _no_settings_of_the_user(), _sigterm_unwinds():
            fetch_jars(screen)
            yield from _running(folder, screen, model)
    finally:
        with _undisturbed():
            if keep:
                screen.note(f"kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
                screen.note("stopped; nothing is left behind")


def _running(folder: Path, screen: Screen, model: Mapping[str, float]) -> Iterator[Machine]:
    port = ports.choose(())
    config = folder / "oryx.toml"
    lines = "\n".join(f"{name} = {value}" for name, value in model.items())
    broker_port = ports.choose((), taken={port})
    config.write_text(_SETTINGS.format(broker_port=broker_port, port=port, model=lines), encoding="utf-8")
    settings = load(config, os.environ).settings
    programs = machine.children(settings, ["speed", "serve"], config, {})
    logs = LogFiles(folder / "logs", [*(program.name for program in programs), "batch"])
    stop, ready = threading.Event(), threading.Event()
    here = Machine(folder, config, settings, Client(url_of(settings), retries=_RETRIES), logs)

    def run() -> None:
        say = lambda name, text: screen.note(f"{name} {text}", style="yellow")  # noqa: E731
        try:
            Supervisor(programs, show=logs, say=say, grace_s=_STOP_S).run(stop.wait, on_ready=ready.set)
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that asks
            here.failure = error

    # The programs end with the thread that started them: this one lives until all have stopped.
    thread = threading.Thread(target=run, name="supervisor")
    thread.start()
    try:
        while not ready.wait(_STEP_S):
            here.check()
        yield here
    finally:
        with _undisturbed():
            screen.note("stopping …")
            stop.set()
            thread.join()
            here.service.close()
            logs.close()


@contextmanager
def _no_settings_of_the_user() -> Iterator[None]:
    """Hide ``ORYX__…``, however written, from the demo and its programs: it must not meet anybody's real topics."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.upper().startswith("ORYX_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Make SIGTERM end the block from within, as Ctrl-C does, so that nothing is left behind."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore further signals while things are put in order; that takes some seconds at most."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
