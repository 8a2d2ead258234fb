"""Laws of the fence: whoever was replaced is not heard, in no update partition, and nobody else is dropped."""

from hypothesis import given
from hypothesis import strategies as st

from oryx_py.messages import Progress, UserVector, partition_of
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.terms import Terms

PARTITIONS, UPDATE_PARTITIONS = 3, 2
EPOCH = 1

users = st.sampled_from([f"u{n}" for n in range(8)])
claims = st.tuples(st.integers(0, 5), st.frozensets(st.integers(0, PARTITIONS - 1)), st.integers(0, 1))
progress = st.builds(
    lambda input, live, term: Progress(input, live, EPOCH, term),  # noqa: A006
    st.dictionaries(st.integers(0, PARTITIONS - 1), st.integers(1, 20)),
    st.dictionaries(st.integers(0, PARTITIONS - 1), st.booleans()),
    st.none() | st.integers(0, 5),
)


@given(st.lists(claims, max_size=8), users, st.none() | st.integers(0, 6), st.integers(0, 1))
def test_an_update_is_dropped_exactly_if_somebody_with_a_higher_term_has_spoken_before(
    told: list[tuple[int, frozenset[int], int]], user: str, term: int | None, at: int
) -> None:
    terms = Terms(UPDATE_PARTITIONS, PARTITIONS)
    for claimed, partitions, update_partition in told:
        terms.note(claimed, partitions, update_partition)
    home = partition_of(user, PARTITIONS)
    higher = [
        c for c, partitions, where in told if where == at and home in partitions and term is not None and c > term
    ]
    assert terms.is_former(user, term, at) == bool(higher)


@given(st.lists(st.tuples(progress, st.integers(0, UPDATE_PARTITIONS - 1)), max_size=12))
def test_what_counts_as_announced_is_what_every_update_partition_has_of_its_owners(
    told: list[tuple[Progress, int]],
) -> None:
    announcements = Announcements(UPDATE_PARTITIONS)
    for at_ms, (said, where) in enumerate(told):
        announcements.add(said, at_ms, where)
    inputs: list[dict[int, int]] = [{} for _ in range(UPDATE_PARTITIONS)]
    live: list[set[int]] = [set() for _ in range(UPDATE_PARTITIONS)]
    for number, (said, where) in enumerate(told):
        before = [s for s, w in told[:number] if w == where]
        for p in said.partitions:
            named = [s.term for s in before if p in s.partitions and s.term is not None]
            if said.term is not None and named and max(named) > said.term:
                continue
            if p in said.input:
                inputs[where][p] = max(said.input[p], inputs[where].get(p, 0))
            if said.live.get(p):
                live[where].add(p)
    found = announcements.of(EPOCH)
    assert found.input == {p: min(i[p] for i in inputs) for p in range(PARTITIONS) if all(p in i for i in inputs)}
    assert found.live == set.intersection(*live)
    assert (found.live_since_ms is not None) == bool(found.live)


def test_a_message_without_a_term_is_heard() -> None:
    terms = Terms(1, 1)
    terms.note(7, [0], 0)
    assert not terms.is_former(UserVector("u", None).user, None, 0)
