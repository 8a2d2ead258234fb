"""Which of the finished generations that the registry does not know is promoted."""

from collections.abc import Mapping

from batch_layer.recovery import Verdict, judge

COVERED = {"a": {0: 5, 1: 5}, "b": {0: 7, 1: 5}, "c": {0: 9, 1: 9}}


def decide(names: list[str], live: Mapping[int, int], faults: Mapping[str, str] | None = None) -> Verdict:
    return judge(names, COVERED.__getitem__, live, (faults or {}).get)


def test_the_newest_is_promoted() -> None:
    assert decide(["a", "b", "c"], {}) == Verdict("c", {"a": "c is newer", "b": "c is newer"})


def test_a_damaged_one_gives_way_to_the_one_before() -> None:
    assert decide(["a", "b"], {}, {"b": "torn"}) == Verdict("a", {"b": "torn"})


def test_none_goes_back_behind_what_is_live() -> None:
    reason = "it covers less than the generation that is live"
    assert decide(["a", "b"], {0: 7, 1: 5}) == Verdict("b", {"a": "b is newer"})
    assert decide(["a", "b"], {0: 7, 1: 6}) == Verdict(None, {"a": reason, "b": reason})
    assert decide(["a"], {2: 1}) == Verdict(None, {"a": reason})
