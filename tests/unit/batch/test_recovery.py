"""Which of the finished generations that the registry does not know is promoted."""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from batch_layer.publishing.recovery import Verdict, judge, outdated
from oryx_py.model.generations.manifest import Manifest
from oryx_py.testing.generations import write_small_generation

LESS = "it covers less than the generation that is live"
OLDER = "it is older than the generation that is live"


def decide(names: list[str], late: Mapping[str, str] | None = None, faults: Mapping[str, str] | None = None) -> Verdict:
    return judge(names, (faults or {}).get, (late or {}).get)


def test_the_newest_is_promoted() -> None:
    assert decide(["a", "b", "c"]) == Verdict("c", {"a": "c is newer", "b": "c is newer"})


def test_a_damaged_one_gives_way_to_the_one_before() -> None:
    assert decide(["a", "b"], faults={"b": "torn"}) == Verdict("a", {"b": "torn"})


def test_none_goes_back_behind_what_is_live() -> None:
    assert decide(["a", "b"], {"a": "late"}) == Verdict("b", {"a": "b is newer"})
    assert decide(["a", "b"], {"a": "late", "b": "late"}) == Verdict(None, {"a": "late", "b": "late"})


def test_what_may_follow_covers_as_much_and_is_of_no_older_history(tmp_path: Path) -> None:
    any_ = write_small_generation(tmp_path, "20260101T000000000-00000000")

    def made(name: str, history: int, *ends: int) -> Manifest:
        return replace(any_, generation=name, history=history, input={p: (0, end) for p, end in enumerate(ends)})

    live = made("b", 7, 5, 5)
    assert outdated(made("a", 1), None) is None
    assert outdated(made("a", 8, 5, 5), live) is None  # a clock that went back
    assert outdated(made("c", 7, 5, 5), live) is None  # other settings, or forced
    assert outdated(made("c", 8, 5, 4), live) == LESS
    assert outdated(made("c", 8, 9), live) == LESS
    assert outdated(made("c", 6, 5, 5), live) == OLDER  # something was imported since
    assert outdated(made("a", 7, 5, 5), live) == OLDER  # its writer slept
