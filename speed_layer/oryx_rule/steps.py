"""Oryx 2's rule at work: the vectors that interactions have moved since they were last published."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import NearSingular
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.oryx_rule import Solver, scaled, updated
from oryx_py.numerics.objective import Objective

__all__ = ["Solvers", "Steps"]

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Solvers:
    """Of both sides' Gram matrices: `users` by ``XᵀX`` moves items, `items` by ``YᵀY`` moves users."""

    users: Solver
    items: Solver

    @classmethod
    def of(cls, user_gram: NDArray[np.float64], item_gram: NDArray[np.float64]) -> Self:
        """Make both from float64[k, k].

        Raises:
            NearSingular: one of them cannot be solved by; as in Oryx, nothing is folded in then, on neither side.
        """
        solvers = []
        for side, gram in (("users", user_gram), ("items", item_gram)):
            try:
                solvers.append(Solver.of(gram))
            except NearSingular as reason:
                raise NearSingular(f"{side}: {reason}") from None
        return cls(*solvers)


@dataclass
class Steps:
    """Moves both sides' vectors, each interaction from where those before it left them.

    Reads `state`, never changes it. `users` and `items` have what moved since they were last emptied, by handle: the
    vector now, float32[k], None for one that is gone.

    Each interaction is a micro-batch of its own. Oryx 2 cuts the input by its clock: within one cut it first adds up
    the strengths of each pair, and where a user (or an item) is in several pairs, the vector of one of them wins and
    the others are lost. Here nothing is lost, and the result depends on the order of the input alone, never on when it
    was read; it is Oryx's own where no two interactions of one user or item fall into one of its cuts.
    """

    state: ModelState
    objective: Objective
    solvers: Solvers | None
    users: dict[int, Vector | None] = field(default_factory=dict)
    items: dict[int, Vector | None] = field(default_factory=dict)

    def take(self, user: int, item: int, strength: float) -> tuple[bool, bool]:
        """Fold in one interaction; return whether the user's and whether the item's vector has moved.

        Without solvers, without a vector on the other side, or where the rule asks for nothing, one stays as it is.
        """
        value = scaled(strength, self.objective)
        if self.solvers is None or value is None:
            return False, False
        x, y = self.user(user), self.item(item)
        feedback = self.objective.feedback
        new_x = None if y is None else updated(x, y, value, self.solvers.items, feedback)
        new_y = None if x is None else updated(y, x, value, self.solvers.users, feedback)
        if new_x is not None:
            self.users[user] = new_x
        if new_y is not None:
            self.items[item] = new_y
        return new_x is not None, new_y is not None

    def user(self, user: int) -> Vector | None:
        """Return a user's vector now, float32[k]."""
        return self.users[user] if user in self.users else self.state.user_vector(user)

    def item(self, item: int) -> Vector | None:
        """Return an item's vector now, float32[k]."""
        return self.items[item] if item in self.items else self.state.item_vector(item)
