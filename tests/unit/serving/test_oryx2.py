"""What an Oryx 2 batch layer publishes is served, however it comes; what is wrong with it never is."""

import threading

import numpy as np
import pytest

from oryx_py.errors import StoreUnavailable
from serving_layer.following.model_manager import ModelManager
from serving_layer.search.fold_in import OryxFolding
from tests.support.oryx2 import MemoryFolder, pmml, up
from tests.support.oryx2_publishing import Oryx2Publisher
from tests.support.polling import until
from tests.support.serving import Harness

ITEMS = {"a": [1.0, 0.0], "b": [0.0, 2.0], "c": [1.0, 1.0], 'ü "x"': [0.5, -0.25]}
USERS = {"ann": [1.0, 0.5], "bob": [0.0, 1.0], "two words": [2.0, -1.0]}
KNOWN = {"ann": ["a", "b"], "bob": ["c"], "two words": ["a"]}
MOVED = {name: [number * 10 for number in vector] for name, vector in ITEMS.items()}


@pytest.fixture
def publisher(tmp_path):
    return Oryx2Publisher(tmp_path)


@pytest.fixture
async def start():
    """Start managers, and close them at the end."""
    managers: list[ModelManager] = []

    def start(manager):
        manager.start()
        managers.append(manager)
        return manager

    yield start
    for manager in managers:
        await manager.close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("follow-", "load", "look"))]
    assert not left


async def serving(manager, epoch):
    await until(lambda: manager.served() is not None and manager.served().epoch == epoch)


def vector(manager, name, side="users"):
    state = manager.served().state
    handle = getattr(state, side).find(name)
    found = None if handle < 0 else (state.user_vector if side == "users" else state.item_vector)(handle)
    return None if found is None else found.tolist()


def expected(user, without=()):
    """Rank all items for a user, the slow and obvious way."""
    scores = {item: float(np.dot(USERS[user], y)) for item, y in ITEMS.items() if item not in without}
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


async def test_an_inline_model_is_served_by_what_the_updates_say(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS, KNOWN)
    manager = start(publisher.manager())
    await serving(manager, 0)
    assert manager.readiness().ready
    assert manager.readiness().waiting_for == []
    assert manager.readiness().input == {}
    async with Harness(manager) as client:
        for user in USERS:
            answer = await (await client.get(f"/recommend/{user}")).json()
            assert [(row["id"], row["value"]) for row in answer] == expected(user, KNOWN[user])
            answer = await (await client.get(f"/recommend/{user}", params={"considerKnownItems": "true"})).json()
            assert [(row["id"], row["value"]) for row in answer] == expected(user)
            assert sorted(await (await client.get(f"/knownItems/{user}")).json()) == sorted(KNOWN[user])
        popular = await (await client.get("/mostPopularItems")).json()
        assert popular == [{"id": "a", "count": 2}, {"id": "b", "count": 1}, {"id": "c", "count": 1}]
        answer = await client.get("/recommend/ann")
        assert answer.headers["X-Oryx-Generation"] == "oryx2-0"


async def test_a_model_in_files_is_served_before_any_update_comes(publisher, start):
    publisher.model_ref("1785508", USERS, ITEMS)
    manager = start(publisher.manager())
    await serving(manager, 0)
    async with Harness(manager) as client:
        answer = await (await client.get("/recommend/two words")).json()
        assert [(row["id"], row["value"]) for row in answer] == expected("two words")
    publisher.vectors({}, MOVED)
    publisher.send(b"UP", up("X", "ann", [3, 3], ["a"]))
    await until(lambda: vector(manager, "ann") == [3, 3])
    assert vector(manager, "b", "items") == [0, 20], "what is told later counts"


async def test_updates_of_the_speed_layer_change_what_is_served(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS, KNOWN)
    manager = start(publisher.manager())
    await serving(manager, 0)
    publisher.send(b"UP", up("X", "newcomer", [5, 6], ["b", "unheard of"]))
    publisher.send(b"UP", up("Y", "unheard of", [7, 8]))
    publisher.send(b"UP", up("X", "ann", [9, 9], ["c"]), (("epoch", b"0"), ("input", b"17")))
    publisher.send(b"UP", up("X", "ann", [0, 0], ["c"]), (("epoch", b"1"),))
    publisher.send(b"UP", b"no JSON")
    publisher.send(b"UP", up("X", "bob", [1, 2, 3]))
    publisher.send(b"UP", up("X", "bob", [4, 5]))
    await until(lambda: vector(manager, "bob") == [4, 5])
    assert vector(manager, "newcomer") == [5, 6]
    assert vector(manager, "unheard of", "items") == [7, 8]
    assert vector(manager, "ann") == [9, 9], "a number decides where there is one"
    state = manager.served().state
    assert sorted(state.items.ids(state.history(state.users.find("ann"))[0])) == ["a", "b", "c"]
    assert manager.readiness().ready
    assert publisher.metrics.swaps._value.get() == 1


