"""The cache of remote generations: one copy a host, bounded, never one in use."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from oryx_py.adapters.generation_stores.cache import KEPT, GenerationCache

SIZE = 1000


def copier(copied: list[str], name: str) -> Callable[[Path], None]:
    """What writes a generation of `SIZE` bytes, and remembers that it did."""

    def copy(into: Path) -> None:
        assert list(into.iterdir()) == []
        copied.append(name)
        (into / "manifest.json").write_bytes(b"m" * 10)
        (into / "users.npy").write_bytes(b"u" * (SIZE - 10))

    return copy


def get(cache: GenerationCache, name: str, copied: list[str]) -> Path:
    return cache.get(name, copier(copied, name))


def there(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if not path.name.startswith("."))


def test_a_generation_is_copied_once(tmp_path: Path) -> None:
    """For this process, and for the next."""
    copied: list[str] = []
    cache = GenerationCache(tmp_path, 10 * SIZE)
    assert get(cache, "a", copied) == get(cache, "a", copied) == get(GenerationCache(tmp_path, SIZE), "a", copied)
    assert copied == ["a"]


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    """Of those that nobody holds any more; the bound is in bytes."""
    copied: list[str] = []
    for name in "abc":
        get(GenerationCache(tmp_path, 10 * SIZE), name, copied)
    for number, name in enumerate("bac"):
        stamp = 1_700_000_000 + number
        os.utime(tmp_path / ".locks" / name, (stamp, stamp))
    released(tmp_path)
    get(GenerationCache(tmp_path, 2 * SIZE), "d", copied)
    assert there(tmp_path) == ["c", "d"]


def released(place: Path) -> None:
    """Close what this process's caches hold, as its end would."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = descriptor.readlink()
        except OSError:
            continue
        if target.is_relative_to(place):
            os.close(int(descriptor.name))


def hold(place: Path, name: str, held: Event, go: Event) -> None:
    get(GenerationCache(place, 10 * SIZE), name, [])
    held.set()
    go.wait(60)


def test_what_another_process_uses_stays_until_it_ends(tmp_path: Path) -> None:
    """Also where that exceeds the bound."""
    context, copied = multiprocessing.get_context("spawn"), list[str]()
    held, go = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, "a", held, go))
    other.start()
    try:
        assert held.wait(60)
        mine = GenerationCache(tmp_path, SIZE)
        get(mine, "b", copied)
        assert there(tmp_path) == ["a", "b"]
        go.set()
        other.join(60)
        get(mine, "c", copied)
        assert there(tmp_path) == ["b", "c"]  # b is held by this process still
    finally:
        go.set()
        other.join(60)


def test_a_process_holds_the_last_few(tmp_path: Path) -> None:
    copied: list[str] = []
    cache = GenerationCache(tmp_path, 1)
    names = [f"g{number}" for number in range(KEPT + 2)]
    for name in names:
        get(cache, name, copied)
    assert there(tmp_path) == names[-KEPT:]
    assert copied == names


def test_a_copy_that_broke_off_is_begun_afresh(tmp_path: Path) -> None:
    """And what was never whole is never handed out."""
    cache, copied = GenerationCache(tmp_path, 10 * SIZE), list[str]()

    def dies(into: Path) -> None:
        (into / "users.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get("a", dies)
    assert there(tmp_path) == []
    assert (get(cache, "a", copied) / "users.npy").stat().st_size == SIZE - 10


def test_what_was_written_here_needs_no_copy(tmp_path: Path) -> None:
    cache, written = GenerationCache(tmp_path / "cache", 10 * SIZE), tmp_path / "staged" / "a"
    written.mkdir(parents=True)
    copier([], "a")(written)
    cache.adopt("a", written)
    assert not written.exists()
    copied: list[str] = []
    assert (get(cache, "a", copied) / "manifest.json").is_file()
    assert copied == []


def test_a_generation_that_is_no_more_is_dropped(tmp_path: Path) -> None:
    cache = GenerationCache(tmp_path, 10 * SIZE)
    get(cache, "a", [])
    cache.drop("a")
    cache.drop("a")
    assert there(tmp_path) == []
    assert list((tmp_path / ".locks").iterdir()) == []
