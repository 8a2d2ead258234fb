"""The jars of the embedded broker: fetched once, checked against ``jars.lock``, kept in the user's cache.

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

from oryx_py.errors import UserError
from oryx_py.local import ivy, locks
from oryx_py.local.java import Java

__all__ = ["Fetch", "Jar", "Jars", "Progress", "cache_folder", "kafka_version", "read_lock", "resolve_jars"]

_BROKER = "kafka_2.13"
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
class Jars:
    """The installed files, in the order of the class path."""

    folder: Path
    files: tuple[Path, ...]

    @property
    def classpath(self) -> str:
        """Every file by name: an archive of classes is refused for a wildcard."""
        return os.pathsep.join(map(str, self.files))


def read_lock(text: str | None = None) -> tuple[Jar, ...]:
    """Parse a lock's lines ``sha256 bytes organisation:name:version``; this package's own lock if none is given."""
    if text is None:
        text = resources.files("oryx_py.local").joinpath("jars.lock").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Jar(ivy.Coordinates(*where.split(":")), int(size), digest) for digest, size, where in rows)


def kafka_version(lock: Sequence[Jar]) -> str:
    """Return the version of the broker itself."""
    return next(jar.coordinates.version for jar in lock if jar.coordinates.name == _BROKER)


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return this project's folder in the user's cache (XDG Base Directory Specification)."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "oryx-py"  # noqa: PTH117


def resolve_jars(
    java: Java,
    *,
    cache: Path | None = None,
    on_progress: Progress | None = None,
    lock: Sequence[Jar] | None = None,
    fetch: Fetch = ivy.fetch,
) -> Jars:
    """Return the broker's jars, fetching them on the first call of this user.

    Raises:
        MissingDependency: PySpark, whose Ivy fetches them, is not installed, or the network does not answer.
        UserError: what came is not what the lock names; nothing was installed.
    """
    lock = read_lock() if lock is None else lock
    cache = cache_folder() if cache is None else cache
    folder = cache / f"kafka-{kafka_version(lock)}"
    installed = Jars(folder, tuple(folder / jar.coordinates.file_name for jar in lock))
    if _complete(folder, lock):
        return installed
    with locks.held(cache / f"{folder.name}.lock", _OTHERS_FETCH_S):
        if not _complete(folder, lock):  # another process may have done it while this one waited
            _install(java, lock, folder, on_progress or (lambda _done, _total: None), fetch)
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
        raise UserError(f"{path.name} was not fetched; try again, or set kafka.bootstrap_servers to a broker you have")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != jar.sha256:
        raise UserError(
            f"{path.name} is not the file this version was tested with (sha256 {digest}, expected {jar.sha256}): "
            "nothing was installed; look at what stands between this machine and the repository"
        )
