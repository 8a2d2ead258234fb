"""What the client writes into paths and bodies is what the service reads out of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.client.encoding import ids_of, items_of, lines_of, number_of, segment_of
from oryx_py.errors import BadInteraction, UserError
from oryx_py.events import Interaction, check_id, parse_value
from serving_layer.api.path_segments import id_of, item_and_strength


def is_id(text: str) -> bool:
    try:
        check_id(text, "item")
    except BadInteraction:
        return False
    return True


IDS = st.one_of(
    st.sampled_from(["a/b", 'ü,"x"', "%2F", " ", "x=2.5", "=1", "=", "日本", "?#&", ".", "..", "+", "%", "a=b=3"]),
    st.text(min_size=1, max_size=20).filter(is_id),
    st.just("l" + "ö" * 511 + "g"),
)
STRENGTHS = st.floats(allow_nan=False, allow_infinity=False)


@given(IDS)
def test_an_id_arrives_as_it_is_in_one_segment(name: str) -> None:
    segment = segment_of(name, "item")
    assert "/" not in segment
    assert segment not in {".", ".."}
    assert id_of(segment, "item") == name


@given(st.dictionaries(IDS, STRENGTHS, max_size=5))
def test_items_arrive_with_their_strengths(items: dict[str, float]) -> None:
    assert dict(map(item_and_strength, items_of(items))) == items


@given(IDS)
def test_an_item_without_a_strength_has_one_whatever_its_id_ends_in(name: str) -> None:
    for given_ in (name, [name]):
        assert [item_and_strength(segment) for segment in items_of(given_)] == [(name, 1.0)]


def test_items_may_have_a_strength_or_none_side_by_side() -> None:
    assert items_of(["x=2.5", ("y", -1), ("z=", 0.5)]) == ["x%3D2.5", "y=-1", "z%3D=0.5"]


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "x" * 1025, "\ud800"])
def test_what_is_no_id_is_refused_before_it_is_sent(name: str) -> None:
    with pytest.raises(UserError, match="item"):
        segment_of(name, "item")
    with pytest.raises(UserError, match="item"):
        items_of({name: 1.0})


def test_no_id_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="no user is given"):
        ids_of([], "user")


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf])
def test_a_strength_that_is_not_finite_is_refused(strength: float) -> None:
    with pytest.raises(UserError, match="finite"):
        number_of(strength)


def test_lines_and_objects_become_lines_that_read_as_the_same() -> None:
    mixed = [
        "ann,i1,2",
        b"bob,i2",
        {"user": "a,b", "item": "[i", "strength": None},
        {"user": "c", "item": "d", "timestamp": 5, "event": "view"},
        Interaction("e", "f", -1.5, 7, "buy"),
    ]
    assert [parse_value(line) for line in lines_of(mixed)] == [
        Interaction("ann", "i1", 2.0),
        Interaction("bob", "i2", 1.0),
        Interaction("a,b", "[i", None),
        Interaction("c", "d", 1.0, 5, "view"),
        Interaction("e", "f", -1.5, 7, "buy"),
    ]


@pytest.mark.parametrize("one", ["u,i", b"u,i", {"user": "u", "item": "i"}, Interaction("u", "i", 1.0)])
def test_a_single_interaction_need_not_be_in_a_list(one: object) -> None:
    assert [parse_value(line) for line in lines_of(one)] == [Interaction("u", "i", 1.0)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        ({"user": "u"}, "interaction 2: item is missing"),
        ({"user": "u", "item": "i", "strength": "much"}, "interaction 2: strength must be"),
        ("u,i\nu,j", "interaction 2: a line has no line break"),
        ("\ud800,i", "interaction 2: has half of a surrogate"),
    ],
)
def test_what_is_no_interaction_is_named_with_its_number(one: object, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        list(lines_of(["u,i", one]))  # type: ignore[list-item]
