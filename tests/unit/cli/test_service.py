"""The client of the running service: paths, errors in its own words, and broken connections."""

import threading

import pytest

from oryx_py.cli.service import Answer, NoAnswer, Scored, Service
from oryx_py.errors import NotReady, OryxError, UserError
from oryx_py.local.ports import choose
from tests.unit.cli.scripted_service import Asked, Reply, scripted


def test_ids_are_encoded_whole_slashes_and_all() -> None:
    with (
        scripted(lambda _: Reply(204, headers={"X-Oryx-Offset": "0:7"})) as there,
        Service(there.url + "/base/") as here,
    ):
        assert here.prefer("ann/a b?", "ä=%2F", 2.5) == "0:7"
        assert here.prefer("u", "i") == "0:7"
    first, second = there.asked
    assert (first.method, first.path, first.body) == ("POST", "/base/pref/ann%2Fa%20b%3F/%C3%A4%3D%252F", b"2.5")
    assert second.body == b"1"


def test_recommendations_are_read_and_after_is_sent() -> None:
    items = [{"id": "i2", "value": 0.5}, {"id": "i1", "value": 0.25}]
    with scripted(lambda _: Reply(body=items)) as there, Service(there.url) as here:
        assert here.recommend("ann", 2, "3:41").read(list[Scored]) == [Scored("i2", 0.5), Scored("i1", 0.25)]
    assert there.asked[0].path == "/recommend/ann?howMany=2&after=3%3A41"


def test_one_connection_serves_many_requests() -> None:
    with scripted(lambda _: Reply(body=[])) as there, Service(there.url) as here:
        for _ in range(5):
            here.recommend("ann")
    assert there.connections == 1


def answer_to(reply: Reply) -> Answer:
    with scripted(lambda _: reply) as there, Service(there.url) as here:
        return here.recommend("ann")


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (404, UserError, "unknown user ann"),
        (503, NotReady, "unknown user ann"),
        (500, OryxError, "answered 500: unknown"),
    ],
)
def test_a_problem_becomes_an_error_with_the_services_own_reason(status: int, kind: type[OryxError], text: str) -> None:
    answer = answer_to(Reply(status, {"title": "No", "status": status, "detail": "unknown user\nann"}))
    with pytest.raises(kind, match=text):
        answer.read(list[Scored])


def test_an_answer_that_is_no_problem_still_says_its_status() -> None:
    with pytest.raises(UserError, match="HTTP status 418"):
        answer_to(Reply(418, ["tea"])).check()


def test_an_answer_that_is_not_the_services_json_is_refused() -> None:
    with pytest.raises(OryxError, match="is it an oryx service"):
        answer_to(Reply(body={"hello": 1})).read(list[Scored])


def test_where_nothing_listens_one_line_says_what_to_start() -> None:
    here = Service(f"http://127.0.0.1:{choose(())}")
    with pytest.raises(UserError, match=r"nothing answers at .*: start `oryx up`"):
        here.recommend("ann")
    assert here.readiness() is None


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://x", "http://", "http://x:no", "http://x:99999", "http://x/?a=1"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(UserError, match="is no address of a service"):
        Service(url)


def test_a_read_is_repeated_once_when_the_connection_breaks() -> None:
    def script(_: Asked) -> Reply | None:
        return None if len(there.asked) == 1 else Reply(body=[])

    with scripted(script) as there, Service(there.url) as here:
        assert here.recommend("ann").read(list[Scored]) == []
    assert len(there.asked) == 2


def test_a_write_is_never_repeated() -> None:
    with scripted(lambda _: None) as there:
        with pytest.raises(NoAnswer, match="did not answer a POST"):
            Service(there.url).prefer("ann", "i1")
        assert len(there.asked) == 1


def test_a_service_that_is_silent_is_given_up() -> None:
    wait = threading.Event()

    def script(_: Asked) -> Reply:
        wait.wait(20)
        return Reply(204)

    with scripted(script) as there:
        try:
            with pytest.raises(NoAnswer, match="timed out"):
                Service(there.url, timeout_s=0.1).prefer("ann", "i1")
        finally:
            wait.set()
