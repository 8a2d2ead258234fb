"""Forgetting on a real broker: at once in what is served, and everywhere when generations and trims have passed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from batch_layer.run.steps import Outcome
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer
from oryx_py.cli.forget.proof import Proof
from oryx_py.cli.forget.subject import Subject
from oryx_py.cli.forget.verifying import Verifier
from oryx_py.cli.status.composing import composed
from oryx_py.cli.status.looking import look
from oryx_py.cli.status.report import Report
from oryx_py.events import Interaction
from oryx_py.messages import partition_of
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import TopicSpec
from tests.support.site import USERS, Site
from tests.support.system import eventually

pytestmark = [pytest.mark.kafka]

ANN, BOB, CID = "ann", "ann2", "cid/ü"


@pytest.fixture
def site(kafka_broker: Any, tmp_path: Path) -> Iterator[Site]:
    """One generation with three users of interest; the topics keep nothing longer than somebody needs it."""
    site = Site(tmp_path, kafka_broker.bootstrap_servers, STORE__KEEP_GENERATIONS=1, INPUT__DEDUPE_WINDOW_S=0)
    site.admin.create(TopicSpec(site.settings.items.topic, 1, 1, {}))
    site.interact("tea")
    site.interact("jam")
    site.send(Interaction(ANN, "tea", 2.0), Interaction(BOB, "tea", 1.0), Interaction(CID, "jam", 1.0))
    assert site.batch(trim=True) is Outcome.PUBLISHED
    site.follow()
    yield site
    site.producer.close()
    site.close()


def forget_item(site: Site, item: str) -> None:
    for partition in range(site.partitions):
        value, headers = f",{item},".encode(), (("id", b"forget:1"),)
        site.producer.send(site.settings.input.topic, value, partition=partition, headers=headers)
    site.producer.flush(30)


def served(site: Site) -> ModelState:
    epoch, generation = site.newest()
    return site.reader(generation.name, epoch)


def verify(site: Site, id_: str, kind: Literal["user", "item"] = "user") -> Proof:
    return Verifier(
        site.settings,
        Subject(kind, id_),
        admin=KafkaAdmin(site.bootstrap, {}),
        new_consumer=lambda group: KafkaConsumer(site.bootstrap, {}, group),
    )()


def known(state: ModelState, user: str) -> dict[str, float]:
    items, strengths = state.history(state.users.find(user))
    return dict(zip(state.items.ids(items), strengths.tolist(), strict=True))


def test_a_user_and_an_item_are_forgotten_at_once_and_at_last_everywhere(site: Site) -> None:
    """At once in the state of every reader; learned again they count from the forget alone; then nothing has them."""
    layer = site.start()
    site.send(Interaction(ANN, "egg", 3.0), Interaction(CID, "tea", 1.0))
    site.settle(layer, site.newest()[0])
    site.send(Interaction(ANN, "", None))
    forget_item(site, "tea")
    site.send(Interaction(CID, "tea", 5.0), Interaction(BOB, "egg", 1.0))
    site.settle(layer, site.newest()[0])
    state = served(site)
    assert known(state, ANN) == {}
    assert known(state, BOB) == {"egg": 1.0}
    assert known(state, CID) == {"jam": 1.0, "tea": 5.0}
    assert all("tea" not in known(state, user) for user in USERS)

    proof = verify(site, ANN)
    assert not proof.proven
    assert set(proof.forgotten) == {partition_of(ANN, site.partitions)}
    places = " ".join(left.place for left in proof.left)
    for part in (site.settings.input.topic, site.settings.update.topic, "/history/data/", "/generations/"):
        assert part in places
    assert not verify(site, "tea", "item").proven

    layer.close()
    for _ in range(3):
        assert site.batch(trim=True, force=True) is Outcome.PUBLISHED
        site.follow()
    site.batch(trim=True)
    for id_, kind, again in ((ANN, "user", 0), ("tea", "item", 1)):
        proof = verify(site, id_, kind)  # type: ignore[arg-type]
        assert proof.proven, proof.left
        assert proof.again == again
        assert proof.forgotten
    assert not verify(site, BOB).proven
    state = served(site)
    assert (known(state, ANN), known(state, CID)) == ({}, {"jam": 1.0, "tea": 5.0})

    site.send(Interaction(ANN, "jam", 4.0))
    site.follow()
    assert known(served(site), ANN) == {"jam": 4.0}
    proof = verify(site, ANN)
    assert (proof.proven, proof.again) == (True, 1), proof.left


def test_the_report_has_what_kafka_store_and_history_say(site: Site) -> None:
    """Of layers that do not run: how far the history is, what the topics have, the generation."""
    site.send_raw(b"nonsense")
    site.interact("egg")
    site.follow()
    reports: list[Report] = []

    def looked() -> bool:
        """On a busy machine Kafka may take longer than a look does."""
        reports.append(composed(look(site.settings, [("batch", "127.0.0.1:1"), ("speed", "")])))
        return not reports[-1].troubles

    eventually(looked, 60, lambda: str(reports[-1].troubles))
    report = reports[-1]
    topics = {topic.what: topic for topic in report.topics}
    assert topics["input"].end == site.admin.end_offsets(site.settings.input.topic)
    assert topics["input"].bytes is None
    assert report.dead_letters == 1
    assert report.generation is not None
    epoch, generation = site.newest()
    assert (report.generation.generation, report.generation.epoch) == (generation.name, epoch)
    assert report.generation.position == generation.manifest.next_offsets
    assert [layer.state for layer in report.layers] == ["silent", "unknown"]
    assert not report.ready
