"""What every artefact store and every commit log must do; inherit, provide the fixtures, and pytest runs it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from oryx_py.errors import CommitConflict, ConfigError, CorruptGeneration, StoreUnavailable
from oryx_py.model.generations.generation import Generation, new_generation_name
from oryx_py.model.generations.manifest import MANIFEST
from oryx_py.ports.store import ArtefactStore, Commit, CommitLog
from oryx_py.testing.generations import write_small_generation

__all__ = ["ArtefactStoreContract", "CommitLogContract"]

FIRST, SECOND = (new_generation_name(ms, np.random.default_rng(ms)) for ms in (1_785_500_000_000, 1_785_500_060_000))


def publish(store: ArtefactStore, name: str) -> None:
    """Write and commit a small generation."""
    write_small_generation(store.stage(name), name)
    store.commit(name)


class ArtefactStoreContract:
    """Provide the fixture ``open_store``: each call opens the same store, empty at the test's beginning."""

    def test_an_empty_store_has_nothing(self, open_store: Callable[[], ArtefactStore]) -> None:
        """Neither generations nor leftovers, and no error where nothing was ever written."""
        store = open_store()
        assert (store.generations(), store.incomplete()) == ([], [])

    def test_a_committed_generation_is_read_by_name_and_by_uri(self, open_store: Callable[[], ArtefactStore]) -> None:
        """Another process finds it, whole."""
        publish(open_store(), FIRST)
        reader = open_store()
        assert reader.generations() == [FIRST]
        assert reader.incomplete() == []
        for reference in (FIRST, reader.uri(FIRST)):
            generation = Generation.open(reader.local(reference))
            assert generation.name == FIRST
            assert generation.users.ids(range(5)) == ["Zoë", "ann", "bob", "李", "🦉"]

    def test_the_manifest_is_read_by_itself(self, open_store: Callable[[], ArtefactStore]) -> None:
        """By name and by URI; what is not committed has none."""
        store = open_store()
        publish(store, FIRST)
        assert open_store().manifest(FIRST).generation == FIRST
        assert open_store().manifest(store.uri(FIRST)) == Generation.open(store.local(FIRST)).manifest
        assert open_store().raw_manifest(FIRST) == (store.local(FIRST) / MANIFEST).read_bytes()
        write_small_generation(store.stage(SECOND), SECOND)
        for read in (store.manifest, store.raw_manifest):
            with pytest.raises(CorruptGeneration, match=SECOND):
                read(SECOND)

    def test_a_uri_names_a_scheme_and_the_generation(self, open_store: Callable[[], ArtefactStore]) -> None:
        """It is known before the generation is written."""
        uri = open_store().uri(FIRST)
        assert urlsplit(uri).scheme
        assert uri.rstrip("/").endswith("/" + FIRST)

    def test_staged_files_are_invisible(self, open_store: Callable[[], ArtefactStore]) -> None:
        """Even with their manifest, until they are committed."""
        store = open_store()
        write_small_generation(store.stage(FIRST), FIRST)
        assert store.generations() == []
        assert store.incomplete() == [FIRST]
        with pytest.raises(CorruptGeneration, match=FIRST):
            store.local(FIRST)

    def test_staging_again_begins_afresh(self, open_store: Callable[[], ArtefactStore]) -> None:
        """What an earlier attempt left is gone."""
        store = open_store()
        (store.stage(FIRST) / "users.npy").write_bytes(b"half")
        assert list(store.stage(FIRST).iterdir()) == []
        publish(store, FIRST)
        assert store.generations() == [FIRST]

    def test_a_commit_without_manifest_is_refused(self, open_store: Callable[[], ArtefactStore]) -> None:
        """The generation does not come to exist."""
        store = open_store()
        (store.stage(FIRST) / "users.npy").write_bytes(b"all there is")
        with pytest.raises(CorruptGeneration, match=MANIFEST):
            store.commit(FIRST)
        assert store.generations() == []

    def test_a_commit_without_a_file_of_the_manifest_is_refused(self, open_store: Callable[[], ArtefactStore]) -> None:
        """The message names the file."""
        store = open_store()
        staged = store.stage(FIRST)
        write_small_generation(staged, FIRST)
        (staged / "items.npy").unlink()
        with pytest.raises(CorruptGeneration, match=r"items\.npy"):
            store.commit(FIRST)
        assert store.generations() == []

    def test_a_generation_is_committed_once(self, open_store: Callable[[], ArtefactStore]) -> None:
        """A second one of the name is refused; the first stays as it was."""
        store = open_store()
        publish(store, FIRST)
        write_small_generation(store.stage(FIRST), FIRST, trainer="another")
        with pytest.raises(CommitConflict, match=FIRST):
            store.commit(FIRST)
        assert Generation.open(store.local(FIRST)).manifest.trainer == "random"

    def test_generations_ascend(self, open_store: Callable[[], ArtefactStore]) -> None:
        """In the order of their names, which is that of time."""
        store = open_store()
        publish(store, SECOND)
        publish(store, FIRST)
        assert store.generations() == [FIRST, SECOND]

    def test_delete_removes_generations_and_leftovers(self, open_store: Callable[[], ArtefactStore]) -> None:
        """And is content where there is nothing."""
        store = open_store()
        publish(store, FIRST)
        store.stage(SECOND)
        for name in (FIRST, SECOND, SECOND):
            store.delete(name)
        assert (store.generations(), store.incomplete()) == ([], [])
        with pytest.raises(CorruptGeneration, match=FIRST):
            store.local(FIRST)

    def test_discarding_removes_leftovers_and_no_generation(self, open_store: Callable[[], ArtefactStore]) -> None:
        """Whoever takes a generation for a leftover that was committed since: it stays, whole."""
        store, other = open_store(), open_store()
        write_small_generation(store.stage(FIRST), FIRST)
        assert other.incomplete() == [FIRST]
        store.commit(FIRST)
        store.stage(SECOND)
        for name in (FIRST, SECOND, SECOND):
            other.discard(name)
        assert (store.generations(), store.incomplete()) == ([FIRST], [])
        assert Generation.open(open_store().local(FIRST)).name == FIRST

    def test_what_was_discarded_is_not_committed(self, open_store: Callable[[], ArtefactStore]) -> None:
        """It has to be written again."""
        store = open_store()
        write_small_generation(store.stage(FIRST), FIRST)
        open_store().discard(FIRST)
        with pytest.raises((CorruptGeneration, StoreUnavailable)):
            store.commit(FIRST)
        assert store.generations() == []
        publish(store, FIRST)
        assert store.generations() == [FIRST]

    def test_an_open_generation_outlives_its_deletion(self, open_store: Callable[[], ArtefactStore]) -> None:
        """Who reads it goes on reading."""
        store = open_store()
        publish(store, FIRST)
        generation = Generation.open(store.local(FIRST))
        before = generation.user_factors.copy()
        store.delete(FIRST)
        assert np.array_equal(generation.user_factors, before)
        assert generation.users.find("🦉") == 4

    def test_what_is_outside_the_store_is_refused(
        self, open_store: Callable[[], ArtefactStore], tmp_path: Path
    ) -> None:
        """A message's URI leads nowhere else, whatever stands there."""
        store = open_store()
        publish(store, FIRST)
        outside = tmp_path / "outside" / FIRST
        outside.mkdir(parents=True)
        write_small_generation(outside, FIRST)
        inside = store.uri(FIRST)
        for reference in (
            outside.as_uri(),
            str(outside),
            inside + "/users",
            inside + "/../..",
            inside + "/%2e%2e/%2e%2e",
            inside.removesuffix(FIRST),
            "..",
            "",
            "ftp://elsewhere/" + FIRST,
            "file://[",
            inside + "%00",
            "\0",
            "x" * 5000,
        ):
            with pytest.raises(ConfigError):
                store.local(reference)

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a\0b", "a b", "a:b"])
    def test_what_is_no_name_is_never_written(self, open_store: Callable[[], ArtefactStore], name: str) -> None:
        """Nothing outside the store, nothing hidden in it."""
        store = open_store()
        for call in (store.stage, store.commit, store.discard, store.delete, store.uri):
            with pytest.raises(ValueError, match="is no name"):
                call(name)


