"""A vector solved for one request is the one that the speed layer would give a user with the same interactions."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.events import Interaction
from oryx_py.messages import ItemVector
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective
from serving_layer.model.served_model import served_model
from serving_layer.search.fold_in import ExactFolding
from speed_layer.folding.exact_fold import ExactFold
from tests.support.generations import generation_of

K = 4
OLD = [f"i{n}" for n in range(8)]
NEW = ["new-1", "new-2", "without a vector"]
STARTED = {"ann": {"i0": 1.0, "i3": 2.0}, "bob": {"i1": -1.0}}
OBJECTIVES = [
    Objective.mllib_implicit(lambda_=0.1, alpha=1.0),
    Objective.biased_explicit(lambda_=0.1, biases=Biases.last(K, mean=2.0)),
]

interactions = st.lists(
    st.tuples(st.sampled_from(OLD + NEW), st.sampled_from([1.0, 2.5, -1.0, -2.0, 0.5])), min_size=1, max_size=6
)


def vector_of(objective: Objective, seed: int):
    vector = np.random.default_rng(seed).normal(size=K).astype(np.float32)
    if objective.biases is not None:
        vector[objective.biases.user] = 1
    return vector


def with_new_items(state: ModelState) -> ModelState:
    for n, item in enumerate(NEW[:2]):
        state.apply(ItemVector(item, vector_of(state.generation.manifest.objective, 90 + n), (), 1))
    state.items.intern(NEW[2])
    return state


def generation(objective: Objective):
    factors = {item: vector_of(objective, n) for n, item in enumerate(OLD)}
    return generation_of(STARTED, factors, objective, {0: (0, 0)})


@settings(max_examples=60, deadline=None)
@given(user=st.sampled_from(["ann", "bob", "nobody"]), posted=interactions, objective=st.sampled_from(OBJECTIVES))
def test_a_query_is_the_users_own_vector_once_the_same_is_stored(user, posted, objective):
    model = served_model(generation(objective), 1, 1)
    asked = with_new_items(model.state)
    handle = asked.users.find(user)
    items = np.array([asked.items.find(item) for item, _ in posted], np.int64)
    strengths = [strength for _, strength in posted]
    with ThreadPoolExecutor(1) as pool:
        query = asyncio.run(ExactFolding().query(model, handle if handle >= 0 else None, items, strengths, pool))

    stored = with_new_items(ModelState(generation(objective), epoch=1))
    # The new items' vectors are given, so that the user's own interactions do not move them.
    given_vectors = {item: stored.item_vector(stored.items.find(item)) for item in NEW}
    fold = ExactFold(stored, partitions=1)
    for offset, (item, strength) in enumerate(posted):
        fold.add(Interaction(user, item, strength), 0, offset)
    fold.flush()
    only_new = not any(item in OLD for item in [*(item for item, _ in posted), *STARTED.get(user, {})])
    vector = stored.user_vector(stored.users.find(user))
    if only_new:
        # Of level 3: the fold moves a new item whose only users are of that level, so the vectors given are gone.
        assert (query is None) == all(given_vectors[item] is None for item, _ in posted)
        return
    assert vector is not None
    np.testing.assert_allclose(query, vector, rtol=1e-5, atol=1e-6)
