"""Every endpoint on a small known model, in JSON and CSV, with IDs that hurt; NumPy works the answers out."""

import csv
import io
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pytest
from yarl import URL

from oryx_py.events import parse_value
from oryx_py.messages import ItemVector, UserVector, partition_of
from serving_layer.handlers.operations import OPERATIONS
from tests.support.serving import EPOCH, IMPLICIT, INPUT_PARTITIONS, FixedModels, Harness, model_at, write_world

LONG = "l" + "ö" * 511 + "g"
ITEMS = ["a/b", 'ü,"x"', "%2F", " ", LONG, "x=2.5", "I7", "+", "日本", "?#&"]
USERS = ["ann/ä", 'bob,"b"', "%2F", " ", LONG, "u;1"]
K = 4
NEW = "new/item"

rng = np.random.default_rng(20)
ITEM_VECTORS = {item: rng.normal(size=K).round(3).astype(np.float32) for item in ITEMS}
USER_VECTORS = {user: rng.normal(size=K).round(3).astype(np.float32) for user in USERS}
PAIRS = {
    "ann/ä": {"a/b": 1.0, "I7": 2.5, "日本": -1.0},
    'bob,"b"': {'ü,"x"': 1.0, "I7": 1.0},
    "%2F": {"I7": 4.0},
    " ": {"?#&": 1.0, " ": 0.5},
    LONG: {LONG: 1.0},
    "u;1": {"+": 1.0, "I7": 1.0},
}
GRAM = sum(np.outer(v, v) for v in (vector.astype(np.float64) for vector in ITEM_VECTORS.values()))
# What came since the generation: an item of its own, and a user who knows it.
LIVE_ITEMS = {**ITEM_VECTORS, NEW: np.array([0.5, -1.0, 2.0, 0.25], np.float32)}
LIVE_PAIRS = {**PAIRS, "u;1": {**PAIRS["u;1"], NEW: 3.0}}


def by_value(values: dict[str, float], descending: bool = True) -> list[tuple[str, np.float32]]:
    sign = -1 if descending else 1
    rows = [(name, np.float32(value)) for name, value in values.items()]
    return sorted(rows, key=lambda row: (sign * row[1], row[0].encode()))


def dots(query, items=LIVE_ITEMS):
    return {item: float(vector.astype(np.float64) @ query) for item, vector in items.items()}


def cosines(query, items=LIVE_ITEMS):
    norm = np.linalg.norm(query)
    return {item: float(v.astype(np.float64) @ query / norm / np.linalg.norm(v)) for item, v in items.items()}


def user(name):
    return USER_VECTORS[name].astype(np.float64)


def item(name):
    return LIVE_ITEMS[name].astype(np.float64)


def without(scores, *left_out):
    return {name: score for name, score in scores.items() if name not in left_out}


def solved(strengths: dict[str, float]) -> np.ndarray:
    """Ridge regression as the objective has it: weights α|s|, target 1 where s > 0, prior YᵀY + λn."""
    alpha, lambda_ = 2.0, 0.1
    counted = {name: s for name, s in strengths.items() if s != 0 and name in ITEM_VECTORS}
    A = GRAM + lambda_ * sum(s > 0 for s in counted.values()) * np.eye(K)
    b = np.zeros(K)
    for name, s in counted.items():
        y = item(name)
        A += alpha * abs(s) * np.outer(y, y)
        b += (1 + alpha * abs(s)) * y * (s > 0)
    return np.linalg.solve(A, b)


def path(*segments: str) -> str:
    return "".join("/" + quote(segment, safe="") for segment in segments)


def as_it_is(target: str) -> URL:
    """Keep the client from decoding what need not be encoded: %3D is not =."""
    return URL(target, encoded=True)


class Row(NamedTuple):
    """A request and what it answers: pairs, names, numbers, or one number."""

    operation: str
    path: str
    answer: list | float
    key: str = "value"


known_by = {name: sum(name in pairs for pairs in LIVE_PAIRS.values()) for name in LIVE_ITEMS}
COUNTS = sorted(((name, n) for name, n in known_by.items() if n), key=lambda row: (-row[1], row[0].encode()))
ACTIVE = sorted(((name, len(p)) for name, p in LIVE_PAIRS.items()), key=lambda row: (-row[1], row[0].encode()))
REPRESENTATIVES = [max(LIVE_ITEMS, key=lambda name: LIVE_ITEMS[name][feature]) for feature in range(K)]

