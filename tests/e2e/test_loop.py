"""The loop on real Kafka and real Spark: what is posted is learned, at once and for good."""

import itertools
import json
import threading
import time
import urllib.request
from collections import Counter
from typing import Any

import numpy as np
import pytest

from oryx_py.adapters.kafka import KafkaConsumer, KafkaProducer
from oryx_py.local.ports import choose
from oryx_py.ports import EndOfPartition, Record
from tests.e2e.conftest import NewSystem
from tests.support.answers import assert_answers, input_size
from tests.support.system import PATIENT, System, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.xdist_group("loop"), pytest.mark.timeout(600)]

PAUSE_S = 0.02
"""From an answer to the next request: clients that never pause would take the cores from Spark, whose training is then
most of the test."""
ITEMS = [f"i{n}" for n in range(30)] + ["a/b", 'ü,"x"', "%2F"]


def history(users: int = 40, seed: int = 1) -> str:
    """Two tastes: users of even number like even items."""
    rng = np.random.default_rng(seed)
    lines = []
    for user in range(users):
        for item in rng.choice(np.arange(user % 2, 30, 2), 8, replace=False):
            lines.append(f"u{user},i{item},{rng.integers(1, 4)}")
    return "\n".join([*lines, "u0,a/b,1", 'u1,"ü,""x""",2', "u0,%2F,1"])


@pytest.fixture(scope="module")
def system(new_system: NewSystem) -> System:
    """A system with a generation, speed and serving running."""
    system = new_system(SPEED__METRICS_PORT=choose(()), **PATIENT)
    system.start("serve")
    system.start("speed")
    system.wait_up()
    assert system.get("/ready").status == 503
    assert system.get("/recommend/u0").status == 503
    system.ingest(history())
    system.oryx("batch", "--once")
    system.wait_ready()
    return system


def test_the_generation_and_the_stream_answer_as_recomputed(system: System) -> None:
    assert_answers(system)


def test_a_posted_interaction_changes_the_next_list(system: System) -> None:
    """A user of even items turns to odd ones, and the list follows; a new user gets one at once."""
    before = [row["id"] for row in system.get("/recommend/u0?howMany=5").json()]
    for item in ("i1", "i3", "i5", "i7", "i9"):
        posted = system.post("u0", item, 20)
    after = system.get(f"/recommend/u0?howMany=5&after={posted.offset}")
    assert [row["id"] for row in after.json()] != before
    assert not {"i1", "i3", "i5", "i7", "i9"} & {row["id"] for row in after.json()}

    assert system.get("/recommend/newcomer").status == 404
    posted = system.post("newcomer", "i2")
    posted = system.post("newcomer", "i4")
    rows = system.get(f"/recommend/newcomer?howMany=5&after={posted.offset}").json()
    assert sum(int(row["id"][1:]) % 2 == 0 for row in rows if row["id"][1:].isdigit()) >= 4


KEYED = {f"keyed{n}": {"i0": 2.0, f"i{n + 1}": 3.0} for n in range(6)}
"""What a bulk says that is sent again and again under one key, and always counts once."""
BULK = "\n".join(f"{user},{item},{strength}" for user, items in KEYED.items() for item, strength in items.items())


def test_a_bulk_posted_again_under_its_key_counts_once(system: System) -> None:
    """Until the next generation; a later test looks at what that one makes of it."""
    for _ in range(3):
        system.ingest(BULK, Idempotency_Key="a-retry")
    rest = assert_answers(system)
    assert {user: rest.pairs[user] for user in KEYED} == KEYED


def test_a_new_item_is_recommended_and_a_delete_takes_it_out(system: System) -> None:
    for user in range(2, 20, 2):
        posted = system.post(f"u{user}", "brand-new/ü", 5)
    rows = system.get(f"/recommend/u20?howMany=33&after={posted.offset}").json()
    assert "brand-new/ü" in [row["id"] for row in rows]
    answer = system.request("DELETE", "/pref/u2/brand-new%2F%C3%BC")
    assert answer.status == 204
    known = system.get(f"/knownItems/u2?after={answer.offset}").json()
    assert "brand-new/ü" not in known
    assert_answers(system)


