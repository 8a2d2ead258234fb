"""What the layer costs around an answer: ``/estimate/{user}/{item}`` beside a bare handler that sends the same bytes.

``--ask recommend`` asks for lists instead, beside the same handler.

The server is the serving layer as its bootstrap puts it together, metrics and a JSON log line a request on, in a
process of its own that is kept to one core with all its threads; in Kafka's place is a log in memory. The bare handler
is aiohttp on uvloop with one route. Both are asked in alternating rounds by this process, from another core, over kept
connections without pipelining. Beside the answers by the clock stand those by the time that the server computed, which
other work on the machine does not change.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from tests.support.load import Load, ask_for
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually

SEED = 1
PATHS = {"estimate": "/estimate/{user}/{item}", "recommend": "/recommend/{user}?howMany=10"}
ROOT = Path(__file__).parents[2]


def made_up_world(users: int, items: int, features: int) -> dict[str, object]:
    """Random vectors and ten interactions of each user."""
    rng = np.random.default_rng(SEED)
    item_names = [f"item-{number}" for number in range(items)]
    known = rng.integers(items, size=(users, 10)).tolist()
    return {
        "users": dict(
            zip((f"user-{n}" for n in range(users)), rng.normal(size=(users, features)).tolist(), strict=True)
        ),
        "items": dict(zip(item_names, rng.normal(size=(items, features)).tolist(), strict=True)),
        "pairs": {f"user-{n}": {item_names[item]: 1.0 for item in row} for n, row in enumerate(known)},
    }


@contextmanager
def bare_handler(like_port: int, path: str, route: str, core: int) -> Iterator[tuple[int, int]]:
    """Run a handler that answers all of a route as the other server does at this path.

    Yields its port and process number.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{like_port}{path}") as answer:
        kept = {name: value for name, value in answer.headers.items() if name not in {"Content-Length", "Date"}}
        plan = {"route": route, "core": core, "headers": kept, "body": answer.read().decode()}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.bare_handler", json.dumps(plan)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    with process:
        try:
            yield int(process.stdout.readline()), process.pid  # type: ignore[union-attr]
        finally:
            process.stdin.close()  # type: ignore[union-attr]
            process.wait(10)


def one_round(port: int, pid: int, paths: list[str], options: argparse.Namespace) -> tuple[Load, float]:
    """Ask for some seconds; returns what came, and how long the server computed."""
    before = psutil.Process(pid).cpu_times()
    load = uvloop.run(ask_for(options.seconds, port, paths, options.connections))
    after = psutil.Process(pid).cpu_times()
    assert not load.failures, load.failures[:3]
    return load, after.user + after.system - before.user - before.system


def summary(rounds: list[tuple[Load, float]]) -> dict[str, object]:
    """Put several rounds into numbers."""
    rates = [len(load.latencies) / load.seconds for load, _ in rounds]
    p50, p99 = np.percentile(np.concatenate([load.latencies for load, _ in rounds]), [50, 99]) * 1000
    return {
        "requests_per_s": round(statistics.median(rates)),
        "requests_per_s_rounds": [round(rate) for rate in rates],
        "requests_per_cpu_s": round(statistics.median([len(load.latencies) / cpu for load, cpu in rounds])),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run both servers and ask them in turn."""
    *_, server_core, own_core = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {own_core})
    paths = [
        PATHS[options.ask].format(user=f"user-{n % options.users}", item=f"item-{n * 7 % options.items}")
        for n in range(1000)
    ]
    route = PATHS[options.ask].partition("?")[0]
    with tempfile.TemporaryDirectory(prefix="oryx-http-") as folder:
        world = made_up_world(options.users, options.items, options.features)
        with ServingProcess(Path(folder), core=server_core, world=world) as serving:
            eventually(lambda: serving.status("/ready") == 200, 60)
            with bare_handler(serving.port, paths[0], route, server_core) as (bare_port, bare_pid):
                oryx, bare = [], []
                for number in range(options.rounds + 1):
                    ours = one_round(serving.port, serving.pid, paths, options)
                    theirs = one_round(bare_port, bare_pid, paths, options)
                    if number:  # the first one warms up
                        oryx.append(ours)
                        bare.append(theirs)
            logged = sum(b'"event":"request"' in line for line in serving.log.open("rb"))
    found = {"oryx": summary(oryx), "bare": summary(bare)}
    ratio = found["oryx"]["requests_per_cpu_s"] / found["bare"]["requests_per_cpu_s"]  # type: ignore[operator]
    return {
        "asked": options.ask,
        **found,
        "ratio_of_cpu_rates": round(ratio, 3),
        "request_lines_logged": logged,
        "connections": options.connections,
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ask", choices=PATHS, default="estimate", help="what is asked for (estimate)")
    parser.add_argument("--seconds", type=float, default=3, help="of a round (3)")
    parser.add_argument("--rounds", type=int, default=5, help="of each (5)")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = measure(options)
    print(json.dumps(result, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
