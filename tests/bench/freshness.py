"""How long until a posted interaction changes the user's list, measured from outside through HTTP, at constant rates.

Interactions are posted at one rate and lists are read at another, whatever the answers do: so many lines a ``POST
/ingest``, as what collects events sends them, or with one line by ``POST /pref``. Some of the interactions are probes,
each a ``POST /pref`` of a user whom nobody else posts for: before it the user's list is read, and after it again and
again, a millisecond between answer and question, until it differs; these questions count among the reads. A probe
whose list never changes is lost. In the end every user's known items and scores are compared with a dense recomputation
from the input topic; the run fails where they differ.

Beside it stands what the serving layer measured in-band: from Kafka's timestamp to the model served, without HTTP on
either side. The two agree where the time from outside is that of the histogram and, at most, a write's, a read's and
the wait between two questions more. What each process took of the cores is printed too, and what all others of the
machine took, with whom they were shared. Figures are of all rounds together; beside them stands what each round gave.

With --change the generation changes in the middle of each round, under the load (``oryx rollback``: everything since
the other generation is replayed onto it). Four times a second somebody new posts, and for some seconds it is looked
every 50 ms whether the service knows it: when it first did, and whether it ever did not any more, and for how long;
these questions count among the reads, too. The command that makes the change is nice to the layers, as if it were run
on another machine.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from oryx_py.local.broker import EmbeddedBroker
from oryx_py.testing.worlds import World, make_world
from tests.support.answers import assert_answers
from tests.support.cores import CoreTime
from tests.support.open_load import Answered, Connections, request_of
from tests.support.system import System

PATIENCE_S = 5.0
PAUSE_S = 0.001
CONNECTIONS = 128
WATCHES = 4.0
"""A second."""
WATCHED_S = 4.0
LOOK_S = 0.05
IN_BAND = "oryx_serving_event_to_visible_seconds"
OnAnswer = Callable[[Answered], None]


@dataclass
class Times:
    """What came of some seconds of load; seconds each."""

    visible: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    posted: int = 0
    """Interactions."""
    appeared: list[float] = field(default_factory=list)
    """Until what was watched was known first."""
    gone: list[float] = field(default_factory=list)
    """For how long something watched was not known after it had been."""
    lost: int = 0
    refused: list[str] = field(default_factory=list)

    @classmethod
    def of_all(cls, several: "list[Times]") -> "Times":
        """Put those of several rounds together."""
        together = cls()
        for times in several:
            for name, value in vars(times).items():
                setattr(together, name, getattr(together, name) + value)
        return together


class Load:
    """Posts and reads at constant rates; on the loop.

    Args:
        connections: open.
        probed: users of probes; nobody else posts for them.
        others: users of all other interactions.
        items: what is posted.
        lines: interactions in one request, but for the probes'.
        rng: who posts what.
    """

    def __init__(
        self,
        connections: Connections,
        probed: list[str],
        others: list[str],
        items: list[str],
        lines: int,
        rng: np.random.Generator,
    ) -> None:
        self._connections, self._lines, self._rng = connections, lines, rng
        self._probed, self._others, self._items = probed, others, items
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._asked = self._posted = 0
        self.times = Times()

    async def run(self, seconds: float, posts: float, reads: float, probes: float, watches: float = 0.0) -> Times:
        """Go on for so long, and until every answer is there.

        Args:
            seconds: for how long.
            posts: a second, probes among them.
            reads: a second, the probes' among them.
            probes: a second.
            watches: a second.
        """
        begun, probe, watch = time.perf_counter(), 0, 0
        free = list(self._rng.permutation(self._probed))
        while (passed := time.perf_counter() - begun) < seconds:
            while probe < probes * passed:
                self._probe(str(free[probe % len(free)]), begun + probe / probes)
                probe += 1
            while watch < watches * passed:
                self._watch(f"watched-{begun:.0f}-{watch}")
                watch += 1
            while self._posted < posts * passed:
                self._post_some(begun + self._posted / posts)
            while self._asked < reads * passed:
                self._read(self._one_of(self._others), begun + self._asked / reads, self._had)
            await asyncio.sleep(PAUSE_S)
        while self._under_way or self._connections.open:  # noqa: ASYNC110 - a pause is what the loop above ends with, too
            await asyncio.sleep(PAUSE_S)
        self.times.posted = self._posted
        return self.times

    def _one_of(self, names: list[str]) -> str:
        return names[int(self._rng.random() * len(names))]

    def _post(self, user: str, at: float, then: OnAnswer) -> None:
        self._posted += 1
        path = f"/pref/{quote(user, safe='')}/{quote(self._one_of(self._items), safe='')}"
        self._connections.ask(request_of("POST", path, b"1"), at, then)

    def _post_some(self, at: float) -> None:
        if self._lines == 1:
            self._post(self._one_of(self._others), at, self._written)
            return
        self._posted += self._lines
        body = "\n".join(f"{self._one_of(self._others)},{self._one_of(self._items)},1" for _ in range(self._lines))
        self._connections.ask(request_of("POST", "/ingest", body.encode()), at, self._written)

    def _read(self, user: str, at: float, then: OnAnswer) -> None:
        self._asked += 1
        self._connections.ask(request_of("GET", f"/recommend/{quote(user, safe='')}?howMany=10"), at, then)

    def _written(self, answer: Answered) -> None:
        self.times.writes.append(answer.at - answer.asked_at)
        if answer.status != 204:
            self.times.refused.append(f"{answer.status} {answer.body[:200]!r}")

    def _had(self, answer: Answered) -> None:
        self.times.reads.append(answer.at - answer.asked_at)
        if answer.status != 200:
            self.times.refused.append(f"{answer.status} {answer.body[:200]!r}")

    def _probe(self, user: str, at: float) -> None:
        """Read the list, post, and ask until it has changed; its times are from when the post should have gone out."""
        self._under_way += 1

        def has_before(before: Answered) -> None:
            self._had(before)
            posted_at = before.at

            def posted(answer: Answered) -> None:
                self._written(answer)
                self._read(user, answer.at, has)

            def has(answer: Answered) -> None:
                self._had(answer)
                waited = answer.at - posted_at
                if answer.status == 200 and answer.body != before.body:
                    self.times.visible.append(waited)
                    self._under_way -= 1
                elif waited > PATIENCE_S:
                    self.times.lost += 1
                    self._under_way -= 1
                else:
                    self._loop.call_later(PAUSE_S, lambda: self._read(user, time.perf_counter(), has))

            self._post(user, posted_at, posted)

        self._read(user, at, has_before)

    def _watch(self, user: str) -> None:
        """Post something, and look again and again whether it is known."""
        self._under_way += 1
        item, begun = self._one_of(self._items), time.perf_counter()
        was_there, gone_at = False, 0.0

        def look() -> None:
            self._asked += 1
            self._connections.ask(request_of("GET", f"/knownItems/{user}"), time.perf_counter(), looked)

        def posted(answer: Answered) -> None:
            self._written(answer)
            look()

        def looked(answer: Answered) -> None:
            nonlocal was_there, gone_at
            is_there = answer.status == 200 and f'"{item}"'.encode() in answer.body
            if is_there and not was_there:
                self.times.appeared.append(answer.at - begun)
            elif is_there and gone_at:
                self.times.gone.append(answer.at - gone_at)
            if is_there:
                was_there, gone_at = True, 0.0
            elif was_there and not gone_at:
                gone_at = answer.asked_at
            if answer.at - begun < WATCHED_S or (not is_there and answer.at - begun < WATCHED_S + PATIENCE_S):
                self._loop.call_later(LOOK_S, look)
                return
            self.times.lost += not is_there
            self._under_way -= 1

        self._posted += 1
        path = f"/pref/{user}/{quote(item, safe='')}"
        self._connections.ask(request_of("POST", path, b"1"), begun, posted)


async def load(port: int, world: World, options: argparse.Namespace, seconds: float, seed: int) -> Times:
    """Put the load on a service."""
    connections = Connections(port, CONNECTIONS)
    await connections.connect()
    users = [str(user) for user in np.unique(world.users)]
    probed = users[:: max(2, round(len(users) / (options.probes * 5)))]
    others = sorted(set(users) - set(probed))
    items = [str(item) for item in np.unique(world.items)]
    found = await Load(connections, probed, others, items, options.lines, np.random.default_rng(seed)).run(
        seconds, options.rate, options.reads, options.probes, WATCHES if options.change else 0.0
    )
    connections.close()
    assert not connections.failures, connections.failures[:3]
    return found


def in_band(system: System) -> dict[float, float]:
    """Return the serving layer's own histogram: by upper bound in seconds, how many came within."""
    families = text_string_to_metric_families(system.get("/metrics").body.decode())
    samples = [sample for family in families if family.name == IN_BAND for sample in family.samples]
    return {float(sample.labels["le"]): sample.value for sample in samples if sample.name == f"{IN_BAND}_bucket"}