ROWS = [
    *(
        Row("recommend", path("recommend", name), by_value(without(dots(user(name)), *LIVE_PAIRS[name]))[:10])
        for name in USERS
    ),
    Row(
        "recommend",
        path("recommend", "ann/ä") + "?howMany=2&offset=1",
        by_value(without(dots(user("ann/ä")), *PAIRS["ann/ä"]))[1:3],
    ),
    Row(
        "recommend",
        path("recommend", "ann/ä") + "?considerKnownItems=true&howMany=50&recall=exact",
        by_value(dots(user("ann/ä"))),
    ),
    Row(
        "recommend_to_many",
        path("recommendToMany", "ann/ä", "%2F", " "),
        by_value(
            without(dots((user("ann/ä") + user("%2F") + user(" ")) / 3), *PAIRS["ann/ä"], *PAIRS["%2F"], *PAIRS[" "])
        )[:10],
    ),
    Row(
        "recommend_to_many",
        path("recommendToMany", LONG, "u;1") + "?considerKnownItems=true&howMany=3",
        by_value(dots((user(LONG) + user("u;1")) / 2))[:3],
    ),
    Row(
        "recommend_to_anonymous",
        path("recommendToAnonymous", "a/b", "%2F") + "=2.5" + path("nobody knows this", "x=2.5") + "=-1",
        by_value(without(dots(solved({"a/b": 1.0, "%2F": 2.5, "x=2.5": -1.0})), "a/b", "%2F", "x=2.5"))[:10],
    ),
    Row(
        "recommend_to_anonymous",
        path("recommendToAnonymous", "x=2.5"),  # the = is escaped, so it is the ID's
        by_value(without(dots(solved({"x=2.5": 1.0})), "x=2.5"))[:10],
    ),
    Row(
        "recommend_with_context",
        path("recommendWithContext", "ann/ä", " ") + "=3" + path("I7", "unheard of"),
        by_value(without(dots(solved({**PAIRS["ann/ä"], " ": 3.0, "I7": 3.5})), *PAIRS["ann/ä"], " "))[:10],
    ),
    Row(
        "recommend_with_context",
        path("recommendWithContext", "u;1", "%2F") + "?considerKnownItems=true",
        by_value(without(dots(solved({**PAIRS["u;1"], "%2F": 1.0})), "%2F"))[:10],
    ),
    Row(
        "recommend_with_context",
        path("recommendWithContext", "ann/ä"),
        by_value(without(dots(user("ann/ä")), *PAIRS["ann/ä"]))[:10],
    ),
    *(
        Row("similarity", path("similarity", name), by_value(without(cosines(item(name)), name))[:10])
        for name in LIVE_ITEMS
    ),
    Row(
        "similarity",
        path("similarity", "a/b", "日本") + "?howMany=4&offset=2",
        by_value(without(cosines((item("a/b") + item("日本")) / 2), "a/b", "日本"))[2:6],
    ),
    Row(
        "similarity_to_item",
        path("similarityToItem", "%2F", *LIVE_ITEMS, "unheard of"),
        [*cosines(item("%2F")).values(), 0.0],
    ),
    *(
        Row("estimate", path("estimate", name, *LIVE_ITEMS, "unheard of"), [*dots(user(name)).values(), 0.0])
        for name in USERS
    ),
    Row(
        "estimate_for_anonymous",
        path("estimateForAnonymous", " ", "a/b") + "=2" + path("?#&", "unheard of"),
        float(item(" ") @ solved({"a/b": 2.0, "?#&": 1.0})),
    ),
    Row("estimate_for_anonymous", path("estimateForAnonymous", " ", "unheard of"), 0.0),
    Row(
        "because",
        path("because", "ann/ä", NEW),
        by_value({name: cosines(item(NEW))[name] for name in PAIRS["ann/ä"]}),
    ),
    Row("because", path("because", "unheard of", "a/b"), []),
    Row(
        "because",
        path("because", "ann/ä", "a/b") + "?howMany=1&offset=1",
        by_value({name: cosines(item("a/b"))[name] for name in PAIRS["ann/ä"]})[1:2],
    ),
    Row(
        "most_surprising",
        path("mostSurprising", "u;1"),
        by_value({name: dots(user("u;1"))[name] for name in LIVE_PAIRS["u;1"]}, descending=False),
    ),
    Row(
        "most_surprising",
        path("mostSurprising", "ann/ä") + "?howMany=1&offset=1",
        by_value({name: dots(user("ann/ä"))[name] for name in PAIRS["ann/ä"]}, descending=False)[1:2],
    ),
    *(Row("known_items", path("knownItems", name), sorted(LIVE_PAIRS[name], key=str.encode)) for name in USERS),
    Row("known_items", path("knownItems", "unheard of"), []),
    Row("most_popular_items", "/mostPopularItems", COUNTS[:10], "count"),
    Row("most_popular_items", "/mostPopularItems?howMany=2&offset=1", COUNTS[1:3], "count"),
    Row("most_active_users", "/mostActiveUsers", ACTIVE, "count"),
    Row("most_active_users", "/mostActiveUsers?howMany=1&offset=2", ACTIVE[2:3], "count"),
    Row("popular_representative_items", "/popularRepresentativeItems", REPRESENTATIVES),
    Row("all_items", "/item/allIDs", [*sorted(ITEMS, key=str.encode), NEW]),
    Row("all_users", "/user/allIDs", sorted(USERS, key=str.encode)),
]
READS = {row.operation for row in ROWS}
WRITES = {"post_pref", "delete_pref", "forget_user", "forget_item", "ingest"}
ELSEWHERE = {"ready", "healthz", "metrics", "recommend_to_each"}


