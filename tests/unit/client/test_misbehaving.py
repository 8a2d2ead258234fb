"""Whatever the other side does, a call ends in time with an answer or an error that says what to do."""

import asyncio
import gzip
import zlib

import pytest

from oryx_py.client import AsyncClient, Failed, NoAnswer, Retries, Scored, Unavailable, Unreachable, Unreadable, Written
from oryx_py.client.connection import Call
from oryx_py.errors import UserError
from oryx_py.local.ports import choose
from tests.support.scripted_http import Asked, problem, reply, scripted

QUICK = Retries(first_pause_s=0.001, deadline_s=10.0)
ITEMS = reply(200, [{"id": "i", "value": 0.5}])
ANSWER = [Scored("i", 0.5)]


async def test_a_read_is_repeated_until_it_is_answered() -> None:
    broken = [None, [b"HTTP/1.1 200 OK\r\nContent-Le", None], problem(503, "loading"), [ITEMS[:-5], None]]
    async with scripted(*broken, ITEMS) as there, AsyncClient(there.url, retries=QUICK) as here:
        assert await here.recommend("ann") == ANSWER
    assert len(there.asked) == 5


async def test_a_write_is_repeated_under_the_same_key() -> None:
    done = reply(204, None, X_Oryx_Offset="1:7")
    async with (
        scripted(None, problem(503, "Kafka is away"), done, done) as there,
        AsyncClient(there.url, retries=QUICK) as here,
    ):
        assert await here.pref("ann", "i", 2.5) == Written({1: 7})
        await here.pref("ann", "i")
    keys = [asked.headers["idempotency-key"] for asked in there.asked]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert [asked.body for asked in there.asked] == [b"2.5", b"2.5", b"2.5", b"1"]


async def test_a_write_without_a_key_is_never_repeated() -> None:
    async with scripted(None, forever=reply(204)) as there, AsyncClient(there.url, retries=QUICK) as here:
        with pytest.raises(NoAnswer, match="did not answer a POST"):
            await here._connection.fetch(Call("POST", ["pref", "u", "i"], body=b"1", reads=False))
    assert len(there.asked) == 1


async def test_a_bulk_that_broke_off_is_sent_again_whole_under_its_key() -> None:
    midway = reply(503, {"detail": "Kafka is away", "accepted": 2}, X_Oryx_Offset="0:5")
    async with (
        scripted(midway, reply(204, None, X_Oryx_Offset="0:9")) as there,
        AsyncClient(there.url, retries=QUICK) as here,
    ):
        assert await here.ingest(["a,b", "c,d", "e,f"], idempotency_key="k1") == Written({0: 9})
    assert [asked.body for asked in there.asked] == [b"a,b\nc,d\ne,f\n"] * 2
    assert [asked.headers["idempotency-key"] for asked in there.asked] == ["k1", "k1"]


async def test_a_bulk_that_stays_broken_off_says_how_much_is_stored() -> None:
    midway = reply(503, {"detail": "Kafka is away", "accepted": 2}, X_Oryx_Offset="0:5")
    async with (
        scripted(forever=midway) as there,
        AsyncClient(there.url, retries=Retries(attempts=1), read_your_writes=True) as here,
    ):
        with pytest.raises(Unavailable) as caught:
            await here.ingest(["a,b", "c,d", "e,f"])
        assert (caught.value.accepted, caught.value.written) == (2, Written({0: 5}))
        with pytest.raises(Unavailable):
            await here.known_items("anybody")
    assert there.asked[1].target.endswith("?after=0%3A5")


async def test_a_pause_that_the_service_asks_for_is_kept() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    retries = Retries(randomness=lambda: 0.0, sleep=sleep)
    async with (
        scripted(reply(429, None, Retry_After="3"), reply(502), ITEMS) as there,
        AsyncClient(there.url, retries=retries) as here,
    ):
        assert await here.recommend("ann") == ANSWER
    assert pauses == pytest.approx([3.0, 0.2])


