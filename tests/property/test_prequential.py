"""Laws of the replay: nothing that is ranked has been seen, and a rank is that of a sorted list."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.cli.evaluate.arms import ARMS
from oryx_py.cli.evaluate.replay import Replay, rank_of
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.events import Interaction
from tests.support.prequential import log_of, place, random_rows, recipe

TRAINED, REPLAYED = 30, 24


def ranks_before(rows: list[Interaction], cut: int) -> dict[int, list[int]]:
    outcomes = Replay(log_of(rows), TRAINED, Trainer(recipe(iterations=1)), ARMS, every=8).run()
    return {at: outcomes.ranks[:, case].tolist() for case, at in enumerate(outcomes.at.tolist()) if at < cut}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 32), cut=st.integers(TRAINED, TRAINED + REPLAYED - 1), data=st.data())
def test_no_rank_depends_on_what_comes_at_its_time_or_later(seed: int, cut: int, data: st.DataObject) -> None:
    """The case at the cut is looked at, too: what comes after it is permuted, replaced or gone."""
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, TRAINED + REPLAYED, users=6, items=9, late=2)
    before = ranks_before(rows, cut + 1)
    future = rows[cut + 1 :]
    way = data.draw(st.sampled_from(["permuted", "other", "none"]))
    if way == "permuted":
        future = [future[at] for at in rng.permutation(len(future))]
    elif way == "other":
        future = [Interaction(f"v{n}", f"j{n % 3}", 5.0) for n in range(len(future))]
    else:
        future = []
    moved = [Interaction(row.user, row.item, row.strength, 1_000 * at) for at, row in enumerate(future, start=cut + 1)]
    assert ranks_before([*rows[: cut + 1], *moved], cut + 1) == before


@given(
    scores=st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=30),
    data=st.data(),
)
def test_a_rank_is_the_place_in_the_sorted_list(scores: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(scores) - 1))
    known = data.draw(st.sets(st.integers(0, len(scores) - 1))) - {target}
    named = {f"i{item:02d}": score for item, score in enumerate(scores) if score > -np.inf}
    expected = place(named, f"i{target:02d}", {f"i{item:02d}" for item in known})
    assert rank_of(np.array(scores, np.float32), target, np.array(sorted(known), np.int64)) == expected