@pytest.fixture
def model(tmp_path):
    folder = write_world(
        tmp_path / "g", "gen-1", PAIRS, USER_VECTORS, ITEM_VECTORS, covers={0: 10, 1: 20}, objective=IMPLICIT
    )
    model = model_at(folder, EPOCH)
    model.state.apply(ItemVector(NEW, LIVE_ITEMS[NEW], epoch=EPOCH))
    model.state.apply(UserVector("u;1", USER_VECTORS["u;1"], (NEW,), (3.0,), epoch=EPOCH, input=30))
    return model


@pytest.fixture
def harness(model):
    return Harness(FixedModels(model))


@pytest.fixture
async def client(harness):
    async with harness as client:
        yield client


def test_the_table_has_every_endpoint():
    documented = {"asset", "console", "docs", "openapi"}
    assert {found.name for found in OPERATIONS} - documented == READS | WRITES | ELSEWHERE


def named(row: Row) -> str:
    return f"{row.operation} {row.path[:60]}"


def as_json(row: Row):
    if isinstance(row.answer, float):
        return pytest.approx(row.answer, rel=1e-5, abs=1e-6)
    return [cell(row, element, lambda value: pytest.approx(value, rel=1e-5, abs=1e-6)) for element in row.answer]


def cell(row: Row, element, number: Callable):
    match element:
        case (name, value):
            return {"id": name, row.key: number(float(value))}
        case str():
            return element
        case _:
            return number(float(element))


@pytest.mark.parametrize("row", ROWS, ids=named)
async def test_json(client, row):
    async with client.get(as_it_is(row.path), headers={"Accept": "application/json"}) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/json"
        assert response.headers["X-Oryx-Generation"] == "gen-1"
        assert response.headers["X-Request-Id"]
        assert await response.json() == as_json(row)


@pytest.mark.parametrize("row", ROWS, ids=named)
async def test_csv_has_the_same_rows(client, row):
    async with client.get(as_it_is(row.path), headers={"Accept": "application/json"}) as response:
        found = await response.json()
    async with client.get(as_it_is(row.path), headers={"Accept": "text/csv"}) as response:
        assert response.status == 200
        assert response.content_type == "text/csv"
        text = (await response.read()).decode()
    assert text == "" or text.endswith("\n")
    assert "\r" not in text
    rows = list(csv.reader(io.StringIO(text), strict=True))
    match found:
        case float():
            assert [[np.float32(value) for value in row] for row in rows] == [[np.float32(found)]]
        case [] | [str(), *_]:
            assert rows == [[name] for name in found]
        case [dict(), *_]:
            assert [(name, np.float32(value)) for name, value in rows] == [
                (element["id"], np.float32(element[row.key])) for element in found
            ]
        case _:
            assert [np.float32(value) for (value,) in rows] == [np.float32(value) for value in found]


