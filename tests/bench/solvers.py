"""What one more interaction costs by each way to solve a user: conjugate gradients, a system kept, and building one.

``python -m tests.bench.solvers`` prints µs of CPU a user, and what `speed_layer.solving.costs` expects of them;
``--json`` the raw numbers. One thread; factors and histories as a generation has them, one pair more in each history.
"""

import argparse
import json
import time
from collections.abc import Callable
from copy import copy

import numpy as np

from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.recursive.kept_systems import Recursive
from speed_layer.solving import costs
from speed_layer.solving.user_solver import UserSolver
from tests.support.ridge import objective, random_histories

FEATURES = (32, 64, 128, 200)
LENGTHS = (75, 300, 1000, 3000)
REPEATS = 5
WAYS = ("cg", "rls", "build")


def cpu_us(call: Callable[[], object], rows: int) -> float:
    """The least CPU time of a row: what others on the machine take away only adds to it."""
    times = []
    for _ in range(REPEATS):
        began = time.thread_time()
        call()
        times.append((time.thread_time() - began) * 1e6 / rows)
    return min(times)


def measure(k: int, n: int) -> dict[str, float]:
    """All ways for one number of features and length of histories."""
    rng = np.random.default_rng(1)
    m = max(4, min(100, 30_000 // n))
    h = random_histories(rng, k=k, lengths=[n] * m, rows=20_000, turned=True)
    strengths = np.abs(np.nan_to_num(h.strengths)) + 1
    chosen, users = objective("mllib_implicit"), np.arange(m)
    fold_in_many(h.indptr, h.indices, strengths, h.factors, h.prior, chosen)
    kept = Recursive(h.factors, h.prior, chosen, 1 << 31)
    kept.solve(users, h.indptr, h.indices, strengths)

    def build() -> None:
        fresh = Recursive(h.factors, h.prior, chosen, 1 << 31)
        fresh._cache._slots = copy(kept._cache._slots)  # touched pages
        fresh._cache._slots._used = 0
        fresh.solve(users, h.indptr, h.indices, strengths)

    def renew() -> None:
        strengths[h.indptr[:-1]] += 1
        kept.solve(users, h.indptr, h.indices, strengths)

    cg = cpu_us(lambda: fold_in_many(h.indptr, h.indices, strengths, h.factors, h.prior, chosen), m)
    renewed, built = cpu_us(renew, m), cpu_us(build, m)
    length = np.array([n])
    return {
        "features": k,
        "history": n,
        "cg_us": cg,
        "rls_us": renewed,
        "build_us": built,
        "expected_cg_us": float(costs.descent_us(length, k)[0]),
        "expected_rls_us": float(costs.renewal_us(length, k)[0]),
        "expected_build_us": float(costs.building_us(length, k)[0]),
    }


def hot_users(k: int, n: int, visits: int) -> dict[str, float]:
    """µs a solution, by ``speed.solver``: users with histories of n pairs, each solved so often, a pair changing."""
    rng = np.random.default_rng(2)
    h = random_histories(rng, k=k, lengths=[n] * 10, rows=20_000, turned=True)
    chosen, users, found = objective("mllib_implicit"), np.arange(10), {}
    for kind in ("cg", "auto"):
        strengths = np.abs(np.nan_to_num(h.strengths)) + 1
        solver = UserSolver(h.factors, h.prior, chosen, kind, 1 << 28)
        solver.solve(users, h.indptr, h.indices, strengths)
        began = time.thread_time()
        for visit in range(visits):
            strengths[h.indptr[:-1] + visit % n] += 1
            solver.solve(users, h.indptr, h.indices, strengths)
        found[f"{kind}_us"] = (time.thread_time() - began) * 1e6 / visits / len(users)
    return {"features": k, "history": n, "visits": visits, **found}


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    results = [measure(k, n) for k in FEATURES for n in LENGTHS]
    hot = [hot_users(k, n, visits) for k in (64, 200) for n in (1000, 3000) for visits in (10, 100)]
    if as_json:
        print(json.dumps({"results": results, "hot": hot}))
        return
    print("measured (expected), µs of CPU a user")
    for one in results:
        ways = "   ".join(f"{way} {one[f'{way}_us']:8.1f} ({one[f'expected_{way}_us']:8.1f})" for way in WAYS)
        print(f"k={one['features']:<4} n={one['history']:<5} {ways}")

    print("users who come again and again, µs of CPU a solution, building included")
    for one in hot:
        print("   ".join(f"{name} {value:.4g}" for name, value in one.items()))


if __name__ == "__main__":
    main()
