"""Long-tailed worlds: exactly what was asked for, from the tastes that are known."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from oryx_py.errors import UserError
from oryx_py.numerics.ranking.metrics import ndcg
from oryx_py.testing.long_tail import BLOCK, LongTail, Rows, draw, draw_block, probabilities, starts

WORLD = LongTail(users=2 * BLOCK + 300, items=1500, interactions=200_001, seed=7, test_users=500)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return draw(WORLD)


def same(one: Rows, other: Rows) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_there_are_exactly_as_many_rows_as_asked_for_and_no_pair_twice(rows: Rows) -> None:
    assert len(rows) == WORLD.interactions
    assert len(np.unique(rows.users * WORLD.items + rows.items)) == WORLD.interactions
    assert rows.users.min() >= 0
    assert rows.users.max() < WORLD.users
    assert rows.items.min() >= 0
    assert rows.items.max() < WORLD.items


def test_the_seed_alone_decides() -> None:
    small = msgspec.structs.replace(WORLD, users=500, interactions=5000)
    assert same(draw(small), draw(msgspec.structs.replace(small)))
    assert not np.array_equal(draw(small).items, draw(msgspec.structs.replace(small, seed=8)).items)


def test_blocks_in_any_order_are_the_whole(rows: Rows) -> None:
    edges = starts(WORLD)
    last_first = [draw_block(WORLD, block, edges) for block in reversed(range(WORLD.blocks))]
    for block, part in enumerate(reversed(last_first)):
        assert same(part, rows.where(rows.users // BLOCK == block))


def test_test_users_alone_are_as_they_are_among_all(rows: Rows) -> None:
    edges = starts(WORLD)
    tested = np.flatnonzero(WORLD.is_test_user(np.arange(WORLD.users)))
    assert len(tested) == WORLD.test_users
    for block in range(WORLD.blocks):
        part = draw_block(WORLD, block, edges, test_users_only=True)
        assert same(part, rows.where(np.isin(rows.users, tested) & (rows.users // BLOCK == block)))


def test_the_last_fifth_of_test_users_is_held_out(rows: Rows) -> None:
    tested = np.flatnonzero(WORLD.is_test_user(np.arange(WORLD.users)))
    assert set(rows.users[rows.held]) <= set(tested)
    for user in tested[:50]:
        his = rows.where(rows.users == user)
        assert np.array_equal(his.timestamps_ms, np.sort(his.timestamps_ms))
        assert his.held.sum() == len(his) // 5
        assert his.held[len(his) - his.held.sum() :].all()


def test_a_few_items_and_a_few_users_have_most(rows: Rows) -> None:
    for ids, count, least in ((rows.items, WORLD.items, 0.5), (rows.users, WORLD.users, 0.4)):
        sizes = np.sort(np.bincount(ids, minlength=count))[::-1]
        assert sizes[: count // 5].sum() > least * len(rows)
        assert sizes[count // 2] > 0


def test_items_are_met_as_often_as_the_probabilities_say() -> None:
    """Of people who meet one thing each; χ² of 63 degrees of freedom is above 120 once in 100,000 worlds."""
    world = LongTail(users=40_000, items=64, interactions=40_000, drift=0.0, sharpness=1.5)
    found = draw(world)
    sizes = np.bincount(found.users, minlength=world.users)
    once = np.flatnonzero(sizes == 1)
    met = np.bincount(found.items[sizes[found.users] == 1], minlength=world.items)
    chances = probabilities(world, once)
    assert np.allclose(chances.sum(axis=1), 1.0)
    expected = chances.sum(axis=0)
    assert ((met - expected) ** 2 / expected).sum() < 120
    alike = met.sum() / world.items
    assert ((met - alike) ** 2 / alike).sum() > 1200, "the test must be able to tell"


def test_tastes_drift() -> None:
    """What users do late is likelier by the taste at the end than by the one at the beginning."""
    world = LongTail(users=1000, items=1000, interactions=60_000, drift=0.9)
    found = draw(world)
    late = found.where(found.timestamps_ms > world.start_ms + 0.9 * world.span_ms)
    users = np.arange(world.users)
    begin, end = (np.log(probabilities(world, users, at))[late.users, late.items].mean() for at in (0.0, 1.0))
    assert end > begin + 0.3


def test_quality_can_be_measured() -> None:
    """Popularity is far below a model of what was observed, and that below the probabilities themselves."""
    world = LongTail(users=4000, items=2000, interactions=160_000, test_users=600)
    rows = draw(world)
    train, targets = rows.where(~rows.held), rows.where(rows.held)
    pairs = np.zeros((world.users, world.items), np.float32)
    pairs[train.users, train.items] = 1
    directions = np.random.default_rng(0).standard_normal((world.items, 32), dtype=np.float32)
    for _ in range(8):  # towards the leading singular vectors: the simplest model there is (Cremonesi et al. 2010)
        directions, _ = np.linalg.qr(pairs.T @ (pairs @ directions))
    users = np.unique(targets.users)
    popularity = np.bincount(train.items, minlength=world.items)

    def quality(scores: np.ndarray) -> float:  # type: ignore[type-arg]
        found = []
        for user, his in zip(users, scores, strict=True):
            his[train.items[train.users == user]] = -np.inf
            ranked = np.argsort(-his, kind="stable")[:10]
            found.append(ndcg(ranked, targets.items[targets.users == user].astype(np.int64), 10))
        return float(np.mean(found))

    by_popularity = quality(np.tile(popularity.astype(float), (len(users), 1)))
    by_model = quality(pairs[users] @ directions @ directions.T)
    best = quality(probabilities(world, users, 0.9))
    assert by_popularity * 1.5 < by_model < best * 0.9


@pytest.mark.parametrize(
    ("change", "says"),
    [({"users": 0}, "at least one of users"), ({"interactions": 10**9}, "take at most"), ({"items": 2**32}, "2\\^31")],
)
def test_worlds_that_cannot_be_are_refused(change: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        LongTail(**{"users": 1000, "items": 500, "interactions": 10_000, **change})


def test_the_most_active_meet_at_most_half_of_what_there_is() -> None:
    world = LongTail(users=300, items=80, interactions=300 * 80 // 8)
    rows = draw(world)
    assert len(rows) == world.interactions
    assert np.bincount(rows.users).max() <= 40


def test_shares_of_blocks_are_whole_and_complete() -> None:
    edges = starts(WORLD)
    sizes = [len(draw_block(WORLD, block, edges)) for block in range(WORLD.blocks)]
    assert sum(sizes) == WORLD.interactions
    assert all(abs(size - (last - first)) <= 1 for size, (first, last) in zip(sizes, pairwise(edges), strict=True))
