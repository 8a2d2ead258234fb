"""The Gram matrix follows the vectors."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.oryx2.live_prior import LivePrior

VECTORS = st.none() | st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), VECTORS), max_size=20))
def test_it_is_that_of_the_vectors_there_are(changes):
    clock, vectors = Clock(), {0: np.ones(3, np.float32)}
    prior = LivePrior(np.ones((3, 3)), 1, clock)
    for name, numbers in changes:
        after = None if numbers is None else np.array(numbers, np.float32)
        prior.replace(vectors.pop(name, None), after)
        if after is not None:
            vectors[name] = after
    clock.now = 1.0
    Y = np.array([*vectors.values()], np.float64).reshape(-1, 3)
    assert np.allclose(prior.now().gram, Y.T @ Y, rtol=1e-9, atol=1e-6)
    assert prior.now().rows == len(vectors)


def test_it_is_made_anew_only_after_a_while_and_only_if_something_moved():
    clock = Clock()
    live = LivePrior(np.zeros((2, 2)), 0, clock, every_s=1.0)
    first = live.now()
    live.replace(None, np.ones(2, np.float32))
    assert live.now() is first
    clock.now = 1.0
    second = live.now()
    assert second.gram.tolist() == [[1, 1], [1, 1]]
    clock.now = 9.0
    assert live.now() is second
    live.replace(np.ones(2, np.float32), None)
    assert live.now().rows == 0
