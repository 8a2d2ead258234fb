"""How long until a posted interaction changes the user's list, measured from outside through HTTP.

Each probe posts one interaction and asks for the same user's list until it differs from the one before; between two
questions it waits a millisecond. A probe whose list never changes counts as lost. In the end every user's known items
and scores are compared with a dense recomputation from the input topic; the run fails where they differ. Beside it
stands what the serving layer measured in-band: from Kafka's timestamp to the model served, without HTTP on either side.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import aiohttp
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from oryx_py.local.broker import EmbeddedBroker
from oryx_py.testing.worlds import World, make_world
from tests.support.answers import assert_answers
from tests.support.system import System

PATIENCE_S = 5.0
IN_BAND = "oryx_serving_event_to_visible_seconds"


async def probe(session: aiohttp.ClientSession, base: str, user: str, item: str) -> float | None:
    """Return milliseconds from the beginning of the POST to the first changed list, None for none in time."""
    url = f"{base}/recommend/{quote(user, safe='')}?howMany=10"
    async with session.get(url) as answer:
        before = await answer.read() if answer.status == 200 else b""
    begun = time.perf_counter()
    async with session.post(f"{base}/pref/{quote(user, safe='')}/{quote(item, safe='')}", data=b"1") as answer:
        assert answer.status == 204, await answer.text()
    while time.perf_counter() - begun < PATIENCE_S:
        async with session.get(url) as answer:
            if answer.status == 200 and await answer.read() != before:
                return (time.perf_counter() - begun) * 1000
        await asyncio.sleep(0.001)
    return None


async def load(base: str, world: World, rate: float, seconds: float, seed: int) -> tuple[list[float], int]:
    """Post at a constant rate, whatever the answers do; return the latencies in milliseconds and the probes lost."""
    rng = np.random.default_rng(seed)
    users = rng.choice(np.unique(world.users), int(rate * seconds))
    items = rng.choice(np.unique(world.items), int(rate * seconds))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        tasks = []
        begun = time.perf_counter()
        for number, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(probe(session, base, str(user), str(item))))
        found = await asyncio.gather(*tasks)
    return [ms for ms in found if ms is not None], sum(ms is None for ms in found)


def in_band(system: System) -> dict[float, float]:
    """Return the serving layer's own histogram: by upper bound in seconds, how many came within."""
    families = text_string_to_metric_families(system.get("/metrics").body.decode())
    samples = [sample for family in families if family.name == IN_BAND for sample in family.samples]
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == f"{IN_BAND}_bucket"}


def quantile(counts: dict[float, float], share: float) -> float:
    """Return a quantile of cumulative counts by upper bound, straight between bounds as PromQL has it."""
    wanted, low, below = share * counts[math.inf], 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= wanted:
            return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / max(count - below, 1.0)
        low, below = bound, count
    return low


def main() -> int:
    """Run the benchmark; 0 where every interaction was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100, help="interactions a second (100)")
    parser.add_argument("--seconds", type=float, default=20, help="for how long (20)")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--interactions", type=int, default=50_000, help="of the history")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    world = make_world(options.seed, options.users, options.items, options.interactions)
    with tempfile.TemporaryDirectory(prefix="oryx-freshness-") as folder:
        broker = EmbeddedBroker(Path(folder) / "broker", 0)
        broker.start()
        try:
            with System(Path(folder), broker.bootstrap_servers, MODEL__FEATURES=options.features) as system:
                result = measure(system, world, options)
        finally:
            broker.stop()
    print(json.dumps(result) if options.json else "\n".join(f"{name:24} {value}" for name, value in result.items()))
    return 1 if result["lost"] else 0


def measure(system: System, world: World, options: argparse.Namespace) -> dict[str, object]:
    """Start everything, train, and measure."""
    system.oryx("setup")
    system.start("serve")
    system.start("speed")
    system.wait_up()
    rows = zip(world.users.tolist(), world.items.tolist(), world.strengths.tolist(), strict=True)
    lines = [f"{user},{item},{strength:g}" for user, item, strength in rows]
    for at in range(0, len(lines), 20_000):
        system.ingest("\n".join(lines[at : at + 20_000]))
    system.oryx("batch", "--once")
    system.wait_ready()
    base = f"http://127.0.0.1:{system.port}"
    asyncio.run(load(base, world, options.rate, 2, options.seed + 1))
    before = in_band(system)
    latencies, lost = asyncio.run(load(base, world, options.rate, options.seconds, options.seed))
    counts = {bound: count - before.get(bound, 0.0) for bound, count in in_band(system).items()}
    p50, p90, p99, worst = np.percentile(latencies, [50, 90, 99, 100])
    assert_answers(system)
    return {
        "rate_per_s": options.rate,
        "probes": len(latencies) + lost,
        "lost": lost,
        "p50_ms": round(float(p50), 2),
        "p90_ms": round(float(p90), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(float(worst), 2),
        "in_band_updates": int(counts[math.inf]),
        "in_band_p50_ms": round(quantile(counts, 0.5) * 1000, 2),
        "in_band_p99_ms": round(quantile(counts, 0.99) * 1000, 2),
        "quality": "every user's known items and scores equal the dense recomputation from the input topic",
        "users": options.users,
        "items": options.items,
        "features": options.features,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main())
