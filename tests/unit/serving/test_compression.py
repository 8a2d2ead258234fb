"""Answers compressed as clients ask for it."""

import gzip
import json
import zlib

import aiohttp
import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from serving_layer.http_semantics.accept_encoding import choose
from serving_layer.http_semantics.compression import WORTH_COMPRESSING_BYTES, compressed, compressed_pieces

UNDO = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "identity": bytes,
}


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0.001", "br"),
        ("*", "zstd"),
        ("*;q=0.5, gzip", "gzip"),
        ("zstd;q=0, br;q=0, *", "gzip"),
        ("gzip;q=0", "identity"),
        ("compress", "identity"),
        ("identity", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0", None),
        ("*;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        ("*;q=0, identity", "identity"),
        ("gzip;q=nan, deflate", "deflate"),
        ("gzip;q=2, deflate;q=-1", "identity"),
        (";,;q=1,=", "identity"),
    ],
)
def test_the_client_gets_what_it_likes_best(header, coding):
    assert choose(header) == coding


@given(st.text(max_size=200))
def test_no_header_is_too_strange_to_choose_by(header):
    assert choose(header) in {*UNDO, None}


@pytest.mark.parametrize("coding", UNDO)
@given(st.binary(max_size=5000))
def test_what_was_compressed_comes_back(coding, body):
    assert UNDO[coding](compressed(body, coding)) == body


@pytest.mark.parametrize("coding", UNDO)
async def test_pieces_come_back_as_a_whole(coding):
    async def pieces():
        for number in range(2000):
            yield b"piece %d " % number

    whole = b"".join([b"piece %d " % number for number in range(2000)])
    made = [piece async for piece in compressed_pieces(pieces(), coding, lambda: 0.0)]
    assert UNDO[coding](b"".join(made)) == whole
    if coding != "identity":
        assert sum(map(len, made)) < len(whole) / 2


def undone_so_far(coding, data):
    """What a client has that knows no more of the answer than ``data``."""
    if coding == "br":
        stream = brotli.Decompressor()
        return stream.process(data) + b"".join(iter(lambda: stream.process(b""), b""))
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return zlib.decompressobj(wbits={"gzip": 31, "deflate": 15}[coding]).decompress(data)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_client_sees_an_answer_being_made(coding):
    """At once what comes first, and then all of it, after half a second or 64 KiB."""
    now = 100.0
    made = b""

    async def pieces():
        nonlocal now
        yield b"first "
        assert undone_so_far(coding, made) == b"first "
        now += 0.1
        yield b"soon "
        assert undone_so_far(coding, made) == b"first ", "not each of many small ones by itself"
        now += 0.4
        yield b"later "
        assert undone_so_far(coding, made) == b"first soon later "
        yield b"x" * 65_536
        assert undone_so_far(coding, made) == b"first soon later " + b"x" * 65_536
        yield b"end"

    async for piece in compressed_pieces(pieces(), coding, lambda: now):
        made += piece
    assert UNDO[coding](made) == b"first soon later " + b"x" * 65_536 + b"end"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_large_answers_are_compressed_and_small_ones_are_not(client, coding):
    asked = {"Accept-Encoding": coding}
    async with aiohttp.ClientSession(auto_decompress=False, headers=asked) as session:
        async with session.get(client.make_url("/openapi.json")) as response:
            assert response.headers["Content-Encoding"] == coding
            assert "Accept-Encoding" in response.headers["Vary"]
            assert len(json.loads(UNDO[coding](await response.read()))["paths"]) > 10
        async with session.get(client.make_url("/mostPopularItems")) as response:
            assert "Content-Encoding" not in response.headers
            assert int(response.headers["Content-Length"]) < WORTH_COMPRESSING_BYTES


async def test_streamed_answers_are_compressed_as_they_come(client):
    async with client.get("/item/allIDs", headers={"Accept-Encoding": "br"}) as response:
        assert response.headers["Content-Encoding"] == "br"
        compressed_ids = await response.json()
    async with client.get("/item/allIDs", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert compressed_ids == await response.json()


@pytest.mark.parametrize("path", ["/openapi.json", "/item/allIDs"])
async def test_fields_of_the_same_name_are_read_as_one(client, path):
    fields = [("Accept-Encoding", "identity;q=0.1"), ("Accept-Encoding", "br")]
    async with client.get(path, headers=fields, skip_auto_headers=["Accept-Encoding"]) as response:
        assert response.headers["Content-Encoding"] == "br"
