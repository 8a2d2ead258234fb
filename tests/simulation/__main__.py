"""``python -m tests.simulation --seeds 50000``: run many seeds; ``--seed N --trace``: one, with what happened in it.

``--without NAME --seeds 100``: which of them notice that this rule of `mutations.py` is missing; ``all`` for each rule.
"""

import argparse
import gc
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.running import Outcome, run_seed

_TOLD_EVERY = 500
_COLLECTED_AFTER = 100_000, 20, 50
"""Runs end whole worlds at once: collecting as often as Python does by itself is a fifth of their time."""


def main() -> int:
    """Return 0 where every seed held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--from", type=int, dest="first", help="the first of them (0, or a rule's own)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--without", choices=["all", *(mutation.name for mutation in MUTATIONS)], metavar="NAME")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--most-failures", type=int, default=10, help="stop after so many")
    asked = parser.parse_args()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    if asked.seed is not None:
        outcome = run_seed(asked.seed, trace=asked.trace)
        print(*outcome.trace, sep="\n")
        print(f"seed {asked.seed}: {outcome.failure or 'holds'}")
        return int(outcome.failure is not None)
    if asked.without:
        for mutation in MUTATIONS:
            if asked.without in ("all", mutation.name):
                first = mutation.near if asked.first is None else asked.first
                print(f"{mutation.name}: {_noticed(mutation, first, asked.seeds, asked.most_failures)}", flush=True)
        return 0
    return _many(asked)


def _noticed(mutation: Mutation, first: int, seeds: int, most: int) -> list[int]:
    """Return the seeds that fail without a rule, at most so many."""
    with mutation.patch():
        failed = (seed for seed in range(first, first + seeds) if run_seed(seed).failure)
        return list(islice(failed, most))


def _many(asked: argparse.Namespace) -> int:
    began, wall = time.process_time(), time.monotonic()
    first = asked.first or 0
    seeds = range(first, first + asked.seeds)
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
