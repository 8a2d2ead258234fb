"""Worlds are what they are drawn to be."""

import numpy as np
import pytest
from numpy.typing import NDArray

from oryx_py.testing.worlds import GENRES, World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=1, users=300, items=200, interactions=20_000)


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    again = make_world(seed=1, users=300, items=200, interactions=20_000)
    other = make_world(seed=2, users=300, items=200, interactions=20_000)
    for name in ("users", "items", "strengths", "timestamps_ms"):
        assert (getattr(again, name) == getattr(world, name)).all()
        assert (getattr(other, name) != getattr(world, name)).any()
    assert again.titles == world.titles


def test_time_ascends_and_strengths_are_ratings(world: World) -> None:
    assert len(world) == 20_000
    assert (np.diff(world.timestamps_ms) >= 0).all()
    assert set(world.strengths) == {1.0, 2.0, 3.0, 4.0, 5.0}


@pytest.mark.parametrize("features", [1, 8, 16])
def test_titles_are_unique_and_every_item_has_one_of_the_genres(features: int) -> None:
    world = make_world(seed=3, users=2, items=3_000, interactions=10, features=features)
    assert len(set(world.titles.values())) == len(world.titles) == 3_000
    assert world.titles.keys() == world.genres.keys()
    assert set(world.genres.values()) == set(GENRES[:features])


def test_popularity_has_a_long_tail(world: World) -> None:
    counts = np.sort(np.unique(world.items, return_counts=True)[1])[::-1]
    assert counts[:20].sum() > 0.3 * counts.sum()
    assert np.median(counts) < 0.75 * counts.mean()


def test_people_have_tastes(world: World) -> None:
    """Somebody's genres in the one half of the time are more like his own in the other half than like another's."""
    early, late = tastes(world, slice(0, 10_000)), tastes(world, slice(10_000, None))
    likeness = early @ late.T
    assert np.diag(likeness).mean() > likeness.mean() + 0.2


def test_tastes_drift_as_far_as_asked() -> None:
    def kept(drift: float) -> float:
        world = make_world(seed=5, users=40, items=100, interactions=20_000, drift=drift)
        return float(np.diag(tastes(world, slice(0, 4_000)) @ tastes(world, slice(-4_000, None)).T).mean())

    assert kept(0.0) > kept(1.0) + 0.05


def tastes(world: World, part: slice) -> NDArray[np.float64]:
    """Return how often each user met each genre, a row of length 1 a user; 0 where he met nothing."""
    met = np.zeros((len(set(world.users)), len(GENRES)))
    row = {user: n for n, user in enumerate(sorted(set(world.users)))}
    for user, item in zip(world.users[part], world.items[part], strict=True):
        met[row[user], GENRES.index(world.genres[item])] += 1
    return met / np.maximum(np.linalg.norm(met, axis=1, keepdims=True), 1)
