"""Vectors of two generations never meet: every answer is one generation's, whatever is swapped meanwhile."""

import asyncio
from collections import Counter

import numpy as np
import pytest

from oryx_py.messages import ItemVector
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from serving_layer.event_loop import offload
from tests.support.publishing import Publisher
from tests.support.serving import IMPLICIT, ITEMS, USERS, Harness

SWAPS = 12
NAMES = sorted(ITEMS, key=str.encode)


def turned(vectors, number):
    """Vectors of generation ``number``: unlike any other's, in length and direction."""
    angle = 0.3 * number
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (1 + number / 10)
    return {name: (turn @ np.array(vector)).tolist() for name, vector in vectors.items()}


def items_of(number):
    return {name: np.array(vector, np.float32) for name, vector in turned(ITEMS, number).items()}


def fresh_of(number):
    """The new item that the update topic brings to epoch ``number``."""
    return np.array([number, -number], np.float32)


def live_items(number):
    return {**items_of(number), "fresh": fresh_of(number)}


def user_of(number):
    # The other way round, so that users and items of two generations give no score of either.
    return np.array(turned(USERS, -number)["ann"], np.float32)


def recommended(number):
    return {name: user_of(number) @ vector for name, vector in live_items(number).items()}


def estimated(number):
    return [user_of(number) @ live_items(number)[name] for name in ("c", "fresh", "a")]


def similar(number):
    query = items_of(number)["a"]
    lengths = {name: np.linalg.norm(vector) * np.linalg.norm(query) for name, vector in live_items(number).items()}
    found = {n: (v @ query / lengths[n] if lengths[n] else 0.0) for n, v in live_items(number).items()}
    return {name: value for name, value in found.items() if name != "a"}


def anonymous(number):
    base = np.array([items_of(number)[name] for name in NAMES], np.float64)
    given = live_items(number)["fresh"][None]
    query = fold_in(np.ones(1), given, Prior(base.T @ base, len(base)), IMPLICIT)
    return {name: query @ vector for name, vector in items_of(number).items()}


READS = {
    "/recommend/ann?considerKnownItems=true&howMany=50": recommended,
    "/similarity/a?howMany=50": similar,
    "/recommendToAnonymous/fresh?howMany=50": anonymous,
    "/estimate/ann/c/fresh/a": estimated,
}


def matches(answer, expected):
    if isinstance(expected, list):
        return answer == pytest.approx(expected, rel=1e-4, abs=1e-5)
    return {row["id"]: row["value"] for row in answer} == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("in_a_thread", [True, False], ids=["searching in threads", "searching on the loop"])
async def test_every_answer_is_of_the_generation_it_names(tmp_path, monkeypatch, in_a_thread):
    if in_a_thread:
        monkeypatch.setattr(offload, "INLINE_COST", -1)  # so that a swap falls into the middle of most requests
    publisher = Publisher(tmp_path)
    manager = publisher.manager()
    harness = Harness(manager)
    served = Counter()
    stop = asyncio.Event()

    def publish(number):
        users = turned(USERS, -number)
        epoch = publisher.publish(f"g{number}", items=turned(ITEMS, number), users=users)
        publisher.send(ItemVector("fresh", fresh_of(number), epoch=epoch))
        publisher.go_live(epoch)

    async def read(path, expected):
        while not stop.is_set():
            async with client.get(path) as response:
                assert response.status == 200, await response.text()
                generation = response.headers["X-Oryx-Generation"]
                answer = await response.json()
            assert matches(answer, expected(int(generation[1:]))), f"{path} mixes generations: {generation}, {answer}"
            served[generation, path] += 1

    publish(1)
    manager.start()
    async with harness as client:
        await until_served(manager, 1)
        readers = [asyncio.create_task(read(path, READS[path])) for path in READS for _ in range(3)]
        for number in range(1, SWAPS + 1):
            if number > 1:
                publish(number)
            await until_served(manager, number, readers)
            before = sum(served.values())
            async with asyncio.timeout(20):
                while sum(served.values()) < before + 20 and not any(reader.done() for reader in readers):  # noqa: ASYNC110
                    await asyncio.sleep(0)
        stop.set()
        await asyncio.gather(*readers)
    await manager.close()
    assert {generation for generation, _ in served} == {f"g{number}" for number in range(1, SWAPS + 1)}


async def until_served(manager, epoch, readers=()):
    async with asyncio.timeout(20):
        while (manager.served() is None or manager.served().epoch != epoch) and not any(r.done() for r in readers):  # noqa: ASYNC110
            await asyncio.sleep(0)
