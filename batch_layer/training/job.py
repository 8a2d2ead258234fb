"""What one training works on, as every task of it knows it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batch_layer.recipe import Recipe
from oryx_py.numerics.als import SideName

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """Directories, sizes and settings; travels to the tasks.

    ``into`` has IDs and histories of ``users`` and ``items``; ``work`` is for what is of no use afterwards. Both are
    seen under these paths by everybody who works. ``parent`` has IDs and factors to begin with, None for none.
    """

    into: Path
    work: Path
    users: int
    items: int
    recipe: Recipe
    parent: Path | None = None

    def rows(self, side: SideName) -> int:
        """How many rows a side has."""
        return self.users if side == "users" else self.items

    def rng(self, purpose: int) -> np.random.Generator:
        """Return a generator of its own for each purpose: a function of the seed alone."""
        return np.random.default_rng([self.recipe.seed, purpose])
