"""Interactions that tests generate: any that the wire protocol allows."""

from hypothesis import strategies as st

from oryx_py.events import Interaction

_characters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))

ids = st.one_of(
    st.text(_characters, min_size=1, max_size=20),
    st.text(st.sampled_from("\"',/\\[]{}%= \ta1é\u2028".replace("\t", "")), min_size=1, max_size=12),
    st.text(_characters, min_size=1, max_size=1024).filter(lambda text: len(text.encode()) <= 1024),
)
"""IDs that follow the rule, many with what the formats treat specially."""

strengths = st.floats(min_value=-3.4028234663852886e38, max_value=3.4028234663852886e38)
timestamps = st.integers(0, 2**63 - 1)
kinds = st.none() | ids


def _interactions(user: st.SearchStrategy[str], item: st.SearchStrategy[str]) -> st.SearchStrategy[Interaction]:
    return st.builds(Interaction, user, item, st.none(), st.none() | timestamps, kinds)


interactions = st.one_of(
    st.builds(Interaction, ids, ids, strengths, st.none() | timestamps, kinds),
    _interactions(ids, ids),
    _interactions(ids, st.just("")),
    _interactions(st.just(""), ids),
)
"""Strengths of every size, deletes, and forgets of users and items."""
