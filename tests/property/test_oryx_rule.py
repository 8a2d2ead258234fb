"""Oryx's fold-in rule against a transcription of its formula, one line after the other, with NumPy's own solver."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oryx_py.numerics.fold_in.oryx_rule import SINGULAR, Feedback, Solver, apparent_rank, fold_in_order, updated
from tests.support.oryx_rule import step

FEEDBACK = st.sampled_from(("implicit", "explicit"))
STRENGTHS = st.floats(-100, 100) | st.sampled_from([0.0, 1.0, -1.0, 1e-9])


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.sampled_from([1, 2, 8, 50]),
    scale=st.floats(0.05, 3.0),
    new=st.booleans(),
    strength=STRENGTHS,
    feedback=FEEDBACK,
)
def test_updated_is_the_formula(
    seed: int, k: int, scale: float, new: bool, strength: float, feedback: Feedback
) -> None:
    """To float32, and None exactly where the formula has no case, for any signs, sizes and dimensions."""
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(3 * k, k)) * scale
    gram = Y.T @ Y
    y = Y[0].astype(np.float32)
    x = None if new else (rng.normal(size=k) * scale).astype(np.float32)
    expected = step(x, y, strength, gram, feedback)
    got = updated(x, y, strength, Solver.of(gram), feedback)
    assert (got is None) == (expected is None)
    if got is not None and expected is not None:
        size = max(1e-6, float(np.abs(expected).max()))
        np.testing.assert_allclose(got, expected, rtol=3e-7, atol=3e-7 * size)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), strengths=st.lists(STRENGTHS, max_size=6), feedback=FEEDBACK)
def test_fold_in_order_is_updated_again_and_again(seed: int, strengths: list[float], feedback: Feedback) -> None:
    """Each item from the vector that those before it left, those without effect being passed over."""
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(12, 4)).astype(np.float32)
    gram = (Y.T @ Y).astype(float)
    expected = None
    for y, strength in zip(Y, strengths, strict=False):
        moved = step(expected, y, strength, gram, feedback)
        expected = expected if moved is None else moved
    got = fold_in_order(None, zip(Y, strengths, strict=False), Solver.of(gram), feedback)
    assert (got is None) == (expected is None)
    if got is not None and expected is not None:
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), strength=st.floats(0.01, 100))
def test_a_full_rank_of_one_vector_reaches_its_target(seed: int, strength: float) -> None:
    """With a single feature and a single vector, the estimate afterwards is the target itself."""
    y = np.random.default_rng(seed).uniform(0.5, 2.0, size=1).astype(np.float32)
    solver = Solver.of(np.array([[float(y[0]) ** 2]]))
    moved = updated(None, y, strength, solver, "implicit")
    assert moved is not None
    assert abs(float(moved @ y) - (0.5 + strength / (1 + strength) * 0.5)) < 1e-6


def pivots(A: NDArray[np.float64]) -> list[float]:
    """How far each column is from those chosen before it, the farthest first; by least squares."""
    left, chosen, found = list(range(len(A))), np.zeros((len(A), 0)), []
    while left:
        far = {c: float(np.linalg.norm(A[:, c] - chosen @ np.linalg.lstsq(chosen, A[:, c])[0])) for c in left}
        best = max(left, key=far.__getitem__)
        found.append(far[best])
        chosen = np.column_stack([chosen, A[:, best]])
        left.remove(best)
    return found


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 6),
    decades=st.lists(st.floats(-4.0, 0.0), min_size=6, max_size=6),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_the_apparent_rank_counts_the_pivots_above_the_limit(
    seed: int, k: int, decades: list[float], scale: float
) -> None:
    """Of Gram matrices of any spread, as a slow decomposition by least squares finds them."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(k, k)))
    Y = rng.normal(size=(8, k)) * 10.0 ** np.array(decades[:k]) @ turn.T
    A = Y.T @ Y * scale
    limit = SINGULAR * np.abs(A).sum(axis=0).max()
    found = pivots(A)
    if all(abs(pivot / limit - 1) > 1e-3 for pivot in found):
        assert apparent_rank(A) == next((n for n, pivot in enumerate(found) if pivot <= limit), k)
