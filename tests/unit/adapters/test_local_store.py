"""The store in a local folder, beyond what every store must do."""

import errno
import os
from pathlib import Path

import pytest

from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.errors import ConfigError, StoreUnavailable
from oryx_py.model.generations.generation import Generation
from oryx_py.testing.generations import write_small_generation

NAME = "20260101T000000000-00000001"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "müller's store")


def publish(store: LocalStore, name: str = NAME) -> None:
    write_small_generation(store.stage(name), name)
    store.commit(name)


def test_the_uri_is_a_file_uri_of_the_generations_directory(store: LocalStore, tmp_path: Path) -> None:
    assert store.uri(NAME) == f"file://{tmp_path}/m%C3%BCller%27s%20store/{NAME}"


def test_a_plain_path_is_as_good_as_a_uri(store: LocalStore, tmp_path: Path) -> None:
    publish(store)
    expected = tmp_path / "müller's store" / NAME
    for reference in (store.uri(NAME), str(expected), f"{expected}/", f"{expected.parent}/./x/../{NAME}"):
        assert store.local(reference) == expected


def test_a_uri_of_another_machine_is_refused(store: LocalStore) -> None:
    publish(store)
    with pytest.raises(ConfigError, match="no place on this machine"):
        store.local(store.uri(NAME).replace("file://", "file://elsewhere"))


def test_a_broken_copy_is_incomplete_and_makes_way(store: LocalStore, tmp_path: Path) -> None:
    """A directory without manifest, as an interrupted copy leaves it."""
    broken = tmp_path / "müller's store" / NAME
    broken.mkdir(parents=True)
    (broken / "users.npy").write_bytes(b"half")
    assert (store.generations(), store.incomplete()) == ([], [NAME])
    publish(store)
    assert (store.generations(), store.incomplete()) == ([NAME], [])
    Generation.open(store.local(NAME))


def test_other_files_in_the_folder_are_left_alone(store: LocalStore, tmp_path: Path) -> None:
    publish(store)
    note, hidden = tmp_path / "müller's store" / "README", tmp_path / "müller's store" / ".snapshot"
    note.write_text("backed up on Sundays")
    hidden.mkdir()
    assert (store.generations(), store.incomplete()) == ([NAME], [])
    store.delete(NAME)
    assert note.exists()
    assert hidden.exists()


@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
def test_what_the_disk_refuses_is_one_line_and_no_generation(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(StoreUnavailable, match="No space left on device; check the disk"):
            publish(store)
    assert store.generations() == []
    publish(store)
    assert store.generations() == [NAME]
