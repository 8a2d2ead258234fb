"""Reading from a generation with biases: scores have them, cosines and representatives have not."""

import numpy as np
import pytest

from oryx_py.errors import CorruptGeneration
from oryx_py.messages import ItemVector
from oryx_py.model.generations.generation import Generation
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective
from serving_layer.search.fold_in import OryxFolding
from tests.support.biases import biased_ridge
from tests.support.serving import FixedModels, Harness, model_at, write_world

MEAN, LAMBDA = 3.0, 0.1
OBJECTIVE = Objective.biased_explicit(LAMBDA, Biases.last(4, MEAN))
ITEMS = {
    "a": [1.0, 0.0, 1.0, 3.5],
    "b": [0.2, 1.0, 1.0, 1.0],
    "c": [-1.0, 0.5, 1.0, 4.5],
    "flat": [0.0, 0.0, 1.0, 4.0],
    "z": [0.9, 0.1, 1.0, 2.0],
}
PAIRS = {"ann": {"a": 5.0, "b": 0.0}, "bob": {"c": 1.0}}
USERS = {
    user: biased_ridge(
        np.array(list(known.values())), np.array([ITEMS[item] for item in known]), "items", MEAN, LAMBDA
    ).tolist()
    for user, known in PAIRS.items()
}


@pytest.fixture
def model(tmp_path):
    return model_at(write_world(tmp_path / "g", "gen-1", PAIRS, USERS, ITEMS, objective=OBJECTIVE), epoch=3)


@pytest.fixture
async def client(model):
    async with Harness(FixedModels(model)) as client:
        yield client


async def get(client, path):
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json(content_type=None)


def ranked(scores):
    return [{"id": item, "value": pytest.approx(scores[item], abs=1e-6)} for item in sorted(scores, key=scores.get)][
        ::-1
    ]


def cosine(one, other):
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.dot(one, other) / norms) if norms else 0.0


async def test_a_recommendation_is_the_expected_rating(client):
    p, b_u = np.array(USERS["ann"][:2]), USERS["ann"][2]
    expected = {item: float(p @ y[:2]) + b_u + y[3] for item, y in ITEMS.items()}
    assert await get(client, "/estimate/ann/a/c") == pytest.approx([expected["a"], expected["c"]], abs=1e-5)
    assert await get(client, "/recommend/ann") == ranked({i: s for i, s in expected.items() if i not in PAIRS["ann"]})
    assert await get(client, "/mostSurprising/ann") == ranked({i: expected[i] for i in PAIRS["ann"]})[::-1]


async def test_whoever_has_just_these_is_solved_like_a_user(client):
    query = biased_ridge(np.array([5.0, 0.0]), np.array([ITEMS["a"], ITEMS["b"]]), "items", MEAN, LAMBDA)
    np.testing.assert_allclose(query, USERS["ann"])
    expected = {item: float(query @ y) for item, y in ITEMS.items() if item not in PAIRS["ann"]}
    assert await get(client, "/recommendToAnonymous/a=5/b=0") == ranked(expected)
    assert await get(client, "/estimateForAnonymous/c/a=5/b=0") == pytest.approx(expected["c"], abs=1e-6)


async def test_a_user_in_a_context_is_solved_with_it(client):
    known = {**PAIRS["ann"], "c": 2.0}
    query = biased_ridge(np.array([*known.values()]), np.array([ITEMS[i] for i in known]), "items", MEAN, LAMBDA)
    expected = {item: float(query @ y) for item, y in ITEMS.items() if item not in known}
    assert await get(client, "/recommendWithContext/ann/c=2") == ranked(expected)


async def test_users_together_are_the_mean_of_their_expected_ratings(client):
    mean = (np.array(USERS["ann"]) + USERS["bob"]) / 2
    expected = {item: float(mean @ y) for item, y in ITEMS.items() if item in {"flat", "z"}}
    assert await get(client, "/recommendToMany/ann/bob") == ranked(expected)


async def test_similarity_is_the_cosine_of_the_factors_alone(model, client):
    model.state.apply(ItemVector("new", np.array([0.5, 1.0, 1.0, 9.0], np.float32), epoch=3))
    items = {**ITEMS, "new": [0.5, 1.0, 1.0, 9.0]}
    alike = {item: cosine(ITEMS["a"][:2], y[:2]) for item, y in items.items()}
    assert await get(client, "/similarity/a") == ranked({i: s for i, s in alike.items() if i != "a"})
    mean = np.mean([ITEMS["a"][:2], ITEMS["b"][:2]], axis=0)
    both = {item: cosine(mean, y[:2]) for item, y in items.items() if item not in {"a", "b"}}
    assert await get(client, "/similarity/a/b") == ranked(both)
    assert await get(client, "/similarityToItem/a/new/flat") == pytest.approx([alike["new"], 0.0], abs=1e-6)
    because = {item: cosine(ITEMS["z"][:2], ITEMS[item][:2]) for item in PAIRS["ann"]}
    assert await get(client, "/because/ann/z") == ranked(because)


async def test_representatives_are_of_factors_alone(model, client):
    assert await get(client, "/popularRepresentativeItems") == ["a", "b"]
    model.state.apply(ItemVector("new", np.array([2.0, 0.0, 1.0, 9.0], np.float32), epoch=3))
    assert await get(client, "/popularRepresentativeItems") == ["new", "b"]


def test_biases_in_other_columns_are_refused(tmp_path):
    elsewhere = Objective.biased_explicit(LAMBDA, Biases(MEAN, user=0, item=1))
    path = write_world(tmp_path / "g", "gen-1", PAIRS, USERS, ITEMS, objective=elsewhere)
    with pytest.raises(CorruptGeneration, match="biases in columns 0 and 1 of 4"):
        Generation.open(path)


async def test_oryx_rule_is_refused_with_the_setting_to_change(model):
    async with (
        Harness(FixedModels(model), folding=OryxFolding()) as client,
        client.get("/recommendToAnonymous/a=5") as response,
    ):
        assert response.status == 503
        assert 'set "exact"' in (await response.json(content_type=None))["detail"]