def test_a_poison_message_becomes_a_dead_letter_and_the_layers_go_on(system: System) -> None:
    """Binary, too few fields, the largest line the topic takes, another user's partition: each with its reason."""
    bootstrap = str(system.settings["KAFKA__BOOTSTRAP_SERVERS"])
    topic = str(system.settings["INPUT__TOPIC"])
    poison = [b"\xff\xfe\x00\x80", b"only-one-field", b"u,i,NaN", b"u" * (1_048_576 - 200), b'["u","i"', b""]
    producer = KafkaProducer(bootstrap, {})
    for value in poison:
        producer.send(topic, value, partition=0)
    producer.flush(30)
    producer.close()
    posted = system.post("after-poison", "i2")
    assert system.get(f"/recommend/after-poison?after={posted.offset}").status == 200
    letters = read_all(system, f"{topic}.dead-letter", len(poison))
    assert len(letters) == len(poison)
    headers = [dict(letter.headers) for letter in letters]
    assert all(header["reason"] for header in headers)
    assert sorted(int(header["size"]) for header in headers) == sorted(map(len, poison))
    assert max(len(letter.value or b"") for letter in letters) == 64 * 1024
    with urllib.request.urlopen(
        f"http://127.0.0.1:{system.settings['SPEED__METRICS_PORT']}/metrics", timeout=10
    ) as page:
        assert f"oryx_speed_dead_letters_total {len(poison)}.0" in page.read().decode()
    assert_answers(system)


