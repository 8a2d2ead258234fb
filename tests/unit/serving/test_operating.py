"""What operators see: readiness, metrics, the log, and nothing of the inside in a 500."""

import asyncio
import logging

import numpy as np
import pytest
from structlog.testing import capture_logs

from oryx_py.messages import Progress, UserVector, partition_of
from serving_layer.connections.fast_reads import FAST_READS
from serving_layer.connections.plain_head import PlainHead
from serving_layer.http_semantics.content_negotiation import Form
from serving_layer.requests import app_keys
from serving_layer.search.fold_in import ExactFolding
from tests.support.polling import until
from tests.support.serving import EPOCH, ITEMS, PAIRS, USERS, FixedModels, Harness, model_at, write_world


async def test_ready_says_what_is_served(client):
    response = await client.get("/ready")
    assert response.status == 200
    state = await response.json()
    assert state["ready"] is True
    assert state["waiting_for"] == []
    assert (state["generation"], state["epoch"]) == ("gen-1", 3)


async def test_not_ready_is_a_problem_that_says_what_is_waited_for():
    async with Harness(FixedModels()) as client:
        response = await client.get("/ready")
        assert response.status == 503
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
        assert problem["ready"] is False
        assert problem["waiting_for"] == ["no model has been published yet: the batch layer makes the first one"]
        assert problem["detail"] == problem["waiting_for"][0]
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/metrics")).status == 200


async def test_metrics_are_by_route_not_by_path(client):
    for path in ("/recommend/ann", "/recommend/bob", "/recommend/nobody", "/nowhere/1", "/nowhere/2"):
        await client.get(path)
    text = await (await client.get("/metrics")).text()
    counted = 'oryx_serving_request_seconds_count{method="GET",route="%s",status="%s"} %s'
    assert counted % ("/recommend/{user}", "200", "2.0") in text
    assert counted % ("/recommend/{user}", "404", "1.0") in text
    assert counted % ("none", "404", "2.0") in text
    assert "ann" not in text


async def test_an_unforeseen_fault_is_a_500_with_the_request_id_and_nothing_of_the_inside(harness, client):
    async def explode(*_, **__):
        raise RuntimeError("secret inside")

    harness.sender.send = explode
    with capture_logs() as logs:
        response = await client.post("/pref/u/i", headers={"X-Request-Id": "find-me"})
        text = await response.text()
    assert response.status == 500
    assert response.content_type == "application/problem+json"
    assert '"request_id":"find-me"' in text
    assert "secret" not in text
    assert "Traceback" not in text
    (entry,) = [entry for entry in logs if entry["event"] == "request_failed"]
    assert entry["request_id"] == "find-me"


@pytest.fixture
def logged():
    level = logging.getLogger("serving").level
    logging.getLogger("serving").setLevel(logging.INFO)
    with capture_logs() as logs:
        yield logs
    logging.getLogger("serving").setLevel(level)


async def test_the_log_says_from_which_state_a_request_was_answered(client, logged):
    await client.get("/recommend/ann?howMany=2", headers={"X-Request-Id": "r-1"})
    (entry,) = [entry for entry in logged if entry["event"] == "request"]
    assert entry["route"] == "/recommend/{user}"
    assert entry["path"] == "/recommend/ann?howMany=2"
    assert entry["status"] == 200
    assert entry["request_id"] == "r-1"
    assert entry["epoch"] == 3
    assert entry["input"] == {0: 10, 1: 20}
    assert entry["ms"] >= 0


EVE = next(f"eve{n}" for n in range(9) if partition_of(f"eve{n}", 2) == 1)


class TestInputOfTheLog:
    """A model of two update partitions, of which each is ahead of the other in one input partition."""

    @pytest.fixture
    def model(self, tmp_path):
        made = model_at(write_world(tmp_path / "two", "g", PAIRS, USERS, ITEMS, covers={0: 10, 1: 20}), EPOCH, 2)
        made.state.apply(UserVector(EVE, np.array([1, 2], np.float32), ("a",), (1.0,), epoch=EPOCH, input=10), 1)
        for partition, told in enumerate((self.ANNS, self.EVES)):
            made.state.apply(Progress(told, {0: True, 1: True}, EPOCH), partition)
        return made

    ANNS, EVES, EVERYBODYS = {0: 90, 1: 21}, {0: 11, 1: 28}, {0: 11, 1: 21}

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/recommend/ann", ANNS),
            (f"/recommend/{EVE}", EVES),
            (f"/recommendToMany/{EVE}", EVES),
            (f"/recommendToMany/ann/{EVE}", EVERYBODYS),
            ("/mostPopularItems", EVERYBODYS),
        ],
    )
    async def test_it_is_that_of_the_users_update_partition_or_the_lowest_of_all(self, client, logged, path, expected):
        assert (await client.get(path)).status == 200
        assert [entry["input"] for entry in logged if entry["event"] == "request"] == [expected]

    @pytest.mark.parametrize(("user", "expected"), [("ann", ANNS), (EVE, EVES)])
    async def test_so_it_is_where_the_connection_answers(self, harness, logged, user, expected):
        head = PlainHead(Form("json", "application/json"), "r-1")
        assert harness.app[FAST_READS].answer(f"/estimate/{user}/a", head) is not None
        assert [entry["input"] for entry in logged if entry["event"] == "request"] == [expected]

    async def test_what_comes_while_it_is_answered_is_not_in_it(self, model, logged):
        class Meanwhile(ExactFolding):
            async def query(self, model, *args):
                found = await super().query(model, *args)
                for partition in range(2):
                    model.state.apply(Progress({0: 99, 1: 99}, {0: True, 1: True}, EPOCH), partition)
                return found

        async with Harness(FixedModels(model), folding=Meanwhile()) as client:
            assert (await client.get("/recommendToAnonymous/a")).status == 200
        assert [entry["input"] for entry in logged if entry["event"] == "request"] == [self.EVERYBODYS]


async def test_probes_are_not_logged(client, logged):
    await client.get("/ready")
    assert not [entry for entry in logged if entry["event"] == "request"]


async def test_a_client_that_goes_away_frees_its_place(model):
    harness = Harness(FixedModels(model), max_concurrent_requests=1, read_after_write_timeout_ms=60_000)
    async with harness as client:
        task = asyncio.create_task(client.get("/recommend/ann?after=0:999"))
        running = harness.app[app_keys.RUNNING]
        await until(lambda: running.waiting)
        task.cancel()
        await until(lambda: not running.waiting)
        assert running.count == 0
        assert (await client.get("/recommend/ann")).status == 200
