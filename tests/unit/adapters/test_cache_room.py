"""The cache's room on the disk: what was cut off goes, a full disk is made room on, and errors are the project's."""

import errno
import fcntl
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.generation_stores.cache import GenerationCache
from oryx_py.adapters.generation_stores.remote_store import RemoteStore
from oryx_py.errors import StoreUnavailable
from oryx_py.testing.generations import write_small_generation

SIZE = 1000


def whole(into: Path) -> None:
    assert list(into.iterdir()) == []
    (into / "users.npy").write_bytes(b"u" * (SIZE - 2))
    (into / "manifest.json").write_bytes(b"{}")


def bytes_below(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def in_a_process(work: Callable[..., object], *given: object) -> None:
    """Run it to its end: what it held is free then."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=given)
    process.start()
    process.join(120)
    assert process.exitcode is not None


def die_copying(place: Path, *names: str) -> None:
    """Leave a cut-off copy, the last of these, after whole ones: one of each if there is but one name."""

    def cut_off(into: Path) -> None:
        whole(into)
        os._exit(9)

    for name in names[:-1]:
        GenerationCache(place, 100 * SIZE).get(name, whole)
    GenerationCache(place, 100 * SIZE).get(names[-1], cut_off)


def copy_all(place: Path, *names: str) -> None:
    for name in names:
        GenerationCache(place, 100 * SIZE).get(name, whole)


def leave(place: Path, *paths: str) -> None:
    """What kill -9 leaves."""
    for path in paths:
        (place / path).mkdir(parents=True)
        (place / path / "users.npy").write_bytes(b"u" * SIZE)


def test_what_a_process_that_was_killed_had_copied_goes_with_the_next_one(tmp_path: Path) -> None:
    in_a_process(die_copying, tmp_path, "a", "b")
    assert (tmp_path / ".incoming" / "b" / "users.npy").exists()
    leave(tmp_path, ".evicted/c", ".evicted/a")
    GenerationCache(tmp_path, 2 * SIZE).get("d", whole)
    assert bytes_below(tmp_path) == 2 * SIZE
    assert not [*(tmp_path / ".incoming").iterdir(), *(tmp_path / ".evicted").iterdir()]
    assert {path.name for path in (tmp_path / ".locks").iterdir()} == {"a", "d"}


@pytest.mark.parametrize("aside", [".incoming", ".evicted"])
def test_what_was_cut_off_goes_also_where_nothing_is_copied(tmp_path: Path, aside: str) -> None:
    leave(tmp_path, f"{aside}/a", f"{aside}/b")
    cache = GenerationCache(tmp_path, SIZE)
    cache.drop("a")
    assert not (tmp_path / aside / "a").exists()
    cache.keep(["b"])
    assert bytes_below(tmp_path) == 0


@pytest.mark.parametrize("raised", [OSError(errno.EIO, "broken"), KeyboardInterrupt(), StoreUnavailable("away")])
def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, raised: BaseException) -> None:
    def fails(into: Path) -> None:
        whole(into)
        raise raised

    with pytest.raises((StoreUnavailable, KeyboardInterrupt)):
        GenerationCache(tmp_path, SIZE).get("a", fails)
    assert not [*(tmp_path / ".incoming").iterdir(), *(tmp_path / ".locks").iterdir()]


def test_what_another_is_copying_stays(tmp_path: Path) -> None:
    """And counts: together they are to fit."""
    copy_all_of = GenerationCache(tmp_path, 10 * SIZE)
    other, mine = GenerationCache(tmp_path, 10 * SIZE), GenerationCache(tmp_path, 2 * SIZE)
    in_a_process(copy_all, tmp_path, "x")

    def copy(into: Path) -> None:
        whole(into)
        copy_all_of.drop("a")
        mine.get("b", whole)
        mine.keep(["b"])
        assert bytes_below(into) == SIZE

    assert (other.get("a", copy) / "manifest.json").exists()
    assert not (tmp_path / "x").exists()


def test_however_many_copy_and_sweep_each_gets_a_whole_copy(tmp_path: Path) -> None:
    """Threads with caches of their own are to each other as processes are: the locks are of open files."""
    workers, rounds = 4, 25
    barrier = threading.Barrier(workers, timeout=60)

    def work(worker: int) -> None:
        try:
            take_turns(worker, GenerationCache(tmp_path, SIZE))
        except BaseException:
            barrier.abort()
            raise

    def take_turns(worker: int, cache: GenerationCache) -> None:
        for number in range(rounds):
            barrier.wait()
            name = f"g{number + worker % 2}"  # one that another copies just now, and one that it will
            path = cache.get(name, whole)
            assert bytes_below(path) == SIZE
            if worker == 0:
                cache.keep([name])
                assert bytes_below(path) == SIZE

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    assert not [*(tmp_path / ".incoming").iterdir(), *(tmp_path / ".evicted").iterdir()]


def test_who_is_overtaken_by_anothers_copy_gets_it_though_the_other_goes_on_using_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have seen that there was none: whoever waited to be alone with it then waited for the other's end."""
    mine, other = GenerationCache(tmp_path, SIZE), GenerationCache(tmp_path, SIZE)
    alone_now = mine._locks.alone_now

    def overtaken(name: str) -> AbstractContextManager[bool]:
        other.get(name, whole)
        return alone_now(name)

    monkeypatch.setattr(mine._locks, "alone_now", overtaken)
    path = mine.get("a", lambda _: pytest.fail("it was copied already"))
    assert bytes_below(path) == SIZE


def limited(place: Path, room: int, size: int, tries: list[int]) -> Callable[[Path], None]:
    """What copies so many bytes onto a disk that has room for so many."""

    def copy(into: Path) -> None:
        tries.append(bytes_below(place))
        (into / "users.npy").write_bytes(b"u" * min(size, room - bytes_below(place)))
        if bytes_below(into) < size:
            raise StoreUnavailable("no room") from OSError(errno.ENOSPC, "No space left on device")
        (into / "manifest.json").touch()

    return copy


def test_on_a_full_disk_whatever_nobody_holds_makes_room(tmp_path: Path) -> None:
    """Though the bound would let it stay; what is held stays, and a second failure is the last."""
    in_a_process(copy_all, tmp_path, "a", "b")
    cache, tries = GenerationCache(tmp_path, 100 * SIZE), list[int]()
    cache.get("c", limited(tmp_path, 3 * SIZE, 2 * SIZE, tries))
    assert tries == [2 * SIZE, 0]
    with pytest.raises(StoreUnavailable, match="no room"):
        cache.get("d", limited(tmp_path, 3 * SIZE, 2 * SIZE, tries))
    assert tries[2:] == [2 * SIZE], "there was nothing to remove"
    assert bytes_below(tmp_path / "c") == bytes_below(tmp_path) == 2 * SIZE


def test_what_fails_for_another_reason_evicts_nothing(tmp_path: Path) -> None:
    def fails(_: Path) -> None:
        raise OSError(errno.EIO, "broken")

    in_a_process(copy_all, tmp_path, "a")
    with pytest.raises(StoreUnavailable, match="broken"):
        GenerationCache(tmp_path, 100 * SIZE).get("b", fails)
    assert bytes_below(tmp_path) == SIZE


NAMES = [f"20260731T14253012{number}-7f3a9c04" for number in range(3)]


def test_room_is_made_before_a_generation_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the sizes in its manifest: never more than the bound is on the disk; deleted ones make room first."""
    writer = RemoteStore(LocalFiles(tmp_path / "remote"), tmp_path / "staged", GenerationCache(tmp_path / "his", 10**9))
    for name in NAMES:
        write_small_generation(writer.stage(name), name)
        writer.commit(name)
    one = max(bytes_below(tmp_path / "remote" / name) for name in NAMES)
    manifest = max((tmp_path / "remote" / name / "manifest.json").stat().st_size for name in NAMES)
    cached, most, download = tmp_path / "cache", list[int](), LocalFiles.download

    def watched(files: LocalFiles, path: str, into: Path, on_block: Callable[[bytes], object] = lambda _: None) -> bool:
        done = download(files, path, into, on_block)
        most.append(bytes_below(cached))
        return done

    monkeypatch.setattr(LocalFiles, "download", watched)

    def fresh() -> RemoteStore:
        files = LocalFiles(tmp_path / "remote")
        return RemoteStore(files, tmp_path / "staged", GenerationCache(cached, 2 * one))

    for name in NAMES:
        store = fresh()
        store.local(name)
        for descriptor in store._cache._held.values():
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # as the process's end would
    assert max(most) <= 2 * one + manifest
    assert {path.name for path in cached.iterdir() if path.name in NAMES} == set(NAMES[1:])


@pytest.mark.parametrize("call", [lambda cache: cache.drop("a"), lambda cache: cache.keep([])], ids=["drop", "keep"])
def test_what_the_disk_refuses_is_a_store_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[GenerationCache], None]
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    cache = GenerationCache(tmp_path, 100 * SIZE)
    cache.get("a", whole)
    monkeypatch.setattr("oryx_py.adapters.generation_stores.cache.os.rename", refused)
    with pytest.raises(StoreUnavailable, match="Read-only file system"):
        call(cache)
