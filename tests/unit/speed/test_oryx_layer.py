"""The speed layer with Oryx's rule on our own generations: what it sends, killed anywhere, epoch after epoch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oryx_py.events import Interaction
from oryx_py.messages.inbound import read_input
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from speed_layer.layer import SpeedLayer
from tests.support.generations import Pairs
from tests.support.oryx_rule import Vectors, formula
from tests.support.speed import SpeedWorld, fake_world

ITEMS = ["p", "q", "r", "s", "t"]
BASE: Pairs = {
    "a": {"p": 1.0, "q": 2.0},
    "b": {"r": 1.0},
    "c": {"q": 1.0, "s": 3.0},
    "d": {"p": 2.0, "t": 1.0},
    "e": {"s": 1.0, "r": 2.0},
}
USERS, MORE_ITEMS = [*BASE, "m", "n"], [*ITEMS, "x", "y"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpeedWorld]:
    with fake_world(tmp_path, "oryx", partitions=1, settings={"ORYX__SPEED__FOLD_IN": "oryx"}) as made:
        yield made


def some(seed: int, count: int = 25) -> list[Interaction]:
    rng = np.random.default_rng(seed)
    return [
        Interaction(
            user=str(rng.choice(USERS)),
            item=str(rng.choice(MORE_ITEMS)),
            strength=None if rng.random() < 0.15 else float(rng.choice([1.0, 2.0, 0.5, -1.0])),
        )
        for _ in range(count)
    ]


def expected(world: SpeedWorld, name: str, since: int = 0) -> tuple[Vectors, Vectors]:
    """The formula over the whole input from an offset on, from the generation's own vectors."""
    made = Generation.open(world.store.local(name))
    records = [record for record in world.read(world.settings.input.topic) if record.offset >= since]
    return formula(
        {made.users.id(row): made.user_factors[row] for row in range(len(made.users))},
        {made.items.id(row): made.item_factors[row] for row in range(len(made.items))},
        [read_input(record.value, 0, 1) for record in records],
        made.manifest.objective,
        (made.user_gram, made.item_gram),
    )


def assert_vectors(state: ModelState, wanted: tuple[Vectors, Vectors]) -> None:
    for ids, vector_of, names, vectors in (
        (state.users, state.user_vector, USERS, wanted[0]),
        (state.items, state.item_vector, MORE_ITEMS, wanted[1]),
    ):
        for name in names:
            handle = ids.find(name)
            found = vector_of(handle) if handle >= 0 else None
            assert (found is None) == (name not in vectors), name
            if found is not None:
                np.testing.assert_allclose(found, vectors[name], rtol=1e-4, atol=1e-5, err_msg=name)


def end(world: SpeedWorld) -> int:
    return world.admin.end_offsets(world.settings.input.topic)[0]


class _Killed(BaseException):
    pass


def die(layer: SpeedLayer, sends: int, *, announces: bool) -> None:
    """Let the next batch die after so many of its updates, or when all are sent and ``PROGRESS`` is due."""
    deliver, announce = layer._deliver, layer._announcer.announce

    def dying_deliver(letters: Sequence[Any], updates: Sequence[Any]) -> None:
        deliver(letters, updates[:sends] if not announces else updates)
        if updates and not announces:
            raise _Killed

    def dying_announce(run: Any, target: Any) -> None:
        if run.positions != run.announced:
            raise _Killed
        announce(run, target)

    layer._deliver = dying_deliver  # type: ignore[method-assign]
    if announces:
        layer._announcer.announce = dying_announce  # type: ignore[method-assign]


@pytest.mark.parametrize(("sends", "announces"), [(0, False), (1, False), (7, False), (20, False), (0, True)])
def test_killed_at_any_point_every_interaction_counts_once(world: SpeedWorld, sends: int, announces: bool) -> None:
    """Two processes die, one after the other; readers end where the formula does, taken once over the input."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    world.send(*some(1))
    world.settle(layer, epoch)
    for seed in (2, 3):
        world.send(*some(seed))
        die(layer, sends, announces=announces)
        with pytest.raises(_Killed):
            world.run(layer, lambda: False)
        layer = world.start()
    world.send(*some(4))
    world.settle(layer, epoch)
    layer.close()
    reader = world.reader("g1", epoch)
    assert_vectors(reader, expected(world, "g1"))
    assert reader.progress() == {0: end(world)}


def test_a_replay_that_was_killed_begins_anew(world: SpeedWorld) -> None:
    """Before the first PROGRESS of an epoch nothing that was sent counts."""
    world.send(*some(5))
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    die(layer, 9, announces=False)
    with pytest.raises(_Killed):
        world.run(layer, lambda: False)
    layer = world.start()
    world.settle(layer, epoch)
    layer.close()
    assert_vectors(world.reader("g1", epoch), expected(world, "g1"))


def test_a_new_epoch_folds_what_its_generation_lacks_onto_its_own_vectors(world: SpeedWorld) -> None:
    """Oryx lost what came in while a model was trained; here the input is replayed from where the generation ends."""
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.send(*some(6))
    world.settle(layer, first)
    world.send(*some(7))
    covered = end(world)
    world.send(*some(8))
    second = world.publish("g2", BASE, ITEMS, {0: covered}, seed=9)
    world.send(*some(9))
    world.settle(layer, second)
    layer.close()
    assert_vectors(world.reader("g2", second), expected(world, "g2", since=covered))
    assert end(world) > covered


def test_what_is_deleted_or_forgotten_is_gone_at_once(world: SpeedWorld) -> None:
    """Whatever the rule: known items are right, and a forgotten user has no vector."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    world.send(
        Interaction(user="a", item="p", strength=None),
        Interaction(user="b", item="", strength=None),
        Interaction(user="", item="s", strength=None),
        Interaction(user="m", item="q", strength=1.0),
    )
    world.settle(layer, epoch)
    layer.close()
    reader = world.reader("g1", epoch)
    known = {
        user: sorted(reader.items.ids(reader.history(reader.users.find(user))[0])) for user in ("a", "b", "c", "m")
    }
    assert known == {"a": ["q"], "b": [], "c": ["q"], "m": ["q"]}
    assert reader.user_vector(reader.users.find("b")) is None
    assert reader.item_vector(reader.items.find("s")) is None
    assert_vectors(reader, expected(world, "g1"))
