"""The update topic's messages, as other programs write and read them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.messages import (
    ItemGone,
    ItemVector,
    Message,
    ModelRef,
    Progress,
    Update,
    UserGone,
    UserVector,
    decode,
    encode,
)


def vector(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


PAIRS = [
    (
        UserVector("u", vector(0.1, -2, 1e-7), ("a", "b"), (2.5, -1.0), epoch=3, input=17),
        Message(
            b"UP",
            b'["X","u",[0.1,-2.0,1e-7],["a","b"]]',
            (("epoch", b"3"), ("input", b"17"), ("strengths", b"[2.5,-1.0]")),
        ),
    ),
    (
        UserVector("u", None, ("a",), (1.0,), epoch=3, input=17),
        Message(b"UP", b'["X","u",[],["a"]]', (("epoch", b"3"), ("input", b"17"))),
    ),
    (UserVector("u", vector(0.5)), Message(b"UP", b'["X","u",[0.5]]', ())),
    (
        UserVector("u", None, epoch=3, input=17, at_ms=1_785_500_000_123),
        Message(b"UP", b'["X","u",[]]', (("epoch", b"3"), ("input", b"17"), ("at", b"1785500000123"))),
    ),
    (
        ItemVector("i", vector(0.5), epoch=3, item_input=4),
        Message(b"UP", b'["Y","i",[0.5]]', (("epoch", b"3"), ("item-input", b"4"))),
    ),
    (ItemVector("i", vector(0.5), ("u",)), Message(b"UP", b'["Y","i",[0.5],["u"]]', ())),
    (
        UserGone("u", ("a", "b"), epoch=3, input=17),
        Message(b"UP", b'["XD","u",["a","b"]]', (("epoch", b"3"), ("input", b"17"))),
    ),
    (UserGone("u", (), epoch=3), Message(b"UP", b'["XD","u",[]]', (("epoch", b"3"),))),
    (UserGone("u", epoch=3), Message(b"UP", b'["XD","u"]', (("epoch", b"3"),))),
    (ItemGone("i", epoch=3, item_input=4), Message(b"UP", b'["YD","i"]', (("epoch", b"3"), ("item-input", b"4")))),
    (
        Progress({0: 12, 3: 0}, {0: True, 3: False}, epoch=3),
        Message(b"PROGRESS", b'{"input":{"0":12,"3":0},"live":{"0":true,"3":false}}', (("epoch", b"3"),)),
    ),
    (
        ModelRef("file:///srv/20260101T000000Z-1", 3, "20260101T000000Z-1", {0: 5}),
        Message(
            b"MODEL-REF",
            b"file:///srv/20260101T000000Z-1",
            (("epoch", b"3"), ("generation", b"20260101T000000Z-1"), ("from", b'{"0":5}')),
        ),
    ),
]


@pytest.mark.parametrize(("update", "message"), PAIRS)
def test_an_update_is_written_as_the_wire_protocol_has_it(update: Update, message: Message) -> None:
    assert encode(update) == message


@pytest.mark.parametrize(("update", "message"), PAIRS)
def test_a_message_reads_back_as_the_update_it_was(update: Update, message: Message) -> None:
    assert decode(message.key, message.value, message.headers) == update


def test_vectors_travel_in_the_shortest_form_of_float32() -> None:
    assert (
        encode(ItemVector("i", vector(0.1, 16777216, 3.4028235e38))).value
        == b'["Y","i",[0.1,16777216.0,3.4028235e+38]]'
    )


def test_a_vector_that_was_read_cannot_be_written_to() -> None:
    update = decode(b"UP", b'["X","u",[1,2]]', None)
    assert isinstance(update, UserVector)
    assert update.vector is not None
    assert update.vector.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        update.vector[0] = 0


def test_strengths_that_are_missing_are_1() -> None:
    value = b'["X","u",[1],["a","b","c"]]'
    for headers, strengths in [
        ([], (1, 1, 1)),
        ([("strengths", b"[3]")], (3, 1, 1)),
        ([("strengths", b"[]")], (1, 1, 1)),
    ]:
        assert decode(b"UP", value, headers) == UserVector("u", vector(1), ("a", "b", "c"), strengths)


def test_what_a_later_version_adds_is_ignored() -> None:
    headers = [("epoch", b"1"), ("traceparent", b"00-\xff"), ("else", None)]
    assert decode(b"UP", b'["X","u",[1],["a"],{"more":[]}]', headers) == UserVector("u", vector(1), ("a",), (1,), 1)
    assert decode(b"PROGRESS", b'{"input":{},"more":1}', headers) == Progress({}, {}, 1)


def test_of_a_header_that_is_repeated_the_last_counts() -> None:
    assert decode(b"UP", b'["YD","i"]', [("epoch", b"1"), ("epoch", b"2")]) == ItemGone("i", epoch=2)


EPOCH = ("epoch", b"1")


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, b'["YD","i"]', []),
        (b"", b'["YD","i"]', []),
        (b"DOWN", b"[]", []),
        (b"MODEL", b"<PMML/>", []),
        (b"UP", None, []),
        (b"UP", b"", []),
        (b"UP", b"[]", []),
        (b"UP", b"{}", []),
        (b"UP", b'["Z","u",[1]]', []),
        (b"UP", b'["' + b"Z" * 10_000 + b'"]', []),
        (b"Z" * 10_000, b"[]", []),
        (b"UP", b'["X","u"]', []),
        (b"UP", b'["X","u",null]', []),
        (b"UP", b'["X","u",[1,null]]', []),
        (b"UP", b'["X","u",["1"]]', []),
        (b"UP", b'["X","u",[true]]', []),
        (b"UP", b'["X","u",[[1],[2]]]', []),
        (b"UP", b'["X","u",[NaN]]', []),
        (b"UP", b'["X","u",[1e39]]', []),
        (b"UP", b'["X","u",[-1e39]]', []),
        (b"UP", b'["X","u",[1e999]]', []),
        (b"UP", b'["X","",[1]]', []),
        (b"UP", b'["X",7,[1]]', []),
        (b"UP", b'["X","u\\u0000",[1]]', []),
        (b"UP", b'["X","\\ud800",[1]]', []),
        (b"UP", b'["X","\xff",[1]]', []),
        (b"UP", b'["X","u",[1],[""]]', []),
        (b"UP", b'["X","u",[1],[1]]', []),
        (b"UP", b'["X","u",[1]] ["X","u",[1]]', []),
        (b"UP", b'["XD","u",null]', []),
        (b"UP", b'["X","u",[1],["a"],' + b"[" * 100_000, []),
        (b"UP", b'["X","u",[1],["a"]]', [("strengths", b"[1,2]")]),
        (b"UP", b'["X","u",[1],["a"]]', [("strengths", b"[1e999]")]),
        (b"UP", b'["X","u",[1],["a"]]', [("strengths", b"2")]),
        (b"UP", b'["YD","i"]', [("epoch", b"-1")]),
        (b"UP", b'["YD","i"]', [("epoch", b"1.0")]),
        (b"UP", b'["YD","i"]', [("epoch", b"")]),
        (b"UP", b'["YD","i"]', [("epoch", b"9" * 19)]),
        (b"UP", b'["YD","i"]', [("item-input", b"x")]),
        (b"PROGRESS", b'{"input":{"0":1}}', []),
        (b"PROGRESS", b'{"live":{}}', [EPOCH]),
        (b"PROGRESS", b'{"input":{"x":1}}', [EPOCH]),
        (b"PROGRESS", b'{"input":{"0":-1}}', [EPOCH]),
        (b"PROGRESS", b'{"input":{"-1":1}}', [EPOCH]),
        (b"PROGRESS", b'{"input":{"0":9223372036854775808}}', [EPOCH]),
        (b"PROGRESS", b'{"input":{"0":1},"live":{"0":1}}', [EPOCH]),
        (b"MODEL-REF", b"file:///g", [EPOCH, ("generation", b"g")]),
        (b"MODEL-REF", b"file:///g", [EPOCH, ("from", b"{}")]),
        (b"MODEL-REF", b"file:///g", [("generation", b"g"), ("from", b"{}")]),
        (b"MODEL-REF", b"", [EPOCH, ("generation", b"g"), ("from", b"{}")]),
        (b"MODEL-REF", b"\xff", [EPOCH, ("generation", b"g"), ("from", b"{}")]),
    ],
)
def test_what_does_not_follow_the_protocol_is_refused_in_one_short_line(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    with pytest.raises(BadMessage) as error:
        decode(key, value, headers)
    assert 0 < len(error.value.reason) < 300
    assert "\n" not in error.value.reason


@pytest.mark.parametrize(
    "update",
    [
        UserVector("u", vector(1, np.nan)),
        UserVector("u", vector(np.inf)),
        UserVector("u", np.ones((2, 2), np.float32)),
        UserVector("u", np.empty(0, np.float32)),
        UserVector("u", np.ones(2)),  # type: ignore[arg-type]  # float64
        UserVector("u", None, ("a",), (float("nan"),)),
        UserVector("u", None, ("a",), ()),
        UserVector("", None),
        ItemVector("i\n", None),
        UserGone("u", ("",)),
        ItemGone("\ud800"),
    ],
)
def test_what_no_reader_would_take_is_not_written(update: Update) -> None:
    with pytest.raises(BadMessage):
        encode(update)


def test_a_vector_may_be_a_strided_view() -> None:
    column = np.arange(6, dtype=np.float32).reshape(3, 2)[:, 1]
    assert encode(ItemVector("i", column)).value == b'["Y","i",[1.0,3.0,5.0]]'


def test_updates_are_equal_when_all_their_fields_are() -> None:
    assert UserVector("u", vector(1, 2)) == UserVector("u", vector(1, 2))
    assert UserVector("u", vector(1, 2)) != UserVector("u", vector(1, 3))
    assert UserVector("u", vector(1, 2)) != UserVector("u", None)
    assert UserVector("u", None, epoch=1) != UserVector("u", None, epoch=2)
    assert ItemVector("i", vector(1)) == ItemVector("i", vector(1))
    assert ItemVector("i", None) != UserVector("i", None)
