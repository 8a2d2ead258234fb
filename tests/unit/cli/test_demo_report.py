"""The demo's tables and words, into a pipe."""

import io

import pytest

from oryx_py.cli.demo.newcomer import Step
from oryx_py.cli.demo.replay import Outcome
from oryx_py.cli.demo.report import Measured, percentile, show_replay, show_step, show_summary
from oryx_py.cli.demo.story import Story
from oryx_py.cli.screen import Screen


@pytest.fixture
def screen() -> Screen:
    return Screen(io.StringIO(), io.StringIO())


def printed(screen: Screen) -> list[list[str]]:
    """The words of each line."""
    output = screen.out.file
    assert isinstance(output, io.StringIO)
    return [line.split() for line in output.getvalue().splitlines()]


def test_known_and_new_users_are_told_apart_with_their_cases(screen: Screen) -> None:
    show_replay(
        screen,
        [
            Outcome(True, (1.0, 0.0, 0.0), (0.5, 0.0, 0.0), 1.0, True),
            Outcome(True, (1.0, 1.0, 0.0), (1.0, 1.0, 0.0), 1.0, True),
            Outcome(False, (0.0, 0.0, 1.0), (0.0, 0.0, 0.25), 1.0, False),
        ],
    )
    lines = [" ".join(words) for words in printed(screen)]
    assert lines[1:4] == [
        "known users 2 speed layer on 1.0000 0.7500",
        "speed layer off 0.5000 0.5000",
        "popularity alone 0.0000 0.0000",
    ]
    assert lines[4] == "new users 1 speed layer on 0.0000 0.0000"
    assert lines[7] == "all 3 speed layer on 0.6667 0.5000"
    assert lines[9] == "popularity alone 0.3333 0.0833"


def test_where_there_is_no_case_there_is_no_figure(screen: Screen) -> None:
    show_replay(screen, [])
    assert printed(screen)[1] == ["known", "users", "0", "speed", "layer", "on", "-", "-"]


def test_what_is_new_in_the_newcomers_list_is_marked(screen: Screen) -> None:
    story = Story("s", [], {"a": "Amélie (2001)"})
    show_step(screen, story, Step("a", ["b", "c"], 1.25, 7.5), ["c"])
    assert [" ".join(words) for words in printed(screen)] == [
        "+ likes Amélie (2001): stored after 1.2 ms, another list after 7.5 ms",
        "1 b * new",
        "2 c",
    ]


def test_the_summary_says_what_was_measured(screen: Screen) -> None:
    outcomes = [Outcome(True, (1.0, 0.0, 0.0), (0.5, 0.0, 0.0), float(n), n > 0) for n in range(101)]
    steps = [Step(None, []), Step("a", [], 1.0, 7.5), Step("b", [], 1.0, 6.5)]
    show_summary(screen, Measured(1.0, 80_000, 4.0, 30.0, 2.0, steps, outcomes, 120, 9.0, 61.0))
    text = "\n".join(" ".join(words) for words in printed(screen))
    assert "80,000 in 4.0 s, 20,000 a second" in text
    assert "7.5 ms · 6.5 ms" in text
    assert "p50 50.0 ms, p99 99.0 ms" in text
    assert "120 interactions, 101 tests in 9.0 s" in text
    assert "speed layer on 1.0000, off 0.0000, popularity 0.0000" in text


def test_an_empty_run_has_a_summary_too(screen: Screen) -> None:
    show_summary(screen, Measured())
    assert printed(screen)[-1] == ["all", "of", "it", "0", "s"]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([5.0, 1.0, 3.0, 2.0], 50) == 2.0
    assert percentile([5.0, 1.0, 3.0, 2.0], 99) == 5.0


def test_progress_into_a_pipe_is_a_few_lines(screen: Screen) -> None:
    with screen.progress("ingesting", 1000, "lines") as bar:
        for done in range(1001):
            bar.update(done)
    errors = screen.err.file
    assert isinstance(errors, io.StringIO)
    assert errors.getvalue() == "ingesting: 1,000 of 1,000 lines\n"
