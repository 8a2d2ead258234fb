"""kill -9 of speed, serving and broker in turn, at random moments under load: does all that was acknowledged count?

People post through ``/pref`` and ``/ingest``, take some of it back and read, all the time; half of the users and items
are new to the generation. A quarter of the kills come down twice, the second time while the process is on its way back.
In the end the input topic is compared with what was acknowledged, and every user's known items and scores with NumPy's
recomputation from the topic. The run fails where an acknowledged interaction is missing, one is stored twice, an answer
differs, or a read failed while the serving layer was up. Recovery is from the kill to the first interaction posted
afterwards that is in an answer.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from oryx_py.local.broker import EmbeddedBroker
from tests.support.kills import KILLABLE, Kills, Outcome, Traffic, history, outcome
from tests.support.system import System


def main() -> int:
    """Run the benchmark; 0 where nothing is missing, doubled or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="in all (20)")
    parser.add_argument("--users", type=int, default=120)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oryx-kills-") as folder:
        broker = EmbeddedBroker(Path(folder) / "broker", 0)
        broker.start()
        try:
            with System(Path(folder), broker.bootstrap_servers, SPEED__CHECKPOINT_INTERVAL_S=2) as system:
                result = measure(system, broker, options)
        finally:
            broker.stop()
    print(json.dumps(result) if options.json else "\n".join(f"{name:24} {value}" for name, value in result.items()))
    return 1 if any(result[name] for name in ("missing", "doubled", "wrong_answers", "failed_reads")) else 0


def measure(system: System, broker: EmbeddedBroker, options: argparse.Namespace) -> dict[str, object]:
    """Start everything, train, and kill."""
    rng = np.random.default_rng(options.seed)
    system.oryx("setup")
    system.start("serve")
    system.start("speed")
    system.wait_up()
    system.ingest(history(options.users, options.items, options.seed))
    system.oryx("batch", "--once")
    system.wait_ready()
    recoveries: dict[str, list[float]] = {who: [] for who in KILLABLE}
    killed = dict.fromkeys(KILLABLE, 0)
    begun = time.monotonic()
    with Traffic(
        system,
        users=options.users,
        items=options.items,
        writers=options.writers,
        readers=options.readers,
        seed=options.seed,
    ) as traffic:
        kills = Kills(system, broker, traffic)
        while sum(killed.values()) < options.kills:
            who = KILLABLE[sum(map(len, recoveries.values())) % len(KILLABLE)]
            twice = rng.random() < 0.25 and sum(killed.values()) + 1 < options.kills
            time.sleep(rng.uniform(0.2, 2.0))
            recoveries[who].append(kills.kill(who, rng.uniform(0.0, 3.0) if twice else None))
            killed[who] += 1 + twice
            print(f"{who:8} back after {recoveries[who][-1]:5.1f} s{', killed twice' * twice}", file=sys.stderr)
        time.sleep(1.0)
    seconds = time.monotonic() - begun
    found = outcome(system, traffic)
    every = [s for some in recoveries.values() for s in some]
    return {
        "kills": sum(killed.values()),
        **{f"kills_{who}": count for who, count in killed.items()},
        "acknowledged": found.acknowledged,
        "missing": found.missing,
        "doubled": found.doubled,
        "wrong_answers": len(found.wrong),
        "users_compared": found.users,
        "reads": traffic.reads,
        "failed_reads": len(traffic.failed_reads),
        "recovery_s_median": round(float(np.median(every)), 2),
        "recovery_s_max": round(max(every), 2),
        **{f"recovery_s_median_{who}": round(float(np.median(some)), 2) for who, some in recoveries.items() if some},
        **{f"recovery_s_max_{who}": round(max(some), 2) for who, some in recoveries.items() if some},
        "not_acknowledged": found.attempts - found.acknowledged,
        "stored": found.stored,
        "seconds": round(seconds, 1),
        "examples": _examples(found, traffic),
        "seed": options.seed,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def _examples(found: Outcome, traffic: Traffic) -> list[str]:
    return [*found.wrong[:3], *traffic.failed_reads[:3]]


if __name__ == "__main__":
    sys.exit(main())
