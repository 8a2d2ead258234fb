"""A server in Java as a process of the caller's: how it is launched, and how it ends."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from oryx_py.local.java import Java
from oryx_py.local.leash import leashed
from oryx_py.local.tailing import tail

__all__ = ["Home", "JavaServer", "Startable"]

_KILL_S = 10.0


class Home(Protocol):
    """A server's folder."""

    @property
    def dir(self) -> Path:
        """Everything of it; the process works there."""

    @property
    def log(self) -> Path:
        """The server's own log."""

    @property
    def output(self) -> Path:
        """What the Java machine itself says, of the last start."""

    @property
    def tmp(self) -> Path:
        """Java's temporary folder."""


class Startable(ABC):
    """What is started and stopped, also by ``with``."""

    @abstractmethod
    def start(self) -> None:
        """Return when it does its work."""

    @abstractmethod
    def stop(self) -> None:
        """End it; nothing happens if it is not running."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class JavaServer(Startable):
    """One process, with its data in a folder that outlives it and every ``kill -9``.

    One thread at a time may start and stop it. It must live as long as the process, which the kernel kills with it
    unless ``leash`` is False (Linux).

    The folder's lock is inherited by the process and held by nobody else, so it is free exactly when that is gone,
    whoever started it.
    """

    def __init__(self, home: Home, *, heap_mb: int, leash: bool) -> None:
        self._folder = home
        self._heap_mb, self._leash = heap_mb, leash
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process, None before ``start`` and after ``stop``."""
        return self._process

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self, grace_s: float = 20.0) -> None:
        """End it: SIGTERM, and SIGKILL after ``grace_s``; nothing happens if it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_KILL_S)

    def _java(self, java: Java, classpath: str, *options: str) -> list[str]:
        """The command up to the main class."""
        command = [
            *(str(java.path), f"-Xmx{self._heap_mb}m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", "-XX:ErrorFile=logs/hs_err_%p.log"),
            *("-Djava.awt.headless=true", f"-Djava.io.tmpdir={self._folder.tmp}", *options, "-cp", classpath),
        ]
        return leashed(command) if self._leash else command

    def _launch(self, command: Sequence[str], lock: int) -> subprocess.Popen[bytes]:
        """Start the process, which inherits the folder's ``lock``."""
        with self._folder.output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder.dir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(lock,),
                process_group=0,  # a Ctrl-C in the terminal is for this process, which stops its servers in order
            )
        return self._process

    def _log_size(self) -> int:
        return self._folder.log.stat().st_size if self._folder.log.exists() else 0

    def _last_words(self, log_start: int, lines: int) -> list[str]:
        """The end of what Java said, and of what the log got since it had ``log_start`` bytes."""
        return [*tail(self._folder.output, 0, 5), *tail(self._folder.log, log_start, lines)]
