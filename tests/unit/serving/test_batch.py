"""``POST /recommend``: what each user would get alone, in one answer; asked in all the ways it may be asked."""

import csv
import gzip
import io
import json
import tracemalloc

import numpy as np
import pytest

from oryx_py.messages import ItemVector
from tests.support.serving import EPOCH, PAIRS, USERS, FixedModels, Harness, model_at, write_world

ITEMS = {
    **{f"i{at:02}": [at / 7, 1.0 - at / 5] for at in range(40)},
    **{item: [0.5, 0.25] for pairs in PAIRS.values() for item in pairs},
    'q,"': [3.0, 1.0],
}


@pytest.fixture
def model(tmp_path):
    model = model_at(write_world(tmp_path / "g", "g", PAIRS, USERS, ITEMS), EPOCH)
    model.state.apply(ItemVector("new/ü", np.array([2.0, 2.0], np.float32), epoch=EPOCH))
    return model


async def post(client, body, query="", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(f"/recommend{query}", data=data, headers={"Content-Type": "application/json", **headers})


@pytest.mark.parametrize("query", ["", "howMany=3&offset=2", "considerKnownItems=true&howMany=50"])
async def test_each_user_gets_what_a_get_gives_and_one_who_is_unknown_the_reason(model, query):
    users = ["ann", "nobody", "bob", "u/ñ=", "none", "ann"]
    async with Harness(FixedModels(model)) as client:
        response = await post(client, users, f"?{query}")
        assert response.status == 200
        answered = await response.json()
        assert [row["user"] for row in answered] == users
        for row in answered:
            alone = await client.get(f"/recommend/{row['user'].replace('/', '%2F')}?{query}")
            if alone.status == 200:
                assert row["items"] == await alone.json()
            else:
                assert (row["status"], row["detail"]) == (alone.status, (await alone.json())["detail"])
        assert "status" in answered[1]
        assert {"id": "new/ü", "value": 3.0} in answered[0]["items"] or "offset" in query


async def test_an_object_says_it_all_and_stands_above_the_query(model):
    async with Harness(FixedModels(model)) as client:
        body = {"users": ["ann"], "howMany": 2, "offset": 1, "considerKnownItems": True, "rescorerParams": ["x"]}
        asked = await (await post(client, body, "?howMany=9&considerKnownItems=false")).json()
        alone = await (await client.get("/recommend/ann?howMany=2&offset=1&considerKnownItems=true")).json()
        assert asked == [{"user": "ann", "items": alone}]
        asked = await (await post(client, {"users": ["ann"]}, "?howMany=3")).json()
        assert len(asked[0]["items"]) == 3


async def test_csv_has_a_row_an_item_and_none_for_those_who_are_unknown(model):
    async with Harness(FixedModels(model)) as client:
        response = await post(client, ["u/ñ=", "nobody"], "?howMany=3", Accept="text/csv")
        rows = list(csv.reader(io.StringIO(await response.text())))
        alone = await (await client.get("/recommend/u%2F%C3%B1=?howMany=3")).json()
        assert [(user, item, float(value)) for user, item, value in rows] == [
            ("u/ñ=", row["id"], row["value"]) for row in alone
        ]


async def test_nobody_gets_nothing(model):
    async with Harness(FixedModels(model)) as client:
        assert await (await post(client, [])).json() == []
        assert await (await post(client, [], Accept="text/csv")).text() == ""


async def test_it_is_no_write_and_takes_compressed_bodies(model):
    async with Harness(FixedModels(model), read_only=True, context_path="/r") as client:
        body = gzip.compress(b'["ann"]')
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        response = await client.post("/r/recommend", data=body, headers=headers)
        assert response.status == 200, await response.text()


async def test_it_reads_your_own_write(model):
    async with Harness(FixedModels(model), read_after_write_timeout_ms=50) as client:
        assert (await post(client, ["ann"], "?after=0:0")).status == 504


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "JSON"),
        (b"nonsense", 400, "JSON"),
        (b"{}", 400, "users"),
        (b'["\xff"]', 400, ""),
        (b"[" * 100_000, 400, ""),
        ([1], 400, "$[0]"),
        ({"users": "ann"}, 400, "users"),
        ({"users": ["ann"], "howmany": 3}, 400, "howmany"),
        ({"users": ["ann"], "howMany": 0}, 400, "howMany"),
        ({"users": ["ann"], "howMany": True}, 400, "howMany"),
        ({"users": ["ann"], "howMany": 1e300}, 400, "howMany"),
        ({"users": ["ann"], "howMany": 100_000, "offset": 1}, 400, "howMany and offset"),
        ({"users": ["ann"], "considerKnownItems": 1}, 400, "considerKnownItems"),
        ({"users": ["ann"], "rescorerParams": "x"}, 400, "rescorerParams"),
        (["ann", ""], 400, "users[1]"),
        (["ann", "a\nb"], 400, "users[1]"),
        (["\ud800"], 400, ""),
        (["x"] * 10_001, 400, "10001"),
        ({"users": ["x"] * 10_000, "howMany": 2000}, 400, "fewer users"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(model, body, status, named):
    async with Harness(FixedModels(model)) as client:
        response = await post(client, body)
        assert response.status == status
        assert named in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("start", "more", "end"), [('["a"', ',"a"', "]"), ('["a"', r',"\\"', "]"), ('{"users":["a"', ',"a"', "]}")]
)
async def test_no_list_is_made_of_more_users_than_there_may_be(model, start, more, end):
    """The texts alone would take ten times what the body does."""
    body = f"{start}{more * 2_000_000}{end}".encode()
    bomb, most = gzip.compress(body), 4 * len(body)
    async with Harness(FixedModels(model)) as client:
        tracemalloc.start()
        try:
            response = await post(client, bomb, Content_Encoding="gzip")
            assert tracemalloc.get_traced_memory()[1] < most
        finally:
            tracemalloc.stop()
        assert response.status == 400
        assert "more than 10000" in (await response.json())["detail"]


@pytest.mark.parametrize("user", ['"', "\\", '\\"', '"",""'])
async def test_quotes_and_backslashes_in_ids_are_not_taken_for_more_users(model, user):
    async with Harness(FixedModels(model)) as client:
        response = await post(client, {"users": [user] * 10_000, "rescorerParams": [user] * 100}, "?howMany=1")
        assert response.status == 200, await response.text()
        assert len(await response.json()) == 10_000


async def test_what_curl_sends_by_itself_is_taken_as_json(model):
    async with Harness(FixedModels(model)) as client:
        assert (await post(client, ["ann"], Content_Type="application/x-www-form-urlencoded")).status == 200


async def test_only_json_is_taken(model):
    async with Harness(FixedModels(model)) as client:
        assert (await post(client, ["ann"], Content_Type="text/csv")).status == 415
