"""What the reading endpoints answer, against NumPy."""

import gzip
import json

import numpy as np
import pytest

from oryx_py.messages import ItemGone, ItemVector, UserGone, UserVector
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from tests.support.serving import IMPLICIT, ITEMS, PAIRS, USERS, FixedModels, Harness, model_at, write_world

NAMES = sorted(ITEMS, key=str.encode)
Y = np.array([ITEMS[name] for name in NAMES])


def expected(query, left_out, how_many=10, offset=0, scores=None):
    scores = Y @ np.asarray(query) if scores is None else scores
    ranked = sorted(
        ((np.float32(score), name) for score, name in zip(scores, NAMES, strict=True) if name not in left_out),
        key=lambda pair: (-pair[0], pair[1].encode()),
    )
    return [{"id": name, "value": pytest.approx(float(score))} for score, name in ranked[offset : offset + how_many]]


def cosines(query):
    norms = np.linalg.norm(Y, axis=1) * np.linalg.norm(query)
    return np.divide(Y @ query, norms, out=np.zeros(len(Y)), where=norms > 0)


async def get(client, path, status=200, **headers):
    async with client.get(path, headers=headers) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None)


async def test_recommend_ranks_by_dot_product_and_leaves_known_items_out(client):
    assert await get(client, "/recommend/ann") == expected(USERS["ann"], {"a", "b"})


async def test_recommend_keeps_known_items_where_asked(client):
    assert await get(client, "/recommend/ann?considerKnownItems=true") == expected(USERS["ann"], set())


async def test_pages_continue_each_other(client):
    whole = await get(client, "/recommend/bob?howMany=100")
    pages = [await get(client, f"/recommend/bob?howMany=2&offset={at}") for at in range(0, 6, 2)]
    assert [row for page in pages for row in page] == whole
    assert await get(client, "/recommend/bob?offset=50") == []


async def test_a_zero_vector_gives_every_item_in_the_order_of_the_ids(client):
    answer = await get(client, "/recommend/none")
    assert answer == [{"id": name, "value": 0.0} for name in NAMES if name != "a"]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/recommend/nobody", "user 'nobody' is unknown"),
        ("/estimate/nobody/a", "user 'nobody' is unknown"),
        ("/similarity/a/x", "item 'x' is unknown"),
        ("/because/ann/x", "item 'x' is unknown"),
    ],
)
async def test_what_is_unknown_is_named(client, path, detail):
    problem = await get(client, path, 404)
    assert problem["detail"] == detail
    assert problem["status"] == 404
    assert problem["title"] == "Not Found"
    assert problem["type"] == "about:blank"
    assert problem["request_id"] == "made-up"


async def test_a_known_user_without_a_vector_is_told_so(model, client):
    model.state.apply(UserVector("new", None, ("fresh",), (1.0,), epoch=3, input=11))
    problem = await get(client, "/recommend/new", 404)
    assert problem["detail"] == "user 'new' has no vector yet: nothing that this user knows has one"
    problem = await get(client, "/similarity/fresh", 404)
    assert problem["detail"] == "item 'fresh' has no vector yet: nobody who knows it has one"


async def test_a_forgotten_user_is_unknown(model, client):
    model.state.apply(UserGone("ann", None, epoch=3, input=11))
    assert (await get(client, "/recommend/ann", 404))["detail"] == "user 'ann' is unknown"
    assert await get(client, "/knownItems/ann") == []


async def test_new_items_are_recommended_and_forgotten_ones_are_not(model, client):
    model.state.apply(ItemVector("new", np.array([9, 9], np.float32), epoch=3))
    model.state.apply(ItemGone("c", epoch=3))
    answer = await get(client, "/recommend/ann?howMany=2")
    assert answer == [{"id": "new", "value": 13.5}, *expected(USERS["ann"], {"a", "b", "c"}, 1)]


async def test_what_a_user_has_just_come_to_know_is_left_out_and_a_deleted_item_comes_back(model, client):
    state = model.state
    state.apply(UserGone("ann", ("b",), epoch=3, input=30))
    state.apply(UserVector("ann", np.array([1, 0.5], np.float32), ("c",), (2.0,), epoch=3, input=30))
    assert await get(client, "/recommend/ann") == expected(USERS["ann"], {"a", "c"})
    assert await get(client, "/knownItems/ann") == ["a", "c"]


