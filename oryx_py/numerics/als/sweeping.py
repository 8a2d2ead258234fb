"""Sweeps over both sides, and who does them."""

from typing import Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from oryx_py.numerics.als.phases import Half, Turn, turn_of
from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective

__all__ = ["SideName", "State", "Workers", "start", "sweep"]

SideName: TypeAlias = Literal["users", "items"]
F = TypeVar("F")

_DRAWN = 1 << 16
"""Rows at a time."""


class State(NamedTuple, Generic[F]):
    """Both sides' factors in one basis, as the workers keep them, and the Gram matrix of the items, float64[k, k]."""

    users: F
    items: F
    gram: DoubleMatrix


class Workers(Protocol[F]):
    """Do the phases of one training over all blocks; what they keep factors in is their own affair.

    Whoever they are and however many, the bits are the same. One thread calls them. Factors are never changed: each
    call makes new ones.
    """

    def put(self, side: SideName, factors: FloatMatrix) -> F:
        """Take over factors to begin with."""

    def turn(self, side: SideName, factors: F, turn: Turn) -> F:
        """Return a side's factors in another basis."""

    def improve(self, side: SideName, rows: F, fixed: F, turn: Turn) -> tuple[F, Half]:
        """Return a side's rows, turned and improved against the fixed side, which is turned already."""

    def gram(self, side: SideName, factors: F) -> DoubleMatrix:
        """Return the Gram matrix of factors that no half sweep made, float64[k, k]."""

    def read(self, factors: F) -> FloatMatrix:
        """Return factors to be read, perhaps mapped."""

    def keep(self, *states: State[F] | None) -> None:
        """Forget all factors but those of these states."""


def start(
    rows: int,
    features: int,
    rng: np.random.Generator,
    biases: Biases | None = None,
    *,
    out: FloatMatrix | None = None,
) -> FloatMatrix:
    """Return random factors of items to begin with, float32[rows, features], of standard deviation 0.1/√k.

    So Rendle 2021. ``biases`` begin with 0. ``out`` is written to, and returned, where it is given; it may be mapped.
    """
    factors = np.empty((rows, features), np.float32) if out is None else out
    for first in range(0, rows, _DRAWN):
        block = factors[first : first + _DRAWN]
        rng.standard_normal(dtype=np.float32, out=block)
        block *= np.float32(0.1 / np.sqrt(features))
    if biases is not None:
        own = [biases.user, biases.item]
        factors[:, own] = biases.of_nobody(features, "items")[own]
    return factors


def sweep(workers: Workers[F], state: State[F], objective: Objective) -> tuple[State[F], float]:
    """Improve both sides, users first; returns the loss as well, as it was when the users were done.

    Of users and items without a target it knows only that they are 0, which they are after the first sweep.
    """
    turn = turn_of(state.gram, objective, "items")
    fixed = workers.turn("items", state.items, turn)
    users, of_users = workers.improve("users", state.users, fixed, turn)
    turn = turn_of(of_users.gram, objective, "users")
    users = workers.turn("users", users, turn)
    items, of_items = workers.improve("items", fixed, users, turn)
    return State(users, items, of_items.gram), of_items.before + of_users.ridge
