"""The whole system in a folder, with its layers as processes that a test may kill."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from oryx_py.local.ports import choose

__all__ = ["PATIENT", "Answer", "System", "eventually"]

START_S = 90.0
"""Time for a layer to become ready; generous, since machines that run tests are slow and shared."""

PATIENT = {
    "SERVING__API__READ_AFTER_WRITE_TIMEOUT_MS": 10_000,
    "SERVING__API__WRITE_TIMEOUT_MS": 10_000,
    "SERVING__API__REQUEST_TIMEOUT_MS": 20_000,
}
"""Settings for tests of what is answered, and not of how soon: the limits are above what a busy machine takes."""


class Answer:
    """An HTTP answer: status, headers, body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def offset(self) -> str:
        """X-Oryx-Offset, for `after=`."""
        return self.headers["x-oryx-offset"]

    @property
    def generation(self) -> str:
        return self.headers["x-oryx-generation"]


class System:
    """Topics, store and history of their own on a broker that may be shared; every process ends with it.

    Args:
        folder: for store, history and logs.
        bootstrap_servers: of a running broker.
        settings: more settings, as ``GROUP__KEY: value``.
    """

    def __init__(self, folder: Path, bootstrap_servers: str, **settings: object) -> None:
        self.folder = folder
        name = f"{folder.name}-{os.getpid()}-{time.time_ns() % 10**9}"
        self.port = int(str(settings.get("SERVING__PORT") or choose(())))
        self.settings: dict[str, object] = {
            "KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
            "LOCAL__DIR": folder,
            "INPUT__TOPIC": f"{name}-input",
            "INPUT__PARTITIONS": 2,
            "UPDATE__TOPIC": f"{name}-update",
            "ITEMS__TOPIC": f"{name}-items",
            "SPEED__GROUP_ID": f"{name}-speed",
            "SPEED__EPOCH_OVERLAP_S": 1,
            "SERVING__PORT": self.port,
            "MODEL__FEATURES": 8,
            "MODEL__ITERATIONS": 5,
            "BATCH__SPARK_MASTER": "local[2]",
            **settings,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}")

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this system finds in its environment."""
        ours = {f"ORYX__{key}": str(value) for key, value in self.settings.items()}
        return {**os.environ, **ours, "PYTHONUNBUFFERED": "1"}

    def oryx(
        self, *arguments: str, timeout_s: float = 240.0, check: bool = True, nice: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; a nice one leaves the cores to the layers."""
        done = subprocess.run(
            [*(("nice", "-n", "19") if nice else ()), sys.executable, "-m", "oryx_py.cli", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"oryx {' '.join(arguments)}: {done.stdout}\n{done.stderr}"
        return done

    def start(self, layer: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``speed``, ``serve`` or ``batch`` in the background; its output goes to a log in the folder."""
        with (self.folder / f"{layer}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "oryx_py.cli", layer, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes[layer] = process
        return process

    def kill(self, layer: str) -> None:
        """kill -9."""
        self._processes[layer].kill()
        self._processes[layer].wait()

    def stop(self, layer: str, timeout_s: float = 30.0) -> int:
        """SIGTERM, and the exit code."""
        self._processes[layer].send_signal(signal.SIGTERM)
        return self._processes[layer].wait(timeout_s)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask the serving layer; errors of HTTP are answers too."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=body,
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, user: str, item: str, strength: float | str = "") -> Answer:
        """Post one interaction and expect it to be acknowledged."""
        path = f"/pref/{quote(user, safe='')}/{quote(item, safe='')}"
        answer = self.request("POST", path, str(strength).encode(), Content_Type="text/plain")
        assert answer.status == 204, answer.body
        return answer

    def ingest(self, lines: str, **headers: str) -> Answer:
        """Post lines and expect them to be acknowledged."""
        answer = self.request("POST", "/ingest", lines.encode(), Content_Type="text/csv", **headers)
        assert answer.status == 204, answer.body
        return answer

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until the serving layer says that it is ready."""
        eventually(lambda: self._reachable() and self.get("/ready").status == 200, timeout_s, self._last_words)

    def wait_up(self, timeout_s: float = START_S) -> None:
        """Wait until the serving layer answers and takes writes: it listens before Kafka has answered."""
        eventually(lambda: self._reachable() and b"Kafka" not in self.get("/ready").body, timeout_s, self._last_words)

    def wait_generation(self, other_than: str, timeout_s: float = START_S) -> str:
        """Wait until another generation is served, and return its name."""
        eventually(lambda: self.get("/ready").headers.get("x-oryx-generation") not in {other_than, None}, timeout_s)
        return self.get("/ready").generation

    def _reachable(self) -> bool:
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def _last_words(self) -> str:
        try:
            return f"/ready says {self.get('/ready').body!r}"
        except OSError as error:
            return f"no answer: {error}"


def eventually(holds: Callable[[], bool], timeout_s: float, explain: Callable[[], str] = lambda: "") -> None:
    """Wait until something holds; fail with an explanation when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s; {explain()}"
        time.sleep(0.05)