async def test_a_model_without_items_is_one_until_they_come(publisher, start):
    publisher.model({"ann": []}, {})
    publisher.vectors({"ann": [1.0, 0.5]}, {})
    manager = start(publisher.manager())
    await serving(manager, 0)
    async with Harness(manager) as client:
        for path in ("/recommend/ann", "/mostPopularItems", "/popularRepresentativeItems", "/item/allIDs"):
            answer = await client.get(path)
            assert (answer.status, await answer.json()) == (200, []), path
        assert (await client.get("/similarity/a")).status == 404
        publisher.send(b"UP", up("Y", "a", [2.0, 2.0]))
        await until(lambda: vector(manager, "a", "items") == [2, 2])
        assert await (await client.get("/recommend/ann")).json() == [{"id": "a", "value": 3.0}]


async def test_it_is_loading_until_enough_have_a_vector(publisher, start):
    many = {f"i{n}": [n, 1] for n in range(97)}
    publisher.model(USERS, many)
    manager = start(publisher.manager())
    await until(lambda: "is loading: 0 %" in manager.readiness().reason)
    publisher.vectors({}, dict([*many.items()][:43]))
    await until(lambda: manager.readiness().reason == "epoch 0 (generation oryx2-0) is loading: 43 %")
    assert not manager.readiness().ready
    publisher.vectors({}, dict([*many.items()][43:79]))
    await until(lambda: "79 %" in manager.readiness().reason)
    publisher.vectors({"not announced": [1, 1]}, {})
    publisher.vectors({"ann": [1, 1]}, {})
    await serving(manager, 0)
    assert vector(manager, "not announced") == [1, 1]


async def test_the_newest_model_is_found_however_far_back_it_is(publisher, start):
    publisher.model({"old": [1, 1]}, {"i": [1, 1]})
    publisher.vectors({"old": [1, 1]}, {"i": [1, 1]})
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    for n in range(5000):
        publisher.send(b"UP", up("X", "ann", [n, 0]))
    manager = start(publisher.manager())
    await serving(manager, 3)
    assert vector(manager, "ann") == [4999, 0]
    assert vector(manager, "old") is None


async def test_a_new_model_is_served_once_it_is_whole_and_the_old_one_gets_nothing_of_it(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS, KNOWN)
    manager = start(publisher.manager())
    await serving(manager, 0)
    before = manager.served()
    publisher.model({"ann": [], "new": []}, MOVED, features=3)
    publisher.send(b"UP", up("X", "ann", [1, 2]))  # of two features, as the old one: no more its own
    epoch = publisher.admin.end_offsets("up")[0] - 2
    await until(lambda: f"generation oryx2-{epoch}) is loading" in manager.readiness().reason)
    assert manager.served() is before
    assert vector(manager, "ann") == USERS["ann"]
    assert manager.readiness().ready
    three = {item: [*numbers, 1] for item, numbers in MOVED.items()}
    publisher.vectors({"ann": [1, 2, 3], "new": [4, 5, 6]}, three, {"new": ["a"]})
    await serving(manager, epoch)
    assert vector(manager, "ann") == [1, 2, 3]
    assert vector(manager, "bob") is None
    assert before.state.user_vector(before.state.users.find("ann")).tolist() == USERS["ann"]


async def test_a_model_in_files_waits_for_its_known_items_while_another_is_served(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS, KNOWN)
    manager = start(publisher.manager())
    await serving(manager, 0)
    publisher.model_ref("2", USERS, MOVED)
    epoch = publisher.admin.end_offsets("up")[0] - 1
    await until(lambda: f"generation oryx2-{epoch}) is loading: 0 %" in manager.readiness().reason)
    publisher.vectors({}, MOVED)
    await until(lambda: f"generation oryx2-{epoch}) is loading: 57 %" in manager.readiness().reason)
    assert manager.served().epoch == 0
    publisher.vectors(USERS, {}, KNOWN)
    await serving(manager, epoch)
    state = manager.served().state
    assert state.knows(state.users.find("ann"), state.items.find("b"))