async def test_a_connection_that_was_closed_between_two_calls_is_opened_anew() -> None:
    async with (
        scripted([ITEMS, None], [ITEMS, None], forever=reply(204)) as there,
        AsyncClient(there.url, retries=QUICK) as here,
    ):
        for _ in range(2):
            assert await here.recommend("ann") == ANSWER
            await asyncio.sleep(0)
        await here.pref("ann", "i")
    assert there.connections == 3


async def test_one_connection_serves_many_calls() -> None:
    async with scripted(forever=ITEMS) as there, AsyncClient(there.url) as here:
        for _ in range(5):
            await here.recommend("ann")
    assert there.connections == 1


async def test_connections_are_bounded() -> None:
    async with scripted(forever=[0.01, ITEMS]) as there, AsyncClient(there.url, connections=3) as here:
        await asyncio.gather(*(here.recommend(f"u{n}") for n in range(30)))
    assert there.connections == 3
    assert len(there.asked) == 30


@pytest.mark.parametrize("answer", [[60.0], [ITEMS[:20], 60.0], [ITEMS[:-3], 60.0]], ids=["none", "head", "body"])
async def test_a_service_that_falls_silent_is_given_up(answer: list[object]) -> None:
    async with (
        scripted(forever=answer) as there,
        AsyncClient(there.url, retries=Retries(attempts=1), timeout_s=0.05) as here,
    ):  # type: ignore[arg-type]
        with pytest.raises(NoAnswer, match="timed out"):
            await here.recommend("ann")


async def test_a_service_that_trickles_is_given_up_at_the_deadline() -> None:
    trickle = [part for byte in ITEMS for part in (bytes([byte]), 0.02)]
    async with scripted(forever=trickle) as there, AsyncClient(there.url, retries=Retries(deadline_s=0.15)) as here:
        with pytest.raises(NoAnswer, match=r"within 0\.15 s"):
            await here.recommend("ann")


@pytest.mark.parametrize("body", [{"hello": 1}, b"<html>", b"", [{"id": "i", "value": None}]])
async def test_a_success_that_is_not_the_services_is_no_answer_of_it(body: object) -> None:
    async with scripted(reply(200, body)) as there, AsyncClient(there.url) as here:
        with pytest.raises(Unreadable, match="is it an oryx service"):
            await here.recommend("ann")


async def test_where_nothing_listens_one_line_says_what_to_start() -> None:
    async with AsyncClient(f"http://127.0.0.1:{choose(())}", retries=QUICK) as here:
        with pytest.raises(UserError, match=r"nothing answers at .* \(.*refused\): start `oryx up`"):
            await here.recommend("ann")
        with pytest.raises(Unreachable):
            await here.ready()


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8080", "ftp://x", "http://", "http://x:no", "http://x:99999", "http://x/?a=1", "http://x/#a"),
        *("http://me:secret@x", "http://[x", "", "http://x:0"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(UserError, match="is no address of a service"):
        AsyncClient(url)


async def test_the_address_may_have_a_path_and_a_name_of_any_script() -> None:
    assert AsyncClient("http://x:1/base/").url == "http://x:1/base"
    assert AsyncClient("https://bücher.example").url == "https://xn--bcher-kva.example"
    async with scripted(ITEMS) as there, AsyncClient(there.url + "/v1/rec/") as here:
        await here.recommend("a/b")
    assert there.asked[0].target == "/v1/rec/recommend/a%2Fb?howMany=10"


async def test_a_redirection_is_not_followed() -> None:
    moved = reply(301, None, Location="http://127.0.0.1:1/")
    async with scripted(moved) as there, AsyncClient(there.url) as here:
        with pytest.raises(Exception, match="answered 301"):
            await here.pref("ann", "i")


async def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oryx_py.client.connection._MAX_ANSWER_BYTES", 1000)
    bomb = reply(200, gzip.compress(b" " * 1_000_000), Content_Encoding="gzip")
    async with scripted(bomb) as there, AsyncClient(there.url) as here:
        with pytest.raises(Failed, match="more than 1000 bytes"):
            await here.known_items("ann")


async def test_readiness_is_asked_for_once() -> None:
    async with scripted(problem(503, "loading 43 %"), forever=ITEMS) as there, AsyncClient(there.url) as here:
        ready = await here.ready()
    assert (ready.ready, ready.detail, len(there.asked)) == (False, "loading 43 %", 1)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_answers_are_asked_for_and_read(coding: str, pack: object) -> None:
    packed = reply(200, pack(b'[{"id":"i","value":0.5}]'), Content_Encoding=coding)  # type: ignore[operator]
    async with scripted(packed) as there, AsyncClient(there.url) as here:
        assert await here.recommend("ann") == ANSWER
    assert coding in there.asked[0].headers["accept-encoding"]


async def test_a_compressed_body_is_the_same_lines() -> None:
    async with scripted(reply(204)) as there, AsyncClient(there.url) as here:
        await here.ingest(("u,i" for _ in range(1000)), compressed=True)
    (asked,) = there.asked
    assert gzip.decompress(asked.body) == b"u,i\n" * 1000
    assert (asked.headers["content-encoding"], asked.headers["content-type"]) == ("gzip", "text/csv")


async def test_headers_of_the_caller_are_sent_with_every_call() -> None:
    async with (
        scripted(forever=reply(200, [])) as there,
        AsyncClient(there.url, headers={"Authorization": "Bearer x"}) as here,
    ):
        await here.known_items("ann")
    assert there.asked[0].headers["authorization"] == "Bearer x"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ü", "x" * 256])
async def test_a_key_that_cannot_be_sent_is_refused(key: str) -> None:
    async with AsyncClient("http://127.0.0.1:1") as here:
        with pytest.raises(UserError, match="idempotency key"):
            await here.pref("ann", "i", idempotency_key=key)


def chunked(*parts: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)]


