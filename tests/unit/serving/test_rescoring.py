"""Rescorers: the last word on an answer, and no more than that."""

import asyncio
import importlib.util
import json
import math
import threading
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import Gauge

from oryx_py.errors import ConfigError
from oryx_py.messages import ItemGone, ItemVector, UserVector
from serving_layer.rescoring import Aligned, Rescorer, RescorerProvider, VectorRescorer
from serving_layer.rescoring.applying import Rescoring
from serving_layer.rescoring.loading import GROUP, providers_of
from serving_layer.rescoring.plugin_threads import PluginThreads
from serving_layer.rescoring.rescored_search import ItemSnapshot
from tests.support.polling import until
from tests.support.serving import EPOCH, PAIRS, USERS, FixedModels, Harness, model_at, write_world

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "genre_rescorer.py"
ITEMS = {
    **{f"i{at}": [at / 3 - 2, 1.0 - at / 5] for at in range(12)},
    "a": [1.0, 0.0],
    "b": [0.0, 2.0],
    "c": [1.0, 1.0],
    "z/ä": [0.5, 0.5],
}
HERE = __name__


@pytest.fixture
def model(tmp_path):
    model = model_at(write_world(tmp_path / "g", "g", PAIRS, USERS, ITEMS), EPOCH)
    model.state.apply(ItemVector("new/ü", np.array([2.0, 2.0], np.float32), epoch=EPOCH))
    model.state.apply(ItemVector("i3", np.array([0.25, 0.25], np.float32), epoch=EPOCH))
    model.state.apply(ItemGone("i4", epoch=EPOCH))
    model.state.apply(UserVector("busy", None, ("b", "new/ü"), (1.0, 1.0), epoch=EPOCH, input=1))
    return model


class Doubled(Rescorer):
    def rescore(self, id, value):
        return None if id == "i5" else (math.nan if id == "c" else -2 * value)

    def is_filtered(self, id):
        return id == "i7"


class DoubledAtOnce(VectorRescorer):
    def filtered(self, candidates):
        return np.array([name == "i7" for name in candidates])

    def rescore_many(self, candidates, values):
        assert values.dtype in (np.float32, np.float64)
        left_out = [name in {"i5", "c"} for name in candidates]
        return np.where(left_out, np.nan, -2 * values)


class OnlyFilter(VectorRescorer):
    def filtered(self, candidates):
        return np.array([name in {"i7", "i5", "c"} for name in candidates])


class Simple(RescorerProvider):
    made = Doubled

    def _any(self, *query):
        self.asked = query
        return self.made()

    recommend = recommend_to_anonymous = similarity = popular_items = active_users = _any


class AtOnce(Simple):
    made = DoubledAtOnce


class Filters(Simple):
    made = OnlyFilter


class NoProvider:
    pass


class CannotBeMade(RescorerProvider):
    def __init__(self):
        raise OSError("no catalogue\nto be found")


class Broken(RescorerProvider):
    """Fails in the way that the request names."""

    gate = threading.Event()

    def recommend(self, users, params):
        match params[0] if params else "":
            case "raises":
                raise web_like()
            case "exits":
                raise SystemExit(3)
            case "stops":
                raise StopIteration
            case "nonsense":
                return 42
            case "hangs":
                self.gate.wait(20)
        return Bad(params[0]) if params else None


def web_like():
    return ConfigError("a secret that clients do not see")


class Bad(VectorRescorer):
    def __init__(self, how):
        self.how = how

    def filtered(self, candidates):
        if self.how == "short-filter":
            return np.zeros(1, bool)
        return np.zeros(len(candidates), int) if self.how == "no-mask" else None

    def rescore_many(self, candidates, values):
        return {
            "infinite": np.full(len(values), np.inf),
            "short": values[:1],
            "text": np.array(["x"] * len(values)),
            "none": None,
        }.get(self.how, values)


def shown(value):
    """A score as it is answered, whichever of its decimal forms was read."""
    return float(np.float32(value)) + 0.0


ENDPOINTS = [
    "/recommend/ann",
    "/recommend/ann?considerKnownItems=true",
    "/recommendToMany/ann/bob",
    "/recommendToAnonymous/a/b=2",
    "/recommendWithContext/ann/c",
    "/similarity/a/b",
]


@pytest.mark.parametrize("provider", ["Simple", "AtOnce", "Filters"])
@pytest.mark.parametrize("path", ENDPOINTS)
async def test_all_candidates_are_rescored_and_ranked_anew(model, path, provider):
    more = "&" if "?" in path else "?"
    async with Harness(FixedModels(model)) as client:
        plain = await (await client.get(f"{path}{more}howMany=100")).json()
    expected = [(row["id"], shown(row["value"])) for row in plain if row["id"] not in {"i5", "i7", "c"}]
    if provider != "Filters":
        expected = sorted(((name, shown(-2 * value)) for name, value in expected), key=lambda r: (-r[1], r[0].encode()))
    async with Harness(FixedModels(model), rescorer=f"{HERE}:{provider}") as client:
        for page, part in (("howMany=100", slice(None)), ("howMany=3&offset=2", slice(2, 5))):
            response = await client.get(f"{path}{more}{page}&rescorerParams=x,y&rescorerParams=z")
            assert response.status == 200, await response.text()
            answered = [(row["id"], shown(row["value"])) for row in await response.json()]
            assert answered == expected[part]


