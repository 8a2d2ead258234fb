"""Without any one of the rules the simulation fails: what holds in 500 seeds is not held by luck."""

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.running import run_seed

MOST_SEEDS = 300
"""Some tens of seconds; where nothing has moved since the list was made, the first ones suffice."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_rule_less_is_noticed(mutation: Mutation) -> None:
    """From where it was found when the list was made, which moves with any change of who calls what."""
    with mutation.patch():
        found = any(run_seed(seed).failure for seed in range(mutation.near, mutation.near + MOST_SEEDS))
    assert found, f"rule {mutation.rule}: {MOST_SEEDS} seeds from {mutation.near} on hold without it"
