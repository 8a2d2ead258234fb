"""Compiles what is folded with before somebody waits for it."""

from functools import cache

import numpy as np

from oryx_py.model.state.pair_delta import compile_steps
from oryx_py.numerics import murmur2
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive.kept_systems import Recursive

__all__ = ["compile_kernel"]


@cache
def compile_kernel() -> None:
    """Compile what is folded with before an interaction, or another epoch, waits for it; cached on disk afterwards.

    Once in a process: each set of partitions that it takes over is assembled.
    """
    one, none = np.ones((1, 1), np.float32), np.empty(0, np.int64)
    objective = Objective.mllib_explicit(lambda_=1.0)
    prior, starts, zero = Prior(gram=np.eye(1), rows=1), np.array([0, 1]), np.zeros(1, np.int64)
    fold_in_many(np.zeros(1, np.int64), none, np.empty(0), one, prior, objective)
    kept = Recursive(one, prior, objective, 1 << 10)
    for strength in (1.0, 2.0):
        kept.solve(zero, starts, zero, np.array([strength]))
    compile_steps()
    murmur2.partitions_of(np.frombuffer(b"", np.uint8), np.zeros(1, np.int64), 1)
