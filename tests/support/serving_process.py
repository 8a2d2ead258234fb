"""The serving layer in a process of its own, put together by its bootstrap; in Kafka's place is a log in memory.

The parent tells the child what to do by lines on its standard input, and the child ends when that does.
"""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import msgspec
import psutil
import uvloop

from oryx_py.adapters.clock import SystemClock
from oryx_py.config import Settings
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.telemetry import configure_logging
from oryx_py.testing.fake_log import FakeConsumer, FakeProducer
from serving_layer.bootstrap import serve
from serving_layer.startup.ports import Ports
from tests.support.publishing import UPDATES, Publisher
from tests.support.serving import INPUT_PARTITIONS, ITEMS, PAIRS, USERS, write_world

__all__ = ["GENERATION", "ServingProcess"]

GENERATION = "gen-1"
START_S = 60.0


class ServingProcess:
    """A child that serves a generation; its log is ``<folder>/serving.log``, JSON lines.

    Args:
        folder: for the generation and the log.
        serving: of the settings' group ``serving``.
        core: to keep it, with all its threads, to one core; None for any.
        world: users and items by factors, and the users' interactions; a world of a few if not given.
    """

    def __init__(
        self,
        folder: Path,
        serving: Mapping[str, object] | None = None,
        *,
        core: int | None = None,
        world: Mapping[str, object] | None = None,
    ) -> None:
        self.log = folder / "serving.log"
        plan = {
            "folder": str(folder),
            "serving": {"port": 0, **(serving or {})},
            "core": core,
            "world": world or {"users": USERS, "items": ITEMS, "pairs": PAIRS},
        }
        self._plan = folder / "plan.json"
        self._plan.write_text(json.dumps(plan))

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.serving_process", str(self._plan)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],
                text=True,
            )
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        assert line, self.log.read_text()[-4000:]
        self.port = int(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()  # type: ignore[union-attr]

    @property
    def pid(self) -> int:
        """The child's number."""
        return self._process.pid

    def status(self, path: str) -> int:
        """Ask for a path and return the answer's status."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stored(self) -> int:
        """Return how many records the input topic has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("stored\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def resident_bytes(self) -> int:
        """Return how much memory it has."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu_s(self) -> float:
        """Return how long it has computed, in all threads, in seconds."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


def main(plan_path: str) -> int:
    """Serve until standard input ends."""
    plan = json.loads(Path(plan_path).read_text())
    if plan["core"] is not None:
        os.sched_setaffinity(0, {plan["core"]})
    configure_logging("info", "json")
    publisher = Publisher(Path(plan["folder"]))
    world = plan["world"]
    into = publisher.store.stage(GENERATION)
    write_world(into, GENERATION, world["pairs"], world["users"], world["items"])
    publisher.store.commit(GENERATION)
    epoch = publisher.start_epoch(GENERATION)
    publisher.go_live(epoch, *[0] * INPUT_PARTITIONS)
    ports = Ports(
        admin=publisher.admin,
        producer=FakeProducer(publisher.log),
        new_consumer=lambda: FakeConsumer(publisher.log),
        store=publisher.store,
        registry=publisher.registry,
        clock=SystemClock(),
    )
    stopping, answers = Stopping(), sys.stdout
    settings = msgspec.convert(
        {"input": {"topic": "in"}, "update": {"topic": UPDATES}, "serving": plan["serving"]}, Settings
    )
    threading.Thread(target=_obey, args=(sys.stdin, answers, publisher, stopping), daemon=True).start()
    return int(uvloop.run(serve(settings, ports, stopping, lambda port: print(port, file=answers, flush=True))))


def _obey(commands: Iterable[str], answers: TextIO, publisher: Publisher, stopping: Stopping) -> None:
    for _ in commands:
        partitions = (publisher.log.partition("in", number) for number in range(INPUT_PARTITIONS))
        print(sum(len(partition.records) for partition in partitions), file=answers, flush=True)
    stopping.request()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
