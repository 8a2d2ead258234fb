"""The speed layer on an Oryx 2 batch layer's models: in and out goes what is Oryx's, the numbers are the formula's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oryx_py.events import Interaction, parse_value
from oryx_py.numerics.objective import Objective
from oryx_py.testing.fake_log import FakeLog
from speed_layer.publishing.outbox import Interrupted
from tests.support.oryx2 import write_model
from tests.support.oryx2_speed import IMPLICIT, K, Oryx2World, fake_oryx2_world, random_vectors
from tests.support.oryx_rule import Vectors, formula

USERS, ITEMS = random_vectors("abcde", 1), random_vectors("pqrst", 2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Oryx2World]:
    with fake_oryx2_world(tmp_path, FakeLog()) as made:
        yield made


def parsed(*lines: str) -> list[Interaction]:
    return [parse_value(line.encode()) for line in lines]


def assert_vectors(found: tuple[Vectors, Vectors], wanted: tuple[Vectors, Vectors]) -> None:
    for side, vectors in zip(found, wanted, strict=True):
        assert side.keys() == vectors.keys()
        for name, vector in vectors.items():
            np.testing.assert_allclose(side[name], vector, rtol=2e-5, atol=1e-6, err_msg=name)


LINES = ["a,p,1,1", "new,q,1,2", "b,fresh,2.5,3", "a,q,-1,4", "new,p,3,5", "b,q,0,6", "c,fresh,-2,7", "new,fresh,1,8"]


@pytest.mark.parametrize("objective", [IMPLICIT, Objective.mllib_explicit(0.1)], ids=["implicit", "explicit"])
def test_each_interaction_moves_both_sides_as_the_formula_says(world: Oryx2World, objective: Objective) -> None:
    """Positive, negative, new and existing, by the Gram matrices of the vectors as they are each time."""
    model = world.publish(USERS, ITEMS, implicit=str(objective.feedback == "implicit").lower())
    layer = world.start()
    for line in LINES:
        world.send(line)
        world.settle(layer)
    layer.close()
    assert_vectors(world.vectors(model), formula(USERS, ITEMS, parsed(*LINES), objective))


def test_log_strength_is_the_models(world: Oryx2World) -> None:
    """log1p(v/ε), as the PMML has it; a strength of -ε or below has none, and moves nothing."""
    objective = Objective.mllib_implicit(0.1, 2.0, log_strength=True, epsilon=0.5)
    model = world.publish(USERS, ITEMS, logStrength="true", epsilon=0.5)
    layer = world.start()
    lines = ["a,p,1,1", "b,q,-0.25,2", "c,r,-0.5,3"]
    for line in lines:
        world.send(line)
        world.settle(layer)
    layer.close()
    assert_vectors(world.vectors(model), formula(USERS, ITEMS, parsed(*lines), objective))


def test_messages_have_oryxs_shapes_and_no_other_kind_is_sent(world: Oryx2World) -> None:
    """A vector and those it met; what moves nothing, a delete, a forget and an unreadable line send no update."""
    model = world.publish(USERS, ITEMS)
    layer = world.start()
    world.send("a,p,1,1", "b,q,0,2", "c,r,,3", "d,,,4", ",s,,5", "damaged", '["e","t",1,6]')
    world.settle(layer)
    layer.close()
    records = world.read(world.settings.update.topic)
    assert {record.key for record in records} == {b"MODEL", b"UP"}
    shapes = sorted((value[0], value[1], len(value[2]), value[3]) for _, value in world.sent())
    assert shapes == [("X", "a", 3, ["p"]), ("X", "e", 3, ["t"]), ("Y", "p", 3, ["a"]), ("Y", "t", 3, ["e"])]
    assert {headers["epoch"] for headers, _ in world.sent()} == {b"%d" % model}
    assert {tuple(headers) for headers, _ in world.sent()} == {("epoch", "at"), ("epoch",)}, "of users, and of items"
    (letter,) = world.read(world.settings.dead_letter_topic)
    assert (letter.key, letter.value) == (b"0:5", b"damaged")


def test_the_first_start_begins_at_the_end_and_later_ones_where_the_group_is(world: Oryx2World) -> None:
    """What came before the first start is Oryx's own; what comes while nothing runs is not lost, nor taken twice."""
    world.send("a,p,1,1", "a,q,1,2")
    model = world.publish(USERS, ITEMS)
    world.start()  # killed at once: its beginning counts
    world.send("b,p,1,3")
    layer = world.start()
    world.settle(layer)
    world.send("c,q,1,4")
    world.settle(layer)
    world.send("d,r,1,5")  # killed again
    layer = world.start()
    world.settle(layer)
    layer.close()
    assert_vectors(world.vectors(model), formula(USERS, ITEMS, parsed("b,p,1,3", "c,q,1,4", "d,r,1,5"), IMPLICIT))


