"""Which commits cover which offsets."""

from hypothesis import given
from hypothesis import strategies as st

from oryx_py.model.history.commits import HistoryCommit
from oryx_py.model.history.spans import Spans

_LENGTHS = st.lists(st.dictionaries(st.integers(0, 1), st.integers(0, 3)), max_size=8)


@given(_LENGTHS, st.integers(0, 1), st.integers(0, 20), st.integers(1, 20))
def test_a_commit_is_named_if_any_of_its_offsets_is_wanted(
    lengths: list[dict[int, int]], partition: int, start: int, count: int
) -> None:
    at, commits = {0: 5, 1: 0}, []
    for number, of_commit in enumerate(lengths, 1):
        covered = {p: (at[p], at[p] + length) for p, length in of_commit.items()}
        at |= {p: end for p, (_, end) in covered.items()}
        commits.append(HistoryCommit(number=number, files=(), input=covered, rejected=0, time_ms=0))
    wanted = set(range(start, start + count))
    covering = [each.number for each in commits if wanted & set(range(*each.input.get(partition, (0, 0))))]
    assert list(Spans(commits).commits(partition, start, start + count)) == covering
