"""A generation small enough to write in every test, with everything in it that a large one has."""

from pathlib import Path
from typing import Any

import numpy as np

from oryx_py.events.fold import FoldSettings
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import write_generation
from oryx_py.model.generations.manifest import Manifest
from oryx_py.numerics.objective import Objective

__all__ = ["write_small_generation"]


def write_small_generation(into: Path, name: str, **changes: Any) -> Manifest:
    """Write five users and four items of random factors; ``changes`` replace arguments of `write_generation`.

    Histories are of different lengths, out of order, with strengths below and at 0; an item has no user; IDs have one
    to four bytes a character.
    """
    rng = np.random.default_rng(5)
    arguments: dict[str, Any] = {
        "name": name,
        "user_ids": ["Zoë", "ann", "bob", "李", "🦉"],
        "item_ids": ["i1", "i10", "i2", "æther"],
        "user_factors": rng.normal(size=(5, 3)).astype(np.float32),
        "item_factors": rng.normal(size=(4, 3)).astype(np.float32),
        "user_histories": Csr(
            np.array([0, 3, 4, 6, 7, 8], np.int64),
            np.array([2, 0, 1, 0, 1, 0, 2, 2], np.int32),
            np.array([1.0, 2.5, -1.0, 0.0, 3.0, 1e-3, 7.0, 1.0]),
        ),
        "objective": Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
        "fold": FoldSettings(feedback="implicit"),
        "trainer": "random",
        "created_ms": 1_785_500_000_123,
        "as_of_ms": 1_785_500_000_000,
        "input": {0: (0, 12), 1: (3, 9)},
        "interactions": 17,
        "rejected": 1,
        "repeats": 2,
        "dedupe_from": {1: (5, 1_785_400_000_000)},
    }
    return write_generation(into, **{**arguments, **changes})