@pytest.mark.parametrize("path", ["/mostPopularItems", "/mostActiveUsers"])
async def test_counts_are_rescored_too_and_stay_whole(model, path):
    async with Harness(FixedModels(model)) as client:
        plain = await (await client.get(path)).json()
    left = [row for row in plain if row["id"] not in {"i5", "i7", "c"}]
    for provider in ("Simple", "AtOnce", "Filters"):
        async with Harness(FixedModels(model), rescorer=f"{HERE}:{provider}") as client:
            expected = left
            if provider != "Filters":
                expected = [{"id": row["id"], "count": -2 * row["count"]} for row in left]
                expected.sort(key=lambda row: (-row["count"], row["id"].encode()))
            text = await (await client.get(path)).text()
            assert json.loads(text) == expected
            assert "." not in text.replace("new/ü", "")


async def test_a_batch_read_asks_for_each_user(model):
    async with Harness(FixedModels(model), rescorer=f"{HERE}:Simple") as client:
        body = {"users": ["ann", "nobody", "bob"], "rescorerParams": ["x"]}
        rows = await (await client.post("/recommend", json=body)).json()
        for row in rows:
            alone = await (await client.get(f"/recommend/{row['user']}?rescorerParams=x")).json()
            assert row.get("items", row.get("detail")) == (alone if "items" in row else alone["detail"])


class FailsForBob(RescorerProvider):
    def recommend(self, users, params):
        if users[0] == "bob":
            if params[0] == "raises":
                raise web_like()
            Broken.gate.wait(20)


@pytest.mark.parametrize("coding", ["identity", "gzip", "br"])
async def test_a_batch_read_answers_those_for_whom_nothing_fails(model, coding, logged):
    async with Harness(FixedModels(model), rescorer=f"{HERE}:FailsForBob") as client:
        body = {"users": ["ann", "bob", "nobody", "ann"], "rescorerParams": ["raises"]}
        response = await client.post("/recommend", json=body, headers={"Accept-Encoding": coding})
        assert response.status == 200
        rows = await response.json()
    assert [row.get("status", "items") for row in rows] == ["items", 500, 404, "items"]
    assert rows[0]["items"] == rows[3]["items"]
    assert "secret" not in rows[1]["detail"]
    assert "rescorer_failed" in logged.getvalue()


async def test_a_batch_read_goes_on_after_a_rescorer_that_hangs_but_does_not_try_it_for_ever(model):
    Broken.gate.clear()
    try:
        harness = Harness(FixedModels(model), rescorer=f"{HERE}:FailsForBob", request_timeout_ms=1000)
        async with harness as client:
            body = {"users": ["bob", "ann"], "rescorerParams": ["hangs"]}
            rows = await (await client.post("/recommend", json=body)).json()
            assert [row.get("status", "items") for row in rows] == [503, "items"]
            body["users"] = [*["bob"] * 9_999, "nobody"]
            rows = await (await client.post("/recommend", json=body)).json()
            assert {row["status"] for row in rows[:-1]} == {503}
            assert rows[-1]["status"] == 404
            assert harness.metrics.rescorers_running._value.get() <= 4
    finally:
        Broken.gate.set()


async def test_the_provider_is_told_what_is_asked(model, monkeypatch):
    seen = []
    monkeypatch.setattr(Simple, "recommend", lambda _self, *query: seen.append(query))
    async with Harness(FixedModels(model), rescorer=f"{HERE}:Simple") as client:
        plain = await (await client.get("/recommendToMany/ann/bob?rescorerParams=x,y&rescorerParams=")).json()
        assert plain
    assert [[list(part) for part in query] for query in seen] == [[["ann", "bob"], ["x,y", ""]]]


async def test_several_compose_each_with_the_values_of_the_one_before(model):
    async with Harness(FixedModels(model), rescorer=f"{HERE}:Simple, {HERE}:AtOnce") as client:
        both = {row["id"]: shown(row["value"]) for row in await (await client.get("/recommend/ann?howMany=99")).json()}
    async with Harness(FixedModels(model)) as client:
        plain = {row["id"]: row["value"] for row in await (await client.get("/recommend/ann?howMany=99")).json()}
    assert both == {name: shown(4 * value) for name, value in plain.items() if name not in {"i5", "i7", "c"}}


