"""``after`` behind a balancer: what one replica has stored is in what another answers, whatever goes on meanwhile.

Speed and two serving layers are processes on a real broker; generations are the test's own.
"""

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from oryx_py.adapters.places import open_registry, open_store
from oryx_py.local.ports import choose
from oryx_py.model.epochs.registry import EpochStarted, GenerationState
from tests.support.serving import write_world
from tests.support.system import PATIENT, Answer, System, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("replicas"), pytest.mark.timeout(300)]

ITEMS = {f"i{n}": vector.tolist() for n, vector in enumerate(np.random.default_rng(3).normal(size=(24, 4)))}
USERS = {f"u{n}": vector.tolist() for n, vector in enumerate(np.random.default_rng(4).normal(size=(6, 4)))}
PAIRS = {user: {"i0": 1.0} for user in USERS}
ROUNDS = 60
NEW_EPOCH_AT = 20


class Cluster:
    """Two replicas of a service and what feeds them."""

    def __init__(self, system: System) -> None:
        self.system = system
        other = System(system.folder, "", **{**system.settings, "SERVING__PORT": choose(())})
        self.replicas = [system, other]
        self._published = 0

    def publish(self) -> str:
        """Write a generation of nothing but the start, and begin its epoch."""
        store, registry = (opened(str(self.system.folder / "store")) for opened in (open_store, open_registry))
        self._published += 1
        name = f"generation-{self._published}"
        write_world(store.stage(name), name, PAIRS, USERS, ITEMS)
        store.commit(name)
        seen = registry.read()
        epoch = EpochStarted(seen.next_epoch, name, {0: 0}, 0)
        registry.append(seen, [GenerationState(name, "published"), epoch])
        return name

    def start(self) -> None:
        for layer, system in (("speed", self.system), *(("serve", replica) for replica in self.replicas)):
            system.start(layer)
        for replica in self.replicas:
            replica.wait_ready()
        written = self.system.post("first", "i0")
        eventually(lambda: self.system.get(f"/knownItems/first?after={written.offset}").status == 200, 90)


@pytest.fixture(scope="module")
def cluster(kafka_broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = Path(tmp_path_factory.mktemp("replicas"))
    with System(folder, kafka_broker.bootstrap_servers, **PATIENT) as system:
        system.oryx("setup")
        cluster = Cluster(system)
        with cluster.replicas[1]:
            cluster.publish()
            cluster.start()
            yield cluster


def known(replica: System, user: str, written: Answer) -> list[str]:
    answer = replica.get(f"/knownItems/{quote(user, safe='')}?after={written.offset}")
    assert answer.status == 200, answer.body
    return list(answer.json())


def test_another_replica_has_the_write_also_while_the_epoch_changes(cluster: Cluster) -> None:
    generations = set()
    for number in range(ROUNDS):
        if number == NEW_EPOCH_AT:
            newest = cluster.publish()
        writer, reader = cluster.replicas[number % 2], cluster.replicas[1 - number % 2]
        user, item = f"w{number % 7}", f"i{number % len(ITEMS)}"
        written = writer.post(user, item)
        assert item in known(reader, user, written)
        scores = reader.get(f"/recommend/{user}?howMany=30&after={written.offset}")
        assert item not in [row["id"] for row in scores.json()]
        generations.add(scores.generation)
    deadline = time.monotonic() + 60
    while newest not in generations:
        assert time.monotonic() < deadline, generations
        written = cluster.replicas[0].post("w0", "i1")
        assert "i1" in known(cluster.replicas[1], "w0", written)
        generations.add(cluster.replicas[1].get("/ready").generation)
    assert len(generations) == 2


def test_an_idle_topic_keeps_nobody_waiting(cluster: Cluster) -> None:
    written = cluster.replicas[0].post("idler", "i2")
    assert known(cluster.replicas[1], "idler", written) == ["i2"]
    time.sleep(2.5)  # nothing comes: that is what the test is about
    for replica in cluster.replicas:
        assert known(replica, "idler", written) == ["i2"]


def test_input_that_changes_nothing_is_reached_too(cluster: Cluster) -> None:
    """A pair taken back that was not there, a bulk sent again, an item forgotten that nobody knows."""
    one, other = cluster.replicas
    for written in (
        one.request("DELETE", "/pref/nobody/nothing"),
        one.request("POST", "/ingest", b"again,i3\n", Content_Type="text/csv", Idempotency_Key="twice"),
        one.request("POST", "/ingest", b"again,i3\n", Content_Type="text/csv", Idempotency_Key="twice"),
        one.request("DELETE", "/item/never-heard-of"),
    ):
        assert written.status == 204
        assert other.get(f"/mostPopularItems?after={written.offset}").status == 200
    assert known(other, "again", written) == ["i3"]


def test_what_is_forgotten_is_gone_for_who_asks_next(cluster: Cluster) -> None:
    one, other = cluster.replicas
    one.post("forgetful", "i4")
    written = one.post("forgetful", "i5")
    assert other.get(f"/recommend/forgetful?after={written.offset}").status == 200
    forgotten = one.request("DELETE", "/user/forgetful")
    assert other.get(f"/recommend/forgetful?after={forgotten.offset}").status == 404
    assert known(other, "forgetful", forgotten) == []

    for user in ("a", "b", "c"):
        written = one.post(user, "i6")
    assert other.get(f"/similarity/i6?after={written.offset}").status == 200
    forgotten = other.request("DELETE", "/item/i6")
    assert one.get(f"/similarity/i6?after={forgotten.offset}").status == 404
    for user in ("a", "b", "c"):
        assert known(one, user, forgotten) == []


def test_what_was_never_written_is_not_waited_for_for_ever(cluster: Cluster) -> None:
    answer = cluster.replicas[0].get("/recommend/u0?after=0:999999")
    assert answer.status == 504
    assert "ask again later" in answer.json()["detail"]