END = b"0\r\n\r\n"


async def test_a_stream_is_read_as_it_comes() -> None:
    more = asyncio.Event()

    async def later(_: Asked) -> bytes:
        await more.wait()
        return chunked(b"c\n")[1] + END

    async with scripted([*chunked(b"a\n", b"b\n"), later]) as there, AsyncClient(there.url) as here:
        stream = here.item_ids()
        assert [await anext(stream), await anext(stream)] == ["a", "b"]
        more.set()
        assert [name async for name in stream] == ["c"]


async def test_a_stream_is_repeated_before_its_first_part_and_broken_off_after_it() -> None:
    midway = [*chunked(b"a\n"), 0.01, None]
    async with scripted(None, problem(503, "loading"), midway) as there, AsyncClient(there.url, retries=QUICK) as here:
        stream = here.user_ids()
        assert await anext(stream) == "a"
        with pytest.raises(NoAnswer):
            await anext(stream)
    assert len(there.asked) == 3


async def test_a_batch_that_ends_too_soon_is_no_success() -> None:
    short = reply(200, b'[{"user":"a","items":[]},')
    async with scripted(short) as there, AsyncClient(there.url) as here:
        stream = here.recommend_batch(["a", "b"])
        assert (await anext(stream)).user == "a"
        with pytest.raises(NoAnswer, match="broke off"):
            await anext(stream)


async def test_a_stream_that_is_left_gives_its_connection_back() -> None:
    endless = [part for _ in range(200) for part in (b"2\r\na\n\r\n", 0.01)]
    async with (
        scripted([*chunked(b"a\n"), *endless], ITEMS) as there,
        AsyncClient(there.url, connections=1, retries=QUICK) as here,
    ):
        stream = here.item_ids()
        await anext(stream)
        await stream.aclose()
        assert await here.recommend("ann") == ANSWER


async def test_a_client_that_is_closed_says_so() -> None:
    async with scripted(forever=ITEMS) as there:
        async with AsyncClient(there.url) as here:
            await here.recommend("ann")
        with pytest.raises(UserError, match="closed"):
            await here.recommend("ann")


async def test_a_client_belongs_to_one_loop() -> None:
    async with scripted(forever=ITEMS) as there, AsyncClient(there.url) as here:
        await here.recommend("ann")
        with pytest.raises(UserError, match="event loop"):
            await asyncio.to_thread(lambda: asyncio.run(here.recommend("ann")))
