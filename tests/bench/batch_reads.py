"""What a user costs in a batch read, beside single reads: ``POST /recommend`` of a thousand users against as many GETs.

The server is the serving layer as its bootstrap puts it together, metrics and log on, in a process of its own that is
kept to one core with all its threads; in Kafka's place is a log in memory. It is asked from another core over kept
connections, in alternating rounds: singles eight at a time, then the same users in one batch. Beside the times by the
clock stand those that the server computed, which other work on the machine does not change. Two worlds: vectors
with structure, as trained ones have it, so that a batch need not look at most items; and Gaussian ones of about the
same length, where nothing can be left out, the worst case. The answers are compared, value by value; the run fails
where they differ, or the first world's ratio is below the target.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import uvloop

from tests.bench.http import SEED, made_up_world
from tests.support.load import ask_for
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually

TARGET: Final = 10.0
"""How many times a single read may cost what a user in a batch does, at least."""


async def batch(port: int, users: list[str], how_many: int) -> tuple[float, list[dict[str, Any]]]:
    """Ask for all at once; returns the seconds until the last byte, and the answer."""
    body = json.dumps({"users": users, "howMany": how_many}).encode()
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        async with session.post(f"http://127.0.0.1:{port}/recommend", data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            answer = await response.read()
        return time.perf_counter() - began, json.loads(answer)


async def differing(port: int, users: list[str], found: list[dict[str, Any]], how_many: int) -> int:
    """Return for how many users the batch and a single read differ."""
    assert [row["user"] for row in found] == users
    async with aiohttp.ClientSession() as session:

        async def alone(user: str) -> object:
            async with session.get(f"http://127.0.0.1:{port}/recommend/{user}?howMany={how_many}") as response:
                return await response.json()

        return sum([await alone(row["user"]) != row["items"] for row in found])


def structured(world: dict[str, Any]) -> dict[str, Any]:
    """Give the vectors what trained ones have: users near the items of their kind, popular items far longer."""
    rng = np.random.default_rng(SEED + 1)
    features = len(next(iter(world["items"].values())))
    kinds = rng.normal(size=(100, features)) / np.sqrt(features)

    def near_a_kind(names: Iterable[str], spread: float) -> dict[str, list[float]]:
        names = list(names)
        noise = rng.normal(scale=0.5 / np.sqrt(features), size=(len(names), features))
        vectors = kinds[rng.integers(len(kinds), size=len(names))] + noise
        lengths = rng.lognormal(sigma=spread, size=(len(names), 1))
        return dict(zip(names, (vectors * lengths).tolist(), strict=True))

    return {**world, "users": near_a_kind(world["users"], 0.2), "items": near_a_kind(world["items"], 0.5)}


def measure(world: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Run the server and ask it both ways in turn."""
    *_, server_core, own_core = sorted(os.sched_getaffinity(0))
    users = list(world["users"])
    paths = [f"/recommend/{user}?howMany={options.how_many}" for user in users]
    rounds: dict[str, list[float]] = {"single": [], "single_cpu": [], "batch": [], "batch_cpu": []}
    with tempfile.TemporaryDirectory(prefix="oryx-batch-reads-") as folder:
        with ServingProcess(Path(folder), core=server_core, world=world) as serving:
            os.sched_setaffinity(0, {own_core})
            eventually(lambda: serving.status("/ready") == 200, 60)
            for number in range(options.rounds + 1):
                before = serving.cpu_s()
                load = uvloop.run(ask_for(options.seconds, serving.port, paths, options.connections))
                between = serving.cpu_s()
                assert not load.failures, load.failures[:3]
                batches = [uvloop.run(batch(serving.port, users, options.how_many)) for _ in range(options.batches)]
                after = serving.cpu_s()
                if number:  # the first one warms up
                    rounds["single"].append(load.seconds / len(load.latencies))
                    rounds["single_cpu"].append((between - before) / len(load.latencies))
                    rounds["batch"].append(statistics.median(seconds for seconds, _ in batches) / len(users))
                    rounds["batch_cpu"].append((after - between) / len(users) / len(batches))
            some = slice(None, None, max(1, len(users) // 200))
            differ = uvloop.run(differing(serving.port, users[some], batches[-1][1][some], options.how_many))
        os.sched_setaffinity(0, {server_core, own_core})
    return result(rounds, differ)


def result(rounds: dict[str, list[float]], differ: int) -> dict[str, Any]:
    """Put the rounds into numbers; ratios are of the same round, so that both had the same machine."""
    by_clock = [single / many for single, many in zip(rounds["single"], rounds["batch"], strict=True)]
    by_cpu = [single / many for single, many in zip(rounds["single_cpu"], rounds["batch_cpu"], strict=True)]
    return {
        **{f"{name}_us_a_user": round(statistics.median(values) * 1e6, 1) for name, values in rounds.items()},
        "ratio": round(statistics.median(by_clock), 2),
        "ratio_of_cpu_times": round(statistics.median(by_cpu), 2),
        "ratio_rounds": [round(ratio, 2) for ratio in by_clock],
        "answers_that_differ": differ,
    }


def main() -> int:
    """Run the benchmark; 0 where the answers are equal and the ratio is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000, help="of a batch (1000)")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--how-many", type=int, default=10)
    parser.add_argument("--connections", type=int, default=8, help="of the single reads (8)")
    parser.add_argument("--seconds", type=float, default=2, help="of a round of single reads (2)")
    parser.add_argument("--batches", type=int, default=5, help="of a round (5)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    world = made_up_world(options.users, options.items, options.features)
    found = {"structured": measure(structured(world), options), "gaussian": measure(world, options)}
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
    print(
        json.dumps({**found, "target": TARGET, **vars(options), "machine": machine}, indent=None if options.json else 2)
    )
    equal = all(one["answers_that_differ"] == 0 for one in found.values())
    return 0 if equal and found["structured"]["ratio"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