def read_all(system: System, topic: str, at_least: int) -> list[Record]:
    """Read a topic's partition 0 until it has so many records and ends."""
    consumer = KafkaConsumer(str(system.settings["KAFKA__BOOTSTRAP_SERVERS"]), {})
    try:
        consumer.assign({(topic, 0): 0})
        found: list[Record] = []
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            events = consumer.poll(1000, 0.5)
            found += [event for event in events if not isinstance(event, EndOfPartition)]
            if len(found) >= at_least and any(isinstance(event, EndOfPartition) for event in events):
                break
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/ingest", b"u,i,1\nbroken\nu,j,NaN\n", {}, 400),
        ("POST", "/ingest", b"u,i,1" * 4_000_000, {}, 400),
        ("POST", "/pref/u/i", b"1\n" * 4_000_000, {}, 413),
        ("POST", "/ingest", b"u,i,1\n", {"Content_Type": "image/png"}, 415),
        ("POST", "/ingest", b"\x1f\x8bnot gzip", {"Content_Encoding": "gzip"}, 400),
        ("POST", "/ingest", b'[{"user":"u","item":"i","strength":"much"}]', {"Content_Type": "application/json"}, 400),
        ("POST", "/pref/u/i", b"infinity", {}, 400),
        ("GET", "/recommend/nobody-at-all", None, {}, 404),
        ("GET", "/recommend/u0?howMany=0", None, {}, 400),
        ("GET", "/recommend/u0", None, {"Accept": "image/png"}, 406),
        ("PUT", "/recommend/u0", b"", {}, 405),
    ],
)
def test_bad_input_is_refused_as_a_problem_and_nothing_is_stored(
    system: System, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    size = input_size(system)
    answer = system.request(method, path, body, **headers)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert input_size(system) == size


def test_who_is_forgotten_is_gone_from_the_next_answer_and_counts_anew_afterwards(system: System) -> None:
    """A user, then an item: in answers that include the forget."""
    for item in ("i0", "i2", "soon-forgotten"):
        system.post("gone", item, 3)
    posted = system.post("stays", "soon-forgotten", 4)
    posted = system.post("stays", "i2", 4)
    assert len(system.get(f"/knownItems/stays?after={posted.offset}").json()) == 2
    place = system.oryx("forget", "gone").stdout.strip()
    assert system.get(f"/knownItems/gone?after={place}").json() == []
    assert system.get("/recommend/gone").status == 404
    forgotten = system.request("DELETE", "/item/soon-forgotten")
    assert system.get(f"/knownItems/stays?after={forgotten.offset}").json() == ["i2"]
    assert "soon-forgotten" not in system.get("/item/allIDs").json()
    posted = system.post("gone", "i4")
    assert system.get(f"/knownItems/gone?after={posted.offset}").json() == ["i4"]
    assert_answers(system)
    proof = proof_of(system, "gone")
    assert (proof["proven"], proof["again"]) == (False, 1)
    assert any(left["place"] == system.settings["INPUT__TOPIC"] for left in proof["left"])


def proof_of(system: System, *who: str) -> Any:
    return json.loads(system.oryx("forget", "--verify", "--json", *who, check=False).stdout)


def test_status_has_every_layer_and_says_what_does_not_answer(system: System) -> None:
    posted = system.post("u0", "i0")
    assert system.get(f"/knownItems/u0?after={posted.offset}").status == 200

    reports: list[Any] = []

    def told(**states: str) -> bool:
        """On a busy machine somebody may take longer than the command waits."""
        asked = system.oryx("status", "--json", check=False)
        assert asked.returncode == 1, "no batch layer runs here"
        reports.append(json.loads(asked.stdout))
        found = {layer["layer"]: layer["state"] for layer in reports[-1]["layers"]}
        return found == states and not reports[-1]["troubles"]

    eventually(lambda: told(batch="unknown", speed="ready", serving="ready"), 60, lambda: str(reports[-1]))
    found = {layer["layer"]: layer for layer in reports[-1]["layers"]}
    for name in ("speed", "serving"):
        assert (found[name]["behind"], found[name]["epoch"]) == (0, 1)
        assert found[name]["generation"] == system.get("/ready").generation
        assert sum(found[name]["position"].values()) == input_size(system)
    system.kill("speed")
    eventually(lambda: told(batch="unknown", speed="silent", serving="ready"), 60, lambda: str(reports[-1]))
    system.start("speed")
    system.wait_ready()


def test_changing_generations_under_load_loses_nothing_and_mixes_nothing(system: System) -> None:
    """While Spark trains: no request fails, and what is posted meanwhile is in the answers after the change.

    Then the rollback: the generation before, with everything that came since.
    """
    first = system.get("/ready").generation
    stop = threading.Event()
    failures: list[str] = []
    acknowledged: Counter[tuple[str, str]] = Counter()
    generations: list[str] = []

    def write() -> None:
        for number in itertools.count():
            if stop.wait(PAUSE_S):
                return
            user, item = f"during-{number % 11}", ITEMS[number % len(ITEMS)]
            try:
                system.post(user, item, 1)
            except (OSError, AssertionError) as failure:
                failures.append(f"POST: {failure}")
            else:
                acknowledged[user, item] += 1

    def read() -> None:
        while not stop.wait(PAUSE_S):
            answer = system.get("/recommend/u0?howMany=3")
            if answer.status != 200:
                failures.append(f"{answer.status} {answer.body!r}")
            generations.append(answer.generation)

    threads = [threading.Thread(target=write), threading.Thread(target=read), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    try:
        system.oryx("batch", "--once")
        second = system.wait_generation(first)
        seen = acknowledged.total()
        eventually(lambda: acknowledged.total() > seen + 50, 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    system.ingest(BULK, Idempotency_Key="a-retry")
    assert not failures, failures[:5]
    assert set(generations) == {first, second}
    rest = assert_answers(system)
    folded = {(user, item): rest.pairs[user][item] for user, item in acknowledged}
    assert folded == dict(acknowledged)
    assert {user: rest.pairs[user] for user in KEYED} == KEYED

    system.oryx("rollback")
    assert system.wait_generation(second) == first
    assert_answers(system)


def test_a_killed_batch_run_leaves_one_epoch_to_the_next(system: System) -> None:
    """kill -9 of Spark's driver in the middle of a run; the next run publishes what the killed one did not."""
    served = system.get("/ready").json()["epoch"]
    system.ingest(history(users=25, seed=2))
    system.start("batch", "--once")
    commits = system.folder / "history" / "commits"
    seen = len(list(commits.iterdir()))
    # The history is committed, the generation is not: in the middle of training.
    eventually(lambda: len(list(commits.iterdir())) > seen, 120)
    system.kill("batch")
    assert system.get("/recommend/u0").status == 200
    assert system.get("/ready").json()["epoch"] == served
    system.oryx("batch", "--once")
    eventually(lambda: system.get("/ready").json()["epoch"] == served + 1, 60)
    assert_answers(system)
