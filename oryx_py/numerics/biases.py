"""Biases of explicit feedback: a score is ``p·q + b_u + μ + b_i``, and still one dot product.

A user's row is ``[p, b_u, 1]`` and an item's ``[q, 1, μ + b_i]``: each side has a column for what it adds to a score by
itself, where the other's rows have 1. With the items fixed, ``(p, b_u)`` is the ridge solution against ``(q, 1)`` for
the targets ``s − (μ + b_i)``; with the users fixed, ``(q, b_i)`` that against ``(p, 1)`` for ``s − μ − b_u``.

Source: Koren, Bell & Volinsky 2009, "Matrix factorization techniques for recommender systems", equations 4 and 5.
"""

import math
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, FloatVector

__all__ = ["Biases", "Side"]

Side: TypeAlias = Literal["users", "items"]


class Biases(msgspec.Struct, frozen=True):
    """μ, and the column that each side's biases stand in, as the manifest has them.

    ``mean`` is μ. In column ``user`` users have b_u and items 1; in column ``item`` items have μ + b_i and users 1.

    Raises:
        ValueError: the mean is not finite, or there are no two columns.
    """

    mean: float
    user: int
    item: int

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise ValueError(f"the mean of ratings must be finite, not {self.mean}")
        if self.user == self.item or min(self.user, self.item) < 0:
            raise ValueError(f"biases cannot stand in columns {self.user} and {self.item}")

    @classmethod
    def last(cls, features: int, mean: float = 0.0) -> "Biases":
        """Return those of vectors of this length, both columns counted: the last two."""
        return cls(mean, features - 2, features - 1)

    def column(self, of: Side) -> int:
        """The column of that side's own biases."""
        return self.user if of == "users" else self.item

    def are_in(self, users: NDArray[Any], items: NDArray[Any]) -> bool:
        """Say whether factors of the same length have these biases: whether the ones are where they have to be."""
        return bool((users[:, self.item] == 1).all() and (items[:, self.user] == 1).all())

    def of_nobody(self, features: int, of: Side) -> FloatVector:
        """Return that side's vector without a rating, float32[features]: no factors, no bias, but μ with the items."""
        vector = np.zeros(features, np.float32)
        self.publish(vector, "items" if of == "users" else "users")
        return vector

    def offsets(self, own: NDArray[Any], of: Side) -> DoubleVector:
        """What rows of that side add to a score by themselves, μ with them.

        ``own`` [n] is the rows' `column`; returns float64[n].
        """
        offsets = np.asarray(own, np.float64)
        return offsets + self.mean if of == "users" else offsets

    def publish(self, solved: NDArray[Any], fixed: Side) -> None:
        """Make rows [..., k] of solutions, in place: 1 where the ``fixed`` side has its biases, and μ added to items'.

        What stands in the column of the fixed side's biases before is lost; a solution has 0 there.
        """
        solved[..., self.column(fixed)] = 1
        if fixed == "users":
            solved[..., self.item] += self.mean