class CommitLogContract:
    """Provide the fixture ``open_log``: each call opens the same log, empty at the test's beginning."""

    def test_an_empty_log_has_nothing(self, open_log: Callable[[], CommitLog]) -> None:
        """No error where nothing was ever written."""
        assert open_log().read() == []

    def test_commits_are_read_in_order(self, open_log: Callable[[], CommitLog]) -> None:
        """By others too, with the bytes they were given; ``after`` leaves out what was read."""
        payloads = [b"first", b"", b"\n\x00\xff" * 1000, "größer".encode()]
        log = open_log()
        for number, payload in enumerate(payloads, 1):
            log.append(number, payload)
        expected = [Commit(number, payload) for number, payload in enumerate(payloads, 1)]
        for after in range(6):
            assert open_log().read(after) == expected[after:]

    def test_an_existing_number_conflicts(self, open_log: Callable[[], CommitLog]) -> None:
        """The first commit stays as it was, and the log goes on."""
        log = open_log()
        log.append(1, b"first")
        with pytest.raises(CommitConflict):
            open_log().append(1, b"second")
        log.append(2, b"second")
        assert log.read() == [Commit(1, b"first"), Commit(2, b"second")]

    @pytest.mark.parametrize("number", [-1, 0, 2, 10**11])
    def test_a_number_out_of_turn_is_refused(self, open_log: Callable[[], CommitLog], number: int) -> None:
        """So that there are no holes."""
        log = open_log()
        with pytest.raises(ValueError, match="does not follow"):
            log.append(number, b"")
        assert log.read() == []

    def test_of_many_threads_one_wins_each_number(self, open_log: Callable[[], CommitLog]) -> None:
        """The winners are told so, the others get a conflict, and nothing is mixed."""
        writers, rounds = 8, 10
        barrier = threading.Barrier(writers, timeout=60)

        def race(writer: int) -> list[int]:
            log, won = open_log(), []
            for number in range(1, rounds + 1):
                barrier.wait()
                try:
                    log.append(number, b"%d" % writer * 100)
                except CommitConflict:
                    continue
                finally:
                    # Nobody goes on to the next number before this one is decided.
                    barrier.wait()
                won.append(number)
            return won

        with ThreadPoolExecutor(writers) as pool:
            won = list(pool.map(race, range(writers)))
        assert sorted(number for numbers in won for number in numbers) == list(range(1, rounds + 1))
        for commit in open_log().read():
            winner = next(writer for writer in range(writers) if commit.number in won[writer])
            assert commit.payload == b"%d" % winner * 100