def quantile(counts: dict[float, float], share: float) -> tuple[float, float, float]:
    """Return a quantile of cumulative counts by upper bound, straight between bounds as PromQL has it, and its bucket's
    bounds."""
    wanted, low, below = share * counts[math.inf], 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= wanted and count > below:
            if math.isinf(bound):
                return low, low, bound
            return low + (bound - low) * (wanted - below) / (count - below), low, bound
        low, below = bound, count
    return low, low, math.inf


def agrees(times: Times, counts: dict[float, float], share: float) -> bool:
    """Say whether a quantile from outside is that in-band, and no more than a write, a read and a pause above it.

    Kafka's timestamp is the append's, in the middle of the write; the histogram is as fine as its buckets are; and a
    quantile of sums is not the sum of quantiles, so that the higher ones are held to the bucket alone from below.
    """
    outside = float(np.quantile(times.visible, share))
    _, low, high = quantile(counts, share)
    around = sum(float(np.quantile(some, share)) for some in (times.writes, times.reads)) + PAUSE_S
    return low <= outside <= high + around


def main() -> int:
    """Run the benchmark; 0 where every interaction was seen and every request answered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000, help="interactions a second (1000)")
    parser.add_argument("--reads", type=float, default=500, help="lists read a second (500)")
    parser.add_argument("--lines", type=int, default=10, help="interactions in one POST (10)")
    parser.add_argument("--probes", type=float, default=20, help="of the interactions, so many a second (20)")
    parser.add_argument("--seconds", type=float, default=20, help="of a round (20)")
    parser.add_argument("--rounds", type=int, default=3, help="one after the other (3)")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--interactions", type=int, default=50_000, help="of the history")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--change", action="store_true", help="change the generation in the middle of each round")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    world = make_world(options.seed, options.users, options.items, options.interactions)
    with tempfile.TemporaryDirectory(prefix="oryx-freshness-") as folder:
        broker = EmbeddedBroker(Path(folder) / "broker", 0)
        broker.start()
        try:
            with System(Path(folder), broker.bootstrap_servers, MODEL__FEATURES=options.features) as system:
                assert broker.process is not None
                result = measure(system, world, options, broker.process.pid)
        finally:
            broker.stop()
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in result.items()))
    return 1 if result["lost"] or result["refused"] else 0


@dataclass(frozen=True)
class Round:
    """What came of one: the times, the in-band histogram's growth, and how many cores each process took."""

    times: Times
    in_band: dict[float, float]
    cores: dict[str, float]

    def outside(self) -> tuple[float, float]:
        """Return the median and the 99th percentile from outside, in milliseconds."""
        p50, p99 = np.percentile(self.times.visible, [50, 99]) * 1000
        return round(float(p50), 1), round(float(p99), 1)

    def inside(self) -> tuple[float, float]:
        """Return the same in-band."""
        return round(quantile(self.in_band, 0.5)[0] * 1000, 1), round(quantile(self.in_band, 0.99)[0] * 1000, 1)


