"""Queries by Oryx 2's rule, and its form of numbers: worked out step by step with NumPy."""

import numpy as np
import pytest

from oryx_py.messages import ItemVector, UserVector
from serving_layer.search.fold_in import OryxFolding
from tests.support.serving import EPOCH, ITEMS, USERS, FixedModels, Harness, model_at, write_world

Y = np.array([ITEMS[name] for name in sorted(ITEMS, key=str.encode)])
INVERSE = np.linalg.inv(Y.T @ Y)


@pytest.fixture
def harness(model):
    return Harness(FixedModels(model), folding=OryxFolding(), default_format="csv", number_format="java")


def step(x: np.ndarray, item: str, strength: float, current: float | None = None) -> np.ndarray:
    """One step of the rule; ``current`` in place of the estimate where there is no vector yet."""
    y = np.array(ITEMS[item])
    q = float(x @ y)
    seen = q if current is None else current
    if strength > 0 and seen < 1:
        aim = seen + strength / (1 + strength) * (1 - max(0.0, seen))
    elif strength < 0 and seen > 0:
        aim = seen + strength / (strength - 1) * -min(1.0, seen)
    else:
        return x
    return np.float32(x + INVERSE @ y * (aim - q)).astype(np.float64)


async def csv_of(client, path: str) -> list[list[str]]:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return [line.split(",") for line in (await response.text()).splitlines()]


def ranked(x: np.ndarray, left_out: set[str]) -> list[tuple[str, np.float32]]:
    rows = [(name, np.float32(np.array(v) @ x)) for name, v in ITEMS.items() if name not in left_out]
    return sorted(rows, key=lambda row: (-row[1], row[0].encode()))


def same(found: list[list[str]], expected: list[tuple[str, np.float32]]) -> bool:
    return [name for name, _ in found] == [name for name, _ in expected] and np.allclose(
        [float(value) for _, value in found], [value for _, value in expected], rtol=1e-6, atol=1e-7
    )


async def test_anonymous_items_are_folded_one_after_the_other(client):
    x = step(np.zeros(2), "a", 2.0, current=0.5)
    x = step(step(x, "c", 1.0), "d", -0.5)
    found = await csv_of(client, "/recommendToAnonymous/a=2/c/unheard/d=-0.5")
    assert same(found, ranked(x, {"a", "c", "d"}))
    other_order = await csv_of(client, "/recommendToAnonymous/d=-0.5/c/a=2")
    assert other_order != found


async def test_a_context_starts_from_the_users_vector(client):
    x = step(step(np.array(USERS["ann"]), "c", 3.0), "d", -2.0)
    assert same(await csv_of(client, "/recommendWithContext/ann/c=3/d=-2"), ranked(x, {"a", "b", "c", "d"}))


async def test_a_context_counts_for_a_user_of_whom_only_the_vector_is_known(client, model):
    start = np.array([0.1, 0.1], np.float32)
    model.state.apply(UserVector("fresh", start, (), (), epoch=EPOCH, input=40))
    x = step(start.astype(np.float64), "c", 3.0)
    assert same(await csv_of(client, "/recommendWithContext/fresh/c=3"), ranked(x, {"c"}))


async def test_a_target_already_reached_changes_nothing(client):
    assert np.array(USERS["ann"]) @ ITEMS["c"] >= 1
    assert same(await csv_of(client, "/recommendWithContext/ann/c"), ranked(np.array(USERS["ann"]), {"a", "b", "c"}))


async def test_an_estimate_for_anonymous(client):
    x = step(step(np.zeros(2), "b", 1.0, current=0.5), "a", 4.0)
    ((found,),) = await csv_of(client, "/estimateForAnonymous/c/b/a=4")
    assert float(found) == pytest.approx(float(x @ ITEMS["c"]), rel=1e-6)
    assert await csv_of(client, "/estimateForAnonymous/c/unheard") == [["0.0"]]


async def test_numbers_are_written_as_java_does(client, model):
    for name, value in {"tiny": 1e-4, "large": 1.5e7, "one": 1.0, "third": 1 / 3}.items():
        model.state.apply(ItemVector(name, np.array([value, 0], np.float32), epoch=EPOCH))
    model.state.user_vectors.set(model.state.users.find("bob"), np.array([1, 0], np.float32))
    found = await csv_of(client, "/estimate/bob/tiny/large/one/third/unheard")
    assert found == [["1.0E-4"], ["1.5E7"], ["1.0"], ["0.33333334"], ["0.0"]]
    assert (await csv_of(client, "/mostPopularItems"))[0] == ["a", "3"], "counts are whole numbers"


async def test_vectors_that_do_not_span_the_features_are_said_to(tmp_path):
    flat = {"a": [1.0, 1.0], "b": [2.0, 2.0]}
    model = model_at(write_world(tmp_path / "flat", "gen-2", {"ann": {"a": 1.0}}, {"ann": [1.0, 0.0]}, flat), EPOCH)
    async with (
        Harness(FixedModels(model), folding=OryxFolding()) as client,
        client.get("/recommendToAnonymous/a") as response,
    ):
        assert response.status == 503
        assert "near-singular" in (await response.json(content_type=None))["detail"]
