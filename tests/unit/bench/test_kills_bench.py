"""What the benchmark of kills would notice."""

from oryx_py.events import Interaction, encode_csv, parse_value
from tests.support.kills import tallied, unlike_any_other


def test_each_interaction_can_be_told_from_every_other_after_a_way_through_the_topic() -> None:
    strengths = [unlike_any_other(number) for number in range(20_000)]
    assert len(set(strengths)) == 20_000
    assert all(strength % 1 for strength in strengths), "whole ones are the history's"
    for strength in strengths[::997]:
        assert parse_value(encode_csv(Interaction("u", "i", strength))).strength == strength
        assert parse_value(f"u,i,{strength}".encode()).strength == strength


def test_what_is_missing_and_what_is_there_twice_is_counted() -> None:
    first, second, third, fourth = map(unlike_any_other, range(4))
    acknowledged = {first, second, third}
    assert tallied(acknowledged, [first, 2.0, 2.0, second, None, third, fourth]) == (4, 0, 0)
    assert tallied(acknowledged, [first, second, second]) == (2, 1, 1)
    assert tallied(acknowledged, []) == (0, 3, 0)
