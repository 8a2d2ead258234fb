"""What every file system of ours must do; inherit, provide the fixture, and pytest runs it."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from oryx_py.errors import ConfigError, StoreUnavailable
from oryx_py.ports.files import Entry, Files

__all__ = ["ExclusiveFilesContract", "FilesContract"]

OpenFiles = Callable[[], Files]
LARGE = os.urandom(3 * 2**20 + 17)
"""More than one block, and no multiple of one."""


def put(files: Files, tmp_path: Path, path: str, content: bytes) -> None:
    """Upload some bytes."""
    source = tmp_path / "source"
    source.write_bytes(content)
    files.upload(source, path)


class FilesContract:
    """Provide the fixture ``open_files``: each call opens the same root, empty at the test's beginning."""

    def test_nothing_is_there_at_first(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """And no error of it."""
        files = open_files()
        assert list(files.list()) == list(files.list("a/b")) == []
        assert list(files.names()) == list(files.names("a/b")) == []
        assert files.size("a") is None
        assert files.read("a/b") is None
        assert files.download("a/b", tmp_path / "copy") is False
        files.delete("a/b")

    @pytest.mark.parametrize("content", [b"", b"\n\x00\xff", LARGE], ids=["empty", "bytes", "blocks"])
    def test_what_is_uploaded_is_read(self, open_files: OpenFiles, tmp_path: Path, content: bytes) -> None:
        """By others, whole, in part, and back into a file."""
        put(open_files(), tmp_path, "a/b/müller (1)", content)
        files, blocks = open_files(), list[bytes]()
        path = "a/b/müller (1)"
        assert files.size(path) == len(content)
        assert files.read(path) == content
        assert files.read(path, 1, 5) == content[1:6]
        assert files.read(path, max(0, len(content) - 3)) == content[max(0, len(content) - 3) :]
        assert files.read(path, len(content) + 10) == b""
        assert files.download(path, tmp_path / "copy", blocks.append)
        assert (tmp_path / "copy").read_bytes() == b"".join(blocks) == content

    def test_an_upload_replaces_a_file(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """And leaves nothing beside it."""
        files = open_files()
        put(files, tmp_path, "a", b"first, and longer")
        put(files, tmp_path, "a", b"second")
        assert files.read("a") == b"second"
        assert list(files.names()) == ["a"]

    def test_a_directory_lists_what_is_directly_in_it(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """By name, hidden names among it; and a file is no directory."""
        files = open_files()
        for path in ("d/two", "d/.hidden", "d/one/deeper"):
            put(files, tmp_path, path, b"12345")
        expected = [
            Entry(".hidden", is_dir=False, bytes=5),
            Entry("one", is_dir=True, bytes=0),
            Entry("two", is_dir=False, bytes=5),
        ]
        assert list(files.list("d")) == expected
        assert sorted(files.names("d")) == [entry.name for entry in expected]
        assert list(files.list("d/two")) == []
        assert files.size("d/one") is None
        assert files.read("d/one") is None

    def test_a_directory_goes_with_all_in_it(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """And a neighbour whose name begins alike stays."""
        files = open_files()
        for path in ("d/one", "d/deep/two", "d2/three"):
            put(files, tmp_path, path, b"1")
        files.delete("d")
        assert [entry.name for entry in files.list()] == ["d2"]
        files.delete("d2/three")
        assert files.size("d2/three") is None

    def test_a_uri_is_absolute_and_ends_in_the_path(self, open_files: OpenFiles) -> None:
        """Whether anything is there or not."""
        files = open_files()
        assert urlsplit(files.uri("a/b")).scheme
        assert files.uri("a/b") == files.uri().rstrip("/") + "/a/b"

    @pytest.mark.parametrize("path", ["/a", "a/../../b", "..", "a//b", "a/", "./a", "a\0"])
    def test_no_path_leads_out(self, open_files: OpenFiles, path: str) -> None:
        """Nor is spelt in two ways."""
        files = open_files()
        for call in (files.uri, files.list, files.size, files.read, files.delete):
            with pytest.raises(ValueError, match="no path below the root"):
                call(path)

    def test_what_is_not_exclusive_says_so(self, open_files: OpenFiles) -> None:
        """In one line, in place of pretending."""
        files = open_files()
        if files.exclusive:
            return
        with pytest.raises(ConfigError, match="generations only"):
            files.create("a", b"1")
        with pytest.raises(ConfigError, match="generations only"):
            files.move("a", "b")


class ExclusiveFilesContract(FilesContract):
    """For those on which commits can be kept."""

    def test_a_file_is_created_once(self, open_files: OpenFiles) -> None:
        """The first content stays; the same content again counts as one's own, since an answer may have got lost."""
        files = open_files()
        assert files.create("c/1", b"mine")
        assert not open_files().create("c/1", b"theirs")
        assert open_files().create("c/1", b"mine")
        assert files.read("c/1") == b"mine"
        assert list(files.names("c")) == ["1"]

    def test_of_many_creators_one_wins(self, open_files: OpenFiles) -> None:
        """Each of several rounds, and nothing is left aside."""
        writers, rounds = 6, 5
        barrier = threading.Barrier(writers, timeout=60)

        def race(writer: int) -> list[int]:
            files, won = open_files(), []
            for number in range(rounds):
                barrier.wait()
                if files.create(f"c/{number}", b"%d" % writer * 1000):
                    won.append(number)
            return won

        with ThreadPoolExecutor(writers) as pool:
            won = list(pool.map(race, range(writers)))
        assert sorted(number for numbers in won for number in numbers) == list(range(rounds))
        for number in range(rounds):
            winner = next(writer for writer in range(writers) if number in won[writer])
            assert open_files().read(f"c/{number}") == b"%d" % winner * 1000
        assert sorted(open_files().names("c")) == [str(number) for number in range(rounds)]

    def test_a_directory_moves_to_a_new_name_alone(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """Neither over nor into another, not even one of the same kind."""
        files = open_files()
        put(files, tmp_path, "staged/x/deep/file", b"new")
        put(files, tmp_path, "there/x/file", b"old")
        assert not files.move("staged/x", "there/x")
        assert [entry.name for entry in files.list("there/x")] == ["file"]
        assert files.move("staged/x", "there/y/z")
        assert files.read("there/y/z/deep/file") == b"new"
        assert list(files.list("staged")) == []

    def test_a_move_that_was_done_counts_as_done(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """Repeated after its answer got lost."""
        files = open_files()
        put(files, tmp_path, "staged/x/file", b"1")
        assert files.move("staged/x", "y")
        assert files.move("staged/x", "y")
        assert files.read("y/file") == b"1"

    def test_a_file_moves_too(self, open_files: OpenFiles, tmp_path: Path) -> None:
        """To a name that is free."""
        files = open_files()
        put(files, tmp_path, "a", b"1")
        put(files, tmp_path, "b", b"2")
        assert not files.move("a", "b")
        assert files.move("a", "d/c")
        assert (files.read("a"), files.read("b"), files.read("d/c")) == (None, b"2", b"1")

    def test_nothing_moves_from_nowhere(self, open_files: OpenFiles) -> None:
        """Neither name is there: something is wrong."""
        with pytest.raises(StoreUnavailable):
            open_files().move("nowhere", "there")
