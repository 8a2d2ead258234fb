"""Messages survive being written and read, and no message raises anything but BadMessage."""

import json
from contextlib import suppress

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.messages import (
    ItemGone,
    ItemVector,
    ModelRef,
    Progress,
    Update,
    UserGone,
    UserVector,
    decode,
    encode,
    murmur2,
    partition_of,
)
from tests.support.interactions import ids

offsets = st.integers(0, 10**18 - 1)
maybe = st.none() | offsets
partitions = st.integers(0, 1000)
floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
strengths = st.floats(allow_nan=False, allow_infinity=False)
vectors = st.none() | st.lists(floats32, min_size=1, max_size=20).map(lambda numbers: np.array(numbers, np.float32))
id_lists = st.lists(ids, max_size=4).map(tuple)


def _user_vector(
    user: str, vector: NDArray[np.float32] | None, pairs: list[tuple[str, float]], *numbers: int | None
) -> UserVector:
    return UserVector(user, vector, tuple(item for item, _ in pairs), tuple(s for _, s in pairs), *numbers)


updates: st.SearchStrategy[Update] = st.one_of(
    st.builds(_user_vector, ids, vectors, st.lists(st.tuples(ids, strengths), max_size=4), maybe, maybe, maybe),
    st.builds(ItemVector, ids, vectors, id_lists, maybe, maybe),
    st.builds(UserGone, ids, st.none() | id_lists, maybe, maybe),
    st.builds(ItemGone, ids, maybe, maybe),
    st.builds(
        Progress,
        st.dictionaries(partitions, offsets, max_size=4),
        st.dictionaries(partitions, st.booleans(), max_size=4),
        offsets,
    ),
    st.builds(ModelRef, ids, offsets, ids, st.dictionaries(partitions, offsets, max_size=4)),
)

_keys = st.sampled_from([b"UP", b"PROGRESS", b"MODEL-REF", b"MODEL", None]) | st.binary(max_size=8)
_header_names = st.sampled_from(["epoch", "input", "item-input", "at", "strengths", "generation", "from", "else"])
_headers = st.none() | st.lists(st.tuples(_header_names, st.none() | st.binary(max_size=12)), max_size=5)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_ups = st.builds(
    lambda tag, rest: json.dumps([tag, *rest]).encode(),
    st.sampled_from(["X", "Y", "XD", "YD"]),
    st.lists(_json, max_size=4),
)


@settings(deadline=None, max_examples=300)
@given(updates)
def test_a_message_reads_back_as_what_was_written_bit_by_bit(update: Update) -> None:
    message = encode(update)
    assert decode(message.key, message.value, message.headers) == update


@settings(deadline=None)
@given(updates)
def test_values_are_text_that_any_json_parser_reads(update: Update) -> None:
    message = encode(update)
    text = message.value.decode()
    if message.key != b"MODEL-REF":
        json.loads(text, parse_constant=lambda name: name)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_float32_comes_back_through_its_shortest_decimal(seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2**32, 512, dtype=np.uint32).view(np.float32)
    sent = ItemVector("i", bits[np.isfinite(bits)])
    message = encode(sent)
    assert decode(message.key, message.value, message.headers) == sent


@settings(deadline=None, max_examples=500)
@given(_keys, st.none() | st.binary(max_size=40) | _ups | _json.map(lambda value: json.dumps(value).encode()), _headers)
def test_whatever_message_comes_is_read_or_refused(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]] | None
) -> None:
    with suppress(BadMessage):
        update = decode(key, value, headers)
        message = encode(update)
        assert decode(message.key, message.value, message.headers) == update


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_murmur2_is_the_published_one_written_with_unbounded_numbers(data: bytes) -> None:
    """Source: Austin Appleby's MurmurHash2, seed 0x9747b28c, byte by byte."""
    m, wrap = 0x5BD1E995, 2**32
    h = 0x9747B28C ^ len(data)
    body, tail = data[: len(data) // 4 * 4], data[len(data) // 4 * 4 :]
    while body:
        k = sum(byte << 8 * at for at, byte in enumerate(body[:4])) * m % wrap
        k = (k ^ (k >> 24)) * m % wrap
        h = (h * m % wrap) ^ k
        body = body[4:]
    if tail:
        for at in range(len(tail) - 1, -1, -1):
            h ^= tail[at] << 8 * at
        h = h * m % wrap
    h = (h ^ (h >> 13)) * m % wrap
    h ^= h >> 15
    assert murmur2(data) % wrap == h
    assert -(2**31) <= murmur2(data) < 2**31


@settings(deadline=None)
@given(ids, st.integers(1, 64))
def test_every_id_has_one_of_the_partitions(text: str, count: int) -> None:
    assert 0 <= partition_of(text, count) < count
