"""What a client wrote is before every read that it concerns, however little is remembered singly."""

from hypothesis import given
from hypothesis import strategies as st

from oryx_py.client.own_writes import OwnWrites
from oryx_py.client.values import Written

OFFSETS = st.dictionaries(st.integers(0, 2), st.integers(0, 9), max_size=2)
USERS = st.sampled_from("abcd")


@given(st.lists(st.tuples(st.one_of(st.none(), USERS), OFFSETS), max_size=12), st.integers(1, 4))
def test_every_read_waits_for_its_users_writes_and_for_nobodys(
    writes: list[tuple[str | None, dict[int, int]]], room: int
) -> None:
    own = OwnWrites(room)
    for user, offsets in writes:
        own.add(Written(offsets), user)
    for user in "abcd":
        concerned = Written.together(Written(offsets) for by, offsets in writes if by in {user, None})
        assert (own.before([user]) | concerned) == own.before([user])
        everything = Written.together(Written(offsets) for _, offsets in writes)
        assert own.before(None) == everything
        if len({by for by, offsets in writes if by and offsets}) <= room:
            assert own.before([user]) == concerned


def test_the_places_of_users_are_bounded() -> None:
    own = OwnWrites(10)
    for number in range(1000):
        own.add(Written({number % 3: number}), f"u{number}")
    assert len(own._by_user) == 10
    assert own.before(["u0"]).offsets[0] >= 0


@given(OFFSETS)
def test_a_place_reads_back_from_its_text(offsets: dict[int, int]) -> None:
    assert Written.parse(str(Written(offsets))) == Written(offsets)
    assert bool(Written(offsets)) == bool(offsets)


def test_of_several_offsets_of_a_partition_the_highest_counts() -> None:
    assert Written.parse("1:5, 1:7,0:2") == Written({0: 2, 1: 7})
