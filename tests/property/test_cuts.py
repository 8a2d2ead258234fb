"""The law of successors: whatever a dead process had sent of a log that it cut in its own way, the one that follows
folds it in micro-batches of its own, and a reader of both ends with what the log says."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oryx_py.events import Interaction
from oryx_py.messages import Update
from oryx_py.messages.blocks import expanded
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from tests.property.test_epoch_fold import assert_close
from tests.support.generations import Pairs, at_rest, generation_of

BASE: Pairs = {"ann": {"p": 1.0, "q": 2.0}, "bob": {"q": 1.0}}
USERS, ITEMS = ("ann", "bob", "new"), ("p", "q", "m", "n")

interactions = st.one_of(
    st.builds(Interaction, st.sampled_from(USERS), st.sampled_from(ITEMS), st.sampled_from([1.0, 2.5, None])),
    st.builds(Interaction, st.sampled_from(USERS), st.just(""), st.none()),
    st.builds(Interaction, st.just(""), st.sampled_from(ITEMS), st.none()),
)


@settings(max_examples=300)
@given(st.lists(interactions, max_size=12), st.integers(0, 12), st.sets(st.integers(0, 12)), st.integers(0, 20))
@example([Interaction("ann", "n", 1.0), Interaction("ann", "", None)], 2, {1}, 2)
def test_a_reader_of_two_processes_has_what_the_log_says(
    told: list[Interaction], seen: int, cuts: set[int], sent: int
) -> None:
    """The first one saw so many interactions and sent so many messages; the second catches up before it sends any."""
    rng = np.random.default_rng(3)
    factors = {item: rng.normal(size=3).astype(np.float32) for item in ("p", "q")}
    generation = generation_of(BASE, factors, Objective.mllib_implicit(lambda_=0.1, alpha=2.0), {0: (0, 0)})
    log = [(0, offset, interaction) for offset, interaction in enumerate(told)]

    def all_of(fold: ExactFold) -> Iterator[Update]:
        """What it has to say, and once more what readers may have missed."""
        yield from expanded(fold.step())
        yield from expanded(fold.resend())
        while fold.stale:
            yield from expanded(fold.step())

    def messages(until: int, cuts: set[int]) -> Iterator[Update]:
        fold = ExactFold(ModelState(generation, 1), 1)
        for _, offset, interaction in log[:until]:
            if offset in cuts:
                yield from all_of(fold)
            fold.add(interaction, 0, offset)
        yield from all_of(fold)

    reader = ModelState(generation, 1)
    for update in (*islice(messages(seen, cuts), sent), *messages(len(log), {cut for cut in cuts if cut >= seen})):
        reader.apply(update)
    expected = at_rest(generation, BASE, log, 1)
    for user in USERS:
        assert_close(reader.user_vector(reader.users.find(user)), expected.users.get(user), user)
    for item in ITEMS:
        assert_close(reader.item_vector(reader.items.find(item)), expected.items.get(item), item)
