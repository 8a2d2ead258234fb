"""Generations that have to be copied: damage on the way, names of one cluster, leftovers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.file_systems.webhdfs_files import WebHdfsFiles
from oryx_py.adapters.generation_stores.cache import GenerationCache
from oryx_py.adapters.generation_stores.remote_store import RemoteStore
from oryx_py.errors import ConfigError, CorruptGeneration, StoreUnavailable
from oryx_py.testing.generations import write_small_generation

NAME = "20260731T142530123-7f3a9c04"


def open_store(folder: Path, host: str = "host") -> RemoteStore:
    cache = GenerationCache(folder / host / "cache", 10**9)
    return RemoteStore(LocalFiles(folder / "remote"), folder / host / "staged", cache)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """The directory of a committed generation, where only the store may look."""
    store = open_store(tmp_path)
    write_small_generation(store.stage(NAME), NAME)
    store.commit(NAME)
    return tmp_path / "remote" / NAME


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\xff"),
    ],
    ids=["missing", "short", "flipped"],
)
def test_damage_is_found_while_it_is_copied(remote: Path, tmp_path: Path, damage: object) -> None:
    """And the copy is none: the next attempt begins afresh, and succeeds when the file is whole again."""
    sound = (remote / "items.npy").read_bytes()
    damage(remote / "items.npy")
    elsewhere = open_store(tmp_path, "elsewhere")
    with pytest.raises(CorruptGeneration, match=r"items\.npy"):
        elsewhere.local(NAME)
    (remote / "items.npy").write_bytes(sound)
    assert (elsewhere.local(NAME) / "items.npy").read_bytes() == sound


def test_a_manifest_is_fetched_once_and_gone_when_its_generation_is(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deletes it; and of another generation of the name, it is that one's."""
    store, read, plain = open_store(tmp_path, "elsewhere"), [], LocalFiles.read

    def counted(files: LocalFiles, path: str) -> bytes | None:
        read.append(path)
        return plain(files, path)

    monkeypatch.setattr(LocalFiles, "read", counted)
    assert store.manifest(NAME) == store.manifest(store.uri(NAME))
    assert read == [f"{NAME}/manifest.json"]
    open_store(tmp_path).delete(NAME)
    with pytest.raises(CorruptGeneration, match="has no generation"):
        store.manifest(NAME)
    again = open_store(tmp_path)
    write_small_generation(again.stage(NAME), NAME, index=None)
    again.commit(NAME)
    assert store.manifest(NAME) == again.manifest(NAME)


def test_the_writer_has_its_copy_already(remote: Path, tmp_path: Path) -> None:
    assert not (tmp_path / "host" / "staged" / NAME).exists()
    (remote / "items.npy").unlink()
    assert (open_store(tmp_path).local(NAME) / "items.npy").is_file()


def test_copies_of_what_the_store_has_deleted_go_when_another_is_copied(remote: Path, tmp_path: Path) -> None:
    """So that what was forgotten does not stay on a host for as long as its disk is large enough."""
    other, reader = "20260801T000000000-00000000", open_store(tmp_path, "reader")
    mapped = np.load(reader.local(NAME) / "items.npy", mmap_mode="r")
    store = open_store(tmp_path)
    write_small_generation(store.stage(other), other)
    store.commit(other)
    store.delete(NAME)
    assert (tmp_path / "reader/cache" / NAME).is_dir()
    assert reader.local(other).is_dir()
    assert not (tmp_path / "reader/cache" / NAME).exists()
    assert np.isfinite(mapped).all()


def test_a_commit_that_broke_off_is_swept_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, uploaded = open_store(tmp_path), list[str]()
    upload = LocalFiles.upload

    def fails(self: LocalFiles, source: Path, path: str) -> None:
        if len(uploaded) == 3:
            raise StoreUnavailable("the network went away")
        uploaded.append(path)
        upload(self, source, path)

    write_small_generation(store.stage(NAME), NAME)
    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "upload", fails)
        with pytest.raises(StoreUnavailable):
            store.commit(NAME)
    assert (store.generations(), store.incomplete()) == ([], [NAME])
    store.commit(NAME)
    assert (store.generations(), store.incomplete()) == ([NAME], [])


@pytest.mark.parametrize("exclusive", [True, False], ids=["renamed", "not-renamed"])
@pytest.mark.parametrize("sweep", [RemoteStore.delete, RemoteStore.discard], ids=["deleted", "discarded"])
def test_a_copy_that_was_swept_while_it_was_made_is_no_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: Callable[[RemoteStore, str], None], exclusive: bool
) -> None:
    """By a process that woke up; where nothing is renamed, a manifest would make a generation of what it has left."""
    monkeypatch.setattr(LocalFiles, "exclusive", exclusive)
    store, other = open_store(tmp_path, "here"), open_store(tmp_path, "there")
    write_small_generation(store.stage(NAME), NAME)
    upload = LocalFiles.upload

    def then_swept(files: LocalFiles, source: Path, path: str) -> None:
        upload(files, source, path)
        if path.endswith("users.npy"):
            sweep(other, NAME)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "upload", then_swept)
        with pytest.raises(StoreUnavailable, match="was removed while"):
            store.commit(NAME)
    assert (store.generations(), store.incomplete()) == ([], [NAME])
    store.commit(NAME)
    assert store.generations() == [NAME]
    open_store(tmp_path, "elsewhere").local(NAME)


def test_a_cluster_has_several_names(tmp_path: Path) -> None:
    """A generation's path is what counts, be it told by the NameNode's address, the service's name or WebHDFS."""
    files = WebHdfsFiles(None, "hdfs://nn1:8020/oryx/generations", "/oryx/generations")  # type: ignore[arg-type]
    store = RemoteStore(files, tmp_path / "staged", GenerationCache(tmp_path / "cache", 1))
    for uri in (f"hdfs://nn1:8020/oryx/generations/{NAME}", f"hdfs://ha/oryx/generations/{NAME}/", NAME):
        assert store._name(uri) == NAME
    for uri in (f"hdfs://nn1:8020/other/{NAME}", f"s3://oryx/generations/{NAME}", f"/oryx/generations/{NAME}"):
        with pytest.raises(ConfigError, match="outside the store hdfs://nn1:8020/oryx/generations"):
            store._name(uri)
