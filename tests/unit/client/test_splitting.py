"""Streamed answers read the same however their bytes are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.client.splitting import Array, Names
from oryx_py.client.values import Answered, Scored
from oryx_py.events.csv_line import join_fields

TEXTS = st.one_of(st.sampled_from(['"', "\\", "{", "]", '\\"', "],[", "ü", "\\u0022"]), st.text(min_size=1, max_size=6))
IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
ITEMS = st.lists(st.builds(Scored, TEXTS.filter(lambda t: t.isprintable()), st.floats(-9, 9)), max_size=3)
ANSWERS = st.lists(
    st.one_of(
        st.builds(Answered, TEXTS, ITEMS),
        st.builds(Answered, TEXTS, st.just([]), st.just(404), TEXTS),
    ),
    max_size=6,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def as_json(answers: list[Answered], indent: int | None, ascii_: bool) -> bytes:
    rows = [
        {"user": a.user, "items": [{"id": i.id, "value": i.value} for i in a.items]}
        if a.status == 200
        else {"user": a.user, "status": a.status, "detail": a.detail}
        for a in answers
    ]
    return json.dumps(rows, indent=indent, ensure_ascii=ascii_).encode()


@given(ANSWERS, st.lists(st.integers(0, 10_000), max_size=30), st.sampled_from([None, 1]), st.booleans())
def test_a_batch_reads_the_same_however_it_is_cut(
    answers: list[Answered], places: list[int], indent: int | None, ascii_: bool
) -> None:
    reader = Array(Answered)
    found = [one for part in cut(as_json(answers, indent, ascii_), places) for one in reader.feed(part)]
    reader.end()
    assert found == answers


def test_an_element_is_there_with_its_last_byte() -> None:
    reader = Array(Answered)
    data = as_json([Answered("a"), Answered("b")], None, True)
    seen = [len(reader.feed(bytes([byte]))) for byte in data]
    assert [at for at, count in enumerate(seen) if count] == [data.index(b"},") + 0, len(data) - 2]


@pytest.mark.parametrize("data", [b"", b"[", b'[{"user":"a"}', b'[{"user":"a"},{"use', b'[{"user":"a"}]x', b'"['])
def test_an_array_that_is_not_whole_is_no_success(data: bytes) -> None:
    reader = Array(Answered)
    reader.feed(data)
    with pytest.raises(ValueError, match="middle"):
        reader.end()


@pytest.mark.parametrize("data", [b'[{"user":1}]', b'[{"user":"a"} {"user":"b"}]', b'[{"user":"\\x"}]', b"[{}]"])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\$|JSON|invalid|missing"):
        Array(Answered).feed(data)


@given(st.lists(IDS, max_size=6), st.lists(st.integers(0, 10_000), max_size=20))
def test_ids_read_the_same_however_they_are_cut(names: list[str], places: list[int]) -> None:
    data = "".join(join_fields([name]) + "\n" for name in names).encode()
    reader = Names()
    assert [name for part in cut(data, places) for name in reader.feed(part)] == names
    reader.end()


def test_ids_that_break_off_are_no_success() -> None:
    reader = Names()
    assert reader.feed(b"a\nb") == ["a"]
    with pytest.raises(ValueError, match="middle"):
        reader.end()
    with pytest.raises(ValueError, match="stray quote"):
        Names().feed(b'"a"b\n')