@pytest.mark.parametrize("row", ROWS, ids=named)
async def test_head_has_the_headers_of_get_and_no_body(client, row):
    async with client.get(as_it_is(row.path), headers={"Accept-Encoding": "identity"}) as response:
        of_get = response.headers
    async with client.head(as_it_is(row.path), headers={"Accept-Encoding": "identity"}) as response:
        assert response.status == 200
        assert await response.read() == b""
        assert response.headers["Content-Type"] == of_get["Content-Type"]
        assert response.headers.get("Content-Length") == of_get.get("Content-Length")


@pytest.mark.parametrize(
    ("request_path", "named_in_it"),
    [
        (path("recommend", "who?"), "who?"),
        (path("recommendToMany", "ann/ä", "who?"), "who?"),
        (path("recommendWithContext", "who?", "a/b"), "who?"),
        (path("similarity", "a/b", "what?"), "what?"),
        (path("similarityToItem", "what?", "a/b"), "what?"),
        (path("estimate", "who?", "a/b"), "who?"),
        (path("estimateForAnonymous", "what?", "a/b"), "what?"),
        (path("because", "ann/ä", "what?"), "what?"),
        (path("mostSurprising", "who?"), "who?"),
    ],
)
async def test_what_is_unknown_is_404_and_named(client, request_path, named_in_it):
    async with client.get(request_path) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert f"'{named_in_it}' is unknown" in (await response.json(content_type=None))["detail"]


async def test_an_anonymous_visitor_of_unknown_items_alone_is_a_400(client):
    async with client.get(path("recommendToAnonymous", "what?", "which?")) as response:
        assert response.status == 400


@pytest.mark.parametrize("user_id", USERS)
@pytest.mark.parametrize("item_id", ITEMS)
async def test_writes_carry_the_ids_as_they_are(client, harness, user_id, item_id):
    sent = harness.sender.sent
    async with client.post(path("pref", user_id, item_id), data=b"2.5") as response:
        assert response.status == 204
        assert response.headers["X-Oryx-Offset"] == f"{partition_of(user_id, INPUT_PARTITIONS)}:0"
    async with client.delete(path("pref", user_id, item_id)) as response:
        assert response.status == 204
    stored, gone = (parse_value(record.value) for record in sent)
    assert (stored.user, stored.item, stored.strength) == (user_id, item_id, 2.5)
    assert (gone.user, gone.item, gone.strength) == (user_id, item_id, None)
    assert {record.key for record in sent} == {user_id.encode()}


async def test_an_empty_body_is_strength_1(client, harness):
    async with client.post(path("pref", "ann/ä", "a/b")) as response:
        assert response.status == 204
    assert parse_value(harness.sender.sent[0].value).strength == 1.0


@pytest.mark.parametrize("user_id", USERS)
async def test_to_forget_a_user_is_one_record_with_the_user_as_key(client, harness, user_id):
    async with client.delete(path("user", user_id), headers={"Idempotency-Key": "once"}) as response:
        assert response.status == 204
        assert response.headers["X-Oryx-Offset"]
    (record,) = harness.sender.sent
    forget = parse_value(record.value)
    assert (forget.user, forget.item, forget.strength) == (user_id, "", None)
    assert (record.key, record.headers) == (user_id.encode(), (("id", b"once:forget"),))


@pytest.mark.parametrize("item_id", ITEMS)
async def test_to_forget_an_item_is_said_in_every_partition_under_one_id(client, harness, item_id):
    async with client.delete(path("item", item_id)) as response:
        assert response.status == 204
        assert len(response.headers["X-Oryx-Offset"].split(",")) == INPUT_PARTITIONS
    sent = harness.sender.sent
    assert sorted(record.partition for record in sent) == list(range(INPUT_PARTITIONS))
    assert len({record.headers for record in sent}) == 1
    assert sent[0].headers[0][0] == "id"
    for record in sent:
        forget = parse_value(record.value)
        assert (forget.user, forget.item, forget.strength) == ("", item_id, None)


async def test_ids_survive_a_bulk_in_every_form(client, harness):
    pairs = [(user_id, item_id) for user_id in USERS for item_id in ITEMS]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(pairs)
    objects = [{"user": user_id, "item": item_id} for user_id, item_id in pairs]
    async with client.post("/ingest", data=text.getvalue().encode(), headers={"Content-Type": "text/csv"}) as response:
        assert response.status == 204, await response.text()
    async with client.post("/ingest", json=objects) as response:
        assert response.status == 204, await response.text()
    found = [parse_value(record.value) for record in harness.sender.sent]
    assert [(record.user, record.item) for record in found] == pairs * 2