async def test_anonymous_recommendations_are_the_exact_fold_in(client):
    given = {"a": 2.0, "c": 1.0}
    vectors = np.array([ITEMS[item] for item in given], np.float32)
    prior = Prior(Y.T @ Y, len(Y))
    query = fold_in(np.array(list(given.values())), vectors, prior, IMPLICIT)
    answer = await get(client, "/recommendToAnonymous/a=2/c")
    assert answer == expected(query, set(given))
    assert await get(client, "/recommendToAnonymous/a=2/c/unheard=9") == answer
    assert await get(client, "/recommendToAnonymous/a=1/c/a=1.0") == answer, "interactions add up, as in the log"


async def test_anonymous_with_nothing_known_is_refused(model, client):
    assert (await get(client, "/recommendToAnonymous/x/y", 400))["detail"] == "all of these items are unknown"
    model.state.apply(UserVector("new", None, ("fresh",), (1.0,), epoch=3, input=11))
    problem = await get(client, "/recommendToAnonymous/fresh", 400)
    assert problem["detail"] == "none of these items has a vector yet"


async def test_a_new_item_counts_for_anonymous_users(model, client):
    vector = np.array([9, 9], np.float32)
    model.state.apply(ItemVector("new", vector, epoch=3))
    query = fold_in(np.ones(1), vector[None], Prior(Y.T @ Y, len(Y)), IMPLICIT)
    assert await get(client, "/recommendToAnonymous/new") == expected(query, set())


async def test_similarity_is_the_cosine_with_the_mean_of_the_raw_vectors(client):
    mean = (np.array(ITEMS["a"]) + np.array(ITEMS["b"])) / 2
    assert await get(client, "/similarity/a/b") == expected(mean, {"a", "b"}, scores=cosines(mean))


async def test_similarity_with_a_zero_vector_is_zero(client):
    answer = await get(client, "/similarity/zero")
    assert answer == [{"id": name, "value": 0.0} for name in NAMES if name != "zero"]
    assert {"id": "zero", "value": 0.0} in await get(client, "/similarity/a")


async def test_because_ranks_the_known_items_by_cosine(client):
    query = np.array(ITEMS["c"])
    every = expected(query, set(), 100, scores=cosines(query))
    assert await get(client, "/because/ann/c") == [row for row in every if row["id"] in PAIRS["ann"]]
    assert await get(client, "/because/nobody/c") == []
    assert len(await get(client, "/because/ann/c?howMany=1&offset=1")) == 1


async def test_estimates_come_in_the_order_asked_with_zero_for_the_unknown(client):
    answer = await get(client, "/estimate/ann/c/unheard/a/c")
    assert answer == [1.5, 0.0, 1.0, 1.5]


async def test_most_popular_items_follow_every_change(model, client):
    counts = {"a": 3, "b": 1, "c": 1, "z/ä": 1}
    ranked = [{"id": item, "count": counts[item]} for item in sorted(counts, key=lambda i: (-counts[i], i.encode()))]
    assert await get(client, "/mostPopularItems") == ranked
    model.state.apply(UserVector("x", None, ("new", "c"), (1.0, 1.0), epoch=3, input=30))
    model.state.apply(UserVector("y", None, ("c",), (1.0,), epoch=3, input=31))
    model.state.apply(UserGone("bob", None, epoch=3, input=31))
    counts = {"a": 3, "b": 1, "c": 2, "new": 1, "z/ä": 1}
    ranked = [{"id": item, "count": counts[item]} for item in sorted(counts, key=lambda i: (-counts[i], i.encode()))]
    assert await get(client, "/mostPopularItems") == ranked
    assert await get(client, "/mostPopularItems?howMany=2&offset=1") == ranked[1:3]


