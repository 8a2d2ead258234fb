"""Every arm of the replay ranks as a slow and obvious one does, on worlds small enough to do it all anew each time."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from oryx_py.cli.evaluate.arms import ARMS
from oryx_py.cli.evaluate.replay import Clocks, Outcomes, Replay, rank_of
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.errors import UserError
from oryx_py.events import Interaction
from oryx_py.model.generations.generation import Generation
from tests.support.prequential import (
    Scores,
    exact_scores,
    frozen_scores,
    known_pairs,
    log_of,
    oryx_scores,
    place,
    popularity,
    random_rows,
    recipe,
)

TRAINED, EVERY = 60, 16


def replayed(rows: Sequence[Interaction], trainer: str = "mllib", every: int = EVERY) -> tuple[Replay, Outcomes]:
    replay = Replay(log_of(rows), TRAINED, Trainer(recipe(trainer)), ARMS, every=every)
    return replay, replay.run()


def is_case(rows: Sequence[Interaction], at: int) -> bool:
    row = rows[at]
    return row.strength is not None and row.strength > 0 and row.item not in known_pairs(rows[:at]).get(row.user, {})


@pytest.mark.parametrize("trainer", ["mllib", "ials"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_arm_ranks_as_the_obvious_one_does(trainer: str, seed: int) -> None:
    rows = random_rows(np.random.default_rng(seed), 130, users=8, items=14, late=3)
    _, outcomes = replayed(rows, trainer)
    assert outcomes.at.tolist() == [at for at in range(TRAINED, len(rows)) if is_case(rows, at)]
    log, trainers = log_of(rows), Trainer(recipe(trainer))
    generations = {end: trainers.train(log.first(end)) for end in range(TRAINED, len(rows), EVERY)}
    last = lambda at: TRAINED + (at - TRAINED) // EVERY * EVERY  # noqa: E731
    ways: dict[str, tuple[Callable[[Generation, Sequence[Interaction], int, str], Scores], Callable[[int], int]]] = {
        "none": (frozen_scores, lambda _: TRAINED),
        "speed": (exact_scores, lambda _: TRAINED),
        "oryx": (oryx_scores, lambda _: TRAINED),
        "retrain": (frozen_scores, last),
        "speed+retrain": (exact_scores, last),
        "popularity": (lambda _, seen, __, ___: popularity(seen), lambda _: TRAINED),
    }
    for arm, ranks in zip(outcomes.arms, outcomes.ranks.tolist(), strict=True):
        scores_of, begins = ways[arm]
        for at, rank in zip(outcomes.at.tolist(), ranks, strict=True):
            seen, begin = rows[:at], begins(at)
            known = set(known_pairs(seen).get(rows[at].user, {}))
            scores = scores_of(generations[begin], seen, begin, rows[at].user)
            assert rank == place(scores, rows[at].item, known), (arm, at)


def test_what_happens_to_each_interaction_is_counted() -> None:
    rows = random_rows(np.random.default_rng(3), 120, users=5, items=6, late=1, deletes=0.2)
    replay, outcomes = replayed(rows)
    counts = replay.counts
    told = [row.strength for row in rows[TRAINED:]]
    assert counts.trained == TRAINED
    assert counts.replayed == len(rows) - TRAINED
    assert counts.ranked == len(outcomes.at) > 0
    assert counts.others == sum(strength is None or strength <= 0 for strength in told) > 0
    assert counts.repeats == counts.replayed - counts.ranked - counts.others > 0


def test_new_users_and_new_items_are_those_that_the_first_part_has_not() -> None:
    rows = random_rows(np.random.default_rng(4), 130, users=8, items=14, late=4)
    _, outcomes = replayed(rows)
    users, items = ({getattr(row, side) for row in rows[:TRAINED]} for side in ("user", "item"))
    cases = [rows[at] for at in outcomes.at.tolist()]
    assert outcomes.known_user.tolist() == [row.user in users for row in cases]
    assert outcomes.known_item.tolist() == [row.item in items for row in cases]
    assert not outcomes.known_user.all()
    assert not outcomes.known_item.all()


def test_retraining_happens_every_so_many_interactions_and_is_charged_to_those_who_use_it() -> None:
    rows = random_rows(np.random.default_rng(5), 101, users=6, items=9, late=1)
    ticks = iter(range(1_000_000))
    clocks = Clocks(wall=lambda: float(next(ticks)), cpu=lambda: 0.5 * next(ticks))
    replay = Replay(log_of(rows), TRAINED, Trainer(recipe()), ARMS, every=10, clocks=clocks)
    replay.run()
    assert {name: costs.training.times for name, costs in replay.costs.items()} == {
        "none": 0,
        "speed": 0,
        "oryx": 0,
        "retrain": 4,
        "speed+retrain": 4,
        "popularity": 0,
    }
    assert replay.first.times == 1
    for costs in replay.costs.values():
        assert costs.ranking.times == replay.counts.ranked
        assert costs.learning.times == replay.counts.replayed
        assert costs.learning.wall_s > 0
        assert costs.learning.cpu_s > 0


def test_a_warm_start_begins_with_the_vectors_before() -> None:
    """One sweep from where many have led changes little; one from a random start does not lead there."""
    log = log_of(random_rows(np.random.default_rng(6), 80, users=8, items=14, late=0, deletes=0))
    converged = Trainer(recipe(iterations=80)).train(log)
    warm, cold = (Trainer(recipe(iterations=1)).train(log, before) for before in (converged, None))

    def apart(generation: Generation) -> float:
        one, other = (found.user_factors @ found.item_factors.T for found in (generation, converged))
        return float(np.linalg.norm(one - other) / np.linalg.norm(other))

    assert apart(warm) < 0.01 < apart(cold)


def test_folding_a_users_unchanged_history_gives_the_trained_vector() -> None:
    """What is trained here is a generation by the batch layer's law: users solve their systems exactly."""
    rows = random_rows(np.random.default_rng(7), 90, users=7, items=12, late=0)
    generation = Trainer(recipe("ials", iterations=2)).train(log_of(rows))
    for row in range(len(generation.users)):
        user = generation.users.id(row)
        scores = exact_scores(generation, [*rows, Interaction(user, "none", None)], len(rows), user)
        items = {generation.items.id(item): item for item in range(len(generation.items))}
        solved = np.array([scores[item] for item in items])
        assert solved == pytest.approx(generation.item_factors @ generation.user_factors[row], rel=1e-4, abs=1e-6)


def test_the_item_gram_is_diagonal_as_that_of_a_published_generation() -> None:
    rows = random_rows(np.random.default_rng(8), 90, users=7, items=12, late=0)
    gram = Trainer(recipe(features=3)).train(log_of(rows)).item_gram
    assert gram == pytest.approx(np.diag(np.diag(gram)), abs=1e-5 * np.abs(gram).max())


def test_a_first_part_in_which_nothing_counts_is_refused() -> None:
    rows = [Interaction("a", "x", None, 1)] * TRAINED + [Interaction("a", "x", 1.0, 2)]
    with pytest.raises(UserError, match="nothing to train on"):
        replayed(rows)


def test_a_rank_leaves_out_what_is_known_and_gives_the_first_of_equals_the_better_place() -> None:
    scores = np.array([3, 1, 3, 2, -np.inf, 3], np.float32)
    nothing = np.empty(0, np.int64)
    assert [rank_of(scores, item, nothing) for item in range(6)] == [1, 5, 2, 4, 0, 3]
    assert rank_of(scores, 5, np.array([0])) == 2
    assert rank_of(scores, 1, np.array([4, 0, 3])) == 3
