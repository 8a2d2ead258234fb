"""What is long is not done on the loop, and says the same as what is done there."""

import threading

import msgspec
import numpy as np
import orjson
import pytest

from oryx_py.events import FoldSettings, KindSettings, fold_pair
from oryx_py.model.state.vectors import VectorTable
from oryx_py.numerics.objective import Objective
from serving_layer.api.answers import Names, Scored
from serving_layer.index.ranking import Ranked, distinct, in_order, merged
from serving_layer.search import fold_in
from tests.support.generations import generation_of
from tests.support.serving import FixedModels, Harness, model_at, write_world

ITEMS = 9_000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    names = [f"item {number:05d}" for number in range(ITEMS)]
    world = write_world(
        tmp_path_factory.mktemp("many") / "g",
        "many",
        {"all": dict.fromkeys(names, 1.0), "one": {names[0]: 1.0}},
        {"all": [1.0, 0.5], "one": [0.5, 1.0]},
        {name: [number / 7, 1.0] for number, name in enumerate(names)},
    )
    return model_at(world)


@pytest.fixture
def where(monkeypatch):
    """The threads that IDs were named in, and answers written."""
    threads = set()

    def watched(kind, method):
        original = getattr(kind, method)

        def call(*args):
            threads.add(threading.get_ident())
            return original(*args)

        monkeypatch.setattr(kind, method, call)

    for kind in (Names, Scored):
        watched(kind, "json")
        watched(kind, "csv")
    return threads


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize(
    "path", ["/recommend/one?howMany=9000", "/because/all/item%2000001?howMany=9000", "/knownItems/all"]
)
async def test_a_long_answer_is_written_in_another_thread(many, where, path, accept):
    async with Harness(FixedModels(many)) as client:
        response = await client.get(path, headers={"Accept": accept})
        assert response.status == 200
        body = await response.read()
    rows = len(orjson.loads(body)) if accept == "application/json" else body.count(b"\n")
    assert rows >= ITEMS - 1
    assert where
    assert threading.get_ident() not in where


async def test_a_short_answer_is_written_at_once(many, where):
    async with Harness(FixedModels(many)) as client:
        assert (await client.get("/recommend/one")).status == 200
    assert where == {threading.get_ident()}


@pytest.mark.parametrize("rows", [0, 1, 4095, 4096, 4097, 8192, 9000])
def test_json_is_the_same_in_blocks(rows):
    names = [f'"{number}' for number in range(rows)]
    values = np.linspace(-1, 1, rows, dtype=np.float32)
    read = orjson.loads(Scored(names, values).json())
    assert [row["id"] for row in read] == names
    assert np.array_equal(np.array([row["value"] for row in read], np.float32), values)


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_a_history_is_folded_as_pair_by_pair(feedback):
    settings = FoldSettings(feedback=feedback)
    known, values = np.array([7, 2, 9, 4]), np.array([1.0, -0.0, 2.5, 0.1])
    items, strengths = np.array([4, 11, 4, 7, 11, 3]), [0.2, -0.0, 0.3, -1.0, 2.0, -0.0]
    slowly = dict(zip(known.tolist(), values.tolist(), strict=True))
    for item, strength in zip(items.tolist(), strengths, strict=True):
        slowly[item] = fold_pair(slowly.get(item), strength, settings)
    handles, sums = fold_in._folded(known, values, items, strengths, settings)
    assert handles.tolist() == list(slowly)
    assert sums.tolist() == list(slowly.values())
    assert values.tolist() == [1.0, -0.0, 2.5, 0.1]


def test_what_would_not_be_folded_once_it_is_stored_is_left_out():
    """An interaction of a request is new, and has no kind: the threshold alone can leave it out."""
    generation = generation_of({"a": {"p": 1.0}}, {"p": np.ones(2, np.float32)}, Objective.mllib_implicit(0.1, 1.0), {})
    kinds = {"view": KindSettings(0.1)}
    for threshold, left in ((0.0, [0.4, -0.6, 0.0]), (0.5, [-0.6])):
        fold = FoldSettings(feedback="implicit", half_life_s=1.0, kinds=kinds, zero_threshold=threshold, max_age_s=1.0)
        manifest = msgspec.structs.replace(generation.manifest, fold=fold, as_of_ms=10**12)
        items, strengths = fold_in._that_count(np.array([5, 3, 8]), [0.4, -0.6, 0.0], manifest)
        assert strengths == left
        assert items.tolist() == ([5, 3, 8] if threshold == 0 else [3])


@pytest.mark.parametrize("count", [0, 5, 100, 3_000])
def test_vectors_are_found_alike_few_or_many(count):
    rng = np.random.default_rng(count)
    table = VectorTable(rng.normal(size=(500, 3)).astype(np.float32))
    for handle in rng.integers(0, 700, 200).tolist():
        table.set(handle, None if handle % 5 == 0 else np.full(3, handle, np.float32))
    handles = rng.integers(-2, 800, count)
    one_by_one = [table.get(handle) for handle in handles.tolist()]
    assert table.has(handles).tolist() == [vector is not None for vector in one_by_one]
    expected = [np.zeros(3, np.float32) if vector is None else vector for vector in one_by_one]
    assert np.array_equal(table.gather(handles), np.array(expected, np.float32).reshape(-1, 3))


def test_ties_are_by_id_whichever_item_is_new():
    rng = np.random.default_rng(1)
    names = sorted(f"{number:03d}" for number in range(50)) + [f"{number:03d}x" for number in range(50)]
    handles, scores = rng.permutation(100), rng.integers(0, 6, 100).astype(np.float32)
    order = in_order(handles, scores, 50, lambda handle: names[handle])
    rows = [(-scores[at], names[handles[at]].encode()) for at in range(100)]
    assert [rows[at] for at in order] == sorted(rows)


class Asked:
    """Names of many rows and of some new items, and how many were asked for."""

    def __init__(self, rows, new):
        self.names = [f"{number:06d}" for number in range(rows)] + new
        self.count = 0

    def __call__(self, handle):
        self.count += 1
        return self.names[handle]


@pytest.mark.parametrize("new", [["050000x"], ["x"], ["!"], ["099999x", "000000x", "000000a"]])
def test_of_many_tied_rows_few_are_named_to_find_a_new_item_s_place(new):
    name = Asked(100_000, new)
    handles = np.random.default_rng(1).permutation(100_000 + len(new))
    order = in_order(handles, np.zeros(len(handles), np.float32), 100_000, name)
    assert name.count <= 18 * len(new)
    assert [name.names[at] for at in handles[order]] == sorted(name.names)


def test_of_many_tied_new_items_each_is_named_once_to_see_that_it_is_none_of_the_first():
    name = Asked(1_000, [f"{number:06d}x" for number in range(995, 6_000)])
    rows = Ranked(np.arange(1_000), np.zeros(1_000, np.float32))
    new = Ranked(np.arange(1_000, len(name.names)), np.zeros(5_005, np.float32))
    best = merged(rows, new, 1_000, 1_000, name)
    assert [name.names[at] for at in best.handles[-6:]] == [
        "000994",
        "000995",
        "000995x",
        "000996",
        "000996x",
        "000997",
    ]
    assert name.count <= 5_005 + 100


@pytest.mark.parametrize("handles", [[], [3], [3, 1, 3, 2, 1]])
def test_distinct_is_a_sorted_set(handles):
    assert distinct(np.array(handles, np.int64)).tolist() == sorted(set(handles))
