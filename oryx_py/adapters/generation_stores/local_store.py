"""Generations in a directory of the local file system.

A generation is written in ``.staged/<name>`` and appears by one rename of the directory: all its files at once, the
manifest with them. To commit:

1. look at the manifest and at the sizes of the files; the writer has fsynced all of them (`write_generation`);
2. rename ``.staged/<name>`` to ``<name>``: the commit;
3. fsync both directories.

Fails 1: nothing happened. Fails 2 or 3: there is no generation, or a whole one. To delete, the same backwards: rename
into ``.deleted``, fsync, remove the files; who has them mapped keeps them.
"""

import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from oryx_py.adapters.file_systems.paths import GENERATION, checked_generation
from oryx_py.adapters.generation_stores.staging import staged
from oryx_py.errors import CommitConflict, ConfigError, CorruptGeneration
from oryx_py.model.files import check_size, make_directories, storage, sync_directory
from oryx_py.model.generations.manifest import MANIFEST, Manifest, decode_manifest, read_listing, read_raw

__all__ = ["LocalStore"]


class LocalStore:
    """The `ArtefactStore` in a directory, which is created by the first generation.

    Writes by one process at a time; any number may read.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._staged = self._root / ".staged"
        self._deleted = self._root / ".deleted"

    def uri(self, generation: str) -> str:
        """The ``file://`` URI of a generation's directory, be it there or not."""
        return (self._root / checked_generation(generation)).as_uri()

    def stage(self, generation: str) -> Path:
        """An empty directory to write the generation's files into; an earlier attempt's is dropped.

        Raises:
            StoreUnavailable: the disk does not take it.
        """
        return staged(self._staged, generation)

    def commit(self, generation: str) -> None:
        """Make the staged files visible and durable, all at once.

        Raises:
            CommitConflict: a generation of this name exists.
            CorruptGeneration: the staged directory has no manifest, or not what it states.
            StoreUnavailable: the disk does not take it.
        """
        aside, path = self._staged / checked_generation(generation), self._root / generation
        with storage(path):
            if (path / MANIFEST).exists():
                raise CommitConflict(f"{path} exists: a generation is written once")
            for name, entry in read_listing(aside / MANIFEST).items():
                check_size(aside / name, entry)
            if path.exists():  # without a manifest: somebody's broken copy
                self._discard(path)
            os.rename(aside, path)  # noqa: PTH104 - Path.rename says the same by another name
            sync_directory(self._root)
            sync_directory(self._staged)

    def local(self, uri_or_generation: str) -> Path:
        """The directory of a committed generation, by its name or its URI.

        Raises:
            ConfigError: the URI leads out of this store.
            CorruptGeneration: there is no such generation.
        """
        name = uri_or_generation if GENERATION.fullmatch(uri_or_generation) else self._name_in(uri_or_generation)
        path = self._root / name
        if not (path / MANIFEST).is_file():
            raise CorruptGeneration(f"{path} has no generation: restore it from a copy, or publish another")
        return path

    def manifest(self, uri_or_generation: str) -> Manifest:
        """The manifest alone.

        Raises:
            ConfigError, CorruptGeneration: as `local`.
            UnsupportedFormat: it was written by a newer version.
        """
        return decode_manifest(self.raw_manifest(uri_or_generation), self.local(uri_or_generation) / MANIFEST)

    def raw_manifest(self, uri_or_generation: str) -> bytes:
        """The bytes of the manifest.

        Raises:
            ConfigError, CorruptGeneration: as `local`.
            StoreUnavailable: the disk does not give it.
        """
        path = self.local(uri_or_generation) / MANIFEST
        with storage(path):
            return read_raw(path)

    def _name_in(self, uri: str) -> str:
        try:
            path = Path(os.path.normpath(_path(uri)))
            inside = path.parent.resolve() == self._root and GENERATION.fullmatch(path.name)
        except (ValueError, OSError, RuntimeError) as error:  # a zero byte, a name too long, links in a circle
            raise ConfigError(f"{uri!r} is no path: {error}") from error
        if not inside:
            raise ConfigError(f"{uri!r} is outside the store {self._root}: set store.uri to where it was written")
        return path.name

    def generations(self) -> list[str]:
        """Names of the committed generations, ascending."""
        return [path.name for path in _directories(self._root) if (path / MANIFEST).is_file()]

    def incomplete(self) -> list[str]:
        """Names of what was staged, half copied or half deleted, ascending; also of what is being staged just now."""
        broken = [path for path in _directories(self._root) if not (path / MANIFEST).is_file()]
        leftover = [*broken, *_directories(self._staged), *_directories(self._deleted)]
        return sorted({path.name for path in leftover})

    def discard(self, generation: str) -> None:
        """Remove what there is of an incomplete generation; nothing becomes whole at its own name but by a rename.

        Raises:
            StoreUnavailable: the disk does not do it, or it was committed at this moment.
        """
        path = self._root / checked_generation(generation)
        with storage(path):
            if (aside := self._staged / generation).exists():
                self._discard(aside)
            if path.exists() and not (path / MANIFEST).exists():
                self._discard(path)
            shutil.rmtree(self._deleted / generation, ignore_errors=True)

    def delete(self, generation: str) -> None:
        """Remove a generation, at once for readers, and whatever else is left of that name.

        Raises:
            StoreUnavailable: the disk does not do it.
        """
        with storage(self._root / checked_generation(generation)):
            for path in (self._root / generation, self._staged / generation):
                if path.exists():
                    self._discard(path)
            shutil.rmtree(self._deleted / generation, ignore_errors=True)

    def _discard(self, path: Path) -> None:
        """Take a directory out of sight by a rename, then remove it."""
        gone = self._deleted / path.name
        if gone.exists():
            shutil.rmtree(gone)
        make_directories(self._deleted)
        os.rename(path, gone)  # noqa: PTH104 - Path.rename says the same by another name
        sync_directory(path.parent)
        shutil.rmtree(gone)


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if not parts.scheme:
        return Path(uri).absolute()
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
        raise ConfigError(f"{uri} is no place on this machine: give a path or file:///path")
    return Path(unquote(parts.path))


def _directories(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and GENERATION.fullmatch(entry.name))
