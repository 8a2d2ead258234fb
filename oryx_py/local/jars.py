"""The jars of the embedded servers: fetched once, checked against a lock, kept in the user's cache.

1. If the cache has every file of the lock in its size, that is all: no network, no lock.
2. Otherwise, one process at a time: fetch into a new folder beside it, compare size and SHA-256 of every file, and
   rename the folder into place. Killed before the rename, nothing is installed; the next call sweeps what is left.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from oryx_py.errors import MissingDependency, UserError
from oryx_py.local import ivy, locks
from oryx_py.local.java import Java

__all__ = [
    "HDFS",
    "KAFKA",
    "Bundle",
    "Fetch",
    "Jar",
    "Jars",
    "Progress",
    "cache_folder",
    "read_lock",
    "resolve_jars",
    "version_of",
]

_OTHERS_FETCH_S = 900.0

Progress = Callable[[int, int], None]
"""Called with the number of jars at hand and the number needed."""

Fetch = Callable[[Java, Sequence[ivy.Coordinates], Path, Callable[[int], None]], None]
"""Puts a file ``<name>-<version>.jar`` for each of the coordinates into a folder, reporting how many are there."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    coordinates: ivy.Coordinates
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """The jars of one server.

    Attributes:
        name: of its folder in the cache, before the version.
        lock: the name of its lock in this package.
        main: the jar whose version is the server's.
        title: what people call it.
        instead: what can be done without these jars.
    """

    name: str
    lock: str
    main: str
    title: str
    instead: str


KAFKA = Bundle("kafka", "jars.lock", "kafka_2.13", "Kafka", "set kafka.bootstrap_servers to a broker you have")
HDFS = Bundle(
    "hdfs", "hdfs-jars.lock", "hadoop-client-minicluster", "Hadoop", "set history.uri and store.uri to an HDFS you have"
)


@dataclass(frozen=True, slots=True)
class Jars:
    """The installed files, in the order of the class path."""

    folder: Path
    files: tuple[Path, ...]

    @property
    def classpath(self) -> str:
        """Every file by name: an archive of classes is refused for a wildcard."""
        return os.pathsep.join(map(str, self.files))


def read_lock(bundle: Bundle = KAFKA) -> tuple[Jar, ...]:
    """Parse the lines ``sha256 bytes organisation:name:version`` of a bundle's lock."""
    text = resources.files("oryx_py.local").joinpath(bundle.lock).read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Jar(ivy.Coordinates(*where.split(":")), int(size), digest) for digest, size, where in rows)


def version_of(bundle: Bundle, lock: Sequence[Jar]) -> str:
    """Return the version of the server itself."""
    return next(jar.coordinates.version for jar in lock if jar.coordinates.name == bundle.main)


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return this project's folder in the user's cache (XDG Base Directory Specification)."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "oryx-py"  # noqa: PTH117


def resolve_jars(
    java: Java,
    bundle: Bundle = KAFKA,
    *,
    cache: Path | None = None,
    on_progress: Progress | None = None,
    lock: Sequence[Jar] | None = None,
    fetch: Fetch = ivy.fetch,
) -> Jars:
    """Return a server's jars, fetching them on the first call of this user.

    Raises:
        MissingDependency: PySpark, whose Ivy fetches them, is not installed, or the network does not answer.
        UserError: what came is not what the lock names; nothing was installed.
    """
    lock = read_lock(bundle) if lock is None else lock
    cache = cache_folder() if cache is None else cache
    folder = cache / f"{bundle.name}-{version_of(bundle, lock)}"
    installed = Jars(folder, tuple(folder / jar.coordinates.file_name for jar in lock))
    if _complete(folder, lock):
        return installed
    with locks.held(cache / f"{folder.name}.lock", _OTHERS_FETCH_S):
        if not _complete(folder, lock):  # another process may have done it while this one waited
            try:
                _install(java, lock, folder, on_progress or (lambda _done, _total: None), fetch)
            except MissingDependency as error:
                raise MissingDependency(f"{bundle.title}'s jars: {error}, or {bundle.instead}") from error
    return installed


def _complete(folder: Path, lock: Sequence[Jar]) -> bool:
    """Sizes alone: contents were compared before the folder got its name."""
    try:
        return all((folder / jar.coordinates.file_name).stat().st_size == jar.bytes for jar in lock)
    except OSError:
        return False


def _install(java: Java, lock: Sequence[Jar], folder: Path, on_progress: Progress, fetch: Fetch) -> None:
    for left_behind in folder.parent.glob(f"{folder.name}.fetch-*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.fetch-", dir=folder.parent) as work:
        fresh = Path(work, "jars")
        fresh.mkdir()
        on_progress(0, len(lock))
        fetch(java, [jar.coordinates for jar in lock], fresh, lambda done: on_progress(done, len(lock)))
        for jar in lock:
            _verify(fresh / jar.coordinates.file_name, jar)
        if folder.exists():  # damaged, else it would have been complete
            folder.rename(Path(work, "damaged"))
        fresh.rename(folder)


def _verify(path: Path, jar: Jar) -> None:
    if not path.is_file():
        raise MissingDependency(f"{path.name} was not fetched; try again")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != jar.sha256:
        raise UserError(
            f"{path.name} is not the file this version was tested with (sha256 {digest}, expected {jar.sha256}): "
            "nothing was installed; look at what stands between this machine and the repository"
        )