def one_round(system: System, world: World, options: argparse.Namespace, processes: dict[str, int], seed: int) -> Round:
    """Put the load on for some seconds."""
    served = system.get("/ready").generation
    before, taken = in_band(system), CoreTime(processes)
    change = threading.Timer(options.seconds / 2, system.oryx, ("rollback",), {"nice": True})
    if options.change:
        change.start()
    times = uvloop.run(load(system.port, world, options, options.seconds, seed))
    cores = taken.cores()
    if options.change:
        change.join()
        assert system.get("/ready").generation != served, "the load ended before the change"
    return Round(times, {bound: count - before.get(bound, 0.0) for bound, count in in_band(system).items()}, cores)


def measure(system: System, world: World, options: argparse.Namespace, broker: int) -> dict[str, object]:
    """Start everything, train, and measure."""
    system.oryx("setup")
    serving, speed = system.start("serve"), system.start("speed")
    system.wait_up()
    rows = zip(world.users.tolist(), world.items.tolist(), world.strengths.tolist(), strict=True)
    lines = [f"{user},{item},{strength:g}" for user, item, strength in rows]
    for at in range(0, len(lines), 20_000):
        system.ingest("\n".join(lines[at : at + 20_000]))
    system.oryx("batch", "--once")
    system.wait_ready()
    uvloop.run(load(system.port, world, options, 3, options.seed + 1))
    if options.change:
        first = system.get("/ready").generation
        system.oryx("batch", "--once")
        system.wait_generation(first)
    print(f"measuring: serving {serving.pid}, speed {speed.pid}, broker {broker}", file=sys.stderr, flush=True)
    processes = {"serving": serving.pid, "speed": speed.pid, "broker": broker}
    rounds = [one_round(system, world, options, processes, options.seed + 2 + at) for at in range(options.rounds)]
    times = Times.of_all([found.times for found in rounds])
    counts = {bound: sum(found.in_band[bound] for found in rounds) for bound in rounds[0].in_band}
    cores = {name: sum(found.cores[name] for found in rounds) / len(rounds) for name in rounds[0].cores}
    seconds = options.seconds * options.rounds
    result = {
        "interactions_per_s": round(times.posted / seconds, 1),
        "writes_per_s": round(len(times.writes) / seconds, 1),
        "reads_per_s": round(len(times.reads) / seconds, 1),
        "probes": len(times.visible) + times.lost,
        "lost": times.lost,
        "refused": times.refused[:3],
        **_milliseconds("visible", times.visible),
        "visible_p50_p99_ms_rounds": [found.outside() for found in rounds],
        "in_band_updates": int(counts[math.inf]),
        "in_band_p50_ms": round(quantile(counts, 0.5)[0] * 1000, 2),
        "in_band_p99_ms": round(quantile(counts, 0.99)[0] * 1000, 2),
        "in_band_p50_p99_ms_rounds": [found.inside() for found in rounds],
        "in_band_agrees": agrees(times, counts, 0.5) and agrees(times, counts, 0.99),
        "in_band_histogram": _histogram(counts),
        "outside_histogram": _histogram({b: float(np.sum(np.array(times.visible) <= b)) for b in counts}),
        **_milliseconds("write", times.writes),
        **_milliseconds("read", times.reads),
        **(_watched(times) if options.change else {}),
        "cores_taken": {name: round(count, 2) for name, count in cores.items()},
        "cores_taken_rounds": [{name: round(count, 2) for name, count in found.cores.items()} for found in rounds],
        "quality": "every user's known items and scores equal the dense recomputation from the input topic",
        "users": options.users,
        "items": options.items,
        "features": options.features,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    print(f"measured: {json.dumps(result)}; comparing with the input topic", file=sys.stderr, flush=True)
    assert_answers(system)
    return result


def _milliseconds(name: str, seconds: list[float]) -> dict[str, float]:
    p50, p90, p99, worst = np.percentile(seconds, [50, 90, 99, 100]) * 1000
    return {
        f"{name}_{what}_ms": round(float(value), 2)
        for what, value in (("p50", p50), ("p90", p90), ("p99", p99), ("max", worst))
    }


def _watched(times: Times) -> dict[str, object]:
    """What was seen of single interactions around the changes."""
    return {
        "watched": len(times.appeared),
        **_milliseconds("appeared", times.appeared),
        "gone": len(times.gone),
        "gone_max_ms": round(max(times.gone, default=0.0) * 1000, 2),
    }


def _histogram(counts: dict[float, float]) -> dict[str, float]:
    """Shares of what lies in each bucket, by its upper bound in milliseconds; those of none are left out."""
    bounds, total = sorted(counts), counts[math.inf] or 1.0
    shares = np.diff([counts[bound] for bound in bounds], prepend=0.0) / total
    return {f"{bound * 1000:g}": round(float(share), 4) for bound, share in zip(bounds, shares, strict=True) if share}


if __name__ == "__main__":
    sys.exit(main())
