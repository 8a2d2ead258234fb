"""The law of removals: whatever a step may say of them, what is announced is true for every reader."""

from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.messages import UserGone
from oryx_py.messages.blocks import expanded
from oryx_py.model.state.model_state import ModelState
from speed_layer.solving.budget import Budget
from tests.property.test_epoch_fold import OBJECTIVES, PARTITIONS, assert_at_rest, base_pairs, log_of, model, read
from tests.support.generations import Pairs, at_rest

pairs = st.tuples(
    st.sampled_from(["a", "b", "c", "m"]), st.sampled_from(["p", "q", "x"]), st.sampled_from([1.0, 2.5, None])
)
forgets = st.sampled_from([("", "p", None), ("", "p", None), ("", "x", None), ("a", "", None)])
everybody = [(user, item, 1.0) for user in "abcm" for item in "px"]


def known(state: ModelState) -> dict[str, dict[str, float]]:
    found = {}
    for handle in range(len(state.users)):
        items, strengths = state.history(handle)
        if len(items):
            found[state.users.id(handle)] = dict(zip(state.items.ids(items), strengths.tolist(), strict=True))
    return found


@settings(max_examples=150, deadline=None)
@given(
    base=base_pairs,
    rows=st.lists(st.one_of(pairs, pairs, forgets), max_size=25),
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=6).filter(any),
    gone=st.integers(1, 3),
)
def test_when_all_removals_are_said_readers_know_what_the_fold_knows(
    base: Pairs, rows: list, sizes: list[int], gone: int
) -> None:
    """Who has something anew that was taken from him keeps it, though the removal waited."""
    state, reader, fold = model(base, OBJECTIVES[0])
    log, at, step = log_of([*everybody, *rows]), 0, 0
    while at < len(log) or fold.pending or fold.stale or fold.unsaid:
        size = len(everybody) if not step else sizes[step % len(sizes)]
        for partition, offset, interaction in log[at : at + size]:
            fold.add(interaction, partition, offset)
        at, step = at + size, step + 1
        before = fold.unsaid
        said = list(expanded(fold.step(None, Budget(2, None, None, gone))))
        read(reader, said)
        if not size or at >= len(log) + size:
            removals = sum(len(update.items or ()) for update in said if isinstance(update, UserGone))
            assert removals <= gone
            assert fold.unsaid == before - removals
        if not fold.unsaid:
            assert known(reader) == known(state)
        assert step < 1_000
    assert_at_rest(reader, at_rest(state.generation, base, log, PARTITIONS))
