"""Forgetting over HTTP: what is answered as done is done, whatever keys its client has used before."""

import pytest

from oryx_py.messages import partition_of
from tests.support.serving import INPUT_PARTITIONS, FixedModels, Harness
from tests.support.speed import SpeedWorld, fake_world

USER, ITEM, OTHER = "ann", "tea", "jam"
KEY = {"Idempotency-Key": "4711"}


@pytest.fixture
def harness():
    return Harness(FixedModels())


@pytest.fixture
def world(tmp_path):
    with fake_world(tmp_path, "forgetting", partitions=INPUT_PARTITIONS) as made:
        yield made


def passed_on(harness: Harness, world: SpeedWorld) -> None:
    """Put what the service has sent since the last time on the log."""
    for record in harness.sender.sent:
        partition = partition_of(record.key.decode(), INPUT_PARTITIONS) if record.key else record.partition
        world.producer.send(
            world.settings.input.topic, record.value, key=record.key, partition=partition, headers=record.headers
        )
    harness.sender.sent.clear()
    world.producer.flush(30)


def known(world: SpeedWorld, epoch: int) -> set[str]:
    state = world.reader("g1", epoch)
    user = state.users.find(USER)
    return set() if user < 0 else set(state.items.ids(state.history(user)[0].tolist()))


@pytest.mark.parametrize(
    ("path", "left"), [(f"/pref/{USER}/{ITEM}", {OTHER}), (f"/user/{USER}", set()), (f"/item/{ITEM}", {OTHER})]
)
async def test_it_counts_under_the_key_of_an_interaction_and_once(harness, client, world, path, left):
    epoch = world.publish("g1", {USER: {OTHER: 1.0}, "bob": {OTHER: 1.0}}, [OTHER, ITEM], {})
    layer = world.start()

    async def asked(method: str, path: str, body: str | None = None) -> None:
        answer = await client.request(method, path, data=body, headers=KEY)
        assert answer.status == 204

    await asked("POST", "/ingest", f"{USER},{ITEM}\n")
    passed_on(harness, world)
    world.settle(layer, epoch)
    assert known(world, epoch) == {OTHER, ITEM}
    await asked("DELETE", path)
    passed_on(harness, world)
    world.settle(layer, epoch)
    assert known(world, epoch) == left
    await client.post(f"/pref/{USER}/{ITEM}")
    await asked("DELETE", path)  # the same once more
    passed_on(harness, world)
    world.settle(layer, epoch)
    layer.close()
    assert known(world, epoch) == left | {ITEM}


async def test_several_items_under_one_key_are_all_forgotten(harness, client, world):
    epoch = world.publish("g1", {USER: {OTHER: 1.0, ITEM: 1.0}}, [OTHER, ITEM], {})
    layer = world.start()
    for item in (OTHER, ITEM):
        assert (await client.delete(f"/item/{item}", headers=KEY)).status == 204
    passed_on(harness, world)
    world.settle(layer, epoch)
    layer.close()
    assert known(world, epoch) == set()


@pytest.mark.parametrize("path", [f"/user/{USER}", f"/item/{ITEM}"])
async def test_who_has_an_oryx_2_batch_layer_is_told_that_nobody_forgets(harness, client, path):
    harness.models.tracks_input = False
    answer = await client.delete(path, headers=KEY)
    problem = await answer.json(content_type=None)
    assert answer.status == 501
    assert "Oryx 2" in problem["detail"]
    assert "DELETE /pref/" in problem["detail"]
    assert harness.sender.sent == []
    # A pair it trains away, as Oryx 2's own clients expect.
    assert (await client.delete(f"/pref/{USER}/{ITEM}")).status == 204
    assert len(harness.sender.sent) == 1
