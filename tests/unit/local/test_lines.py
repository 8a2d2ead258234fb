"""Where the lines of supervised programs go."""

import io
import threading
from pathlib import Path

from oryx_py.local import lines
from oryx_py.local.lines import LogFiles, PrefixedLines


def test_each_line_stands_behind_the_name_of_its_program() -> None:
    stream = io.StringIO()
    show = PrefixedLines(stream, ["speed", "serve-1"], colours=False)
    show("speed", "one")
    show("serve-1", "two")
    show("stranger", "three")
    assert stream.getvalue() == "speed   | one\nserve-1 | two\nstranger | three\n"


def test_names_have_colours_of_their_own_and_lines_keep_theirs() -> None:
    stream = io.StringIO()
    show = PrefixedLines(stream, ["a", "b"], colours=True)
    show("a", "one")
    show("b", "two")
    assert stream.getvalue() == "\x1b[36ma | \x1b[0mone\n\x1b[33mb | \x1b[0mtwo\n"


def test_lines_of_several_threads_are_never_mixed() -> None:
    stream = io.StringIO()
    show = PrefixedLines(stream, ["a", "b"], colours=False)
    threads = [threading.Thread(target=lambda name=name: [show(name, name * 500) for _ in range(200)]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stream.getvalue().splitlines()) == ["a | " + "a" * 500] * 200 + ["b | " + "b" * 500] * 200


def test_a_screen_that_is_gone_loses_lines_and_stops_nobody() -> None:
    stream = io.StringIO()
    show = PrefixedLines(stream, ["a"], colours=False)
    stream.close()
    show("a", "lost")


def test_files_are_appended_to_and_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lines, "_FILE_BYTES", 1000)
    for _ in range(2):
        files = LogFiles(tmp_path / "logs", ["speed"])
        for _ in range(20):
            files("speed", "x" * 49)
        files.close()
    written = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert written == ["speed.log", "speed.log.1"]
    assert all(0 < (tmp_path / "logs" / name).stat().st_size <= 1000 for name in written)
    assert LogFiles.path(tmp_path / "logs", "speed").read_text().splitlines()[-1] == "x" * 49
