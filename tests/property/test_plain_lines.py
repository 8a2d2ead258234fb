"""Laws of lines that are read many at once: they say what each says by itself, and what is odd is left out."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, InteractionColumns, encode_csv, parse_value
from oryx_py.events.plain_lines import read_plain
from tests.support.interactions import interactions

ODD = [
    None,
    b"",
    b",",
    b",,",
    b"a",
    b"u,",
    b",i",
    b"u,i,,",
    b"u,i,1,2,3,4",
    b"u,i,+5",
    b"u,i, 5",
    b"u,i,5 ",
    b"u,i,1_000",
    b"u,i,1e400",
    b"u,i,-1e400",
    b"u,i,1e39",
    b"u,i,1e-400",
    b"u,i,-0",
    b"u,i,nan",
    b"u,i,inf",
    b"u,i,0x10",
    b"u,i,.5",
    b"u,i,5.",
    b"u,i,1\x00",
    b"u,i,1\n",
    b"u,i,1\r\n",
    b"u,i\n,1",
    b"u\x00,i,1",
    b"u\x7f,i,1",
    b"u,i,1,+5",
    b"u,i,1, 5",
    b"u,i,1,1_0",
    b"u,i,1,1.0",
    b"u,i,1,-1",
    b"u,i,1,999999999999999999",
    b"u,i,1,9223372036854775807",
    b"u,i,1,9223372036854775808",
    b"u,i,1,00000000000000000001",
    "u,i,1,٣".encode(),
    "u,i,٣,1".encode(),
    "u,i,1,²".encode(),
    "Zoë,李,2,5,🦉".encode(),
    "\u00a0,i,1".encode(),
    "u\u2028,i,1".encode(),
    "\ufeffu,i,1".encode(),
    "u,\ud800,1".encode(errors="surrogatepass"),
    b"u,\xc3,1",
    b"\xff,i,1",
    b"u,i,1,5,k",
    b"u,i,1,,k",
    b"u,i,,5,k",
    b'u,"i",1',
    b'["u","i",1]',
    b"[u,i,1",
    b" u , i ,1",
    b"u" * 257 + b",i,1",
    b"u" * 1025 + b",i,1",
    "é".encode() * 512 + b",i,1",
    b"u,i,1,5," + b"k" * 1025,
    b"u," + b"i" * 2_000_000 + b",1",
]
ANY = st.one_of(
    st.sampled_from(ODD),
    st.binary(max_size=12),
    st.builds(encode_csv, interactions),
    st.sampled_from([b"u,i", b"v,i,2", b"u,j,2,5", b"v,j,2,5,k"]),
)


def alone(value: bytes | None) -> Interaction | None:
    """Read a value by itself; None for what cannot be."""
    with suppress(BadInteraction):
        return parse_value(value)
    return None


def read(values: list[bytes | None]) -> dict[int, Interaction]:
    found: dict[int, Interaction] = {}
    for numbers, columns in read_plain(values):
        assert numbers == sorted(numbers)
        assert not found.keys() & set(numbers)
        found |= zip(numbers, map(columns.interaction, range(len(columns))), strict=True)
    return found


@given(st.lists(ANY, max_size=40))
@example(ODD)
@example([b"u,i,1"] * 20 + [b"u,i,x"] + [b"u,i,1"] * 20)
def test_lines_read_together_say_what_each_says_alone(values: list[bytes | None]) -> None:
    for number, interaction in read(values).items():
        assert interaction == alone(values[number])


@pytest.mark.parametrize("odd", range(len(ODD)))
def test_an_odd_line_keeps_few_others_from_being_read(odd: int) -> None:
    """Those beside it, at most, and none where it has other fields."""
    plain = [b"u,i,1", b"v,i,2,5"] * 100
    found = read([*plain[:77], ODD[odd], *plain[77:]])
    assert len(found) >= len(plain) - 8


def test_plain_lines_are_all_read() -> None:
    """Which is what they are for; the same as by one."""
    plain = [b"u,i", b"u,i,", b"v,i,2.5", b"v,j,-1e3,5", b"u,i,,5", b"u,i,1,,k", "Zoë,李 x,+2,7,🦉".encode()]
    assert read(plain) == dict(enumerate(map(parse_value, plain)))


@given(st.lists(interactions, max_size=5), st.lists(interactions, max_size=5), st.data())
def test_columns_are_the_interactions(some: list[Interaction], more: list[Interaction], data: st.DataObject) -> None:
    columns = InteractionColumns.together([InteractionColumns.of(some), InteractionColumns.of(more)])
    told = [*some, *more]
    assert [columns.interaction(place) for place in range(len(columns))] == told
    places = data.draw(st.lists(st.sampled_from(range(len(told))))) if told else []
    chosen = columns.at(places)
    assert [chosen.interaction(place) for place in range(len(chosen))] == [told[place] for place in places]
    assert chosen.timestamps_ms().tolist() == [
        -1 if told[place].timestamp_ms is None else told[place].timestamp_ms for place in places
    ]
