"""How long others wait while slow clients are connected: the 99th percentile with them and without, in one run.

The slow clients send heads and bodies, or read large answers, a byte a second, and come back when they are cut off.
Rounds with and without them alternate. The server is the serving layer as its bootstrap puts it together, with a log in
memory in Kafka's place, on one core; it is asked from another, at a steady rate of a few connections.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from tests.bench.http import made_up_world
from tests.support.load import Load, ask_for
from tests.support.serving_process import ServingProcess
from tests.support.slow_clients import SlowClients
from tests.support.system import eventually

USERS, ITEMS = 1000, 2000


async def one_round(port: int, paths: list[str], options: argparse.Namespace, *, slow: bool) -> tuple[Load, int]:
    """Ask for some seconds, beside slow clients or not; returns what came and how many slow ones were cut off."""
    if not slow:
        return await ask_for(options.seconds, port, paths, options.connections), 0
    async with SlowClients(port, options.slow, options.slow) as clients:
        await asyncio.sleep(options.settle)  # what they ask for first is work like any other
        return await ask_for(options.seconds, port, paths, options.connections), clients.cut_off


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the server and ask it with and without slow clients."""
    *_, server_core, own_core = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {own_core})
    paths = [f"/recommend/user-{n % USERS}" for n in range(500)] + [f"/estimate/user-{n}/item-{n}" for n in range(500)]
    found: dict[bool, list[tuple[Load, int]]] = {False: [], True: []}
    with (
        tempfile.TemporaryDirectory(prefix="oryx-slow-") as folder,
        ServingProcess(Path(folder), core=server_core, world=made_up_world(USERS, ITEMS, 32)) as serving,
    ):
        eventually(lambda: serving.status("/ready") == 200, 60)
        uvloop.run(ask_for(1, serving.port, paths, options.connections))
        for _ in range(options.rounds):
            for slow in (False, True):
                found[slow].append(uvloop.run(one_round(serving.port, paths, options, slow=slow)))
                assert not found[slow][-1][0].failures, found[slow][-1][0].failures[:3]
    without, with_slow = (summary(rounds) for rounds in found.values())
    return {
        "without": without,
        "with_slow_clients": with_slow,
        "ratio_of_p99": round(float(np.median(with_slow["p99_ms_rounds"]) / np.median(without["p99_ms_rounds"])), 2),
        "slow_senders": options.slow,
        "slow_readers": options.slow,
        "slow_cut_off": sum(cut for _, cut in found[True]),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def summary(rounds: list[tuple[Load, int]]) -> dict[str, Any]:
    """Put several rounds into numbers."""
    p50, p99 = np.percentile(np.concatenate([load.latencies for load, _ in rounds]), [50, 99]) * 1000
    return {
        "answers": sum(len(load.latencies) for load, _ in rounds),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "p99_ms_rounds": [round(float(np.percentile(load.latencies, 99)) * 1000, 3) for load, _ in rounds],
    }


def main() -> int:
    """Run the benchmark; 0 where the slow clients made the others wait less than twice as long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", type=int, default=200, help="slow senders, and slow readers (200)")
    parser.add_argument("--seconds", type=float, default=5, help="of a round (5)")
    parser.add_argument("--settle", type=float, default=2, help="after the slow ones have connected (2)")
    parser.add_argument("--rounds", type=int, default=3, help="with and without (3)")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = measure(options)
    print(json.dumps(result, indent=None if options.json else 2))
    return int(result["ratio_of_p99"] > 2)


if __name__ == "__main__":
    sys.exit(main())