async def test_a_model_in_files_whose_updates_do_not_come_is_served_after_a_while(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    manager = start(publisher.manager(patience_s=0.3))
    await serving(manager, 0)
    publisher.model_ref("2", USERS, MOVED)
    await serving(manager, publisher.admin.end_offsets("up")[0] - 1)
    assert vector(manager, "b", "items") == [0, 20]


async def test_a_newer_model_replaces_one_that_never_gets_whole(publisher, start):
    publisher.model(USERS, ITEMS)
    manager = start(publisher.manager())
    await until(lambda: "loading: 0 %" in manager.readiness().reason)
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    await serving(manager, 1)
    publisher.model({"nobody": []}, {"nothing": []})
    await until(lambda: "oryx2-9" in manager.readiness().reason)
    publisher.model(USERS, MOVED)
    publisher.vectors(USERS, MOVED)
    await serving(manager, 10)
    assert vector(manager, "b", "items") == [0, 20]


def known(manager, user):
    state = manager.served().state
    return set(state.items.ids(state.history(state.users.find(user))[0]))


async def test_what_came_to_be_known_since_the_model_before_stays_known_in_the_next_one_alone(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS, KNOWN)
    manager = start(publisher.manager())
    await serving(manager, 0)
    publisher.send(b"UP", up("X", "ann", [1, 1], ["c", "gone from the next model"]))
    publisher.send(b"UP", up("X", "nobody", [1, 1], ["c"]))
    await until(lambda: known(manager, "ann") == {"a", "b", "c", "gone from the next model"})
    for expected in ({"b", "c"}, {"b"}):
        epoch = publisher.admin.end_offsets("up")[0]
        publisher.model(USERS, MOVED)
        publisher.vectors(USERS, MOVED, {"ann": ["b"], "bob": ["c"]})
        await serving(manager, epoch)
        assert known(manager, "ann") == expected
        assert known(manager, "bob") == {"c"}
        assert manager.served().state.users.find("nobody") == -1
        assert manager.served().state.popularity().sum() == len(expected) + 1


BAD = {
    "no XML": (b"MODEL", b"<PMML", "the PMML cannot be read"),
    "a DOCTYPE": (b"MODEL", b'<!DOCTYPE PMML SYSTEM "x"><PMML/>', "DOCTYPE"),
    "another kind of model": (b"MODEL", b"<PMML><ClusteringModel/></PMML>", "of no ALS model"),
    "no value": (b"MODEL", None, "is no MODEL or MODEL-REF with a value"),
    "no file": (b"MODEL-REF", b"file:/nowhere/at/all/model.pmml", "No such file or directory"),
    "HDFS unset": (b"MODEL-REF", b"hdfs://nn:8020/m/1/model.pmml", "set hdfs.webhdfs_url"),
    "another store": (b"MODEL-REF", b"s3a://bucket/1/model.pmml", "only file and hdfs can be read"),
    "a device": (b"MODEL-REF", b"/dev/zero", "is no file"),
    "a folder": (b"MODEL-REF", b"/tmp", "is no file"),
    "a relative path": (b"MODEL-REF", b"model.pmml", "names no file by an absolute path"),
    "no UTF-8": (b"MODEL-REF", b"/\xff", "not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_model_is_refused_with_the_reason_while_the_old_one_stays(publisher, start, case):
    key, value, reason = BAD[case]
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    manager = start(publisher.manager())
    await serving(manager, 0)
    publisher.send(key, value)
    await until(lambda: reason in manager.readiness().reason)
    refused = [line for line in manager.readiness().waiting_for if reason in line]
    assert refused[0].startswith("epoch 8 (generation oryx2-8) cannot be loaded: ")
    assert "\n" not in refused[0]
    assert manager.served().epoch == 0
    assert manager.readiness().ready
    publisher.model(USERS, MOVED)
    publisher.vectors(USERS, MOVED)
    await serving(manager, 9)
    assert manager.readiness().waiting_for == []


async def test_a_start_serves_the_newest_model_that_can_be_loaded(publisher, start):
    publisher.model({"old": [1, 1]}, {"i": [1, 1]})
    publisher.vectors({"old": [1, 1]}, {"i": [1, 1]})
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    publisher.send(b"MODEL", b"<PMML")
    publisher.send(b"UP", up("X", "ann", [9, 9]))  # of the one that cannot be read
    publisher.send(b"MODEL", b"<PMML/>")
    manager = start(publisher.manager())
    await serving(manager, 3)
    assert vector(manager, "ann") == USERS["ann"]
    assert "has no Extension features" in manager.readiness().reason


async def test_damaged_vectors_are_refused(publisher, start):
    path = publisher.model_ref("1", USERS, ITEMS)
    part = path.parent / "Y" / "part-00000.gz"
    whole = part.read_bytes()
    part.write_bytes(whole[:-9])
    manager = start(publisher.manager())
    await until(lambda: "Y/part-00000.gz is damaged" in manager.readiness().reason)
    assert manager.served() is None
    part.write_bytes(whole)
    await serving(manager, 0)
    assert vector(manager, "a", "items") == ITEMS["a"]


async def test_vectors_elsewhere_than_below_the_model_are_refused(publisher, start, tmp_path):
    publisher.model_ref("1", USERS, ITEMS)
    path = publisher.model_ref("2", USERS, ITEMS, Y="../1/Y")
    assert path.exists()
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "model.pmml").write_text(pmml(USERS, ITEMS))
    (tmp_path / "3" / "Y").symlink_to(tmp_path / "1" / "Y")
    publisher.send(b"MODEL-REF", str(tmp_path / "3" / "model.pmml").encode())
    manager = start(publisher.manager())
    await serving(manager, 0)
    reasons = manager.readiness().waiting_for
    assert sum("leads out of the model's folder" in reason for reason in reasons) == 2


@pytest.mark.parametrize("inline", [True, False])
async def test_with_two_update_partitions_each_keys_messages_lie_anywhere(tmp_path, start, inline):
    publisher = Oryx2Publisher(tmp_path, 2)

    def vectors(users, items, known):
        for n, (item, numbers) in enumerate(items.items()):
            publisher.send(b"UP", up("Y", item, numbers), partition=n % 2)
        for n, (user, numbers) in enumerate(users.items()):
            publisher.send(b"UP", up("X", user, numbers, known.get(user)), partition=n % 2)

    def publish(name, items):
        value = pmml(USERS, items).encode()
        if inline:
            publisher.send(b"MODEL", value, partition=1)
        else:
            publisher.model_ref(name, USERS, items)
        vectors(USERS, items, KNOWN)

    publish("1", ITEMS)
    manager = start(publisher.manager())
    await until(lambda: manager.served() is not None)
    first = manager.served().epoch
    state = manager.served().state
    assert {item: vector(manager, item, "items") for item in ITEMS} == ITEMS
    assert state.popularity().sum() == 4
    publish("2", MOVED)
    await until(lambda: manager.served().epoch > first)
    assert {item: vector(manager, item, "items") for item in ITEMS} == MOVED
    publisher.send(b"UP", up("X", "ann", [8, 8]), partition=0)
    publisher.send(b"UP", up("X", "bob", [8, 8]), partition=1)
    await until(lambda: vector(manager, "ann") == vector(manager, "bob") == [8, 8])


async def test_anonymous_queries_fold_in_by_the_vectors_as_they_are_now(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    manager = start(publisher.manager())
    await serving(manager, 0)
    manager.served().of_items._every_s = 0.0
    async with Harness(manager, folding=OryxFolding()) as client:
        for items in (ITEMS, ITEMS | {"a": [3.0, 1.0], "new": [1.0, -1.0]}):
            for item in items.keys() - ITEMS.keys() | {"a"}:
                publisher.send(b"UP", up("Y", item, items[item]))
            await until(lambda items=items: all(vector(manager, item, "items") == items[item] for item in items))
            Y = np.array([*items.values()], np.float32).astype(np.float64)
            y = np.array(items["a"], np.float64)
            # Q = 0.5 stands for "unknown": Q' = 0.5 + 1/2 (1 - 0.5), from x = 0.
            x = np.linalg.solve(Y.T @ Y, y * 0.75)
            answer = await (await client.get("/recommendToAnonymous/a")).json()
            scores = {item: float(x @ np.array(numbers)) for item, numbers in items.items() if item != "a"}
            assert [row["id"] for row in answer] == sorted(scores, key=lambda item: (-scores[item], item))
            assert [row["value"] for row in answer] == pytest.approx(sorted(scores.values(), reverse=True), rel=1e-5)


async def test_after_is_answered_with_the_reason_why_not(publisher, start):
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    manager = start(publisher.manager())
    await serving(manager, 0)
    async with Harness(manager) as client:
        answer = await client.get("/recommend/ann", params={"after": "0:5"})
        assert answer.status == 501
        assert "no PROGRESS" in (await answer.json())["detail"]


async def test_a_store_that_is_away_is_asked_again(publisher, start):
    away, files = threading.Event(), MemoryFolder({})
    publisher.model(USERS, ITEMS)
    publisher.vectors(USERS, ITEMS)
    manager = publisher.manager()

    def open_model(uri):
        if not away.is_set():
            raise StoreUnavailable("hdfs:/1: connection refused")
        return (pmml(USERS, MOVED).encode(), files)

    manager._source._open_model = open_model
    start(manager)
    await serving(manager, 0)
    publisher.send(b"MODEL-REF", b"hdfs://nn/1/model.pmml")
    await until(lambda: "connection refused" in manager.readiness().reason)
    assert manager.readiness().ready
