"""``python -m tests.simulation --seeds 50000``: run many seeds; ``--seed N --trace``: one, with what happened in it."""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.running import Outcome, run_seed

_TOLD_EVERY = 500


def main() -> int:
    """Return 0 where every seed held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--most-failures", type=int, default=10, help="stop after so many")
    asked = parser.parse_args()
    if asked.seed is not None:
        outcome = run_seed(asked.seed, trace=asked.trace)
        print(*outcome.trace, sep="\n")
        print(f"seed {asked.seed}: {outcome.failure or 'holds'}")
        return int(outcome.failure is not None)
    return _many(asked)


def _many(asked: argparse.Namespace) -> int:
    began, wall = time.process_time(), time.monotonic()
    seeds = range(asked.first, asked.first + asked.seeds)
    failed: list[Outcome] = []
    reads = records = epochs = done = 0
    with ProcessPoolExecutor(asked.workers) as pool:
        jobs = map(run_seed, seeds) if asked.workers == 1 else pool.map(run_seed, seeds, chunksize=20)
        for outcome in jobs:
            done, reads, records = done + 1, reads + outcome.reads, records + outcome.records
            epochs += outcome.epochs
            if done % _TOLD_EVERY == 0:
                print(f"{done} seeds, to {outcome.seed}, {len(failed)} failed", flush=True)
            if outcome.failure is not None:
                failed.append(outcome)
                print(f"seed {outcome.seed}: {outcome.failure}", flush=True)
                if len(failed) >= asked.most_failures:
                    break
    print(f"{done} seeds, {len(failed)} failed {[outcome.seed for outcome in failed]}")
    print(f"{records} records, {epochs} epochs, {reads} reads after writes")
    print(f"{time.process_time() - began:.1f} s CPU in this process, {time.monotonic() - wall:.1f} s wall")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