async def test_slashes_and_equals_signs_in_ids(client):
    assert await get(client, "/knownItems/u%2F%C3%B1=") == ["a", "z/ä"]
    assert await get(client, "/knownItems/u%2f%c3%b1%3D") == ["a", "z/ä"]
    assert await get(client, "/estimate/u%2F%C3%B1=/z%2F%C3%A4") == [0.5]
    assert await get(client, "/recommendToAnonymous/z%2F%C3%A4=2.5") == await get(
        client, "/recommendToAnonymous/z%2F%C3%A4=2/z%2F%C3%A4=.5"
    )


async def test_csv_has_a_line_a_row_and_quotes_where_needed(tmp_path):
    items = {"a": [1.0], 'b,"': [0.1], "c": [1e-8]}
    path = write_world(tmp_path / "g", "g", {"u": {"a": 1.0}}, {"u": [1.0]}, items)
    async with Harness(FixedModels(model_at(path))) as client:
        for accept in ("text/csv", "text/plain"):
            response = await client.get("/recommend/u", headers={"Accept": accept})
            assert response.content_type == accept
            assert await response.text() == '"b,""",0.1\nc,1e-8\n'
        response = await client.get("/estimate/u/c/a", headers={"Accept": "text/csv"})
        assert await response.text() == "1e-8\n1.0\n"
        response = await client.get("/knownItems/u", headers={"Accept": "text/csv"})
        assert await response.text() == "a\n"
        response = await client.get("/mostPopularItems", headers={"Accept": "text/csv"})
        assert await response.text() == "a,1\n"
        response = await client.get("/knownItems/nobody", headers={"Accept": "text/csv"})
        assert await response.text() == ""
        response = await client.get("/recommend/u", headers={"Accept": "text/csv;q=0.5, application/json"})
        assert response.content_type == "application/json"


async def test_without_an_accept_header_the_default_format_is_used(model):
    async with Harness(FixedModels(model), default_format="csv") as client:
        for headers in ({}, {"Accept": "*/*"}):
            response = await client.get("/knownItems/bob", headers=headers, skip_auto_headers=["Accept"])
            assert await response.text() == "c\n"


async def test_an_answer_carries_request_id_and_generation(client):
    response = await client.get("/knownItems/ann", headers={"X-Request-Id": "mine-1"})
    assert response.headers["X-Request-Id"] == "mine-1"
    assert response.headers["X-Oryx-Generation"] == "gen-1"
    response = await client.get("/recommend/nobody")
    assert response.headers["X-Oryx-Generation"] == "gen-1"
    assert response.headers["X-Request-Id"] == "made-up"


async def test_large_answers_are_compressed_for_who_takes_it(tmp_path):
    items = {f"item-{number:04}": [1.0] for number in range(500)}
    path = write_world(tmp_path / "g", "g", {"u": {"item-0000": 1.0}}, {"u": [1.0]}, items)
    async with Harness(FixedModels(model_at(path))) as client:
        client.session._auto_decompress = False
        response = await client.get("/recommend/u?howMany=400", headers={"Accept-Encoding": "gzip"})
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(await response.read()))) == 400
        for refusal in ("identity", "gzip;q=0", "compress"):
            response = await client.get("/recommend/u?howMany=400", headers={"Accept-Encoding": refusal})
            assert "Content-Encoding" not in response.headers
            assert len(json.loads(await response.read())) == 400


async def test_without_a_model_reads_get_503_with_the_reason():
    async with Harness(FixedModels()) as client:
        for path in ("/recommend/u", "/mostPopularItems", "/similarity/a", "/knownItems/u?after=0:1"):
            response = await client.get(path)
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "no model has been published yet" in (await response.json(content_type=None))["detail"]
            assert "X-Oryx-Generation" not in response.headers


async def test_head_answers_like_get_without_a_body(client):
    for path in ("/ready", "/healthz", "/knownItems/ann"):
        response = await client.head(path)
        assert response.status == 200
        assert await response.read() == b""


async def test_the_context_path_is_before_every_path(model):
    async with Harness(FixedModels(model), context_path="/oryx/v1/") as client:
        assert await get(client, "/oryx/v1/knownItems/ann") == ["a", "b"]
        assert await get(client, "/oryx/v1/knownItems/u%2F%C3%B1=") == ["a", "z/ä"]
        assert (await client.get("/oryx/v1/ready")).status == 200
        assert (await client.get("/knownItems/ann")).status == 404