@pytest.mark.parametrize(
    "how", ["raises", "exits", "stops", "nonsense", "infinite", "short", "text", "none", "short-filter", "no-mask"]
)
async def test_what_goes_wrong_in_a_plug_in_is_that_request_s_500(model, how, logged):
    async with Harness(FixedModels(model), rescorer=f"{HERE}:Broken") as client:
        response = await client.get("/recommend/ann", params={"rescorerParams": how})
        assert response.status == 500
        assert response.content_type == "application/problem+json"
        document = await response.text()
        assert "secret" not in document
        assert "Traceback" not in document
        assert (await client.get("/recommend/ann")).status == 200
    assert "RescorerFailed" in logged.getvalue()


async def test_a_plug_in_that_hangs_holds_up_only_its_like(model):
    Broken.gate.clear()
    harness = Harness(FixedModels(model), rescorer=f"{HERE}:Broken", request_timeout_ms=1000)
    try:
        async with harness as client:
            hanging = [client.get("/recommend/ann?rescorerParams=hangs") for _ in range(20)]
            assert {response.status for response in await asyncio.gather(*hanging)} == {503}
            running = harness.metrics.rescorers_running._value.get()
            assert 2 <= running < 20
            assert (await client.get("/recommend/ann")).status == 503
            assert (await client.get("/similarity/a")).status == 200
            Broken.gate.set()
            await until(lambda: harness.metrics.rescorers_running._value.get() == 0)
            assert (await client.get("/recommend/ann")).status == 200
    finally:
        Broken.gate.set()


async def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch):
    running = Gauge("running", "of the test", registry=None)
    threads = PluginThreads(1, running)

    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("serving_layer.rescoring.plugin_threads.threading", SimpleNamespace(Thread=Refused))
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(lambda: 1)
    assert running._value.get() == 0
    async with asyncio.timeout(20):
        assert await threads.run(lambda: 2) == 2


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("no.such.module:Class", "No module named"),
        (f"{HERE}:Missing", "has no attribute 'Missing'"),
        (f"{HERE}:NoProvider", "is no subclass of serving_layer.rescoring.RescorerProvider"),
        (f"{HERE}:CannotBeMade", "OSError: no catalogue to be found"),
        ("unregistered", "no such entry point in oryx_py.rescorers"),
        (":", "serving.api.rescorer"),
    ],
)
def test_a_plug_in_that_is_not_there_stops_the_start_with_one_line(setting, why):
    with pytest.raises(ConfigError) as refused:
        providers_of(setting)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_entry_point_is_found_by_its_name(monkeypatch):
    point = metadata.EntryPoint("mine", f"{HERE}:Simple", GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: metadata.EntryPoints([point] if group == GROUP else []))
    (provider,) = providers_of(" mine ,")
    assert isinstance(provider, Simple)


def test_no_setting_is_no_plug_in():
    assert providers_of("") == ()


async def test_values_beside_the_rows_are_made_once_a_generation_and_for_what_came_since(model):
    made = []

    def lengths(ids):
        made.append(len(ids))
        return [len(name) for name in ids]

    length_of_each = Aligned(lengths)

    class ByLength(VectorRescorer):
        def rescore_many(self, candidates, values):
            assert len(candidates) == len(values) == len(list(candidates))
            assert [candidates[at] for at in range(len(candidates))] == list(candidates)
            assert length_of_each(candidates).tolist() == [len(name) for name in candidates]
            assert list(candidates[1:3]) == list(candidates)[1:3]
            return length_of_each(candidates).astype(np.float64)

    now = ItemSnapshot.of(model)
    for _ in range(3):
        best = now.best(Rescoring([ByLength()]), np.array([1.0, 0.5]), 2, np.empty(0, np.int64), "dot")
        assert model.state.items.ids(best.handles) == ["new/ü", "i10"]
    assert made.count(len(model.state.generation.items)) == 1


async def test_the_example_of_the_documentation_serves(model, tmp_path, monkeypatch):
    genres = tmp_path / "genres.csv"
    genres.write_text("i1,jazz\ni2,jazz\nnew/ü,jazz\ni3,folk\n", encoding="utf-8")
    monkeypatch.setenv("GENRES", str(genres))
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    assert importlib.util.find_spec("genre_rescorer")
    model.state.apply(ItemVector("withdrawn-1", np.array([2.0, 2.0], np.float32), epoch=EPOCH))
    async with Harness(FixedModels(model), rescorer="genre_rescorer:GenreProvider") as client:

        async def ask(path):
            return {row["id"]: row.get("value", row.get("count")) for row in await (await client.get(path)).json()}

        plain = await ask("/recommend/ann?howMany=100")
        jazz = await ask("/recommend/ann?howMany=100&rescorerParams=genre=jazz")
        assert jazz == {name: plain[name] for name in ("i1", "i2", "new/ü")}
        boosted = await ask("/recommend/ann?howMany=100&rescorerParams=boost=folk:3")
        assert boosted == {**plain, "i3": 3 * plain["i3"]}
        assert "withdrawn-1" not in await ask("/similarity/a?howMany=100")
        assert await ask("/mostPopularItems?rescorerParams=genre=jazz") == {"new/ü": 1}
        assert await ask("/recommendToAnonymous/i1?rescorerParams=genre=nothing") == {}
