"""Starts from checkpoints on a real broker, where the topics no longer have what lies before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_layer.run.steps import Outcome
from oryx_py.model.checkpoints.checkpoint_files import decode_checkpoint
from speed_layer.checkpoints.forking import forked
from speed_layer.checkpoints.writer import NoCheckpoints
from tests.support.answers import assert_state
from tests.support.batch import pairs_of
from tests.support.site import Site

pytestmark = [pytest.mark.kafka]


@pytest.fixture
def site(kafka_broker: Any, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, kafka_broker.bootstrap_servers)
    site.spawn = forked
    yield site
    site.producer.close()
    site.close()


def test_speed_and_serving_restart_from_a_checkpoint_after_the_topics_were_trimmed(site: Site) -> None:
    """The layer's own process is copied while librdkafka's threads run; the answers are those from before."""
    topics = site.settings.input.topic, site.settings.update.topic
    for item in ("tea", "jam"):
        site.interact(item)
        assert site.batch(trim=False) is Outcome.PUBLISHED
        site.follow(checkpoints=True)
    epoch, generation = site.newest()
    site.interact("pie", key="once")
    layer = site.start(checkpoints=True)
    site.settle(layer, epoch)
    end = site.admin.end_offsets(topics[0])
    site.run(layer, lambda: any(covers(site, name, end) for name in site.checkpoints.generations()))
    layer._checkpoints.close()
    layer._checkpoints = NoCheckpoints()
    site.interact("egg")
    site.settle(layer, epoch)
    site.interact("pie", key="once")
    site.settle(layer, epoch)
    before, told = site.answers(), site.read(topics[0], site.partitions)
    assert {status for status, _ in before.values()} == {200}, before
    assert_state(site, generation.name, pairs_of(generation), site.reader(generation.name, epoch), told=told)

    site.past = None
    newest = decode_checkpoint(site.checkpoints.raw_manifest(site.checkpoints.generations()[-1]), "").covered
    site.admin.trim(topics[0], newest.input)
    site.admin.trim(topics[1], newest.update)
    assert site.admin.start_offsets(topics[0]) == newest.input != dict.fromkeys(newest.input, 0)
    assert site.admin.start_offsets(topics[1]) == newest.update
    again = site.start(checkpoints=True)
    site.run(again, lambda: not again.waiting_for())
    again.close()
    assert site.answers() == before


def covers(site: Site, name: str, end: dict[int, int]) -> bool:
    covered = decode_checkpoint(site.checkpoints.raw_manifest(name), name).covered
    return all(covered.input[partition] >= offset for partition, offset in end.items())
