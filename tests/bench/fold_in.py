"""What a fold-in costs: µs a row by ``fold_in_many`` and by ``fold_in``, with the largest relative error beside.

``python -m tests.bench.fold_in`` prints a table, with ``--json`` the raw numbers and the machine. Both run in one
process on one thread each, and what counts is CPU time. ``fold_in`` is NumPy's dense solve (BLAS and LAPACK), the
gathering of its vectors and the overhead of a Python call included.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import fold_in
from tests.support.ridge import objective, random_histories, relative_error

SEED = 1
FEATURES = (32, 64, 200)
LENGTHS = (27, 75, 300, 2000)
KINDS = ("mllib_implicit", "ials", "mllib_explicit")
REPEATS = 5


def microseconds(call: Callable[[], Any], rows: int) -> list[float]:
    """CPU time of a row in each of ``REPEATS`` calls, after one that warms up."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.thread_time()
        call()
        times.append((time.thread_time() - start) * 1e6 / rows)
    return times


def measure(kind: str, k: int, n: int, turned: bool) -> dict[str, Any]:
    """One kind of system: times of both ways, and how far apart their solutions are."""
    rng = np.random.default_rng(SEED)
    m = max(5, min(300, 40_000 // n))
    h = random_histories(rng, k=k, lengths=[n] * m, rows=20_000, turned=turned)
    chosen, few = objective(kind), 5
    exact = [fold_in(*h.row(row), h.prior, chosen) for row in range(m)]

    def many() -> Any:
        return fold_in_many(h.indptr, h.indices, h.strengths, h.factors, h.prior, chosen)

    def dense() -> Any:
        return [fold_in(*h.row(row), h.prior, chosen) for row in range(few)]

    errors = [relative_error(x, solution) for x, solution in zip(many(), exact, strict=True)]
    return {
        "objective": kind,
        "features": k,
        "history": n,
        "eigenbasis": turned,
        "many_us": microseconds(many, m),
        "dense_us": microseconds(dense, few),
        "max_relative_error": max(errors),
    }


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="raw numbers with the machine")
    as_json = parser.parse_args().json
    results = []
    with threadpool_limits(1):
        for k in FEATURES:
            for n in LENGTHS:
                for kind in KINDS:
                    for turned in (True, False):
                        results.append(measure(kind, k, n, turned))
                        if not as_json:
                            print(line(results[-1]), flush=True)
    if as_json:
        machine = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": numba.__version__,
        }
        print(json.dumps({"seed": SEED, "machine": machine, "results": results}))


def line(result: dict[str, Any]) -> str:
    """A row of the table: medians, their ratio and the error."""
    many, dense = statistics.median(result["many_us"]), statistics.median(result["dense_us"])
    basis = "eigenbasis" if result["eigenbasis"] else "any basis"
    return (
        f"k={result['features']:<4} n={result['history']:<5} {result['objective']:<15} {basis:<11}"
        f"{many:9.1f} µs {dense:9.1f} µs dense ({dense / many:5.1f}×)"
        f"   max relative error {result['max_relative_error']:.0e}"
    )


if __name__ == "__main__":
    main()
