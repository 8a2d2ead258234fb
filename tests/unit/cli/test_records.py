"""What `oryx tail` prints of records: readable, in one line, and harmless to the terminal."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.cli.choices import Topic
from oryx_py.cli.records import raw, readable
from oryx_py.cli.visible import shortened, visible
from oryx_py.messages import ItemGone, ItemVector, ModelRef, Progress, Update, UserGone, UserVector, encode
from oryx_py.ports import Record

AT_MS = 1_700_000_000_123  # 22:13:20.123 UTC


def record(
    value: bytes | None,
    key: bytes | None = None,
    headers: tuple[tuple[str, bytes], ...] = (),
    timestamp_ms: int = AT_MS,
) -> Record:
    return Record("T", 2, 41, timestamp_ms, key, value, headers)


def said(topic: Topic, given_: Record) -> str:
    return readable(topic, given_).removeprefix("2:41         22:13:20.123 ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"ann,i1,2.5", "ann → i1  2.5"),
        (b"ann,i1,1,1700000000000,view", "ann → i1  1  view  at 2023-11-14 22:13:20"),
        (b'["ann","i1",3]', "ann → i1  3"),
        (b"ann,i1,", "ann × i1  deleted"),
        (b"ann,,", "forget user ann"),
    ],
)
def test_an_interaction_says_what_it_does(value: bytes, text: str) -> None:
    assert said("input", record(value, b"ann")) == text


def test_a_key_is_shown_where_it_is_not_the_user() -> None:
    assert said("input", record(b"ann,i1", b"bob")) == "ann → i1  1  key=bob"
    assert said("input", record(b"ann,i1")) == "ann → i1  1  no key"


def test_headers_are_shown() -> None:
    assert said("input", record(b"ann,i1", b"ann", (("id", b"k:1"), ("x", b"\xff")))) == "ann → i1  1  id=k:1  x=\\xff"


def test_what_cannot_be_read_is_shown_with_the_reason() -> None:
    text = said("input", record(b"\x1b[2Jnonsense", b"k"))
    assert text.startswith("unreadable (")
    assert text.endswith("): \\x1b[2Jnonsense  key=k")
    assert said("update", record(b"{", b"UP")).startswith("unreadable (UP: ")
    assert said("update", record(None, b"UP")).startswith("unreadable (the message has no value): no value")


VECTOR = np.arange(32, dtype=np.float32) / 8


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (
            UserVector("ann", VECTOR, ("i1", "i2"), (1.0, 2.5), 3, 41),
            "UP X   user ann  [0 0.125 0.25 0.375 … 32]  i1=1 i2=2.5  epoch=3  input=41",
        ),
        (UserVector("ann", None, (), (), 3, 41), "UP X   user ann  no vector  epoch=3  input=41"),
        (ItemVector("i1", VECTOR[:2], (), 3, 7), "UP Y   item i1  [0 0.125]  epoch=3  item-input=7"),
        (UserGone("ann", ("i1",), 3, 41), "UP XD  user ann  no longer knows i1  epoch=3  input=41"),
        (UserGone("ann", None, 3, 41), "UP XD  user ann  forgotten  epoch=3  input=41"),
        (ItemGone("i1", 3), "UP YD  item i1  forgotten  epoch=3"),
        (Progress({1: 5, 0: 41}, {0: True, 1: True}, 3), "PROGRESS  0:41 1:5  live  epoch=3"),
        (Progress({0: 41, 1: 5}, {0: True, 1: False}, 3), "PROGRESS  0:41 1:5  not live in 1  epoch=3"),
        (ModelRef("file:///g", 3, "g1", {0: 9}), "MODEL-REF  g1  file:///g  from 0:9  epoch=3"),
    ],
)
def test_an_update_is_read_and_its_vector_shortened(update: Update, text: str) -> None:
    message = encode(update)
    assert said("update", record(message.value, message.key, message.headers)) == text


def test_of_many_items_a_few_are_shown_and_all_are_counted() -> None:
    items = tuple(f"i{n}" for n in range(20))
    message = encode(UserVector("ann", None, items, (1.0,) * 20, 1, 1))
    assert "i0=1 i1=1 i2=1 i3=1 i4=1 … 20 items" in said("update", record(message.value, message.key, message.headers))


def test_a_dead_letter_names_its_place_its_reason_and_its_value() -> None:
    letter = record(b"only\n", b"3:99", (("reason", b"a single field"), ("size", b"5")))
    assert said("dead-letter", letter) == "input 3:99  a single field: only\\n  size=5"


def test_an_items_state_is_read_or_shown_as_it_is() -> None:
    state = b'{"epoch":1,"w":2,"t":3,"x":[0.5,1],"input":9}'
    assert said("items", record(state, b'["i1","ann"]')) == "i1 ← ann  w=2 t=3 x=[0.5 1]  epoch=1  input=9"
    gone = b'{"epoch":1,"w":null,"t":null,"x":null,"input":9}'
    assert said("items", record(gone, b'["i1","ann"]')) == "i1 ← ann  gone  epoch=1  input=9"
    assert said("items", record(b"[]", b"x")) == "[]  key=x"


def test_a_record_without_a_time_has_none() -> None:
    assert readable("input", record(b"a,b", b"a", timestamp_ms=-1)) == "2:41         -            a → b  1"


def test_raw_is_what_kafkas_console_consumer_prints() -> None:
    assert raw(record(b"v\xff", b"k", (("a", b"1"), ("b", b"2")))) == b"k\ta:1,b:2\tv\xff"
    assert raw(record(None)) == b"null\tNO_HEADERS\tnull"


@given(
    topic=st.sampled_from(get_args(Topic)),
    value=st.none() | st.binary(max_size=60),
    key=st.none() | st.sampled_from([b"UP", b"PROGRESS", b"MODEL-REF", b"MODEL"]) | st.binary(max_size=10),
    headers=st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=10)), max_size=3).map(tuple),
)
def test_whatever_a_record_holds_it_is_one_printable_line(
    topic: Topic, value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> None:
    assert readable(topic, record(value, key, headers)).isprintable()


@given(st.text() | st.binary())
def test_visible_text_moves_no_cursor(data: str | bytes) -> None:
    assert visible(data).isprintable()
    assert visible(data, 5).isprintable()


def test_visible_text_is_cut_with_its_length() -> None:
    assert visible("abcdef", 3) == "abc… (6 characters)"
    assert visible(b"abc", 3) == "abc"


def test_vectors_are_shortened() -> None:
    assert shortened([]) == "[]"
    assert shortened([0.123456, 1e-9]) == "[0.123 1e-09]"
