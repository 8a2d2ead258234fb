"""Both clients against the real application: every endpoint, IDs that hurt, a context path."""

import asyncio
import contextlib
import inspect
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest

from oryx_py.client import (
    Answered,
    AsyncClient,
    Client,
    Counted,
    NotFound,
    NotVisibleYet,
    Rejected,
    Retries,
    Scored,
    TooLarge,
    Unavailable,
    Written,
)
from oryx_py.errors import UserError
from oryx_py.events import Action, parse_value
from oryx_py.messages import partition_of
from serving_layer.handlers.operations import OPERATIONS
from tests.support.serving import FixedModels, Harness, model_at, write_world

LONG = "l" + "ö" * 511 + "g"
ITEMS = ["a/b", 'ü,"x"', "%2F", " ", LONG, "x=2.5", "I7", "+", "日本", "?#&", ".", ".."]
USERS = ["ann/ä", 'bob,"b"', "%2F", " ", LONG, "u=1", ".."]
rng = np.random.default_rng(8)
Y = {item: rng.normal(size=3).round(2).tolist() for item in ITEMS}
X = {user: rng.normal(size=3).round(2).tolist() for user in USERS}
PAIRS = {user: {ITEMS[n % len(ITEMS)]: 1.0, "I7": 2.0} for n, user in enumerate(USERS)}
ONCE = Retries(attempts=1)

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["async", "sync"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def ask(kind: str, service: str) -> AsyncIterator[Ask]:
    """Call a method of either client by its name; what it yields comes as a list."""
    async with _asking(kind, service) as asking:
        yield asking


class _asking:  # noqa: N801 - used like a function
    def __init__(self, kind: str, url: str, **options: Any) -> None:
        options = {"retries": ONCE, **options}
        self.client: Any = AsyncClient(url, **options) if kind == "async" else Client(url, **options)

    async def __aenter__(self) -> Ask:
        return self.ask

    async def __aexit__(self, *_: object) -> None:
        if isinstance(self.client, AsyncClient):
            await self.client.close()
        else:
            await asyncio.to_thread(self.client.close)

    async def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        method = getattr(self.client, name)
        if isinstance(self.client, AsyncClient):
            found = method(*args, **kwargs)
            return await found if inspect.isawaitable(found) else [one async for one in found]

        def waiting() -> Any:
            found = method(*args, **kwargs)
            return list(found) if isinstance(found, Iterator) else found

        return await asyncio.to_thread(waiting)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return model_at(write_world(tmp_path_factory.mktemp("g") / "g", "gen-1", PAIRS, X, Y, covers={0: 10, 1: 20}), 3)


@pytest.fixture
def harness(model: Any) -> Harness:
    return Harness(FixedModels(model), context_path="/v1/rec", read_after_write_timeout_ms=50)


@pytest.fixture
async def service(harness: Harness) -> AsyncIterator[str]:
    async with harness as client:
        yield str(client.make_url("/v1/rec"))


def best(query: np.ndarray, left_out: set[str], how_many: int) -> list[str]:
    scores = {item: float(np.dot(query, y)) for item, y in Y.items() if item not in left_out}
    return sorted(scores, key=lambda item: -scores[item])[:how_many]


def ids(found: list[Scored]) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize("user", USERS)
async def test_what_is_recommended_is_by_dot_product_without_the_known(ask: Ask, user: str) -> None:
    found = await ask("recommend", user, 4, offset=1)
    assert ids(found) == best(np.array(X[user]), set(PAIRS[user]), 5)[1:]
    assert [one.value for one in found] == pytest.approx([np.dot(X[user], Y[one.id]) for one in found], rel=1e-5)
    every = await ask("recommend", user, 100, consider_known_items=True, rescorer_params=["a=b", "c&d"])
    assert ids(every) == best(np.array(X[user]), set(), 100)
    assert await ask("recommend", user, 5, offset=1000) == []


async def test_several_users_are_recommended_what_none_of_them_knows(ask: Ask) -> None:
    users = ["ann/ä", "..", "u=1"]
    known = {item for user in users for item in PAIRS[user]}
    mean = np.mean([X[user] for user in users], axis=0)
    assert ids(await ask("recommend_to_many", users, 5)) == best(mean, known, 5)
    assert await ask("recommend_to_many", "u=1", 5) == await ask("recommend", "u=1", 5)


async def test_a_stranger_and_a_context_take_items_with_strengths(ask: Ask) -> None:
    items = {"x=2.5": 2.0, "a/b": -1.0, "..": 0.5}
    first = await ask("recommend_to_anonymous", items)
    assert not set(items) & set(ids(first))
    assert first == await ask("recommend_to_anonymous", list(items.items()))
    assert first != await ask("recommend_to_anonymous", list(items))
    one = await ask("recommend_to_anonymous", "x=2.5")
    assert "x=2.5" not in ids(one)
    inside = await ask("recommend_with_context", "u=1", items, 100)
    assert not (set(items) | set(PAIRS["u=1"])) & set(ids(inside))
    assert await ask("recommend_with_context", "u=1", []) == await ask("recommend", "u=1")
    estimate = await ask("estimate_for_anonymous", first[0].id, items)
    assert estimate == pytest.approx(first[0].value, rel=1e-5)
    assert await ask("estimate_for_anonymous", "a/b", "unknown") == 0.0


@pytest.mark.parametrize("item", ITEMS)
async def test_items_are_alike_by_cosine(ask: Ask, item: str) -> None:
    def cosine(other: str) -> float:
        return float(np.dot(Y[item], Y[other]) / np.linalg.norm(Y[item]) / np.linalg.norm(Y[other]))

    found = await ask("similarity", item, 3)
    assert ids(found) == sorted(set(ITEMS) - {item}, key=lambda other: -cosine(other))[:3]
    assert await ask("similarity_to_item", item, [*ITEMS, "unknown"]) == pytest.approx(
        [*map(cosine, ITEMS), 0.0], abs=1e-5
    )
    assert len(await ask("similarity", ITEMS[:3], 2)) == 2


@pytest.mark.parametrize("user", USERS)
async def test_a_users_own_items_are_explained_scored_and_listed(ask: Ask, user: str) -> None:
    known = sorted(PAIRS[user], key=str.encode)
    assert await ask("known_items", user) == known
    assert sorted(ids(await ask("because", user, "x=2.5")), key=str.encode) == known
    assert sorted(ids(await ask("most_surprising", user)), key=str.encode) == known
    assert await ask("estimate", user, [*ITEMS, "unknown"]) == pytest.approx(
        [*(np.dot(X[user], Y[item]) for item in ITEMS), 0.0], abs=1e-5
    )


async def test_what_there_is_is_counted_and_listed(ask: Ask) -> None:
    popular = await ask("most_popular_items", 2)
    assert popular[0] == Counted("I7", len(USERS))
    assert (await ask("most_active_users", 100))[0].count == 2
    assert sorted(await ask("item_ids")) == sorted(ITEMS)
    assert sorted(await ask("user_ids")) == sorted(USERS)
    heads = [min(ITEMS, key=lambda item: (-Y[item][feature], item.encode())) for feature in range(3)]
    assert await ask("popular_representative_items") == heads
    ready = await ask("ready")
    assert (ready.ready, ready.generation, ready.epoch) == (True, "gen-1", 3)


async def test_unknown_users_and_items_are_named(ask: Ask) -> None:
    for name, args in {
        "recommend": ["no/body"],
        "recommend_to_many": [["no/body", "u=1"]],
        "similarity": ["no/body"],
        "because": ["u=1", "no/body"],
        "most_surprising": ["no/body"],
        "estimate": ["no/body", "I7"],
        "estimate_for_anonymous": ["no/body", "I7"],
        "similarity_to_item": ["no/body", "I7"],
    }.items():
        with pytest.raises(NotFound, match="no/body") as caught:
            await ask(name, *args)
        assert caught.value.request_id == "made-up"
    assert await ask("known_items", "no/body") == []
    assert await ask("because", "no/body", "I7") == []
    with pytest.raises(Rejected, match="unknown"):
        await ask("recommend_to_anonymous", "no/body")
    with pytest.raises(Rejected, match="howMany"):
        await ask("recommend", "u=1", 0)


async def test_writes_are_stored_as_they_were_meant(ask: Ask, harness: Harness) -> None:
    await ask("pref", "ann/ä", "x=2.5")
    await ask("pref", "..", "a/b", -2.5, idempotency_key="k")
    await ask("delete_pref", LONG, "%2F")
    await ask("forget_user", "u=1")
    await ask("forget_item", " ")
    stored = [parse_value(record.value) for record in harness.sender.sent]
    assert [(one.user, one.item, one.strength, one.action) for one in stored[:4]] == [
        ("ann/ä", "x=2.5", 1.0, Action.ADD),
        ("..", "a/b", -2.5, Action.ADD),
        (LONG, "%2F", None, Action.DELETE),
        ("u=1", "", None, Action.FORGET_USER),
    ]
    assert {(one.item, one.action) for one in stored[4:]} == {(" ", Action.FORGET_ITEM)}
    assert harness.sender.sent[1].headers[0] == ("id", b"k:1")


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_bulk_is_stored_in_its_order(ask: Ask, harness: Harness, compressed: bool) -> None:
    written = await ask(
        "ingest",
        ["u1,i1,2", b"u2,i2", {"user": "a,b", "item": "x=2.5", "strength": None}],
        idempotency_key="k",
        compressed=compressed,
    )
    stored = [parse_value(record.value) for record in harness.sender.sent]
    assert [(one.user, one.item, one.strength) for one in stored] == [
        ("u1", "i1", 2.0),
        ("u2", "i2", 1.0),
        ("a,b", "x=2.5", None),
    ]
    assert [dict(record.headers)["id"] for record in harness.sender.sent] == [b"k:1", b"k:2", b"k:3"]
    assert written == Written.together(Written({partition_of(one.user, 2): n}) for n, one in enumerate(stored))


async def test_a_bulk_with_bad_lines_is_refused_with_their_numbers(ask: Ask, harness: Harness) -> None:
    with pytest.raises(Rejected, match=r"line 2: .*line 4: "):
        await ask("ingest", ["u,i", "nonsense", "u,i", "u,i,nan"])
    assert harness.sender.sent == []


async def test_a_bulk_that_breaks_off_says_how_much_is_stored(ask: Ask, harness: Harness) -> None:
    harness.sender.fail_after = 2
    with pytest.raises(Unavailable, match="no acknowledgement") as caught:
        await ask("ingest", [f"u,{n}" for n in range(5)])
    assert caught.value.accepted == 2
    assert caught.value.written


async def test_a_read_waits_for_what_it_is_told_to(ask: Ask) -> None:
    covered, ahead = Written({0: 9, 1: 19}), Written({0: 11})
    assert await ask("recommend", "u=1", after=covered) == await ask("recommend", "u=1", after="0:9,1:19")
    for name, args in {"recommend": ["u=1"], "similarity": ["I7"], "known_items": ["u=1"], "item_ids": []}.items():
        with pytest.raises(NotVisibleYet, match="not in the model"):
            await ask(name, *args, after=ahead)


async def test_a_client_may_see_to_its_own_writes(kind: str, service: str, harness: Harness) -> None:
    async with _asking(kind, service, read_your_writes=True) as ask:
        assert await ask("known_items", "u=1")
        harness.sender.sent += [None] * 500  # type: ignore[list-item]
        await ask("pref", "u=1", "I7")
        with pytest.raises(NotVisibleYet):
            await ask("known_items", "u=1")
        with pytest.raises(NotVisibleYet):
            await ask("most_popular_items")
        assert await ask("known_items", "..")


async def test_without_a_model_reads_say_what_is_missing_and_writes_go_through(kind: str) -> None:
    harness = Harness(FixedModels())
    async with harness as client, _asking(kind, str(client.make_url("/"))) as ask:
        with pytest.raises(Unavailable, match="the service is not ready: no model") as caught:
            await ask("recommend", "ann")
        assert caught.value.retry_after_s == 1
        ready = await ask("ready")
        assert (ready.ready, ready.generation) == (False, None)
        assert "no model" in ready.detail
        assert ready.waiting_for
        await ask("pref", "ann", "i")
        with pytest.raises(Unavailable):
            await ask("item_ids")


async def test_a_read_only_service_and_a_small_one_refuse_what_they_do_not_take(kind: str, model: Any) -> None:
    async with Harness(FixedModels(model), read_only=True) as client, _asking(kind, str(client.make_url("/"))) as ask:
        with pytest.raises(Rejected, match="read-only") as caught:
            await ask("pref", "ann", "i")
        assert caught.value.status == 403
    async with (
        Harness(FixedModels(model), max_ingest_bytes=1000) as client,
        _asking(kind, str(client.make_url("/"))) as ask,
    ):
        with pytest.raises(TooLarge):
            await ask("ingest", ["u,i"] * 1000)


async def test_more_interactions_than_one_call_can_bring_through_are_refused_at_once(ask: Ask) -> None:
    """However many there are, no more are taken than it takes to see that."""
    with pytest.raises(UserError, match="send at most 200000 at once"):
        await ask("ingest", itertools.repeat("u,i"))


async def test_answers_in_csv_by_default_change_nothing(kind: str, model: Any) -> None:
    async with (
        Harness(FixedModels(model), default_format="csv") as client,
        _asking(kind, str(client.make_url("/"))) as ask,
    ):
        assert len(await ask("recommend", "u=1", 3)) == 3


async def test_a_batch_answers_each_user_as_a_call_of_its_own_would(ask: Ask) -> None:
    users = [*USERS, "no/body", *USERS[::-1]]
    found = await ask("recommend_batch", iter(users), 4, offset=1, consider_known_items=True)
    assert [one.user for one in found] == users
    for one in found:
        if one.user == "no/body":
            assert (one.items, one.status) == ([], 404)
            assert "no/body" in one.detail
        else:
            single = await ask("recommend", one.user, 4, offset=1, consider_known_items=True)
            assert ids(one.items) == ids(single)
            assert [s.value for s in one.items] == pytest.approx([s.value for s in single], rel=1e-5)
    assert await ask("recommend_batch", []) == []


async def test_a_batch_may_be_longer_than_a_request(ask: Ask) -> None:
    users = [USERS[n % len(USERS)] for n in range(2500)]
    found = await ask("recommend_batch", users, 1)
    assert [one.user for one in found] == users
    assert all(isinstance(one, Answered) and one.status == 200 for one in found)


async def test_long_lists_of_many_users_are_asked_for_few_at_a_time(ask: Ask) -> None:
    """The service bounds users times items of one request."""
    users = [USERS[n % len(USERS)] for n in range(250)]
    assert [one.user for one in await ask("recommend_batch", users, 50_000, offset=50_000)] == users


async def test_the_client_sends_to_every_endpoint_that_there_is(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation of the service is reached by some method, with what its tests above call it with."""
    sent: set[tuple[str, str]] = set()
    request = aiohttp.ClientSession._request

    async def noted(self: Any, method: str, url: Any, **kwargs: Any) -> Any:
        sent.add((method, url.raw_path.removeprefix("/v1/rec").split("/")[1]))
        return await request(self, method, url, **kwargs)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", noted)
    calls: dict[str, list[Any]] = {
        **{key: ["x"] for key in ("recommend", "known_items", "most_surprising", "forget_user", "forget_item")},
        **{key: [["x,y"]] for key in ("recommend_to_many", "recommend_to_anonymous", "similarity", "ingest")},
        **{key: ["x", "x"] for key in ("similarity_to_item", "estimate_for_anonymous", "estimate", "because")},
        **{key: ["x", "x"] for key in ("recommend_with_context", "pref", "delete_pref")},
        "recommend_batch": [["x"]],
    }
    methods = [name for name in dir(AsyncClient) if not name.startswith("_") and name not in {"close", "url"}]
    async with _asking("async", service) as ask:
        for name in methods:
            with contextlib.suppress(NotFound, Rejected):
                await ask(name, *calls.get(name, []))
    there = {(one.method, one.path.split("/")[1]) for one in OPERATIONS if one.tag != "Operate"}
    assert len(there) >= 20
    assert there <= sent


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def public(kind: type) -> dict[str, Any]:
        return {name: value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")}

    waiting, awaited = public(Client), public(AsyncClient)
    assert waiting.keys() == awaited.keys()
    for name in waiting.keys() - {"close"}:
        assert (
            inspect.signature(waiting[name]).parameters.keys() == inspect.signature(awaited[name]).parameters.keys()
        ), name
        assert [p.default for p in inspect.signature(waiting[name]).parameters.values()] == [
            p.default for p in inspect.signature(awaited[name]).parameters.values()
        ], name
        assert waiting[name].__doc__
    assert inspect.signature(Client).parameters == inspect.signature(AsyncClient).parameters
