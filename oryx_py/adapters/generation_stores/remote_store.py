"""Generations in a file system that this host cannot map: HDFS, and where fsspec reaches.

A generation is staged in a local directory and copied when it is complete. To commit:

1. look at the manifest and at the sizes of the staged files;
2. copy them to ``.staged/<name>``, the manifest last, and look whether all have arrived and stayed;
3. rename that to ``<name>``, which fails where it exists: the commit.

Fails 1 or 2: there is no generation, and the copy is swept as incomplete. Fails 3: there is none, or a whole one. Where
nothing is renamed exclusively (`Files.exclusive`), the files go to ``<name>`` at once, and the manifest is the commit,
which comes when all of them are seen to have stayed.

Readers get a copy in `GenerationCache`, compared with the manifest in size and checksum while it is made.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import xxhash

from oryx_py.adapters.file_systems.paths import GENERATION, checked_generation
from oryx_py.adapters.generation_stores.cache import GenerationCache
from oryx_py.adapters.generation_stores.staging import staged
from oryx_py.errors import CommitConflict, ConfigError, CorruptGeneration, StoreUnavailable
from oryx_py.model.files import REMEDY, FileEntry, check_size, make_directories, storage
from oryx_py.model.generations.manifest import MANIFEST, Manifest, decode_manifest, read_listing
from oryx_py.ports.files import Files

__all__ = ["RemoteStore"]

_STAGED = ".staged"
_SAME_SYSTEM = ({"hdfs", "webhdfs", "swebhdfs"}, {"s3", "s3a"}, {"gs", "gcs"})
"""Schemes of one system: a cluster has several names, so that a path in it is what counts."""
_MAX_URI = 4096
_KNOWN = 100


class RemoteStore:
    """The `ArtefactStore` over `Files`. Writes by one process at a time; any number may read.

    Args:
        files: rooted at the generations.
        staging: local directory for generations that are being written; one for each writer's host.
        cache: local copies.
    """

    def __init__(self, files: Files, staging: Path, cache: GenerationCache) -> None:
        self._files = files
        self._staging = staging
        self._cache = cache
        self._manifests: dict[str, Manifest] = {}
        """Of some generations that were there; none ever changes."""

    def uri(self, generation: str) -> str:
        """The URI of a generation's directory, be it there or not."""
        return self._files.uri(checked_generation(generation))

    def stage(self, generation: str) -> Path:
        """An empty local directory to write the generation's files into; an earlier attempt's is dropped.

        Raises:
            StoreUnavailable: the disk does not take it.
        """
        return staged(self._staging, generation)

    def commit(self, generation: str) -> None:
        """Copy the staged files and make them visible, all at once.

        Raises:
            CommitConflict: a generation of this name exists.
            CorruptGeneration: the staged directory has no manifest, or not what it states.
            StoreUnavailable: the system does not take it, or somebody has removed what was copied.
        """
        aside = self._staging / checked_generation(generation)
        if self._is_committed(generation):
            raise CommitConflict(f"{self.uri(generation)} exists: a generation is written once")
        files = read_listing(aside / MANIFEST)
        for name, entry in files.items():
            check_size(aside / name, entry)
        self._files.delete(generation)  # without a manifest: somebody's broken copy
        target = f"{_STAGED}/{generation}" if self._files.exclusive else generation
        self._files.delete(target)
        for name in files:
            self._files.upload(aside / name, f"{target}/{name}")
        if not self._files.exclusive:  # else the manifest would make a generation of what is left
            self._check_arrived(target, files)
        self._files.upload(aside / MANIFEST, f"{target}/{MANIFEST}")
        self._check_arrived(target, files)
        if self._files.size(f"{target}/{MANIFEST}") is None:
            raise self._removed(f"{target}/{MANIFEST}")
        if self._files.exclusive and not self._files.move(target, generation):
            raise CommitConflict(f"{self.uri(generation)} exists: a generation is written once")
        self._cache.adopt(generation, aside)

    def local(self, uri_or_generation: str) -> Path:
        """A local copy of a committed generation, by its name or its URI.

        Raises:
            ConfigError: the URI leads out of this store.
            CorruptGeneration: there is no such generation, or it is damaged.
            StoreUnavailable: the system does not give it.
        """
        name = self._name(uri_or_generation)
        if not self._is_committed(name):
            self._cache.drop(name)
            raise self._missing(name)

        def copy(into: Path) -> None:
            self._cache.keep(self.generations())  # so seldom that a look at the store costs nothing
            self._copy(name, into)

        return self._cache.get(name, copy)

    def manifest(self, uri_or_generation: str) -> Manifest:
        """The manifest alone.

        Raises:
            ConfigError, CorruptGeneration, StoreUnavailable: as `local`.
            UnsupportedFormat: it was written by a newer version.
        """
        name = self._name(uri_or_generation)
        known = self._manifests.get(name)
        if known is not None and self._is_committed(name):
            return known
        self._manifests.pop(name, None)
        manifest = decode_manifest(self.raw_manifest(name), self._files.uri(f"{name}/{MANIFEST}"))
        if len(self._manifests) >= _KNOWN:
            self._manifests.pop(min(self._manifests))
        self._manifests[name] = manifest
        return manifest

    def raw_manifest(self, uri_or_generation: str) -> bytes:
        """The bytes of the manifest.

        Raises:
            ConfigError, CorruptGeneration, StoreUnavailable: as `local`.
        """
        name = self._name(uri_or_generation)
        raw = self._files.read(f"{name}/{MANIFEST}")
        if raw is None:
            raise self._missing(name)
        return raw

    def generations(self) -> list[str]:
        """Names of the committed generations, ascending."""
        return [name for name in self._directories() if self._is_committed(name)]

    def incomplete(self) -> list[str]:
        """Names of what was staged, half copied or half deleted, ascending; also of what is being staged just now."""
        broken = [name for name in self._directories() if not self._is_committed(name)]
        copying = [entry.name for entry in self._files.list(_STAGED) if GENERATION.fullmatch(entry.name)]
        local = self._staging.iterdir() if self._staging.is_dir() else ()
        staged = [path.name for path in local if GENERATION.fullmatch(path.name)]
        return sorted({*broken, *copying, *staged})

    def discard(self, generation: str) -> None:
        """Remove what there is of an incomplete generation: first what is aside, which is not committed any more then.

        Where nothing is renamed, one whose manifest comes between the look for it and the removal is damaged, and its
        writer finds that out.

        Raises:
            StoreUnavailable: the system does not do it.
        """
        self._files.delete(f"{_STAGED}/{checked_generation(generation)}")
        if not self._is_committed(generation):
            self._files.delete(generation)
        with storage(self._staging):
            shutil.rmtree(self._staging / generation, ignore_errors=True)

    def delete(self, generation: str) -> None:
        """Remove a generation, its manifest first, and whatever else is left of that name.

        Raises:
            StoreUnavailable: the system does not do it.
        """
        self._manifests.pop(generation, None)
        self._files.delete(f"{checked_generation(generation)}/{MANIFEST}")
        self._files.delete(generation)
        self._files.delete(f"{_STAGED}/{generation}")
        with storage(self._staging):
            shutil.rmtree(self._staging / generation, ignore_errors=True)
        self._cache.drop(generation)

    def _check_arrived(self, target: str, files: Mapping[str, FileEntry]) -> None:
        """Look for what was copied: a process that was taken for dead and wakes up may have swept the first of it."""
        for name, entry in files.items():
            if self._files.size(f"{target}/{name}") != entry.bytes:
                raise self._removed(f"{target}/{name}")

    def _removed(self, path: str) -> StoreUnavailable:
        where = self._files.uri(path)
        return StoreUnavailable(f"{where} was removed while the rest was copied: the generation is made again")

    def _copy(self, name: str, into: Path) -> None:
        with storage(into):
            self._download(name, MANIFEST, into / MANIFEST)
            files = read_listing(into / MANIFEST)
            self._cache.make_room(sum(entry.bytes for entry in files.values()))
            for file, entry in files.items():
                make_directories((into / file).parent)
                self._download(name, file, into / file, entry)

    def _download(self, name: str, file: str, into: Path, entry: FileEntry | None = None) -> None:
        digest, where = xxhash.xxh3_128(), self._files.uri(f"{name}/{file}")
        if not self._files.download(f"{name}/{file}", into, digest.update):
            raise CorruptGeneration(f"{where} is missing: {REMEDY}")
        if entry is not None:
            check_size(into, entry)
            if digest.hexdigest() != entry.xxh3_128:
                raise CorruptGeneration(f"{where} has another checksum than the manifest says: {REMEDY}")

    def _is_committed(self, generation: str) -> bool:
        return self._files.size(f"{generation}/{MANIFEST}") is not None

    def _directories(self) -> list[str]:
        return [entry.name for entry in self._files.list() if entry.is_dir and GENERATION.fullmatch(entry.name)]

    def _name(self, uri_or_generation: str) -> str:
        if GENERATION.fullmatch(uri_or_generation):
            return uri_or_generation
        here = _split(self._files.uri())
        there = _split(uri_or_generation)
        folder, _, name = there[1].rpartition("/") if there else ("", "", "")
        if there is None or (there[0], folder) != here or not GENERATION.fullmatch(name):
            raise ConfigError(
                f"{uri_or_generation[:200]!r} is outside the store {self._files.uri()}: "
                "set store.uri to where it was written"
            )
        return name

    def _missing(self, name: str) -> CorruptGeneration:
        return CorruptGeneration(f"{self.uri(name)} has no generation: restore it from a copy, or publish another")


def _split(uri: str) -> tuple[str, str] | None:
    """The system and the path in it; None for what is no URI, or plays tricks."""
    try:
        parts = urlsplit(uri) if len(uri) <= _MAX_URI else None
    except ValueError:
        return None
    if parts is None or not parts.scheme or parts.query or parts.fragment or "\0" in uri or "%00" in uri:
        return None
    path = unquote(parts.path).rstrip("/") if uri.count("//") == 1 else ""
    if any(part in {".", ".."} for part in path.split("/")):
        return None
    scheme = next((min(same) for same in _SAME_SYSTEM if parts.scheme in same), parts.scheme)
    # A bucket is part of the place; an HDFS has several names: its service's, and its NameNodes'.
    return scheme, path if scheme == "hdfs" else parts.netloc + path
