"""Where the speed layer on Oryx 2's models begins when Kafka has dropped positions of its group."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from oryx_py.testing.fake_log import FakeLog
from tests.support.oryx2_speed import Oryx2World, fake_oryx2_world, random_vectors

USERS, ITEMS = random_vectors("abcde", 1), random_vectors("pqrst", 2)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def world(tmp_path: Path, log: FakeLog) -> Iterator[Oryx2World]:
    with fake_oryx2_world(tmp_path, log, partitions=2) as made:
        made.publish(USERS, ITEMS)
        yield made


def warnings_of_a_start(world: Oryx2World) -> list[dict[str, Any]]:
    """Start, fold all that is to be folded, stop; return the warnings of positions."""
    with capture_logs() as logs:
        layer = world.start()
        world.settle(layer)
        layer.close()
    return [dict(line) for line in logs if line["event"].startswith("input_")]


def test_a_first_start_on_an_empty_topic_has_nothing_to_say(world: Oryx2World) -> None:
    assert warnings_of_a_start(world) == []
    world.send("a,p,1,1")
    assert warnings_of_a_start(world) == []
    assert [value[:2] for _, value in world.sent()] == [["X", "a"], ["Y", "p"]]


def test_what_a_group_without_positions_passes_over_is_said(world: Oryx2World, log: FakeLog) -> None:
    """After a week without a member Kafka has none any more: nothing tells that from a first start."""
    world.send("a,p,1,1")
    warnings_of_a_start(world)
    world.send("b,p,1,2", "b,q,1,3")
    world.send("c,q,1,4", partition=1)
    log.groups.clear()
    world.admin.trim(world.settings.input.topic, {0: 1})
    (warning,) = warnings_of_a_start(world)
    assert (warning["event"], warning["log_level"], warning["count"]) == ("input_skipped", "warning", 3)
    assert warning["offsets"] == {0: [1, 3], 1: [0, 1]}
    assert "first start" in warning["hint"]
    assert not world.sent()
    assert warnings_of_a_start(world) == [], "it has positions now"


def test_a_partition_alone_without_a_position_is_taken_from_its_beginning(world: Oryx2World, log: FakeLog) -> None:
    """It is new, or its position was the oldest one: this is no first start, and nothing is to be left out."""
    world.send("a,p,1,1")
    world.send("d,t,1,2", partition=1)
    warnings_of_a_start(world)  # begins at the end
    world.send("b,p,1,3")
    del log.groups[world.settings.speed.group_id][world.settings.input.topic, 1]
    (warning,) = warnings_of_a_start(world)
    assert (warning["event"], warning["offsets"], warning["count"]) == ("input_repeated", {1: [0, 1]}, 1)
    assert sorted(value[1] for _, value in world.sent()) == ["b", "d", "p", "t"]
