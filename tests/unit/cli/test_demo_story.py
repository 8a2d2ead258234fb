"""What the demo plays: in the order of time, with titles, and with people who come late."""

from pathlib import Path

import pytest

from oryx_py.cli.demo.story import invented, read
from oryx_py.errors import UserError


def test_the_invented_world_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    once, again, other = invented(3), invented(3), invented(4)
    assert once == again
    assert once.interactions != other.interactions


def test_in_the_invented_world_some_people_are_new_after_the_training() -> None:
    trained, later = invented(1).split()
    users = {interaction.user for interaction in trained}
    new = sum(interaction.user not in users for interaction in later[:2000])
    assert 400 < new < 1600


def test_the_split_is_by_time_at_four_fifths() -> None:
    trained, later = invented(1).split()
    assert 4 * len(later) - 4 <= len(trained) <= 4 * len(later)
    assert max(i.timestamp_ms or 0 for i in trained) <= min(i.timestamp_ms or 0 for i in later)


def test_movielens_has_its_titles_and_genres_and_is_sorted_by_time(tmp_path: Path) -> None:
    rows = [f"{n % 7}\t{n % 5}\t3\t{900_000_000 - n}" for n in range(200)]
    (tmp_path / "u.data").write_text("\n".join([*rows, "broken"]))
    (tmp_path / "u.genre").write_text("unknown|0\nDrama|1\n\n")
    (tmp_path / "u.item").write_bytes(
        "1|Amélie (2001)|01-Jan-2001||http://x|0|1\n2|Ran (1985)|||http://y|1|1\n".encode("latin-1")
    )
    story = read(tmp_path / "u.data")
    times = [interaction.timestamp_ms or 0 for interaction in story.interactions]
    assert times == sorted(times)
    assert len(times) == 200
    assert story.titles == {"1": "Amélie (2001)", "2": "Ran (1985)"}
    assert story.genres == {"1": ["Drama"], "2": ["unknown", "Drama"]}
    assert (story.title("1"), story.title("9")) == ("Amélie (2001)", "9")


def test_without_timestamps_the_order_is_the_files_and_without_titles_ids_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"u{n},i{n}\n" for n in range(150)))
    story = read(path)
    assert [interaction.user for interaction in story.interactions] == [f"u{n}" for n in range(150)]
    assert story.title("i1") == "i1"


def test_a_title_cannot_move_the_cursor(tmp_path: Path) -> None:
    (tmp_path / "u.item").write_text("1|\x1b[2Jboo|\n")
    path = tmp_path / "a.csv"
    path.write_text("u,1\n" * 100)
    assert read(path).title("1") == "\\x1b[2Jboo"


def test_too_little_to_learn_from_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("u,i\n")
    with pytest.raises(UserError, match="has 1 interactions that can be read: the demo needs 100"):
        read(path)