def test_who_is_stopped_while_kafka_takes_no_update_leaves_no_interaction_out(
    world: Oryx2World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group's positions are stored elsewhere than the updates, and may be to be had when these are not."""
    model = world.publish(USERS, ITEMS)
    layer = world.start()
    world.settle(layer)
    world.send("a,p,1,1")
    world.settle(layer)
    world.send("d,r,1,2")

    def deliver(_: object) -> None:
        raise Interrupted("stopped before Kafka acknowledged everything")

    monkeypatch.setattr(layer._outbox, "deliver", deliver)
    with pytest.raises(Interrupted):
        world.run(layer, lambda: False)
    layer.close()
    layer = world.start()
    world.settle(layer)
    layer.close()
    assert_vectors(world.vectors(model), formula(USERS, ITEMS, parsed("a,p,1,1", "d,r,1,2"), IMPLICIT))


def test_input_waits_for_a_model_and_for_the_next_one(world: Oryx2World) -> None:
    """Nothing is lost, and no vector of two models meets: what comes while a model is sent is folded into that one."""
    layer = world.start()
    world.send("a,p,1,1")
    world.run(layer, lambda: layer.waiting_for() == ["no Oryx 2 model is published yet"])
    first = world.publish(USERS, ITEMS)
    world.settle(layer)
    assert_vectors(world.vectors(first), formula(USERS, ITEMS, parsed("a,p,1,1"), IMPLICIT))
    users, items = random_vectors("abcde", 3), random_vectors("pqrst", 4)
    second = world.publish(users, items, missing="abp")
    world.send("c,q,1,2")
    world.run(layer, lambda: layer.waiting_for() == [f"loading the model at offset {second}: 70 %"])
    assert not world.sent(since=second)
    for name in "ab":
        world.publish_vector("X", name, users[name])
    world.publish_vector("Y", "p", items["p"])
    world.settle(layer)
    layer.close()
    assert_vectors(world.vectors(second), formula(users, items, parsed("c,q,1,2"), IMPLICIT))
    assert {headers["epoch"] for headers, _ in world.sent(since=second)} == {b"%d" % second}


@pytest.mark.parametrize("followed", [False, True])
def test_a_model_that_never_becomes_complete_gives_way_to_the_next(world: Oryx2World, followed: bool) -> None:
    """A batch layer that died while it sent one, and starts again; with a model before it, and without."""
    layer = world.start()
    if followed:
        world.publish(random_vectors("abcde", 8), random_vectors("pqrst", 9))
        world.settle(layer)
    stuck = world.publish(USERS, ITEMS, missing="abcd")
    world.run(layer, lambda: layer.waiting_for() == [f"loading the model at offset {stuck}: 60 %"])
    model = world.publish(USERS, ITEMS)
    world.send("a,p,1,1")
    world.settle(layer)
    layer.close()
    assert_vectors(world.vectors(model), formula(USERS, ITEMS, parsed("a,p,1,1"), IMPLICIT))


def test_a_model_in_a_folder_is_read_from_there(world: Oryx2World, tmp_path: Path) -> None:
    """``MODEL-REF`` names its PMML; one whose files are gone is refused, and tried again later."""
    layer = world.start()
    world.publish_raw(b"MODEL-REF", str(tmp_path / "gone" / "model.pmml").encode())
    world.run(layer, lambda: any("cannot be loaded" in reason for reason in layer.waiting_for()))
    users = {name: [float(x) for x in vector] for name, vector in USERS.items()}
    items = {name: [float(x) for x in vector] for name, vector in ITEMS.items()}
    world.publish_raw(b"MODEL-REF", str(write_model(tmp_path / "m", users, items, K)).encode())
    world.send("a,p,1,1")
    world.settle(layer)
    layer.close()
    X, Y = formula(USERS, ITEMS, parsed("a,p,1,1"), IMPLICIT)
    assert_vectors(world.vectors(0), ({"a": X["a"]}, {"p": Y["p"]}))


@pytest.mark.parametrize("damaged", [b"<PMML", b"<!DOCTYPE x><PMML/>"])
def test_a_damaged_model_is_refused_and_the_one_before_goes_on(world: Oryx2World, damaged: bytes) -> None:
    """Nothing that a message says stops the layer; readiness names the refusal until a good one comes."""
    model = world.publish(USERS, ITEMS)
    layer = world.start()
    world.send("a,p,1,1")
    world.settle(layer)
    world.publish_raw(b"MODEL", damaged)
    world.run(layer, lambda: any("cannot be loaded" in reason for reason in layer.waiting_for()))
    world.send("a,q,1,2")
    world.run(layer, lambda: layer.committed == {0: 2})
    assert_vectors(world.vectors(model), formula(USERS, ITEMS, parsed("a,p,1,1", "a,q,1,2"), IMPLICIT))
    world.publish(USERS, ITEMS)
    world.settle(layer)
    layer.close()


def test_until_the_vectors_span_all_features_nothing_is_folded_in_and_readiness_says_so(world: Oryx2World) -> None:
    """Two users span two of three features: Oryx skips what comes then, and so do we."""
    world.publish(random_vectors("ab", 1), ITEMS)
    layer = world.start()
    world.send("a,p,1,1")
    world.run(layer, lambda: layer.committed == {0: 1})
    assert layer.waiting_for()[0].startswith("nothing is folded in: users: the Gram matrix is near-singular")
    assert not world.sent()
    world.publish_vector("X", "c", USERS["c"])
    world.producer.flush(30)
    world.send("a,p,1,2")
    world.settle(layer)
    layer.close()
    assert {(value[0], value[1]) for _, value in world.sent()} == {("X", "a"), ("Y", "p")}


def test_what_the_batch_layer_sends_meanwhile_is_taken_up(world: Oryx2World) -> None:
    """And a message that nobody can read is passed over."""
    model = world.publish(USERS, ITEMS)
    layer = world.start()
    world.settle(layer)
    world.publish_vector("X", "z", ITEMS["p"])
    world.publish_raw(b"UP", b"damaged")
    world.publish_raw(b"UP", b'["X","a",[1,2]]')
    world.send("z,q,1,1")
    world.settle(layer)
    layer.close()
    (headers, value), *_ = world.sent()
    users = {**USERS, "z": ITEMS["p"]}
    wanted = formula(users, ITEMS, parsed("z,q,1,1"), IMPLICIT)[0]["z"]
    assert value[:2] == ["X", "z"]
    assert headers["epoch"] == b"%d" % model
    np.testing.assert_allclose(np.array(value[2], np.float32), wanted, rtol=2e-5)


def test_nothing_is_folded_in_before_what_was_sent_has_come_back(world: Oryx2World) -> None:
    """The state is what readers have; on older vectors a step would undo the one before."""
    model = world.publish(USERS, ITEMS)
    layer = world.start()
    world.send("a,p,1,1")
    world.settle(layer)
    end = world.admin.end_offsets(world.settings.update.topic)
    followed = layer.model
    assert followed is not None
    assert followed.read(end, 1.0)
    assert not followed.read({0: end[0] + 1}, 0.01)
    state = followed.fold.state
    vector = state.user_vector(state.users.find("a"))
    assert vector is not None
    assert vector.tobytes() == world.vectors(model)[0]["a"].tobytes()
    layer.close()
