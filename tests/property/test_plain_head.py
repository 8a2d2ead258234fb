"""Whatever a connection brings: a request known by the bytes of its head is the one that the parser reads there."""

import asyncio

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving_layer.connections.plain_head import RepeatedHead, plain_head

ONE = b"GET /e/ann/a HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n"
SAME = b"GET /e/bob/a%2Fb HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n"
OTHER = b"GET /e/ann/a HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n\r\n"
PIECES = [
    ONE,
    SAME,
    OTHER,
    ONE.replace(b"/a ", b"/a?after=0:1 "),
    ONE[:20],
    ONE[20:],
    ONE[:-2],
    b"\r\n",
    ONE + SAME,
    ONE + SAME[:30],
    SAME[30:],
    b"\r\n" + ONE,
    ONE + b"\r\n\r\n",
    b"GET /e/ann/a HTTP/1.1\r\nX-Request-Id: theirs\r\nX: ",
    b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ONE),
    b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ONE + ONE) + ONE,
    b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + ONE[:20],
    b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"%x\r\n" % len(ONE),
    b"\r\n0\r\n\r\n",
    b"GET /e/ann/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(ONE),
    b"GET /e/ann/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /e/ann/a HTTP/1.0\r\nHost: x\r\n\r\n",
    b"GET /e/ann/a HTTP/1.1 HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n",
    b"GET HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n",
    b"GET /e/ann/a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
]
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz/%0123456789F")


class Reader(asyncio.Protocol):
    """What the bodies ask to send less, or more."""

    def pause_reading(self):
        pass

    def resume_reading(self, *, resume_parser=True):
        pass


@settings(max_examples=1000, deadline=None)
@example([ONE, SAME, ONE, OTHER, OTHER, ONE])
@example([ONE, PIECES[14], ONE, ONE, ONE])
@example([ONE, PIECES[16], SAME[30:], ONE, SAME, SAME])
@example([ONE, PIECES[13], ONE, ONE, SAME])
@given(st.lists(st.sampled_from(PIECES), max_size=10))
def test_a_head_known_by_its_bytes_is_the_one_that_the_parser_reads(pieces):
    known = asyncio.run(_known(pieces))
    if pieces == [ONE, SAME, ONE, OTHER, OTHER, ONE]:
        assert known == [1, 2, 4]


async def _known(pieces: list[bytes]) -> list[int]:
    parser = HttpRequestParser(Reader(), asyncio.get_running_loop(), 65_536, max_msg_queue_size=100)
    heads, known = RepeatedHead(), []
    for at, piece in enumerate(pieces):
        path = heads.path_of(piece)
        try:
            messages, upgraded, _ = parser.feed_data(piece)
        except HttpProcessingError:
            assert path is None or not set(path) <= PLAIN or not path
            break
        for _ in messages:
            parser.message_consumed()
        if path and set(path) <= PLAIN:
            ((message, payload),) = messages
            assert message.path == path
            assert plain_head(message, "json") == heads.head
            assert payload is EMPTY_PAYLOAD
            known.append(at)
            continue
        has_body = upgraded or (bool(messages) and messages[-1][1] is not EMPTY_PAYLOAD)
        whole = heads.parsed(piece, heads=len(messages), has_body=has_body)
        if whole and (head := plain_head(messages[0][0], "json")) is not None:
            heads.learn(piece, messages[0][0].path, head)
        if messages and messages[-1][0].should_close:
            break  # nothing more is read
    return known
