"""Trimming on a real broker: whoever starts afterwards finds what is needed, and answers the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from batch_layer.publishing.publisher import Publisher
from batch_layer.publishing.rollback import roll_back
from batch_layer.run.steps import Outcome
from oryx_py.adapters.clock import SystemClock
from oryx_py.cli.tail import records_of
from oryx_py.errors import LogGap
from oryx_py.model.generations.generation import Generation
from oryx_py.ports import Record
from tests.support.answers import assert_state
from tests.support.batch import pairs_of
from tests.support.site import USERS, Site

pytestmark = [pytest.mark.kafka]

ITEMS = ("tea", "jam", "egg")


@pytest.fixture
def site(kafka_broker: Any, tmp_path: Path) -> Iterator[Site]:
    """Three generations, each followed by a speed layer; nothing was trimmed yet."""
    site = Site(tmp_path, kafka_broker.bootstrap_servers)
    for item in ITEMS:
        site.interact(item)
        site.send_raw(b"nonsense")
        assert site.batch(trim=False) is Outcome.PUBLISHED
        site.follow()
    yield site
    site.producer.close()
    site.close()


def test_what_starts_after_trimming_answers_the_same(site: Site) -> None:
    """Also where one goes back to a generation whose input only the history has any more."""
    topics = site.settings.input.topic, site.settings.update.topic
    told = site.read(topics[0], site.partitions)
    before = site.answers()
    assert {status for status, _ in before.values()} == {200}, before
    assert site.batch(trim=True) is Outcome.NOTHING_NEW
    registry = site.registry.read()
    second = Generation.open(site.store.local(registry.epochs[1].generation))
    assert site.admin.start_offsets(topics[0]) == second.manifest.next_offsets
    assert site.admin.start_offsets(topics[1]) == registry.epochs[1].start
    assert looked_at(site, topics[0]) == len(told) - sum(second.manifest.next_offsets.values()) > 0
    site.follow()
    assert site.answers() == before

    site.interact("pie")
    site.follow()
    told += [
        record for record in site.read(topics[0], site.partitions) if record.offset > _last(told, record.partition)
    ]
    oldest = registry.epochs[0].generation
    rolled_back(site, oldest)
    begins = site.admin.start_offsets(topics[0])
    assert any(begins[p] > n for p, n in site.newest()[1].manifest.next_offsets.items())
    site.follow()
    epoch, generation = site.newest()
    assert generation.name == oldest
    assert_state(site, oldest, pairs_of(generation), site.reader(oldest, epoch), told=told)
    answers = site.answers()
    for user in USERS:
        assert sorted(json.loads(answers[f"/knownItems/{quote(user)}"][1])) == sorted([*ITEMS, "pie"])


def test_without_the_history_the_layer_stops_and_says_what_to_do(site: Site) -> None:
    site.batch(trim=True)
    rolled_back(site, site.registry.read().epochs[0].generation)
    site.past = None
    layer = site.start()
    with pytest.raises(LogGap):
        site.run(layer, lambda: False, timeout_s=60)
    layer.close()


def looked_at(site: Site, topic: str) -> int:
    """How many records `oryx tail --from-beginning` shows."""
    rounds, consumer = iter(range(20)), site.new_consumer(None)
    shown = list(records_of(topic, site.admin, consumer, True, lambda: next(rounds, None) is not None))
    consumer.close()
    return len(shown)


def rolled_back(site: Site, generation: str) -> None:
    publisher = Publisher(
        registry=site.registry,
        store=site.store,
        producer=site.producer,
        admin=site.admin,
        new_consumer=lambda: site.new_consumer(None),
        topic=site.settings.update.topic,
        clock=SystemClock(),
    )
    roll_back(site.registry, site.store, publisher, generation)


def _last(records: list[Record], partition: int) -> int:
    return max(record.offset for record in records if record.partition == partition)
